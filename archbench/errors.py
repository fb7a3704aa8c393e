"""Errors that a user can cause, each with its exit code.

Each message is one line: what is wrong, where, what was expected, and what to do next. The command line prints
the message and exits with `exit_code`; a traceback is only ever shown for a defect of archbench itself.
"""

import difflib
from collections.abc import Iterable


class ArchbenchError(Exception):
    """A problem that the user can mend. `exit_code` is what the command line ends with."""

    exit_code = 2


class SpecError(ArchbenchError):
    """The spec, a flag or an input file is wrong (exit code 2)."""


class DataError(ArchbenchError):
    """The text, the tokenizer or their cache cannot serve the spec (exit code 2)."""


class PluginError(ArchbenchError):
    """A plug-in that the spec needs is missing or broken (exit code 3)."""

    exit_code = 3


class StoreError(ArchbenchError):
    """The run store cannot be read or written (exit code 4)."""

    exit_code = 4


def in_one_line(error: BaseException, most: int = 400) -> str:
    """`Type: message` of `error`, the message cut to `most` characters, whatever a stranger's error does."""
    try:
        message = " ".join(str(error).split())
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message[:most] or 'no message'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name closest to `name`, otherwise the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
