"""`archbench leaderboard`: renders the pages from the entries, checks them, or adds the entries of a scan."""

from pathlib import Path

import click

from archbench.cli.common import PATH, leaderboard_option, note, runs_option

EXIT_DIFFERS = 1


@click.command()
@leaderboard_option
@runs_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
@click.option("--add", "scan", type=PATH, metavar="SCAN", help="First write the entries of this scan of the store.")
@click.pass_context
def leaderboard(ctx: click.Context, leaderboard_dir: Path, runs_dir: Path, only_check: bool, scan: Path | None) -> None:
    """Render the leaderboard, or check it.

    Every figure is computed anew from the learning curves in the entries; an entry that states another is refused.
    """
    if only_check and scan is not None:
        raise click.UsageError("--check changes nothing, so it does not go with --add")
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.leaderboard import page

    if only_check:
        problems = page.check(leaderboard_dir)
        for problem in problems:
            note(problem)
        if problems:
            note(f"{len(problems)} files are out of date; `archbench leaderboard` renders them again")
        ctx.exit(EXIT_DIFFERS if problems else 0)
    if scan is not None:
        _add(scan, runs_dir, leaderboard_dir)
    changed = page.write(leaderboard_dir)
    for path in changed:
        click.echo(str(path))
    if not changed:
        note("nothing has changed")


def _add(scan: Path, runs_dir: Path, leaderboard_dir: Path) -> None:
    from archbench.cli.finish import scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.leaderboard.entry import make_entries, write_entry
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan_name(scan))
    entries = make_entries(scan_results(index, records_of(store, index)))
    for entry in entries:
        click.echo(str(write_entry(leaderboard_dir, entry)))
    if not entries:
        note(f"scan {index.name!r} has no usable run yet, so it has no entry")
