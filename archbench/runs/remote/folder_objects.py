"""Objects that are files of a folder, of which no locks are asked."""

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from archbench.durable import fsync_directory
from archbench.errors import StoreError


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
