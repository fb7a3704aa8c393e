"""`archbench runs`: what the store holds, run by run; training a run again, and making room."""

from pathlib import Path

import click

from archbench.cli import complete
from archbench.cli.common import interactive, json_option, print_json, runs_option, table_console
from archbench.cli.outputs import fields_of
from archbench.cli.outputs.runs import RunOutput, RunRow
from archbench.cli.runs_prune import prune_runs
from archbench.cli.runs_rerun import rerun_runs
from archbench.cli.terminal import echo
from archbench.errors import StoreError
from archbench.results.runs import RunRecord, origin_text
from archbench.runs.directory import RunDirectory
from archbench.runs.records import read_record
from archbench.runs.store import RunStore, directory_bytes
from archbench.units import counted, human_bytes, human_count

_WIDE = 110
"""Columns from which the list shows objectives and longer ids."""


@click.group()
def runs() -> None:
    """List stored runs, show one, train one again, or make room.

    \b
    Examples:
      archbench runs list
      archbench runs show 3f2a
      archbench runs rerun --failed
      archbench runs prune --weights --dry-run
    """


runs.add_command(rerun_runs)
runs.add_command(prune_runs)


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
        if row.state == "damaged":
            echo(f"{row.run_id}  damaged: {row.reason}")
    echo(f"{counted(len(rows), 'run')}, {human_bytes(sum(row.disk_bytes for row in rows))}")


def _print_table(rows: list[RunRow], columns: int) -> None:
    from rich.table import Table

    wide = columns >= _WIDE or not interactive()
    table = Table(box=None, pad_edge=False, header_style="bold")
    left = ("run", "architecture", "objective", "state", "from")
    headers = ["run", "architecture", *(["objective"] if wide else []), "N", "tokens", "seed", "state", "loss", "disk"]
    if any(row.origin not in (None, "archbench") for row in rows):
        headers.append("from")
    for header in headers:
        names = header in ("architecture", "objective", "from")
        table.add_column(header, justify="left" if header in left else "right", no_wrap=not names, overflow="fold")
    digits = 16 if wide else _distinct_digits(rows)
    for row in rows:
        cells = {
            "run": row.run_id[:digits],
            "architecture": row.architecture or "-",
            "objective": row.objective or "-",
            "N": human_count(row.non_embedding_params or 0),
            "tokens": human_count(row.planned_tokens or 0),
            "seed": str(row.seed),
            "state": row.state,
            "loss": "-" if row.validation_loss_nats is None else f"{row.validation_loss_nats:.4f}",
            "disk": human_bytes(row.disk_bytes),
            "from": row.origin or "",
        }
        if row.state != "damaged":
            table.add_row(*(cells[header] for header in headers))
    table_console().print(table)


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
    record, problem = _read(directory)
    if record is None:
        raise StoreError(problem)
    shown = RunOutput(
        **fields_of(_row(directory)),
        curve=list(record.curve),
        identity=dict(record.details.get("identity") or {}),
        plugins={what: dict(origin) for what, origin in record.plugin_origins.items()},
        disk_bytes_by_part={path.name: directory_bytes(path) for path in _parts(directory)},
    )
    if as_json:
        print_json(shown)
        return
    for name, value in fields_of(shown).items():
        if name in ("curve", "identity", "plugins"):
            continue
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


def _parts(directory: RunDirectory) -> list[Path]:
    return [path for path in (directory.weights_dir, directory.kept_dir, directory.checkpoints_dir) if path.is_dir()]


def _read(directory: RunDirectory) -> tuple[RunRecord | None, str]:
    try:
        return read_record(directory, contender="", size_index=0), ""
    except StoreError as error:
        return None, str(error)


def _row(directory: RunDirectory) -> RunRow:
    record, problem = _read(directory)
    disk_bytes = directory_bytes(directory.path)
    if record is None:
        return RunRow(directory.path.name, "damaged", problem, str(directory.path), disk_bytes)
    audit = record.prefix_audit
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
        validation_loss_nats=record.curve[-1].validation_loss_nats if record.curve else None,
        prefix_gain_nats=audit.mean_gain_nats if audit else None,
    )
