"""`archbench status`: which runs of a scan are done, running or failed, and why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from archbench.cli.common import PATH, json_option, note, print_json, runs_option, wrapped
from archbench.errors import StoreError
from archbench.results.runs import RESULT, SIZE_SCAN, RunRecord, RunState, purpose
from archbench.runs.files import DamagedFile
from archbench.runs.store import RunStore, ScanIndex
from archbench.spec.yaml_loader import load_yaml


@click.command()
@click.argument("spec", type=PATH, required=False, metavar="[SPEC]")
@runs_option
@json_option
@click.pass_context
def status(ctx: click.Context, spec: Path | None, runs_dir: Path, as_json: bool) -> None:
    """Show which runs are done, running or failed, and why.

    SPEC is a spec's file or a scan's name; without it, every scan in the store is summed up.
    """
    store = RunStore(runs_dir)
    names = store.scan_names() if spec is None else [scan_name(spec)]
    if not names:
        raise StoreError(f"{runs_dir}: holds no scan; `archbench run SPEC` makes one")
    scans = []
    damaged = 0
    for name in names:
        try:
            index = store.scan(name)
        except DamagedFile as error:
            if spec is not None:
                raise
            note(f"archbench: {error}")
            damaged += 1
            continue
        scans.append((index, *store.records(index)))
    if as_json:
        print_json([_as_json(*scan) for scan in scans])
    else:
        for index, records, problems in scans:
            _print(index, records, problems, every_run=spec is not None)
    if damaged:
        ctx.exit(StoreError.exit_code)


def _print(index: ScanIndex, records: Sequence[RunRecord], problems: Sequence[str], *, every_run: bool) -> None:
    click.echo(f"{index.name}: {_counts(records, len(index.runs))}")
    for record in records:
        if every_run or record.state in (RunState.FAILED, RunState.DIVERGED, RunState.RUNNING):
            click.echo(wrapped(f"  {_line(record)}"))
    for problem in problems:
        click.echo(f"  {problem}")


def scan_name(spec: Path) -> str:
    """The name of the scan that `spec` means: the name inside a spec's file, or the word itself."""
    if spec.suffix not in (".yaml", ".yml") and not spec.exists():
        return str(spec)
    file = load_yaml(spec)
    name = file.data.get("name")
    if not isinstance(name, str):
        raise file.error(("name",), "is missing or not text")
    return name


def records_of(store: RunStore, index: ScanIndex) -> tuple[RunRecord, ...]:
    """The records of all runs of `index` that have a directory; those that are damaged are told on standard error."""
    records, problems = store.records(index)
    for problem in problems:
        note(f"warning: {problem}")
    return records


def _counts(records: Sequence[RunRecord], num_runs: int) -> str:
    counts = Counter(record.state for record in records)
    words = [f"{counts[state]} {state.value}" for state in RunState if counts[state]]
    missing = num_runs - len(records)
    return ", ".join([*words, *([f"{missing} missing or damaged"] if missing else [])]) or "no runs"


def _line(record: RunRecord) -> str:
    step = record.details.get("step")
    detail = ""
    if record.curve:
        detail = f", loss {record.curve[-1].validation_loss_nats:.4f} nats"
    elif record.state is RunState.RUNNING and step is not None:
        detail = f", step {step} of {record.details['total_steps']}"
    reason = f" ({record.reason})" if record.reason else ""
    scan_result = (record.study, record.role) == (SIZE_SCAN, RESULT)
    return (
        f"{record.run_id[:16]}  {record.contender:<16} {record.non_embedding_params:>12,} parameters  "
        f"seed {record.seed}  {'' if scan_result else f'{purpose(record)}  '}{record.state.value}{detail}{reason}"
    )


def _as_json(index: ScanIndex, records: Sequence[RunRecord], problems: Sequence[str]) -> dict[str, Any]:
    return {
        "name": index.name,
        "problems": list(problems),
        "counts": dict(Counter(record.state.value for record in records)),
        "runs": [
            {
                "run_id": record.run_id,
                "contender": record.contender,
                "size_index": record.size_index,
                "study": record.study,
                "role": record.role,
                "non_embedding_params": record.non_embedding_params,
                "seed": record.seed,
                "state": record.state.value,
                "reason": record.reason,
                "step": record.curve[-1].step if record.curve else record.details.get("step"),
                "validation_loss_nats": record.curve[-1].validation_loss_nats if record.curve else None,
            }
            for record in records
        ],
    }
