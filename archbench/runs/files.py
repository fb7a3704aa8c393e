"""Files that are either whole or absent, whatever dies while they are written."""

import errno
import json
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from archbench.durable import fsync_directory, write_through, write_whole
from archbench.errors import StoreError

Guard = Callable[[], AbstractContextManager[None]]
"""What is entered for the moment in which files get their final place, and may refuse it by raising."""


class DamagedFile(StoreError):  # noqa: N818  (a state of a file, told like any store problem)
    """A file of the store holds something else than was written into it; what it held can be made again."""


class DiskRefused(StoreError):  # noqa: N818  (a state of a disk, told like any store problem)
    """The disk does not take what is to be stored: it is full, read-only or broken, and not for one run alone."""


def is_full(error: BaseException | None) -> bool:
    """Whether `error`, or what it arose from, says that a disk or a quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all. Raises DiskRefused where that fails."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise DiskRefused(
            f"{path}: cannot be written: {error.strerror}; free space there or choose another folder"
        ) from error


def commit_folder(
    folder: Path, contents: Mapping[str, bytes], moved: Sequence[Path] = (), guard: Guard = nullcontext
) -> None:
    """Writes files into `folder`, which then holds them all or is not there: temporary folder, fsync, rename.

    Files that others have written, `moved`, are moved there under their names. A folder of that name is replaced.
    `guard` is entered around the last rename. Raises OSError, and what `guard` raises; nothing is left behind then.
    """
    # No process id: on a store of several machines two processes may have the same.
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:12]}"
    try:
        temporary.mkdir()
        for name, content in contents.items():
            write_through(temporary / name, content)
        for path in moved:
            path.rename(temporary / path.name)
        fsync_directory(temporary)
        with guard():
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
            fsync_directory(folder.parent)
    except BaseException:
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
