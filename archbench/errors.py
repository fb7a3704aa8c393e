"""Errors that a user can cause, each with its exit code.

Each problem is one line: what is wrong, where, what was expected, and what to do next. The command line prints
the problems and exits with `exit_code`; a traceback is only ever shown for a defect of archbench itself.
"""

import difflib
from collections.abc import Iterable


class ArchbenchError(Exception):
    """A problem that the user can mend, or several. `exit_code` is what the command line ends with."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """Each of them, in one line."""
        return self.args

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


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


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` may be a misspelling of; None where none is close."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name closest to `name`, otherwise the list of known names."""
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; known: {', '.join(names)}" if names else ""
