"""An exported model is the model that was trained: the same function, loaded by whoever is said to load it."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import jsonschema
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, GPT2LMHeadModel

from archbench.cli.json_schemas import output_schema
from archbench.cli.main import cli
from archbench.contracts.objective import IGNORE_TARGET
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpus
from archbench.errors import SpecError, StoreError
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.runs.imported import write_imported
from archbench.runs.records import read_outcome
from archbench.runs.store import RunStore
from archbench.testing.small_hub import small_hub
from archbench.testing.small_runs import plan_small_run
from archbench.testing.synthetic import SyntheticLaw, synthetic_records
from archbench.training.evaluation import load_evaluation_set
from archbench.training.export import load_model
from archbench.training.export_tokenizer import byte_characters
from archbench.training.run_attempt import attempt_run

SAME = 2e-5
"""Relative. The same weights in float32 by other kernels: each sum of some hundred products is rounded otherwise, by
1e-7 of its terms, and the mean over a thousand tokens is far below this; another model differs in the first digit."""


def trained(folder: Path, corpus: Corpus, registry: Registry, **plan: Any) -> RunDirectory:
    """A finished run that kept its weights, in a store's directory."""
    directory = plan_small_run(folder, corpus, registry, execution={"keep_weights": True}, **plan)
    outcome = attempt_run(directory, registry, lambda report: None, Event())
    assert outcome is not None
    assert outcome.state.value == "done", outcome.reason
    return RunDirectory(directory.path.rename(directory.path.with_name(directory.path.name[:16])))


def export(directory: RunDirectory, *arguments: str) -> Any:
    runs = str(directory.path.parent)
    return CliRunner().invoke(cli, ["export", directory.path.name, "--runs", runs, *arguments])


def evaluation_batches(directory: RunDirectory, corpus: Corpus, registry: Registry) -> list[Any]:
    plan = directory.read_plan()
    objective = registry.objectives[str(plan.identity.objective["kind"])].config.model_validate(
        dict(plan.identity.objective)
    )
    seq_len = plan.identity.dims.seq_len
    rows = plan.identity.training.batch_tokens // seq_len
    found = load_evaluation_set(
        corpus,
        objective,
        plan.identity.evaluation,
        seq_len=seq_len,
        rows=rows,
        rows_per_pass=rows,
        carries_state=False,
        device=torch.device("cpu"),
    )
    return list(found.batches)


@torch.no_grad()
def loss_nats(model: Any, batches: list[Any], **inputs: Any) -> float:
    """The mean loss over the evaluation set, by transformers' own forward pass."""
    total, count = 0.0, 0
    for batch in batches:
        logits = model(input_ids=batch["tokens"], **inputs).logits
        targets = batch["targets"].flatten()
        total += float(cross_entropy(logits.flatten(0, 1).double(), targets, reduction="sum"))
        count += int((targets != IGNORE_TARGET).sum())
    return total / count


def stored_loss(directory: RunDirectory) -> float:
    outcome = read_outcome(directory)
    assert outcome is not None
    return outcome.curve[-1].validation_loss_nats


def test_an_exported_gpt2_has_the_same_loss_in_transformers(tmp_path: Path, corpus: Corpus, registry: Registry) -> None:
    directory = trained(tmp_path / "runs", corpus, registry)
    result = export(directory, "--to", str(tmp_path / "model"), "--licence", "apache-2.0", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    content = json.loads(result.stdout)
    jsonschema.validate(content, output_schema("export"))
    assert content["model_class"] == "GPT2LMHeadModel"
    assert content["tokenizer"] is True
    # In a process of its own, without archbench: nothing of it may be needed.
    batches = evaluation_batches(directory, corpus, registry)
    torch.save([(batch["tokens"], batch["targets"]) for batch in batches], tmp_path / "batches.pt")
    code = (
        "import sys, torch\nfrom transformers import AutoModelForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained('model').eval()\ntotal = count = 0.0\n"
        "with torch.no_grad():\n    for tokens, targets in torch.load('batches.pt'):\n"
        "        logits = model(input_ids=tokens).logits.flatten(0, 1).double()\n"
        "        total += float(torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction='sum'))\n"
        "        count += int((targets != -100).sum())\n"
        "assert not any(name.startswith('archbench') for name in sys.modules)\nprint(total / count)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    assert math.isclose(float(done.stdout), stored_loss(directory), rel_tol=SAME)
    assert loss_nats(GPT2LMHeadModel.from_pretrained(tmp_path / "model").eval(), batches) == pytest.approx(
        stored_loss(directory), rel=SAME
    )


def test_the_exported_tokenizer_gives_the_ids_that_the_model_was_trained_with(
    tmp_path: Path, corpus: Corpus, registry: Registry
) -> None:
    directory = trained(tmp_path / "runs", corpus, registry, total_steps=3, training={"schedule": {"warmup_steps": 1}})
    assert export(directory, "--to", str(tmp_path / "model")).exit_code == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    text = "Any text: 汉字, naïve, \t\n  and <|endoftext|>"[:-13]
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    assert tokenizer.eos_token_id == corpus.end_of_text
    assert len(set(byte_characters())) == 256


def test_a_bpe_tokenizer_is_exported_with_its_ids(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "text").mkdir()
    for number in range(30):
        (tmp_path / "text" / f"{number}.txt").write_text(f"document {number}: the law of scale holds. " * 20)
    datasets, tokenizers = registry.datasets, registry.tokenizers
    config = tokenizers["bpe"].config.model_validate({"kind": "bpe", "vocab_size": 300})
    corpus = prepare_corpus(
        datasets["text_files"].config.model_validate({"kind": "text_files", "paths": [str(tmp_path / "text/*.txt")]}),
        config,
        validation_fraction=0.3,
        cache_dir=tmp_path / "cache",
    )
    objective = {"kind": "masked_lm"}
    directory = trained(
        tmp_path / "runs", corpus, registry, architecture={"kind": "bert"}, objective=objective, total_steps=4
    )
    assert export(directory, "--to", str(tmp_path / "model")).exit_code == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = tokenizer("document 7: the law of scale holds.")["input_ids"]
    stream = corpus.train.ids[: corpus.train.num_tokens].tolist()
    assert any(stream[start : start + 4] == ids[-4:] for start in range(len(stream)))
    assert tokenizer.eos_token_id == corpus.end_of_text
    assert tokenizer.mask_token_id == corpus.text_vocab_size


@pytest.mark.parametrize(
    ("kind", "objective", "needs_positions"),
    [("bert", "masked_lm", False), ("bert", "causal_lm", False), ("roberta", "masked_lm", True)],
)
def test_masked_models_have_the_same_loss_in_transformers(
    tmp_path: Path, corpus: Corpus, registry: Registry, kind: str, objective: str, needs_positions: bool
) -> None:
    directory = trained(tmp_path / "runs", corpus, registry, architecture={"kind": kind}, objective={"kind": objective})
    result = export(directory, "--to", str(tmp_path / "model"))
    assert result.exit_code == 0, (result.output, result.exception)
    auto = AutoModelForMaskedLM if objective == "masked_lm" else AutoModelForCausalLM
    inputs = {"position_ids": torch.arange(32)[None]} if needs_positions else {}
    model = auto.from_pretrained(tmp_path / "model").eval()
    assert loss_nats(model, evaluation_batches(directory, corpus, registry), **inputs) == pytest.approx(
        stored_loss(directory), rel=SAME
    )
    assert ("position_ids" in (tmp_path / "model" / "README.md").read_text()) is needs_positions


@pytest.mark.parametrize("kind", ["gpt2", "reformer", "transformer_xl"])
def test_archbench_loads_every_architecture_that_it_exports(
    tmp_path: Path, corpus: Corpus, registry: Registry, kind: str
) -> None:
    architecture = {"kind": kind} | ({"bucket_size": 8} if kind == "reformer" else {})
    directory = trained(tmp_path / "runs", corpus, registry, architecture=architecture, total_steps=4)
    result = export(directory, "--to", str(tmp_path / "model"))
    assert result.exit_code == 0, (result.output, result.exception)
    model = load_model(tmp_path / "model", registry)
    with safe_open(directory.weights_dir / "model.safetensors", "pt") as weights:
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, weights.get_tensor(f"model.{name}")), name
    card = (tmp_path / "model" / "README.md").read_text()
    assert ("from_pretrained" in card) is (kind == "gpt2")
    assert "load_model" in card


def test_the_card_says_what_the_model_is(tmp_path: Path, corpus: Corpus, registry: Registry) -> None:
    directory = trained(tmp_path / "runs", corpus, registry, total_steps=4)
    assert export(directory, "--to", str(tmp_path / "model")).exit_code == 0
    card = (tmp_path / "model" / "README.md").read_text()
    for words in (
        "library_name: transformers",
        f"{stored_loss(directory):.4f} nats per predicted token",
        directory.read_plan().identity.run_id,
        "text_files",
        "'kind': 'adamw'",
        "What it is not for",
        "None was stated",
        "archbench 0",
    ):
        assert words in card, words
    assert str(tmp_path / "runs") not in card


def test_an_imported_run_has_no_model_and_no_advice_that_cannot_be_followed(tmp_path: Path) -> None:
    record = synthetic_records("gpt2", SyntheticLaw())[0]
    directory = RunStore(tmp_path).directory("0" * 64)
    write_imported(directory, replace(record, run_id="0" * 64))
    result = export(directory)
    assert isinstance(result.exception, StoreError)
    assert "was imported or taken from a published entry, and only its figures are here" in str(result.exception)
    assert "rerun" not in str(result.exception)


def test_what_cannot_be_exported_is_told_with_the_way_to_get_it(
    tmp_path: Path, corpus: Corpus, registry: Registry
) -> None:
    planned = plan_small_run(tmp_path / "runs", corpus, registry)
    planned = RunDirectory(planned.path.rename(planned.path.with_name(planned.path.name[:16])))
    result = export(planned)
    assert isinstance(result.exception, StoreError)
    assert "is planned, and only finished runs have a model" in str(result.exception)
    directory = trained(tmp_path / "other", corpus, registry, total_steps=4)
    kept = directory.weights_dir.rename(directory.path / "elsewhere")
    result = export(directory)
    assert isinstance(result.exception, StoreError)
    assert f"`archbench runs rerun {directory.path.name}` trains it again" in str(result.exception)
    kept.rename(directory.weights_dir)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    result = export(directory, "--to", str(tmp_path / "taken"))
    assert isinstance(result.exception, SpecError)
    assert "is not empty" in str(result.exception)


def push(directory: RunDirectory, folder: Path, hub: str) -> subprocess.CompletedProcess[str]:
    """`archbench export --push` to the hub at that address, in a process of its own: addresses are read at import."""
    code = (
        "from archbench.cli.main import main\n"
        f"main(['export', '{directory.path.name}', '--runs', 'runs', '--to', 'model', '--push', 'owner/name'])"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_TOKEN": "hf_none", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.thorough
def test_a_push_that_fails_keeps_the_folder_and_says_why(tmp_path: Path, corpus: Corpus, registry: Registry) -> None:
    directory = trained(tmp_path / "runs", corpus, registry, total_steps=4)
    done = push(directory, tmp_path, "http://127.0.0.1:9")  # nobody listens there
    assert done.returncode == 2, done.stderr
    assert "--push owner/name: the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.thorough
def test_a_push_uploads_every_file_of_the_folder(tmp_path: Path, corpus: Corpus, registry: Registry) -> None:
    directory = trained(tmp_path / "runs", corpus, registry, total_steps=4)
    with small_hub() as hub:
        done = push(directory, tmp_path, hub.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub.address}/owner/name"
    written = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert hub.files == {"owner/name": written}
    assert {"README.md", "model.safetensors"} < written.keys()
    assert hub.tokens == {"hf_none"}


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(SpecError, match="holds no exported model"):
        load_model(tmp_path, registry)
    (tmp_path / "archbench.json").write_text("{}")
    with pytest.raises(SpecError, match="is no exported model"):
        load_model(tmp_path, registry)
