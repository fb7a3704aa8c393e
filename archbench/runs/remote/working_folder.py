"""Which folder of this machine follows which store of objects, and who is at it.

A folder that follows a store says so in a file of its own, so that whatever is told of the folder later means the
store. One process at a time brings it up to date and trains in it; others read what that one keeps fresh.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from archbench.errors import SpecError, StoreError
from archbench.runs.binding import url_of
from archbench.runs.files import DiskRefused, to_json, write_atomically
from archbench.runs.remote.folder_objects import FolderObjects
from archbench.runs.remote.mirror import Mirror
from archbench.runs.remote.objects import address
from archbench.runs.remote.opening import open_objects
from archbench.runs.remote.repeated import Repeated
from archbench.runs.remote.transfer import remove_staging
from archbench.runs.store import RunStore
from archbench.store_urls import BINDING_FILE
from archbench.user_folders import cache_folder

_LOCK = ".working.lock"
_MOST_AT_ONCE = 256
"""Processes of one user on one machine that train from the same URL."""

PULL_SECONDS = 3.0
"""Pause between two looks at a store that is followed."""

_opened: dict[Path, tuple[Mirror, FileLock]] = {}
"""Of this process, by the folder's whole path."""


def mirror_of(folder: Path) -> Mirror | None:
    """What this process follows a store by in `folder`, if it does."""
    found = _opened.get(folder.resolve())
    return None if found is None else found[0]


def follow_url(url: str, *, training: bool) -> Path:
    """A folder in the user's cache that follows `url`, brought up to date.

    `training`: this process is to write there, and gets one that no other is at. Raises as `Objects`, and SpecError for
    a malformed URL.
    """
    url = address(url)
    root = cache_folder() / "stores" / hashlib.sha256(url.encode()).hexdigest()[:12]
    for number in range(_MOST_AT_ONCE):
        folder = root / str(number)
        bind(folder, url)
        if follow_folder(folder, training=training) or not training:
            return folder
    raise StoreError(f"{root}: {_MOST_AT_ONCE} processes are at {url} on this machine already; wait for one to end")


def follow_folder(folder: Path, *, training: bool) -> bool:
    """Brings `folder` up to date with the store that it follows; False where another process does that.

    One that follows none is left alone, which is fine. Raises as `Objects`.
    """
    url = url_of(folder)
    if url is None or mirror_of(folder) is not None:
        return True
    objects = open_objects(url)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return False
    except OSError as error:
        raise DiskRefused(f"{folder}: cannot be locked: {error}; choose another folder ($ARCHBENCH_CACHE)") from error
    remove_staging(folder)
    if training and isinstance(objects, FolderObjects):
        objects.make_place()
    RunStore(folder).create()
    mirror = Mirror(folder, objects)
    try:
        mirror.pull()
    except BaseException:
        lock.release()
        raise
    _opened[folder.resolve()] = (mirror, lock)
    return True


def bind(folder: Path, url: str) -> None:
    """Has `folder` follow `url`. Raises SpecError where it follows another store, or holds runs of its own."""
    url = address(url)
    found = url_of(folder)
    if found == url:
        return
    if found is not None:
        raise SpecError(f"{folder}: follows {found}, not {url}; choose another --runs, or leave it out")
    if any(RunStore(folder).directories()):
        raise SpecError(
            f"{folder}: holds runs of its own; choose another --runs for what is here of {url}, or leave it out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}; choose another --runs") from error
    write_atomically(folder / BINDING_FILE, to_json({"url": url}))


def close(folder: Path) -> None:
    """Leaves `folder` to other processes."""
    found = _opened.pop(folder.resolve(), None)
    if found is not None:
        found[1].release()


@contextlib.contextmanager
def kept_fresh(folder: Path, tell: Callable[[str], None]) -> Iterator[Mirror | None]:
    """Meanwhile `folder` is brought up to date, and marks that are made in it go to the store it follows.

    None where it follows none, or another process keeps it fresh. Marks of the last moment are stored before it ends.
    """
    mirror = mirror_of(folder)
    if mirror is None:
        yield None
        return

    def look() -> None:
        mirror.push_marks()
        mirror.pull()

    following = Repeated("store", PULL_SECONDS, look, tell)
    try:
        yield mirror
    finally:
        following.close()
        try:
            mirror.push_marks()
        except StoreError as error:
            tell(str(error))
