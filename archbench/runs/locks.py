"""Locks between commands and machines on one store: files whose lock one process at a time can hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from archbench.errors import StoreError
from archbench.runs.files import DiskRefused

LOCK_SECONDS = 30.0
"""How long another process may take to look at what a lock guards, or to move a finished file into its place."""


@contextmanager
def locked(folder: Path, lock_name: str, what: str) -> Iterator[None]:
    """Holds the lock file `lock_name` of `folder`, which guards `what`; others wait for `LOCK_SECONDS` at most.

    Raises StoreError where another process keeps it for longer, or the folder is gone; DiskRefused where the disk
    takes no lock.
    """
    try:
        lock = FileLock(folder / lock_name, timeout=LOCK_SECONDS)
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{folder}: another process has kept the lock of {what} for {LOCK_SECONDS:.0f} s; "
            "if one was stopped, let it go on or end it"
        ) from error
    except FileNotFoundError as error:
        raise StoreError(f"{folder}: is not there any more; the same command makes it anew") from error
    except (OSError, NotImplementedError) as error:
        raise DiskRefused(
            f"{folder}: {what} cannot be locked: {error}; is the disk writable, and are locks (flock) on where it is "
            "mounted?"
        ) from error
    try:
        yield
    finally:
        lock.release()
