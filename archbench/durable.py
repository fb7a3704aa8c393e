"""Files that are whole or absent, and on the disk when the call returns, whatever dies on the way."""

import os
import tempfile
from pathlib import Path

_MODE = 0o644
"""Temporary files are private; what is published, a leaderboard entry say, is for everybody to read."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes `content` to `path` by temporary file, fsync and rename. Raises OSError; nothing is left behind then."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, _MODE)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


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
