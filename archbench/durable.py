"""Files that are whole or absent, and on the disk when the call returns, whatever dies on the way."""

import fcntl
import os
import re
import tempfile
from pathlib import Path

_MODE = 0o644
"""Temporary files are private; what is published, a leaderboard entry say, is for everybody to read."""

_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp|\.(.+\.json)\.[a-z0-9_]{8}")
"""Names of temporary files, and what they are of; once they had no suffix."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes `content` to `path` by temporary file, fsync and rename. Raises OSError; nothing is left behind then.

    What a writer of the same file left behind that was killed is removed.
    """
    remove_remnants(path.parent, path.name)
    descriptor, temporary = _begun(path)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, _MODE)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def remove_remnants(folder: Path, name: str | None = None) -> None:
    """Removes temporary files in `folder` whose writers were killed: of the file called `name`, or of all."""
    for path in folder.iterdir():
        parts = _TEMPORARY.fullmatch(path.name)
        if parts is None or name not in (None, parts[1] or parts[2]):
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # its writer has ended meanwhile
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            continue  # its writer lives, or nobody can tell here
        finally:
            os.close(descriptor)


def _begun(path: Path) -> tuple[int, Path]:
    """A temporary file for `path`, with a lock on it that says that its writer lives."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)  # another writer takes it for a remnant: it was not locked yet
            continue
        except OSError:
            return descriptor, temporary  # a file system without locks: nobody removes it
        if temporary.exists():
            return descriptor, temporary
        os.close(descriptor)


def write_through(path: Path, content: bytes) -> None:
    """Writes a file in place and waits until the disk has it. Raises OSError."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def fsync_directory(directory: Path) -> None:
    """Brings renames inside `directory` to the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
