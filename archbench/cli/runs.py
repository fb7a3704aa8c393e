"""`archbench runs`: what the store holds, run by run; training a run again, and making room."""

from dataclasses import replace
from pathlib import Path

import click

from archbench.answers.plain import fields_of
from archbench.cli import complete
from archbench.cli.common import json_option, note, on_screen, print_json, print_table, runs_option, table_console
from archbench.cli.lazy import LazyGroup
from archbench.cli.outputs.runs import RunOutput, RunRow
from archbench.cli.scan_words import unprotected_words
from archbench.cli.terminal import echo
from archbench.errors import StoreError
from archbench.results.arithmetic import arithmetic_of
from archbench.results.published import publication_of
from archbench.results.reference_lines import end_place, plateau_share, share_words
from archbench.results.runs import RunRecord, origin_text
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile
from archbench.runs.records import read_end, read_record
from archbench.runs.store import RunStore, directory_bytes
from archbench.units import counted, human_bytes, human_count

_WIDE = 110
"""Columns from which the list shows objectives and longer ids."""

_LEFT = ("run", "architecture", "objective", "state", "from")
"""Columns of words."""

_NOT_READ = ("damaged", "unreadable")
"""States of runs whose files tell nothing."""


_ELSEWHERE = {"rerun": "archbench.cli.runs_rerun:rerun_runs", "prune": "archbench.cli.runs_prune:prune_runs"}
"""Commands with modules of their own."""


@click.group(cls=LazyGroup, places=_ELSEWHERE)
def runs() -> None:
    """List stored runs, show one, train one again, or make room.

    \b
    Examples:
      archbench runs list
      archbench runs show 3f2a
      archbench runs rerun --failed
      archbench runs prune --weights --dry-run
    """


@runs.command("list")
@runs_option
@json_option
def list_runs(runs_dir: Path, as_json: bool) -> None:
    """List every run in the store, whichever scan it belongs to, with the disk that it takes."""
    rows = [_row(directory) for directory in RunStore(runs_dir).directories()]
    if as_json:
        print_json(rows)
        return
    console = table_console()
    if rows:
        _print_table(rows, console.width)
    for row in rows:
        if row.state in _NOT_READ:
            echo(f"{row.run_id}  {row.state}: {row.reason}")
    echo(f"{counted(len(rows), 'run')}, {human_bytes(sum(row.disk_bytes for row in rows))}")
    if unprotected := unprotected_words(rows):
        echo(unprotected)


def _print_table(rows: list[RunRow], columns: int) -> None:
    wide = columns >= _WIDE or not on_screen()
    headers = ["run", "architecture", *(["objective"] if wide else []), "N", "tokens", "seed", "state", "loss", "disk"]
    if any(row.origin not in (None, "archbench") or row.entry for row in rows):
        headers.append("from")
    digits = 16 if wide else _distinct_digits(rows)
    cells = [
        {
            "run": row.run_id[:digits],
            "architecture": row.architecture or "-",
            "objective": row.objective or "-",
            "N": human_count(row.non_embedding_params or 0),
            "tokens": human_count(row.planned_tokens or 0),
            "seed": str(row.seed),
            "state": row.state,
            "loss": "-" if row.validation_loss_nats is None else f"{row.validation_loss_nats:.4f}",
            "disk": human_bytes(row.disk_bytes),
            "from": f"entry {row.entry}" if row.entry else row.origin or "",
        }
        for row in rows
        if row.state not in _NOT_READ
    ]
    print_table(headers, [[row[header] for header in headers] for row in cells], _LEFT)


def _distinct_digits(rows: list[RunRow]) -> int:
    """Digits of a run id that tell all runs apart, eight at least."""
    names = [row.run_id[:16] for row in rows]
    return next((count for count in range(8, 16) if len({name[:count] for name in names}) == len(names)), 16)


@runs.command("show")
@click.argument("run_id", metavar="RUN", shell_complete=complete.stored_runs)
@runs_option
@json_option
def show_run(run_id: str, runs_dir: Path, as_json: bool) -> None:
    """Show one run with its learning curve.

    RUN is the first digits of its id, as `archbench runs list` prints it.
    """
    directory = RunStore(runs_dir).find(run_id)
    record = read_record(directory, contender="", size_index=0)
    if record is None:
        raise StoreError(f"{directory.path}: holds no run")
    if problem := record.details.get("problem"):
        note(f"warning: {problem}")
    shown = run_output(directory, record)
    if as_json:
        print_json(shown)
        return
    for name, value in fields_of(shown).items():
        if name in ("curve", "identity", "plugins"):
            continue
        if name == "protected":
            name, value = "protected by a digest", "yes" if value else "no: version 0.1.0 wrote it, which had none"
        if name == "arithmetic":
            value = ", ".join(f"{what} {one}" for what, one in value.items()) or "unknown"
        if name == "reference_lines":
            value = ", ".join(f"{line} {loss:.4f} nats" for line, loss in value.items()) or "unknown"
        if name == "plateau_share":
            value = share_words(value) or "unknown"
        if name == "disk_bytes":
            value = human_bytes(value)
        elif name == "disk_bytes_by_part":
            value = ", ".join(f"{part} {human_bytes(size)}" for part, size in value.items())
        echo(f"{name}: {value}")
    for what, origin in record.plugin_origins.items():
        echo(f"{what} plug-in: {origin_text(origin)}")
    echo(f"{'step':>8} {'tokens':>8} {'exact FLOPs':>12} {'seconds':>8} {'train':>8} {'validation':>10}")
    for point in record.curve:
        seconds = "" if point.device_seconds is None else f"{point.device_seconds:.1f}"
        train = "" if point.train_loss_nats is None else f"{point.train_loss_nats:.4f}"
        echo(
            f"{point.step:>8} {human_count(point.tokens):>8} {human_count(point.exact_flops):>12} {seconds:>8} "
            f"{train:>8} {point.validation_loss_nats:>10.4f}"
        )
    if record.final is not None:
        words = f"{record.final.loss_nats:.4f} nats over {record.final.num_documents:,} held-out documents"
        echo(f"final evaluation: {words}")


def run_output(directory: RunDirectory, record: RunRecord) -> RunOutput:
    """All that is known of the run in `directory`, whose record is `record`."""
    return RunOutput(
        **fields_of(replace(_row(directory), protected=record.protected)),
        curve=list(record.curve),
        identity=dict(record.details.get("identity") or {}),
        arithmetic=dict(arithmetic_of(record)),
        plugins={what: dict(origin) for what, origin in record.plugin_origins.items()},
        disk_bytes_by_part={path.name: directory_bytes(path) for path in _parts(directory)},
        reference_lines=dict(record.reference_lines),
        place=end_place(record),
        plateau_share=plateau_share(record),
    )


def _parts(directory: RunDirectory) -> list[Path]:
    return [path for path in (directory.weights_dir, directory.kept_dir, directory.checkpoints_dir) if path.is_dir()]


def _row(directory: RunDirectory) -> RunRow:
    disk_bytes = directory_bytes(directory.path)
    try:
        record = read_end(directory)
    except StoreError as error:
        state = "damaged" if isinstance(error, DamagedFile) else "unreadable"
        return RunRow(directory.path.name, state, str(error), str(directory.path), disk_bytes)
    assert record is not None, "the store lists directories that hold a run"
    audit, published = record.prefix_audit, publication_of(record)
    return RunRow(
        run_id=record.run_id,
        state=record.state.value,
        reason=record.reason,
        directory=str(directory.path),
        disk_bytes=disk_bytes,
        architecture=record.architecture,
        objective=record.objective,
        non_embedding_params=record.non_embedding_params,
        embedding_params=record.embedding_params,
        planned_tokens=record.planned_tokens,
        seed=record.seed,
        origin=record.origin,
        validation_loss_nats=record.final_loss_nats,
        protected=record.protected,
        prefix_gain_nats=audit.mean_gain_nats if audit else None,
        entry=published.entry if published else None,
    )
