"""Files of entries: where they stand, how they are written, read and replaced."""

import datetime
from pathlib import Path

from pydantic import ValidationError

from archbench.errors import ArchbenchError, SpecError
from archbench.leaderboard.bounds import MAX_ENTRY_BYTES
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry
from archbench.leaderboard.entry_run import EntryRun
from archbench.leaderboard.folders import board_of, command, entries_folder
from archbench.names import could_be_file_name, file_stem
from archbench.runs.files import NewerFormat, parse_json, read_bytes, write_atomically
from archbench.runs.sealed import opened, refuse_newer, seal
from archbench.spec.identity import IDENTITY_FORMAT, RunIdentity


def write_entry(directory: Path, entry: LeaderboardEntry) -> Path:
    """Stores `entry` in `directory`/entries; equal entries give equal bytes. Returns the file."""
    folder = entries_folder(directory)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / entry.file_name
    write_atomically(path, seal(entry.model_dump(mode="json"), FORMAT))
    return path


def add_entry(directory: Path, entry: LeaderboardEntry, day: datetime.date) -> Path:
    """Stores `entry`, made of a scan on `day`; what its file stated before goes into its history. Returns the file.

    Raises SpecError where the file that stands there is malformed or damaged, NewerFormat where a later version wrote
    it.
    """
    new = entry.model_copy(update={"added": day})
    path = entry_file(directory, entry.scan, entry.contender)
    if not path.is_file():
        return write_entry(directory, new)
    try:
        old = read_entry(path)
    except NewerFormat:
        raise
    except ArchbenchError as error:
        raise SpecError(f"{error}, once it is moved away: the history that it holds goes with it") from error
    written = write_entry(directory, new.replacing(old, day))
    if path != written:
        path.unlink()
    return written


def entry_file(directory: Path, scan: str, contender: str) -> Path:
    """Where the entry of `contender` in `scan` stands or would stand, under its name or the one that it once had."""
    folder = entries_folder(directory)
    path, older = folder / f"{file_stem(scan, contender)}.json", folder / _older_file_name(scan, contender)
    if path == older or path.is_file() or not could_be_file_name(older.stem) or not older.is_file():
        return path
    try:
        stored = read_entry(older)
    except ArchbenchError:  # it stays where it is, and the pages' commands name it
        return path
    # Several names shared an older file name: whose it is, its content says.
    return older if (stored.scan, stored.contender) == (scan, contender) else path


def read_entry(path: Path) -> LeaderboardEntry:
    """The entry in `path`. Raises SpecError or StoreError naming file, field, and what was expected.

    What is too large is not read, what is not what was written or forged is refused.
    """
    return parse_entry(path, read_bytes(path, MAX_ENTRY_BYTES))


def read_sealed_entry(path: Path) -> tuple[LeaderboardEntry, str]:
    """The entry in `path` and the digest that vouches for all of it. Raises as `read_entry`, and of one without."""
    content = read_bytes(path, MAX_ENTRY_BYTES)
    entry = parse_entry(path, content)
    digest = parse_json(content).get("digest")
    if not isinstance(digest, str):
        raise SpecError(
            f"{path}: is of format {entry.format}, which has no digest; "
            f"{command(board_of(path))} writes it anew with one"
        )
    return entry, digest


def parse_entry(path: Path, content: bytes) -> LeaderboardEntry:
    """The entry that `path` holds as `content`. Raises as `read_entry`."""
    remedy = f"write it again with {command(board_of(path), 'add', 'SCAN')}"
    sealed = opened(path, content, remedy, latest=FORMAT, first_sealed=FORMAT)
    try:
        entry = LeaderboardEntry.model_validate({**sealed.content, "format": sealed.format})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(f"{path}: {where or 'entry'}: {problem['msg']}{more}; {remedy}") from error
    for run in entry.runs:
        _verify(path, run)
    return entry


def misplaced(path: Path, entry: LeaderboardEntry) -> list[str]:
    """What is wrong with the file's name: an entry replaces another one by it, so that this must be its own."""
    return [] if path.name == entry.file_name else [f"the file must be called {entry.file_name}"]


def has_older_name(path: Path, entry: LeaderboardEntry) -> bool:
    """Whether `path` is what the entry's file was called before one name had one file, and nothing has its name now."""
    older = _older_file_name(entry.scan, entry.contender)
    return path.name == older != entry.file_name and not path.with_name(entry.file_name).exists()


def _verify(path: Path, run: EntryRun) -> None:
    if run.curve_sha256 is not None and run.curve_sha256 != run.curve.sha256:
        raise SpecError(
            f"{path}: run {run.run_id[:12]}: its curve is not the one whose hash it states"
            f" ({run.curve.sha256[:12]} against {run.curve_sha256[:12]}): one was changed"
        )
    if run.identity is None:
        return
    refuse_newer(f"{path}: run {run.run_id[:12]}: its identity", run.identity.get("format"), IDENTITY_FORMAT)
    try:
        actual = RunIdentity.model_validate(run.identity).run_id
    except ValidationError as error:
        raise SpecError(f"{path}: run {run.run_id[:12]}: its identity is malformed; write the entry again") from error
    if actual != run.run_id:
        raise SpecError(
            f"{path}: run {run.run_id[:12]}: its id is not the hash of its identity ({actual[:12]}): one was changed"
        )


def _older_file_name(scan: str, contender: str) -> str:
    """What the file of an entry was called before one name had one file."""
    stems = ("".join(one if one.isalnum() or one in "-_." else "_" for one in name) for name in (scan, contender))
    return f"{'--'.join(stems)}.json"
