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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import archbench
from archbench.durable import write_whole

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
        key = _sha256(json.dumps([what, code_sha256(), *hashes]).encode())
        path = self.folder / key[:2] / f"{key}.json"
        try:
            seal, _, content = path.read_bytes().partition(b"\n")
            if seal.decode() == _sha256(content):
                os.utime(path)
                return json.loads(content)
        except (OSError, ValueError, RecursionError):
            pass
        made = make()
        self._keep(path, json.dumps(made, ensure_ascii=True).encode())
        return made

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
    def _keep(path: Path, content: bytes) -> None:
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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
