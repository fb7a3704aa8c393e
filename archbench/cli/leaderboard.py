"""`archbench leaderboard`: renders the pages from the entries, checks them, or adds the entries of a scan."""

from pathlib import Path

import click

from archbench.cli import complete
from archbench.cli.common import PATH, json_option, leaderboard_option, note, print_json, runs_option
from archbench.cli.outputs import LeaderboardOutput, Standing

EXIT_DIFFERS = 1


@click.command()
@leaderboard_option
@runs_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
@click.option(
    "--add",
    "scan",
    type=PATH,
    metavar="SCAN",
    shell_complete=complete.specs_and_scans,
    help="First write the entries of this scan of the store.",
)
@json_option
@click.pass_context
def leaderboard(
    ctx: click.Context, leaderboard_dir: Path, runs_dir: Path, only_check: bool, scan: Path | None, as_json: bool
) -> None:
    """Render the leaderboard, or check it.

    Every figure is computed anew from the learning curves in the entries; an entry that states another is refused.
    """
    if only_check and scan is not None:
        raise click.UsageError("--check changes nothing, so it does not go with --add")
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.leaderboard import page

    changed: list[Path] = []
    problems: list[str] = []
    if only_check:
        problems = page.check(leaderboard_dir)
        for problem in problems:
            note(problem)
        if problems:
            are = "file is" if len(problems) == 1 else "files are"
            note(f"{len(problems)} {are} out of date; `archbench leaderboard` renders them again")
    else:
        if scan is not None:
            changed += _add(scan, runs_dir, leaderboard_dir)
        changed += page.write(leaderboard_dir)
    if as_json:
        print_json(LeaderboardOutput([str(path) for path in changed], problems, _standings(leaderboard_dir)))
    elif not only_check:
        for path in changed:
            click.echo(str(path))
        if not changed:
            note("nothing has changed")
    ctx.exit(EXIT_DIFFERS if problems else 0)


def _standings(leaderboard_dir: Path) -> list[Standing]:
    from archbench.leaderboard.page import read_entries
    from archbench.leaderboard.standings import make_tables

    return [
        Standing(
            track=table.track,
            dataset=table.dataset,
            cost_axis=table.axis.value,
            reference_cost=table.reference_cost,
            name=row.name,
            rank=row.rank,
            loss_nats=row.loss_nats,
            law=row.frontier.law,
            multiplier=row.multiplier,
        )
        for table in make_tables(read_entries(leaderboard_dir))
        for row in table.rows
    ]


def _add(scan: Path, runs_dir: Path, leaderboard_dir: Path) -> list[Path]:
    """The entries of the scan, written."""
    from archbench.cli.finish import scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.leaderboard.entry import make_entries, write_entry
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan_name(scan))
    entries = make_entries(scan_results(index, records_of(store, index)))
    if not entries:
        note(f"scan {index.name!r} has no usable run yet, so it has no entry")
    return [write_entry(leaderboard_dir, entry) for entry in entries]
