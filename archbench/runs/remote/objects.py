"""What a store without a shared folder is kept in: whole objects under keys, of which some may only be made once."""

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from archbench.durable import fsync_directory
from archbench.errors import SpecError, StoreError
from archbench.store_urls import checked_url


class Unreachable(StoreError):  # noqa: N818  (a state of a network, told like any store problem)
    """The store gives no answer, or says that it is not able to; the same may go well later."""


class Objects(Protocol):
    """Objects of one store. Keys are relative paths with `/`; each is there whole or not at all.

    Methods raise Unreachable where there is no answer, after some tries, and StoreError where the store refuses, both
    in one line that names the URL.
    """

    url: str

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with the folder `prefix`, which ends with `/`; none where there is none."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object; None where there is none."""
        ...

    def put(self, key: str, content: bytes | Path) -> None:
        """Stores bytes, or the content of a file, in place of what was there."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Stores `content` if nothing is there, and says whether it did: of several that try, one succeeds."""
        ...

    def fetch(self, key: str, path: Path) -> bool:
        """Writes the object to the file `path`; False where there is none."""
        ...

    def remove(self, keys: Iterable[str]) -> None:
        """Takes objects away; those that are not there are passed over."""
        ...

    def modified(self, key: str) -> float | None:
        """When the store says that it took the object, seconds since the epoch; None where it does not."""
        ...

    def require_place(self) -> None:
        """Raises StoreError, in one line, where there is no such bucket or folder."""
        ...


def address(url: str) -> str:
    """`url` in one spelling. Raises SpecError, in one line, for what is no address of a store."""
    try:
        return checked_url(url)
    except ValueError as error:
        raise SpecError(str(error)) from error


def open_objects(url: str) -> Objects:
    """The objects at `url`. Nothing is asked of the store yet.

    Raises SpecError for a malformed URL, MissingLibraryError where the library for its protocol is not installed.
    """
    url = address(url)
    if url.startswith("file://"):
        return FolderObjects(url)
    from archbench.runs.remote.fsspec_objects import FsspecObjects

    return FsspecObjects(url)


class FolderObjects:
    """Objects that are files of a folder. What is made once is linked into its place, which needs no locks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = Path("/" + unquote(url.removeprefix("file:///")))

    def keys(self, prefix: str) -> list[str]:
        """As `Objects` says."""
        found: list[str] = []
        with self._told(prefix):
            for folder, _, names in os.walk(self._root / prefix):
                at = Path(folder).relative_to(self._root)
                found += [str(at / name) for name in names if not name.startswith(".")]
        return sorted(found)

    def get(self, key: str) -> bytes | None:
        """As `Objects` says."""
        with self._told(key):
            try:
                return (self._root / key).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes | Path) -> None:
        """As `Objects` says."""
        with self._told(key):
            temporary = self._written(key, content)
            temporary.replace(self._root / key)
            fsync_directory(temporary.parent)

    def create(self, key: str, content: bytes) -> bool:
        """As `Objects` says."""
        with self._told(key):
            temporary = self._written(key, content)
            try:
                (self._root / key).hardlink_to(temporary)
                fsync_directory(temporary.parent)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

    def fetch(self, key: str, path: Path) -> bool:
        """As `Objects` says."""
        content = self.get(key)
        if content is not None:
            path.write_bytes(content)
        return content is not None

    def remove(self, keys: Iterable[str]) -> None:
        """As `Objects` says."""
        for key in keys:
            with self._told(key):
                path = self._root / key
                path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break  # others are in it

    def modified(self, key: str) -> float | None:
        """As `Objects` says."""
        with contextlib.suppress(OSError):
            return (self._root / key).stat().st_mtime
        return None

    def make_place(self) -> None:
        """Makes the folder, if it is not there. Raises StoreError."""
        with self._told(""):
            self._root.mkdir(parents=True, exist_ok=True)

    def require_place(self) -> None:
        """As `Objects` says; one that is still to be made is as good as an empty one, as a bucket's folder is."""
        if not self._root.is_dir() and not self._root.parent.is_dir():
            raise StoreError(f"{self.url}: there is no such folder, nor one to make it in; mend the URL")

    def _written(self, key: str, content: bytes | Path) -> Path:
        """A file beside the place of `key` that holds `content` and is on the disk."""
        path = self._root / key
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
        for last in (False, True):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                stream = temporary.open("xb")
            except FileNotFoundError:  # whoever took the last file of the folder away took the folder, too
                if last:
                    raise
                continue
            break
        with stream:
            stream.write(content if isinstance(content, bytes) else content.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        return temporary

    @contextlib.contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.url}: {key or 'the store'} cannot be read or written: {error.strerror}; mend that, or choose "
                "another URL"
            ) from error
