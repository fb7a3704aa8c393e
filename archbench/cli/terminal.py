"""What commands say, on standard output and error. It never costs a result.

Text of others is made harmless, letters that the stream's encoding lacks are escaped, and output that cannot be
written, since its disk is full or its reader has gone, is told once at the end: the command goes on meanwhile.
"""

import errno
import io
import logging
import os
import sys
from typing import Literal, TextIO

from archbench.display import terminal_text

_lost: dict[str, OSError] = {}
"""Name of a stream -> why it can no longer be written."""


def prepare_streams() -> None:
    """Makes standard streams fit for all that is said: open, if only to nowhere, and able to show every letter."""
    _lost.clear()
    _open_closed(0, "stdin", "r")
    _open_closed(1, "stdout", "w")
    _open_closed(2, "stderr", "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_HarmlessFormatter())


def _open_closed(number: int, name: str, mode: Literal["r", "w"]) -> None:
    """A stream that was closed by who started the command leads to nowhere: nobody wants to hear it."""
    if getattr(sys, name) is not None:
        return
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number and not _is_open(number):
        # Otherwise the next file that is opened would be taken for the stream, by child processes for one.
        os.dup2(descriptor, number)
        os.close(descriptor)
        descriptor = number
    setattr(sys, name, open(descriptor, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  (a descriptor, kept open)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class _HarmlessFormatter(logging.Formatter):
    """Of log lines that no handler takes, which Python writes to standard error."""

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record))


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Says `text` on standard output, or on standard error, made harmless."""
    write(terminal_text(text) + "\n" * nl, sys.stderr if err else sys.stdout)


def write(text: str, stream: TextIO) -> None:
    """Writes `text` as it is. What cannot be written is lost, and remembered."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        _lose(stream, error)


def _lose(stream: TextIO, error: OSError) -> None:
    """What follows goes nowhere, also from whoever writes without asking, as Python does at its exit."""
    _lost.setdefault("stderr" if stream is sys.stderr else "stdout", error)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # a stream without a descriptor
        return


def flush() -> None:
    """Brings out what others have written."""
    for stream in (sys.stdout, sys.stderr):
        write("", stream)


def unread() -> bool:
    """Whether the reader of standard output has gone, as `| head` does."""
    return "stdout" in _lost and _lost["stdout"].errno == errno.EPIPE


def lost_output() -> str | None:
    """Why standard output is incomplete, in words; None where all was written, or its reader wanted no more."""
    error = _lost.get("stdout")
    if error is None or error.errno == errno.EPIPE:
        return None
    return (
        f"standard output cannot be written: {error.strerror}; what was said there is lost, results in files are whole"
    )
