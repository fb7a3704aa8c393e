"""Files that are either whole or absent, whatever dies while they are written."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archbench.durable import fsync_directory, write_through, write_whole
from archbench.errors import StoreError


class DamagedFile(StoreError):  # noqa: N818  (a state of a file, told like any store problem)
    """A file of the store holds something else than was written into it; what it held can be made again."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all. Raises StoreError where that fails."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror}; free space there or choose another folder"
        ) from error


def commit_folder(folder: Path, contents: Mapping[str, bytes], moved: Sequence[Path] = ()) -> None:
    """Writes files into `folder`, which then holds them all or is not there: temporary folder, fsync, rename.

    Files that others have written, `moved`, are moved there under their names. A folder of that name is replaced.
    Raises OSError.
    """
    temporary = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        temporary.mkdir()
        for name, content in contents.items():
            write_through(temporary / name, content)
        for path in moved:
            path.rename(temporary / path.name)
        fsync_directory(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        fsync_directory(folder.parent)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def to_json(value: Any) -> bytes:
    """`value` as JSON with sorted keys, two spaces of indent and a final newline; equal values give equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The JSON in `path`. Raises StoreError where it is unreadable, DamagedFile where it is malformed."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; mend that or move it away") from error
    except (ValueError, RecursionError) as error:
        raise DamagedFile(
            f"{path}: is damaged: not JSON ({error}); delete the file, `archbench run` goes on"
        ) from error
