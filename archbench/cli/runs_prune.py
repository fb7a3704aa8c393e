"""`archbench runs prune`: makes room in the store without losing a result."""

from collections.abc import Sequence
from pathlib import Path

import click

from archbench.cli import complete
from archbench.cli.common import confirm, json_option, note, print_json, table_console, written_runs_option, yes_option
from archbench.cli.outputs.runs import PruneOutput, RemnantRow
from archbench.runs.prune import LOSES, Remnant, Removable, remnants, remove
from archbench.runs.store import RunStore
from archbench.units import human_bytes


@click.command("prune")
@click.option("--unfinished", is_flag=True, help="Also runs that have taken steps and have not ended.")
@click.option("--weights", is_flag=True, help="Also final weights of finished runs.")
@click.option("--kept", is_flag=True, help="Also checkpoints kept for runs that branch off.")
@click.option("--checkpoints", is_flag=True, help="Also checkpoints that finished runs have left behind.")
@click.option("--logs", is_flag=True, help="Also what workers have printed.")
@click.option("--scan", metavar="NAME", shell_complete=complete.scans, help="Only runs of this scan.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and remove nothing.")
@yes_option
@written_runs_option
@json_option
def prune_runs(
    unfinished: bool,
    weights: bool,
    kept: bool,
    checkpoints: bool,
    logs: bool,
    scan: str | None,
    dry_run: bool,
    yes: bool,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Remove runs that failed or never took a step, and more on demand.

    Results are never removed: a finished run keeps its record and its curve. Runs of a scan that is going on are left
    alone, and so is what another run is still to begin from.

    \b
    Examples:
      archbench runs prune --dry-run
      archbench runs prune --weights --logs --yes
    """
    asked = {
        Removable.FAILED: True,
        Removable.UNSTARTED: True,
        Removable.UNFINISHED: unfinished,
        Removable.WEIGHTS: weights,
        Removable.KEPT: kept,
        Removable.CHECKPOINTS: checkpoints,
        Removable.LOGS: logs,
    }
    store = RunStore(runs_dir)
    among = {store.directory(run.run_id).path.name for run in store.scan(scan).runs} if scan else None
    found, left = remnants(store, [what for what, is_asked in asked.items() if is_asked], among)
    total = sum(one.disk_bytes for one in found)
    if not as_json:
        _print(found, left)
    removed = bool(found) and not dry_run
    if removed:
        confirm(f"remove them, and free {human_bytes(total)}?", yes=yes)
        for one in found:
            remove(one)
    if as_json:
        rows = [RemnantRow(one.name, one.what.value, str(one.path), one.disk_bytes, LOSES[one.what]) for one in found]
        print_json(PruneOutput(rows, left, total, removed))
    elif found:
        note(f"{'freed' if removed else 'would free'} {human_bytes(total)}")


def _print(found: Sequence[Remnant], left: Sequence[str]) -> None:
    from rich.table import Table

    for line in left:
        note(f"left alone: {line}")
    if not found:
        note("nothing to remove; `archbench runs prune --help` names what can go on demand")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "what", "disk", "lost by it"):
        table.add_column(header, justify="right" if header == "disk" else "left", no_wrap=header in ("run", "disk"))
    for one in found:
        table.add_row(one.name, one.what.value, human_bytes(one.disk_bytes), LOSES[one.what])
    table_console().print_whole(table)
