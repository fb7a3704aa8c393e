"""`archbench init`: a spec of one's own, by questions or by flags, sized for a time."""

import sys
from pathlib import Path
from typing import Any

import click

from archbench.bundled_specs import names_a_file
from archbench.cli import complete
from archbench.cli.common import (
    PATH,
    cache_option,
    host_with,
    note,
    plugin_option,
    runs_option,
    shell_words,
)
from archbench.cli.plan_scan import with_stand_ins
from archbench.cli.terminal import echo
from archbench.contracts.architecture import ArchitectureConfig, Attention
from archbench.contracts.data import DatasetConfig
from archbench.durable import write_whole
from archbench.errors import DataError, SpecError, nearest
from archbench.host import Host
from archbench.planning.estimate import (
    estimate_run,
    expected_workers,
    has_accelerator,
    held_out_tokens,
    measured_rates,
    scan_seconds,
)
from archbench.planning.first_scan import ACCELERATOR, CPU, FirstScan, FirstText, Profile
from archbench.planning.first_spec import fit_to_minutes
from archbench.runs.store import RunStore
from archbench.scans.planner import plan_scan
from archbench.scans.stated_texts import stated_texts
from archbench.spec.load import spec_from_yaml
from archbench.spec.yaml_loader import parse_yaml
from archbench.units import human_seconds

_OBJECTIVES = {Attention.CAUSAL: "causal_lm", Attention.BIDIRECTIONAL: "masked_lm"}
_KNOWN_BYTES = {"standard_text": 6.2e7, "installed_docs": 3e7, "installed_code": 2.4e7}
"""Of archbench's own texts; others say by a limit how much of them is read."""
_COUNTED_BYTES = 100e6
"""Of a text whose size nobody states: a larger one is enough for any first scan."""
DEVICES = ("auto", "cpu", "cuda")
MINUTES = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("file", type=PATH, metavar="[FILE]", required=False)
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="KIND",
    shell_complete=complete.architectures,
    help="What is to be compared with the baseline; may be repeated.",
)
@click.option(
    "--baseline",
    metavar="KIND",
    shell_complete=complete.architectures,
    help="gpt2 if left out, or bert beside encoders.",
)
@click.option(
    "--text",
    metavar="TEXT",
    help="A bundled text, your file or folder, or OWNER/NAME on the Hugging Face hub; installed_docs if left out.",
)
@click.option("--minutes", type=MINUTES, help="What the scan may take; 60 if left out.")
@click.option("--device", type=click.Choice(DEVICES), help="Where it is to be trained; auto if left out.")
@click.option("--overwrite", is_flag=True, help="Take the place of FILE where it is there already.")
@plugin_option
@runs_option
@cache_option
def init(
    file: Path | None,
    architectures: tuple[str, ...],
    baseline: str | None,
    text: str | None,
    minutes: float | None,
    device: str | None,
    overwrite: bool,
    plugin_files: tuple[Path, ...],
    runs_dir: Path,
    cache_dir: Path,
) -> None:
    """Start a spec: architectures, a baseline, a text, a time.

    Writes a commented spec to FILE, whose sizes and tokens `archbench plan` expects to take the minutes at most. On a
    terminal it asks for what no option says. Nothing is trained, and no file overwritten without --overwrite.

    \b
    Examples:
      archbench init
      archbench init mine.yaml --architecture llama --minutes 20 --device cpu
      archbench init --architecture my_arch --plugin ./my_arch.py --text books/
    """
    host = host_with(plugin_files)
    if file is not None:
        _require_free(file, overwrite=overwrite)
    asks = sys.stdin.isatty()
    architectures = architectures or _asked_architecture(host, asks=asks)
    configs = {kind: _architecture(host, kind) for kind in architectures}
    baseline = baseline or _asked("baseline", _usual_baseline(configs), asks=asks)
    if baseline in configs:
        raise SpecError(f"{baseline!r} is the baseline and what is compared with it; name another one of them")
    if text is None:
        if asks:
            note(f"texts: {', '.join(_texts(host))}; your file or folder; OWNER/NAME on the Hugging Face hub")
        text = _asked("text", "installed_docs", asks=asks)
    minutes = minutes or _asked("minutes", 60.0, asks=asks, kind=MINUTES)
    device = device or _asked("device", "auto", asks=asks, kind=click.Choice(DEVICES))
    configs[baseline] = _architecture(host, baseline)
    attention = _common_attention(configs)
    target = file or Path(f"{'_'.join(architectures)}_against_{baseline}.yaml")
    _require_free(target, overwrite=overwrite)
    profile = ACCELERATOR if device == "cuda" or (device == "auto" and has_accelerator()) else CPU
    scan = FirstScan(
        name=target.stem,
        file=str(target),
        baseline=baseline,
        architectures=tuple(dict.fromkeys(architectures)),
        objective=_OBJECTIVES[attention],
        text=_text(host, text, target.parent),
        profile=profile,
        minutes=minutes,
        possible=lambda size: all(_has_shape(config, size, profile) for config in configs.values()),
        causal=attention is Attention.CAUSAL,
    )
    fitted = fit_to_minutes(scan, lambda yaml: _seconds(yaml, target, host, RunStore(runs_dir), cache_dir))
    _write(target, fitted.text)
    echo(str(target))
    note(f"about {human_seconds(fitted.seconds)} by the planner's estimate; nothing is trained yet. Next:")
    given = [word for path in plugin_files for word in ("--plugin", path)]
    note(f"  {shell_words('archbench', 'plan', target, *given)}")


def _asked(what: str, usual: Any, *, asks: bool, kind: Any = None) -> Any:
    """The answer to a question, or what is usual where nobody can be asked."""
    return click.prompt(what, default=usual, type=kind, err=True) if asks else usual


def _asked_architecture(host: Host, *, asks: bool) -> tuple[str, ...]:
    if not asks:
        raise SpecError("--architecture is missing: name what is to be compared, since nobody can be asked here")
    note(f"architectures: {', '.join(host.registry.architectures.entries)}")
    return (str(click.prompt("architecture to compare", err=True)).strip(),)


def _require_free(file: Path, *, overwrite: bool) -> None:
    if not names_a_file(file):
        raise SpecError(f"{file}: is no name of a spec; call it {file}.yaml")
    if (file.exists() or file.is_symlink()) and not overwrite:
        raise SpecError(f"{file}: exists already; name another FILE, or say --overwrite")


def _architecture(host: Host, kind: str) -> ArchitectureConfig:
    config = host.registry.architectures[kind].config
    try:
        return config.model_validate({})
    except (Exception, SystemExit) as error:  # a plug-in's own code
        raise SpecError(
            f"architecture {kind!r} has settings without a default; write its spec by hand: {error}"
        ) from error


def _has_shape(config: ArchitectureConfig, size: float, profile: Profile) -> bool:
    """Whether the architecture has a shape of about `size` parameters that can be built."""
    try:
        dims = config.sized_for(size, vocab_size=profile.vocab_size, seq_len=profile.seq_len)
    except ValueError:
        return False
    return not config.problems(dims)


def _usual_baseline(configs: dict[str, ArchitectureConfig]) -> str:
    causal = all(Attention.CAUSAL in config.attention_modes for config in configs.values())
    return next(one for one in (("gpt2", "llama") if causal else ("bert", "roberta")) if one not in configs)


def _common_attention(configs: dict[str, ArchitectureConfig]) -> Attention:
    for attention in _OBJECTIVES:
        if all(attention in config.attention_modes for config in configs.values()):
            return attention
    modes = "; ".join(f"{kind}: {', '.join(sorted(config.attention_modes))}" for kind, config in configs.items())
    raise SpecError(f"these architectures have no attention in common ({modes}); choose another baseline")


def _texts(host: Host) -> list[str]:
    """Texts that need no settings, by name."""
    return [
        kind
        for kind, entry in host.registry.datasets.entries.items()
        if not any(setting.is_required() for setting in entry.config.model_fields.values())
    ]


def _text(host: Host, word: str, folder: Path) -> FirstText:
    """The text that `word` means: of one's own where there is a file, else by its name, else on the hub."""
    path = Path(word).expanduser()
    if path.exists():
        dataset = {"kind": "text_files", "paths": [_from(folder, path)]}
        return FirstText(dataset, _counted(host, {**dataset, "paths": [str(path.resolve())]}))
    if word in _texts(host):
        config = host.registry.datasets[word].config
        if word == "standard_text":
            return FirstText({"kind": word, "size": "medium"}, _KNOWN_BYTES[word])
        if word in _KNOWN_BYTES:
            return FirstText({"kind": word}, _KNOWN_BYTES[word])
        limit = config.model_fields.get("limit_bytes")
        if limit is not None and limit.default is not None:
            return FirstText({"kind": word}, None, "limit_bytes")
        return FirstText({"kind": word}, _counted(host, {"kind": word}))
    owner, separator, name = word.partition("/")
    if separator and owner and name and "/" not in name and not word.startswith((".", "~")):
        return FirstText({"kind": "huggingface", "path": word}, None, "max_documents")
    raise SpecError(
        f"--text {word}: is no file, no folder and no OWNER/NAME of the hub, and no text has that name"
        f"{nearest(word, _texts(host))}"
    )


def _from(folder: Path, path: Path) -> str:
    """`path` as a spec in `folder` says it."""
    whole = path.resolve()
    return str(whole.relative_to(folder.resolve())) if whole.is_relative_to(folder.resolve()) else str(whole)


def _counted(host: Host, dataset: dict[str, object]) -> float:
    """UTF-8 bytes of the text, up to what any first scan needs. Raises DataError where it cannot be read."""
    config: DatasetConfig = host.registry.datasets[str(dataset["kind"])].config.model_validate(dataset)
    total = 0
    for document in config.documents():
        total += len(document.text.encode())
        if total >= _COUNTED_BYTES:
            break
    if not total:
        raise DataError(f"--text: {dataset.get('paths', dataset['kind'])}: holds no text")
    return float(total)


def _seconds(yaml: str, target: Path, host: Host, store: RunStore, cache_dir: Path) -> float:
    """What the planner expects of a spec; its text is taken to be what the spec states."""
    spec, _ = with_stand_ins(spec_from_yaml(parse_yaml(yaml, target), host.registry))
    plan = plan_scan(spec, host, cache_dir=cache_dir, store=store, texts=stated_texts)
    rates, held_out = measured_rates(store), held_out_tokens(plan.corpora.values())
    runs = {run.run_id: estimate_run(run, rates, held_out).seconds for run in plan.runs}
    return scan_seconds(list(runs.values()), expected_workers(spec.executor, spec.execution.threads))


def _write(target: Path, text: str) -> None:
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise SpecError(f"{target}: cannot be written: {error.strerror or error}; name another FILE") from error
