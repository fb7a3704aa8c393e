"""`archbench export`: a finished run's model as a folder that others load."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import PATH, host_with, json_option, note, plugin_option, print_json, runs_option
from archbench.cli.outputs.runs import ExportOutput
from archbench.cli.terminal import echo
from archbench.errors import DataError, SpecError, StoreError
from archbench.extras import require
from archbench.results.runs import RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.imported import IMPORTED_FILE
from archbench.runs.records import read_record
from archbench.runs.remote.transfer import fetch_folder
from archbench.runs.remote.working_folder import mirror_of
from archbench.runs.store import RunStore, ScanIndex
from archbench.spec.identity import RunPlan

if TYPE_CHECKING:
    from archbench.training.export import ExportedModel


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete.stored_runs)
@click.option("--to", "folder", type=PATH, metavar="DIR", help="Folder to write; exports/RUN otherwise.")
@click.option("--licence", metavar="NAME", help="Licence that the model card states, for example apache-2.0.")
@click.option("--push", "repository", metavar="REPO", help="Also upload it to this repository of the hub: OWNER/NAME.")
@plugin_option
@runs_option
@json_option
def export(
    run_id: str,
    folder: Path | None,
    licence: str | None,
    repository: str | None,
    plugin_files: tuple[Path, ...],
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Write the model of a finished run: safetensors, config, tokenizer and a model card.

    RUN is the first digits of its id. GPT-2, BERT and RoBERTa are loaded by from_pretrained of transformers, every
    architecture by load_model of archbench; the card says how.

    The run must have kept its weights: `archbench runs rerun RUN` trains it again for them, to the same bits, and
    `execution: {keep_weights: true}` in a spec keeps those of all its runs.

    \b
    Examples:
      archbench export 3f2a91c0
      archbench export 3f2a91c0 --to gpt2-small --licence apache-2.0
    """
    require("`archbench export` writes models", "torch", "transformers", "safetensors")
    store = RunStore(runs_dir)
    directory = store.find(run_id)
    if (mirror := mirror_of(runs_dir)) is not None:
        fetch_folder(mirror.objects, mirror.head(directory.path.name), directory.weights_dir.name, directory)
    record = _exportable(directory)
    folder = folder or Path("exports") / directory.path.name
    registry = host_with(plugin_files).registry
    # Weights are only copied; left to itself, DeepSpeed would look for an accelerator and tell of it.
    os.environ["DS_ACCELERATOR"] = "cpu"
    # Imported now: torch and transformers take seconds.
    from archbench.training.export import export_model

    _make_empty(folder)
    try:
        exported = export_model(directory, registry, folder)
        plan = directory.read_plan()
        has_tokenizer = _write_card(folder, record, plan, exported, _scan_of(store, record.run_id), licence)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    url = _push(folder, repository) if repository else None
    if as_json:
        print_json(ExportOutput(str(folder), record.run_id, exported.model_class, has_tokenizer, url))
        return
    loads = f"{exported.model_class}.from_pretrained" if exported.model_class else "archbench's load_model"
    echo(f"{folder}  (loads by {loads}; its README.md says how)")
    if url:
        echo(url)


def _exportable(directory: RunDirectory) -> RunRecord:
    """The record of a finished run whose weights are there. Raises StoreError, with the way to get them, otherwise."""
    record = read_record(directory, contender="", size_index=0)
    name = directory.path.name
    if (directory.path / IMPORTED_FILE).exists():
        raise StoreError(
            f"{directory.path}: was imported or taken from a published entry, and only its figures are here; its model "
            "is where it was trained, and archbench can export none of it"
        )
    if record is None or record.state is not RunState.DONE:
        state = record.state.value if record else "missing"
        raise StoreError(f"{directory.path}: is {state}, and only finished runs have a model; `archbench run` ends it")
    if not directory.weights_dir.is_dir():
        raise StoreError(
            f"{directory.path}: kept no weights; `archbench runs rerun {name}` trains it again for them, to the same "
            "bits, and execution.keep_weights: true in a spec keeps those of all its runs"
        )
    return record


def _make_empty(folder: Path) -> None:
    """Makes `folder`. Raises SpecError where something is in it already: nothing is overwritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise SpecError(f"--to {folder}: cannot be made: {error.strerror}; choose another folder") from error
    if taken:
        raise SpecError(f"--to {folder}: is not empty; choose another folder, or remove it")


def _scan_of(store: RunStore, run_id: str) -> ScanIndex | None:
    """A scan that holds the run; None where there is none that can be read."""
    for name in store.scan_names():
        try:
            index = store.scan(name)
        except StoreError:
            continue
        if any(run.run_id == run_id for run in index.runs):
            return index
    return None


def _write_card(
    folder: Path,
    record: RunRecord,
    plan: RunPlan,
    exported: "ExportedModel",
    scan: ScanIndex | None,
    licence: str | None,
) -> bool:
    """Writes tokenizer and card; whether the tokenizer could be written."""
    from archbench.data.corpus import open_corpus
    from archbench.report.model_card import CardSubject, model_card
    from archbench.runs.files import write_atomically
    from archbench.training.export_tokenizer import export_tokenizer

    corpus, has_tokenizer = None, False
    try:
        corpus = open_corpus(Path(plan.execution.corpus_dir))
    except DataError as error:
        note(f"warning: no tokenizer is written: {error}")
    if corpus is not None and exported.model_class is not None:
        has_tokenizer = export_tokenizer(corpus, exported.special_tokens, plan.identity.dims.seq_len, folder)
        if not has_tokenizer:
            note("warning: transformers cannot have this tokenizer with the same ids, so none is written")
    subject = CardSubject(
        record=record,
        plan=plan,
        model_class=exported.model_class,
        positions_given=exported.positions_given,
        tokenizer=has_tokenizer,
        corpus=corpus,
        spec=scan.spec if scan else None,
        licence=licence,
    )
    write_atomically(folder / "README.md", model_card(subject).encode())
    for path in folder.iterdir():
        path.chmod(0o644)  # transformers writes weights for their owner alone
    return has_tokenizer


def _push(folder: Path, repository: str) -> str:
    """Uploads `folder`; the address. Raises SpecError where the hub refuses or cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    kept = f"{folder} is written all the same"
    try:
        api = HfApi()
        url = api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Model and card, by archbench export")
    except LocalTokenNotFoundError as error:
        raise SpecError(
            f"--push {repository}: no token of the hub is known; `hf auth login` stores one; {kept}"
        ) from error
    except HFValidationError as error:
        raise SpecError(f"--push {repository}: is no name of a repository such as OWNER/NAME; {kept}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        reason = "sign in by `hf auth login`" if status in (401, 403) else "try again later"
        raise SpecError(f"--push {repository}: the hub refused it ({status}); {reason}; {kept}") from error
    except Exception as error:  # what the hub's HTTP library raises, which is another one in other versions
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SpecError(f"--push {repository}: the hub cannot be reached ({reason}); {kept}") from error
    return str(url)
