"""The entries of a leaderboard as its pages take them: read, found sound, and beside the published ones if need be."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from archbench.errors import ArchbenchError, SpecError, in_one_line
from archbench.leaderboard.bounds import MAX_ENTRY_BYTES
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry
from archbench.leaderboard.entry_files import has_older_name, misplaced, parse_entry
from archbench.leaderboard.folders import board_of, command, entry_paths, published_beside
from archbench.leaderboard.forgery import check_figures, upgraded
from archbench.leaderboard.groups import GroupKey, group_key
from archbench.leaderboard.page_cache import PageCache
from archbench.runs.files import read_bytes

WITHOUT_CACHE = PageCache()


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry, and the file that holds it."""

    path: Path
    entry: LeaderboardEntry
    """As it is written today."""
    format: int
    """Of the file."""
    sha256: str
    """Of the file."""

    @property
    def is_current(self) -> bool:
        """Whether the file has today's format and the entry's own name."""
        return self.format == FORMAT and self.path.name == self.entry.file_name


@dataclass(frozen=True, slots=True)
class Beside:
    """The published leaderboard beside one's own."""

    directory: Path
    stored: tuple[Stored, ...]
    """Its entries that compare with one's own."""
    num_entries: int
    """All that it has."""


@dataclass(frozen=True, slots=True)
class Board:
    """The entries of a leaderboard."""

    stored: tuple[Stored, ...]
    left_out: tuple[str, ...]
    """Entries that are on no page, each with its file and the reason, in one line."""
    beside: Beside | None = None
    """None of a leaderboard that stands by itself."""

    @property
    def entries(self) -> tuple[LeaderboardEntry, ...]:
        """Those of its own folder that are on the pages."""
        return tuple(one.entry for one in self.stored)

    @property
    def published(self) -> tuple[LeaderboardEntry, ...] | None:
        """Those that stand beside them; None of a leaderboard that stands by itself."""
        return None if self.beside is None else tuple(one.entry for one in self.beside.stored)


def read_board(directory: Path, cache: PageCache = WITHOUT_CACHE) -> Board:
    """All entries below `directory`, by file name, and beside one's own the published ones that compare with them.

    An entry that is malformed, forged or misnamed is left out, and named.
    """
    left_out: list[str] = []
    stored = tuple(_read(directory, cache, left_out))
    beside = published_beside(directory)
    if beside is None:
        return Board(stored, tuple(left_out))
    keys = {group_key(one.entry) for one in stored}
    comparable = tuple(_read(beside, cache, left_out, keys)) if keys else ()
    return Board(stored, tuple(left_out), Beside(beside, comparable, len(entry_paths(beside))))


def _read(
    directory: Path, cache: PageCache, left_out: list[str], keys: Collection[GroupKey] | None = None
) -> Iterator[Stored]:
    """The entries below `directory`, of those groups alone if `keys` are given; to `left_out` it adds what is not."""
    for path in entry_paths(directory):
        try:
            content = read_bytes(path, MAX_ENTRY_BYTES)
            entry = parse_entry(path, content)
            if keys is None or group_key(entry) in keys:
                yield _sound(path, content, entry, cache)
        except ArchbenchError as error:
            left_out.append(str(error))
        except Exception as error:  # whatever a stranger's curves do to the analysis: other entries have their page
            left_out.append(f"{path}: cannot be analysed: {in_one_line(error)}; take it away")


def _sound(path: Path, content: bytes, entry: LeaderboardEntry, cache: PageCache) -> Stored:
    """The entry in `path`. Its figures are computed once for each content, which takes most of the time.

    Raises SpecError where the entry is not what it says, or stands under a name that never was its own.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    problems = [] if has_older_name(path, entry) else misplaced(path, entry)
    if problems := problems or cache.get("differing figures", [sha256], partial(check_figures, entry)):
        again = command(board_of(path), "add", entry.scan)
        raise SpecError(f"{path}: {problems[0]}; write it again with {again}")
    if entry.format == FORMAT:
        return Stored(path, entry, FORMAT, sha256)
    made = cache.get("upgraded entry", [sha256], lambda: upgraded(entry).model_dump(mode="json"))
    return Stored(path, LeaderboardEntry.model_validate(made), entry.format, sha256)
