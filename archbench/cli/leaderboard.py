"""`archbench leaderboard`: renders the pages from the entries, checks them, takes in the entries of a scan."""

import datetime
from pathlib import Path

import click

from archbench.cli.common import (
    PATH,
    host_with,
    json_option,
    leaderboard_option,
    note,
    plugin_option,
    print_json,
    runs_option,
)

EXIT_DIFFERS = 1


@click.group(invoke_without_command=True)
@leaderboard_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
@click.pass_context
def leaderboard(context: click.Context, leaderboard_dir: Path, only_check: bool) -> None:
    """Render the leaderboard, or check it.

    Without a command, the pages are rendered from the entries. Every figure is computed anew from the learning curves
    in the entries; an entry that states another is refused.
    """
    if context.invoked_subcommand is not None:
        if only_check:
            raise click.UsageError("--check is for the pages; it does not go with a command")
        context.obj = leaderboard_dir
        return
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.leaderboard import page

    if not only_check:
        _render(leaderboard_dir)
        return
    problems = page.check(leaderboard_dir)
    for problem in problems:
        note(problem)
    if problems:
        note(f"{len(problems)} files are out of date; `archbench leaderboard` renders them again")
        context.exit(EXIT_DIFFERS)


@leaderboard.command()
@click.argument("scan", type=PATH, metavar="SCAN")
@runs_option
@click.pass_obj
def add(leaderboard_dir: Path, scan: Path, runs_dir: Path) -> None:
    """Take in the entries of a scan of the store, and render the pages.

    SCAN is a spec's file or the name in it. What an entry of the same scan and contender stated before is kept in the
    new entry's history.
    """
    from archbench.cli.finish import scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.leaderboard.build import make_entries
    from archbench.leaderboard.entry import add_entry
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan_name(scan))
    entries = make_entries(scan_results(index, records_of(store, index)))
    for entry in entries:
        click.echo(str(add_entry(leaderboard_dir, entry, datetime.date.today())))
    if not entries:
        note(f"scan {index.name!r} has no usable run yet, so it has no entry")
    _render(leaderboard_dir)


@leaderboard.command()
@click.argument("entries", type=PATH, nargs=-1, metavar="[ENTRY]...")
@plugin_option
@json_option
@click.pass_context
def check(context: click.Context, entries: tuple[Path, ...], plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Check entries as for a pull request: all without an ENTRY.

    Schema; run ids and curves against their hashes; every figure against the entry's own curves; runs, sizes and FLOPs
    against its spec, planned anew. Ends with 1 where an entry is refused, and says what differs.
    """
    from archbench.leaderboard.submission import check_submission

    host = host_with(plugin_files)
    paths = entries or tuple(sorted((context.obj / "entries").glob("*.json")))
    checked = [check_submission(path, host) for path in paths]
    if as_json:
        print_json(
            {
                "entries": [
                    {"path": str(one.path), "problems": list(one.problems), "unchecked": list(one.unchecked)}
                    for one in checked
                ]
            }
        )
    else:
        for one in checked:
            click.echo(f"{one.path}: {'refused' if one.problems else 'good'}")
            for line in (*one.problems, *(f"not checked: {what}" for what in one.unchecked)):
                click.echo(f"    {line}")
    context.exit(EXIT_DIFFERS if any(one.problems for one in checked) else 0)


def _render(leaderboard_dir: Path) -> None:
    from archbench.leaderboard import page

    changed = page.write(leaderboard_dir)
    for path in changed:
        click.echo(str(path))
    if not changed:
        note("nothing has changed")
