"""Files that are either whole or absent, whatever dies while they are written."""

import errno
import json
import math
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from archbench.durable import fsync_directory, write_through, write_whole
from archbench.errors import StoreError

MAX_BYTES = 256 * 2**20
"""Of any JSON file of a store; a record of a thousand points has 400 kB."""

MAX_INTEGER = 2**64 - 1
"""Largest integer in a file: seeds may have 64 bits."""

Guard = Callable[[], AbstractContextManager[None]]
"""What is entered for the moment in which files get their final place, and may refuse it by raising."""


class DamagedFile(StoreError):  # noqa: N818  (a state of a file, told like any store problem)
    """A file of the store holds something else than was written into it; what it held can be made again."""


class NewerFormat(StoreError):  # noqa: N818  (a state of a file, told like any store problem)
    """A file of the store is of a format that a later version of archbench wrote: it is whole, and not written over."""


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
    raw = read_bytes(path)
    try:
        value = parse_json(raw)
        require_plain(value)
    except ValueError as error:
        raise DamagedFile(f"{path}: is damaged: {error}; delete the file, `archbench run` goes on") from error
    return value


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of `path`. Raises StoreError where it is no file, unreadable, or holds more than `limit` bytes."""
    try:
        # Not blocking: opening a pipe would wait for whoever writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise StoreError(f"{path}: cannot be read: is not there; mend that or move it away") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; mend that or move it away") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path}: cannot be read: is no file; mend that or move it away")
        if found.st_size > limit:
            raise StoreError(f"{path}: has {found.st_size:,} bytes, at most {limit:,} are read; move it away")
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; mend that or move it away") from error
    finally:
        os.close(descriptor)


def parse_json(raw: bytes) -> Any:
    """The JSON value of `raw`, read strictly: no NaN, no lone surrogates, no more than 200 levels.

    Raises ValueError in one line. Floats have the bits of the nearest double.
    """
    try:
        return from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from error


def require_plain(value: Any, at: str = "") -> None:
    """Raises ValueError, naming the place, for a number that JSON can write and no float or 64-bit integer holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [("", value)]
    for key, item in items:
        if isinstance(item, dict | list):
            require_plain(item, _place(at, key))
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise ValueError(f"{_place(at, key)}: a number beyond every float")
        elif isinstance(item, int) and not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise ValueError(f"{_place(at, key)}: an integer of more than 64 bits")


def _place(at: str, key: str | int) -> str:
    return f"{at}.{key}" if at else str(key)
