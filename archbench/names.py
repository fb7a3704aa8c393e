"""Names that people give: of specs, scans, contenders, studies, texts and imported architectures. One rule for all.

A name is for people, so that it may hold spaces, brackets, slashes and letters of any script. What it may not hold is
what cannot be told from something else: control characters, invisible ones, blanks at its ends, and what reads as a
path out of a folder. Files are never named by a name itself but by `file_stem`, which gives different names different
files on every file system.
"""

import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Container

from archbench.errors import SpecError

MAX_NAME = 128
"""Letters of a name: tables, figures and file names hold it."""

_MAX_STEM = 64
"""Letters of a name that stands in a file name as it is; file systems allow 255 bytes for all of it."""
_MAX_STEMS = 140
"""Letters of several names together that stand in one file name."""
_SLUG = 40
"""Letters that are kept of a name which does not stand in a file name as it is."""

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.+]|-(?!-))*(?<!\.)")
"""Names that are file names, everywhere. `--` stands between two names, `~` before what tells two files apart."""
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
"""Names of devices on Windows, with any suffix."""

_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line break",
    "Zp": "a line break",
}
_JOINERS = "\u200c\u200d"
"""Invisible, and part of how Persian, Hindi and some emoji are written."""


def problem_of(name: str) -> str | None:
    """What is wrong with `name`, in words that follow the name; None where nothing is."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"has {len(name):,} characters, a name has at most {MAX_NAME}"
    for letter in name:
        reason = _REFUSED_CATEGORIES.get(unicodedata.category(letter))
        if reason is not None and letter not in _JOINERS:
            return f"holds {reason}, {_code_point(letter)}; leave it out"
    if name != name.strip():
        return "begins or ends with a blank; leave it out"
    if name.startswith("/") or name.endswith("/") or any(part in (".", "..") for part in name.split("/")):
        return "reads as a path; a name begins and ends with something else than a slash, and has no part . or .."
    return None


def checked_name(name: str) -> str:
    """`name`. Raises ValueError, in words for the name's user, where it breaks the rule."""
    if (problem := problem_of(name)) is not None:
        raise ValueError(f"the name {shown_name(name)} {problem}")
    return name


def check_name(name: str, what: str) -> None:
    """Raises SpecError where `name` breaks the rule; `what` says whose name it is, and begins the message."""
    try:
        checked_name(name)
    except ValueError as error:
        raise SpecError(f"{what}: {error}") from error


def shown_name(name: str) -> str:
    """`name` in quotes for a message: cut where it is too long to be read, in ASCII escapes what does not print."""
    return repr(name if len(name) <= 60 else f"{name[:57]}...")


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or with the least number behind it that makes it a name not in `taken`."""
    if name not in taken:
        return name
    tries = (f"{name[: MAX_NAME - 6].rstrip()}-{number}" for number in itertools.count(2))
    return next(one for one in tries if one not in taken)


def file_stem(*names: str) -> str:
    """The one file name, without suffix, that stands for `names`: letters, digits and `_ . + - ~` alone.

    Injective, also where a file system takes `GPT` and `gpt` for one: a plain name in lower case is its own stem,
    capitals of a plain name are told by a number behind it, and any other name is spelt without what a file system
    might not take, with 64 bits of its SHA-256 behind it. Several names are joined by `--`.
    """
    joined = "--".join(map(_stem, names))
    if len(joined) <= _MAX_STEMS:
        return joined
    return f"{joined[: _MAX_STEMS - 20].rstrip('-.')}~{_digest(*names)}"


def could_be_file_name(name: str) -> bool:
    """Whether a file system takes `name` as the name of one file, with a suffix: how files were named once."""
    return "/" not in name and len(name.encode("utf-8", "surrogatepass")) <= 240


def _stem(name: str) -> str:
    if len(name) <= _MAX_STEM and _PLAIN.fullmatch(name) and not _DEVICES.fullmatch(name):
        capitals = sum(1 << place for place, letter in enumerate(name) if letter.isupper())
        return f"{name}~{capitals:x}" if capitals else name
    ascii_only = unicodedata.normalize("NFKD", name[:MAX_NAME]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:_SLUG]
    # `h` is no digit of the number that tells capitals.
    return f"{slug or 'name'}~h{_digest(name)}"


def _digest(*names: str) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _code_point(letter: str) -> str:
    return f"U+{ord(letter):04X}"


def natural_order(name: str) -> tuple[tuple[int, float, str], ...]:
    """A key that sorts names as people count: `E32`, `E128`, `E512`."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, float(part), part) if part.isdecimal() else (1, 0.0, part) for part in parts)
