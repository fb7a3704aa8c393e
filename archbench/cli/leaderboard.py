"""`archbench leaderboard`: renders the pages from the entries, checks them, takes in the entries of a scan."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import (
    PATH,
    cache_option,
    host_with,
    json_option,
    leaderboard_option,
    note,
    plugin_option,
    print_json,
    replace_option,
    runs_option,
)
from archbench.cli.outputs.leaderboard import CheckedEntry, LeaderboardOutput, Standing, SubmissionOutput
from archbench.cli.terminal import echo

if TYPE_CHECKING:
    from archbench.leaderboard.page_cache import PageCache

if TYPE_CHECKING:
    from archbench.leaderboard.entry import LeaderboardEntry

EXIT_DIFFERS = 1


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of the leaderboard, for its commands."""

    leaderboard: Path
    caches: Path

    def cache(self) -> "PageCache":
        """What was computed for its pages before."""
        from archbench.leaderboard.page_cache import PageCache

        return PageCache.under(self.caches)


@click.group(invoke_without_command=True)
@leaderboard_option
@cache_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
@json_option
@click.pass_context
def leaderboard(
    context: click.Context, leaderboard_dir: Path, cache_dir: Path, only_check: bool, as_json: bool
) -> None:
    """Render the leaderboard, or check it.

    Without a command, the pages are rendered from the entries. Every figure is computed anew from the learning curves
    in the entries; an entry that states another, or holds what no run can have measured, is named and left out: the
    command then ends with 1. What was computed from an entry is kept in the cache, under the hashes of the entry and of
    archbench's own code.
    """
    if context.invoked_subcommand is not None:
        if only_check or as_json:
            raise click.UsageError("--check and --json are for the pages; give them without a command")
        context.obj = Folders(leaderboard_dir, cache_dir)
        return
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.leaderboard import page
    from archbench.leaderboard.page_cache import PageCache

    cache = PageCache.under(cache_dir)
    board = page.read_board(leaderboard_dir, cache)
    problems = page.check(leaderboard_dir, cache, board)[len(board.left_out) :] if only_check else []
    changed = [] if only_check else page.write(leaderboard_dir, cache, board)
    for problem in problems:
        note(problem)
    if problems:
        are = "file is" if len(problems) == 1 else "files are"
        note(f"{len(problems)} {are} out of date; `archbench leaderboard` renders them again")
    _tell_left_out(board.left_out)
    problems = [*board.left_out, *problems]
    if as_json:
        print_json(LeaderboardOutput([str(path) for path in changed], problems, _standings(board.entries)))
    elif not only_check:
        _tell_changed(changed)
    context.exit(EXIT_DIFFERS if problems else 0)


@leaderboard.command()
@click.argument("scan", type=PATH, metavar="SCAN", shell_complete=complete.specs_and_scans)
@runs_option
@replace_option
@click.pass_obj
def add(folders: Folders, scan: Path, runs_dir: Path, replaces: bool) -> None:
    """Take in the entries of a scan of the store, and render the pages.

    SCAN is a spec's file or the name in it. What an entry of the same scan and contender stated before is kept in the
    new entry's history; one of another spec is replaced only where --replace says so.
    """
    from archbench.cli.finish import scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.host import default_host
    from archbench.leaderboard import page
    from archbench.leaderboard.build import make_entries
    from archbench.leaderboard.entry_files import add_entry
    from archbench.leaderboard.replacing import require_free_entries
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan_name(store, scan))
    if not replaces:
        require_free_entries(folders.leaderboard, index, rename=lambda name: f"another name in the spec, as {name!r},")
    entries = make_entries(scan_results(index, records_of(store, index), default_host()))
    if not entries:
        note(f"scan {index.name!r} has no usable run yet, so it has no entry")
    written = [add_entry(folders.leaderboard, entry, datetime.date.today()) for entry in entries]
    board = page.read_board(folders.leaderboard, folders.cache())
    _tell_changed([*written, *page.write(folders.leaderboard, folders.cache(), board)])
    _tell_left_out(board.left_out)


@leaderboard.command()
@click.argument("entries", type=PATH, nargs=-1, metavar="[ENTRY]...")
@plugin_option
@json_option
@click.pass_context
def check(context: click.Context, entries: tuple[Path, ...], plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Check entries as for a pull request: all without an ENTRY.

    Schema; run ids and curves against their hashes; every figure against the entry's own curves; runs, sizes and FLOPs
    against its spec, planned anew; outcomes of controls and reference lines, none of which may be left out. Ends with 1
    where an entry is refused, and says what differs.
    """
    from archbench.leaderboard.submission import check_submission

    host = host_with(plugin_files)
    paths = entries or tuple(sorted((context.obj.leaderboard / "entries").glob("*.json")))
    checked = [check_submission(path, host) for path in paths]
    if as_json:
        rows = [CheckedEntry(str(one.path), list(one.problems), list(one.unchecked)) for one in checked]
        print_json(SubmissionOutput(rows))
    else:
        for one in checked:
            echo(f"{one.path}: {'refused' if one.problems else 'good'}")
            for line in (*one.problems, *(f"not checked: {what}" for what in one.unchecked)):
                echo(f"    {line}")
    context.exit(EXIT_DIFFERS if any(one.problems for one in checked) else 0)


def _tell_left_out(left_out: Sequence[str]) -> None:
    for line in left_out:
        note(f"left out: {line}")


def _standings(entries: "Sequence[LeaderboardEntry]") -> list[Standing]:
    from archbench.leaderboard.standings import make_standings

    return [
        Standing(
            track=table.track,
            tier=table.tier.value,
            dataset=table.dataset,
            cost_axis=table.axis.value,
            reference_cost=table.reference_cost,
            name=row.name,
            rank=row.rank,
            unranked=row.unranked,
            loss_nats=row.loss_nats,
            law=row.frontier.law,
            multiplier=row.multiplier,
            answer=row.answer,
            control_failed=row.control_failed,
        )
        for standing in make_standings(entries)
        for table in standing.tables
        for row in table.rows
    ]


def _tell_changed(paths: list[Path]) -> None:
    for path in paths:
        echo(str(path))
    if not paths:
        note("nothing has changed")
