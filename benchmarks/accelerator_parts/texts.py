"""Text to train on: a folder of somebody's, or the documentation of the installed packages. Needs no network."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.errors import ArchbenchError

SUFFIXES = (".txt", ".md", ".rst", ".py")
_PIECE_BYTES = 16_384
"""Longer documents are cut: a share of the documents is held out for validation."""


class TextProblem(ArchbenchError):  # noqa: N818  (of what was given)
    """No text can be had; the message is one line."""


@dataclass(frozen=True)
class Text:
    """A dataset of archbench, and where it comes from."""

    dataset: dict[str, Any]
    source: str


def installed_text(limit_bytes: int) -> Text:
    """Docstrings of the installed packages, up to about `limit_bytes`."""
    return Text(
        {"kind": "installed_docs", "limit_bytes": limit_bytes},
        f"docstrings of the installed packages, about {limit_bytes:,} bytes",
    )


def folder_text(folder: Path, limit_bytes: int, target: Path) -> Text:
    """The texts in `folder`, up to about `limit_bytes`, written to the JSON lines `target`. Raises TextProblem."""
    require_texts(folder)
    num_bytes, num_read, num_skipped = 0, 0, 0
    with target.open("w", encoding="utf-8") as stream:
        for path in _in_fixed_random_order(folder):
            if num_bytes >= limit_bytes:
                break
            try:
                text = path.read_text(encoding="utf-8")[:limit_bytes]
            except (OSError, UnicodeDecodeError):
                num_skipped += 1
                continue
            if not text.strip():
                continue
            stream.write(json.dumps({"id": str(path.relative_to(folder)), "text": text}) + "\n")
            num_bytes, num_read = num_bytes + len(text.encode()), num_read + 1
    if not num_read:
        raise TextProblem(
            f"--text {folder}: no file there holds text in UTF-8 ({num_skipped} cannot be read); give another folder"
        )
    unread = f", {num_skipped} files left out that are not readable UTF-8" if num_skipped else ""
    return Text(
        {"kind": "text_files", "paths": [str(target)], "cut_bytes": _PIECE_BYTES},
        f"{folder}: {num_bytes:,} bytes of {num_read} files{unread}",
    )


def require_texts(folder: Path) -> None:
    """Raises TextProblem where `folder` is no folder, or has no file that could be read."""
    endings = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "is not there"
        raise TextProblem(f"--text {folder}: {found}; expected a folder with {endings} files")
    if next(_texts(folder), None) is None:
        raise TextProblem(f"--text {folder}: holds no {endings} file; give a folder of texts, or leave --text out")


def _texts(folder: Path) -> Iterator[Path]:
    """Files with the endings above below `folder`; hidden ones and linked folders are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                yield path


def _in_fixed_random_order(folder: Path) -> list[Path]:
    """The same for the same names: what lies beyond the limit is no one folder's end of the alphabet."""
    return sorted(_texts(folder), key=lambda path: hashlib.sha256(str(path.relative_to(folder)).encode()).digest())
