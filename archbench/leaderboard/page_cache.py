"""What a page took long to compute, kept by the content that it was computed from.

A value is addressed by the hash of what went in, and by that of the code that computes: nothing in it can be out of
date. Without a folder nothing is kept. A damaged file is as good as none.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

import archbench
from archbench.durable import write_whole
from archbench.results.kept import Kept, anew

T = TypeVar("T")

_UNUSED_DAYS = 60
"""After so many days in which nobody asked for it, a value is removed."""
_CODE = ("analysis", "leaderboard", "report", "results")
_LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib", "markdown-it-py", "pyyaml")


@dataclass(frozen=True, slots=True)
class PageCache:
    """Values as JSON, one a file. Each knows its own hash, so that one that was damaged is made anew."""

    folder: Path | None = None

    @staticmethod
    def under(cache_dir: Path) -> "PageCache":
        """The one in the folder of all caches."""
        return PageCache(cache_dir / "leaderboard")

    def get(self, what: str, hashes: Sequence[str], make: Callable[[], Any]) -> Any:
        """The value of the sort `what` for content of these `hashes`, made by `make` where it is not kept.

        `make` returns what JSON gives back as it was: objects with text keys, lists, text, numbers, null.
        """
        if self.folder is None:
            return make()
        path = self._path(self.folder, what, hashes)
        found = self._read(path)
        if not found:
            found = [make()]
            self._keep(path, found[0])
        return found[0]

    @contextmanager
    def shelf(self, what: str, hashes: Sequence[str]) -> Iterator[Kept]:
        """Keeps many small results in one file, which is named by what stays the same while they grow in number.

        At the end it holds those that were asked for meanwhile, and no others.
        """
        if self.folder is None:
            yield anew
            return
        path = self._path(self.folder, what, hashes)
        stored: dict[str, Any] = next(iter(self._read(path)), {})
        asked: dict[str, Any] = {}

        def kept(sort: Any, hangs_on: Sequence[str | float], make: Callable[[], T]) -> T:
            key, adapter = _sha256(json.dumps(list(hangs_on)).encode()), _adapter(sort)
            if key in stored:
                asked[key] = stored[key]
                result: T = adapter.validate_python(stored[key])
                return result
            made = make()
            asked[key] = adapter.dump_python(made)
            return made

        yield kept
        if asked.keys() != stored.keys():
            self._keep(path, asked)

    def prune(self) -> None:
        """Removes what nobody has asked for in a long time."""
        if self.folder is None:
            return
        oldest = time.time() - _UNUSED_DAYS * 86400
        for path in self.folder.glob("??/*.json"):
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except OSError:
                continue  # another process removed it

    @staticmethod
    def _path(folder: Path, what: str, hashes: Sequence[str]) -> Path:
        key = _sha256(json.dumps([what, code_sha256(), *hashes]).encode())
        return folder / key[:2] / f"{key}.json"

    @staticmethod
    def _read(path: Path) -> list[Any]:
        """The value that is kept there, as the only one; none where none is."""
        try:
            seal, _, content = path.read_bytes().partition(b"\n")
            if seal.decode() == _sha256(content):
                os.utime(path)
                return [json.loads(content)]
        except (OSError, ValueError, RecursionError):
            pass
        return []

    @staticmethod
    def _keep(path: Path, value: Any) -> None:
        content = json.dumps(value, ensure_ascii=True).encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, _sha256(content).encode() + b"\n" + content)
        except OSError:
            pass  # a page without a cache is as right, and later


@cache
def code_sha256() -> str:
    """The hash of all code whose change may change a page, and of the versions of the libraries under it, in hex."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    root = Path(archbench.__file__).parent
    for package in _CODE:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    for name in ("display.py", "names.py", "runs/files.py", "units.py", "contracts/report.py"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


@cache
def _adapter(sort: Any) -> TypeAdapter[Any]:
    return TypeAdapter(sort)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
