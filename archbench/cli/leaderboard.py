"""`archbench leaderboard`: one's own entries beside the published ones; publishes those of a scan, and checks."""

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
    note,
    plugin_option,
    print_json,
    replace_option,
    runs_option,
)
from archbench.cli.outputs.leaderboard import CheckedEntry, LeaderboardOutput, Standing, SubmissionOutput
from archbench.cli.terminal import echo
from archbench.errors import SpecError
from archbench.leaderboard.folders import OWN, PUBLISHED, command, entries_folder, entry_paths, published_beside

if TYPE_CHECKING:
    from archbench.leaderboard.board import Board
    from archbench.leaderboard.page_cache import PageCache

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
@click.option(
    "--leaderboard",
    "leaderboard_dir",
    type=PATH,
    help=f"Folder of a leaderboard. Without it your own, {OWN}; for --check, add and check the published one, "
    f"{PUBLISHED}.",
)
@cache_option
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a published page is out of date."
)
@json_option
@click.pass_context
def leaderboard(
    context: click.Context, leaderboard_dir: Path | None, cache_dir: Path, only_check: bool, as_json: bool
) -> None:
    """Show your results beside the published ones; publish and check.

    Without a command, the pages of your leaderboard are rendered from your entries, which `archbench run` writes, and
    from the published ones of their protocols, marked apart. What is published is read and not changed: `add`
    publishes, and `--leaderboard leaderboard` renders the published pages.

    Every figure is computed anew from the learning curves in the entries; an entry that states another, or holds what
    no run can have measured, is named and left out: the command then ends with 1. What was computed from an entry is
    kept in the cache, under the hashes of the entry and of archbench's own code.
    """
    if context.invoked_subcommand is not None:
        if only_check or as_json:
            raise click.UsageError("--check and --json are for the pages; give them without a command")
        context.obj = Folders(leaderboard_dir or PUBLISHED, cache_dir)
        return
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.leaderboard import page
    from archbench.leaderboard.board import read_board
    from archbench.leaderboard.verdicts import sentences_of

    folders = Folders(leaderboard_dir or (PUBLISHED if only_check else OWN), cache_dir)
    directory, cache = folders.leaderboard, folders.cache()
    if leaderboard_dir is not None and not only_check and not directory.is_dir():
        raise SpecError(f"{directory}: there is no such folder; {command(directory, 'add', 'SCAN')} makes it")
    board = read_board(directory, cache)
    problems = page.check(directory, cache, board)[len(board.left_out) :] if only_check else []
    changed = page.write(directory, cache, board) if directory.is_dir() and not only_check else []
    for problem in problems:
        note(problem)
    if problems:
        are = "file is" if len(problems) == 1 else "files are"
        made = (
            f"{command(directory)} renders them again"
            if directory.is_dir()
            else f"{command(directory, 'add', 'SCAN')} makes them"
        )
        note(f"{len(problems)} {are} out of date; {made}")
    _tell_left_out(board.left_out)
    problems = [*board.left_out, *problems]
    if as_json:
        beside = published_beside(directory)
        published = None if beside is None else read_board(beside, cache)
        problems = list(dict.fromkeys([*problems, *(published.left_out if published is not None else ())]))
        standings, verdicts = _standings(board, published), sentences_of(board, cache)
        print_json(LeaderboardOutput([str(path) for path in changed], problems, standings, verdicts))
    elif not only_check:
        _tell_changed(changed, directory)
        _tell_what_is_there(directory, board)
    context.exit(EXIT_DIFFERS if problems else 0)


@leaderboard.command()
@click.argument("scan", type=PATH, metavar="SCAN", shell_complete=complete.specs_and_scans)
@runs_option
@replace_option
@click.pass_obj
def add(folders: Folders, scan: Path, runs_dir: Path, replaces: bool) -> None:
    """Publish the entries of a scan; render the published pages.

    They are made of its runs in the store, and go to the folder leaderboard or to that of --leaderboard. SCAN is a
    spec's file or the name in it. What an entry of the same scan and contender stated before is kept in the new entry's
    history; one of another spec is replaced only where --replace says so.
    """
    from archbench.cli.finish import scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.host import default_host
    from archbench.leaderboard import page
    from archbench.leaderboard.board import read_board
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
    board = read_board(folders.leaderboard, folders.cache())
    _tell_changed([*written, *page.write(folders.leaderboard, folders.cache(), board)], folders.leaderboard)
    _tell_left_out(board.left_out)


@leaderboard.command()
@click.argument("entries", type=PATH, nargs=-1, metavar="[ENTRY]...")
@plugin_option
@json_option
@click.pass_context
def check(context: click.Context, entries: tuple[Path, ...], plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Check entries as for a pull request.

    Without an ENTRY all that are published are checked: schema; run ids and curves against their hashes; every figure
    against the entry's own curves; runs, sizes and FLOPs against its spec, planned anew; outcomes of controls and
    reference lines, none of which may be left out. Ends with 1 where an entry is refused, and says what differs.
    """
    from archbench.leaderboard.submission import check_submission

    host = host_with(plugin_files)
    directory = context.obj.leaderboard
    paths = entries or entry_paths(directory)
    if not paths:
        note(f"{entries_folder(directory)}: there is no entry; {command(directory, 'add', 'SCAN')} publishes a scan's")
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


def _standings(board: "Board", published: "Board | None") -> list[Standing]:
    """All tables of both; `published` is None of a leaderboard that stands by itself."""
    from archbench.leaderboard.standings import make_standings

    return [
        Standing(
            track=table.track,
            tier=table.tier.value,
            dataset=table.dataset,
            cost_axis=table.axis.value,
            reference_cost=table.reference_cost,
            name=row.name,
            whose=None if row.whose is None else row.whose.value,
            rank=row.rank,
            unranked=row.unranked,
            loss_nats=row.loss_nats,
            law=row.frontier.law,
            multiplier=row.multiplier,
            answer=row.answer,
            control_failed=row.control_failed,
        )
        for standing in make_standings(board.entries, published=None if published is None else published.entries)
        for table in standing.tables
        for row in table.rows
    ]


def _tell_what_is_there(directory: Path, board: "Board") -> None:
    """How many entries there are, whose, and on which page they stand."""
    from archbench.leaderboard.page import PAGE

    num, beside = len(board.stored), board.beside
    if num == 0 and beside is None and directory == OWN:
        note(
            f"no entry is here, neither of your own ({OWN}) nor published ({PUBLISHED}); `archbench run SPEC` makes "
            "yours"
        )
    elif beside is None:
        note(f"{_entries(num)}: {directory / PAGE}")
    elif num == 0:
        note(
            f"no entry of your own yet ({directory}); `archbench run SPEC` makes them; "
            f"{_entries(beside.num_entries)} published: {beside.directory / PAGE}"
        )
    else:
        note(
            f"{_entries(num)} of your own ({directory}) beside {beside.num_entries} published ({beside.directory}), "
            f"of which {_have(len(beside.stored))} a protocol of yours: {directory / PAGE}"
        )


def _have(num: int) -> str:
    return "1 has" if num == 1 else f"{num} have"


def _entries(num: int) -> str:
    return "1 entry" if num == 1 else f"{num} entries"


def _tell_changed(paths: list[Path], directory: Path) -> None:
    for path in paths:
        echo(str(path))
    if not paths and directory.is_dir():
        note("nothing has changed")
