"""Files of the store that say whether they still are what was written: a format, and a digest of all the rest.

`digest` is the SHA-256, in hex, of the file as JSON without that key: equal contents have equal digests, whoever wrote
them and however the file is laid out. Format 1, which version 0.1.0 wrote, had none; such files are read, and said to
be unprotected.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.runs.files import (
    MAX_BYTES,
    DamagedFile,
    NewerFormat,
    parse_json,
    read_bytes,
    require_plain,
    to_json,
    write_atomically,
)

FORMAT = 2
"""The format that is written, of every sealed file: the first with a digest."""

UNPROTECTED = 1
"""The format before there were digests; a file without a word on it has it too."""

_FIELD = b'\n  "digest": "'
"""How the digest begins in a file as it is written. Nested keys stand further in, and no text holds a line's end."""

_DIGITS = 64

_PLAIN = bytes.maketrans(b"123456789E\n\t\r,]}", b"000000000e      ")
_LONG_INTEGER = b"0" * 21
_LARGE_EXPONENT = re.compile(rb"e[+]?000+ ")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a file holds, without its format and its digest."""

    content: dict[str, Any]
    format: int
    protected: bool
    """Whether a digest vouches for the content."""


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` with format and digest; equal contents give equal bytes. Raises StoreError where that fails."""
    write_atomically(path, seal(content))


def seal(content: Mapping[str, Any], version: int = FORMAT) -> bytes:
    """`content` as JSON, its format and digest among its keys."""
    versioned = {**content, "format": version}
    return to_json({**versioned, "digest": _digest(versioned)})


def read_sealed(
    path: Path, remedy: str, *, latest: int = FORMAT, first_sealed: int = UNPROTECTED + 1, limit: int = MAX_BYTES
) -> Sealed:
    """What `path` holds, if that is of a format up to `latest`; those from `first_sealed` on have a digest.

    Raises StoreError where it cannot be read or has more than `limit` bytes, NewerFormat where a later version wrote
    it, DamagedFile where it is not what was written. Each names the file and what is wrong; `remedy` says what to do
    about damage.
    """
    return opened(path, read_bytes(path, limit), remedy, latest=latest, first_sealed=first_sealed)


def opened(path: Path, raw: bytes, remedy: str, *, latest: int = FORMAT, first_sealed: int = UNPROTECTED + 1) -> Sealed:
    """What `path` holds as the bytes `raw`. Raises as `read_sealed`."""
    try:
        sealed = _opened(raw, first_sealed)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: is damaged: {error}; {remedy}") from error
    refuse_newer(str(path), sealed.format, latest)
    return sealed


def refuse_newer(what: str, found: object, latest: int) -> None:
    """Raises NewerFormat where `what` has a format `found` beyond `latest`; what is no number is left to others."""
    if type(found) is int and found > latest:
        raise NewerFormat(f"{what}: has format {found}, this archbench reads up to {latest}; update archbench")


def _opened(raw: bytes, first_sealed: int) -> Sealed:
    """Raises ValueError where the content is not what its digest was made of."""
    content = parse_json(raw)
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, got {type(content).__name__}")
    protected = "digest" in content
    if not protected or _may_be_beyond(raw):
        require_plain(content)
    if protected and content["digest"] != _digest_as_written(raw) and content["digest"] != _digest_as_parsed(content):
        raise ValueError("its content is not what its digest was made of")
    content.pop("digest", None)
    written = content.pop("format", UNPROTECTED)
    if type(written) is not int or written < UNPROTECTED:
        raise ValueError(f"format is {written!r}")
    if not protected and written >= first_sealed:
        raise ValueError(f"format {written} has a digest, and there is none")
    return Sealed(content, written, protected)


def _may_be_beyond(raw: bytes) -> bool:
    """Whether `raw` holds what every number beyond all floats and 64-bit integers does, and few other texts do.

    All digits are made one, and all that may end a number, which is found far quicker than any digit. Hashes hold what
    looks like an exponent, but for its end.
    """
    plain = raw.translate(_PLAIN)
    return _LONG_INTEGER in plain or _LARGE_EXPONENT.search(plain) is not None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(content)).hexdigest()


def _digest_as_written(raw: bytes) -> str | None:
    """The digest of a file that is laid out as `seal` does it, without encoding it again: stores hold thousands."""
    start = raw.find(_FIELD)
    end = start + len(_FIELD) + _DIGITS
    if start < 0 or raw[end : end + 2] != b'",':
        return None
    return hashlib.sha256(raw[:start] + raw[end + 2 :]).hexdigest()


def _digest_as_parsed(content: Mapping[str, Any]) -> str:
    """The digest of a file that somebody laid out anew, which changes nothing that it says."""
    require_plain(content)
    return _digest({name: value for name, value in content.items() if name != "digest"})
