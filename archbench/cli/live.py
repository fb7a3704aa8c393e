"""Lines at the foot of a terminal that are drawn again in place, while everything else scrolls by above them.

The block is erased by what it takes *now*: where the terminal has become narrower, it has broken the lines that were
drawn before, and a block that only counts lines leaves their upper halves behind.
"""

import io
import math
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

REFRESH_SECONDS = 0.25

_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"
_CURSOR_OFF, _CURSOR_ON = "\x1b[?25l", "\x1b[?25h"
_ERASE_BELOW = "\x1b[J"


class LiveBlock:
    """Draws what `render(columns, rows)` gives, several times a second, until it is left.

    What is printed meanwhile, on standard output or error, appears above the block and stays.
    """

    def __init__(self, render: Callable[[int, int], RenderableType], stream: TextIO | None = None) -> None:
        self._render = render
        self._stream = stream or sys.stdout
        self._console = Console(file=self._stream, force_terminal=True, highlight=False)
        self._drawn: list[int] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="live block", daemon=True)
        self._streams: tuple[TextIO, TextIO] | None = None

    def __enter__(self) -> Self:
        self._write(_CURSOR_OFF)
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = _Above(self), _Above(self)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._streams is not None:
            for held in (sys.stdout, sys.stderr):
                held.flush()
            sys.stdout, sys.stderr = self._streams
        with self._lock:
            self._write(self._erased() + _CURSOR_ON)

    def print(self, line: str) -> None:
        """Prints `line` above the block, broken by the terminal where it is too long."""
        with self._lock:
            self._write(f"{self._erased()}{line}\n")
            self.draw()

    def draw(self) -> None:
        """Draws the block now."""
        with self._lock:
            columns, rows = self._console.size
            with self._console.capture() as capture:
                self._console.print(self._render(columns, rows), end="")
            lines = [line.rstrip() for line in capture.get().splitlines()][: max(1, rows - 1)]
            erased = self._erased()
            self._drawn = [cell_len(Text.from_ansi(line).plain) for line in lines]
            self._write(erased + _WRAP_OFF + "\n".join(lines) + _WRAP_ON)

    def _erased(self) -> str:
        """What takes the block away, wherever the terminal has put its lines by now."""
        columns, rows = self._console.size
        taken = sum(max(1, math.ceil(width / columns)) for width in self._drawn)
        self._drawn = []
        up = min(taken, rows) - 1
        return "\r" + (f"\x1b[{up}A" if up > 0 else "") + _ERASE_BELOW if taken else ""

    def _keep_drawing(self) -> None:
        while not self._stop.is_set():
            self.draw()
            self._stop.wait(REFRESH_SECONDS)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _Above(io.TextIOBase):
    """A stream whose whole lines appear above a block."""

    def __init__(self, block: LiveBlock) -> None:
        self._block = block
        self._held = ""

    def write(self, text: str) -> int:
        """Prints the lines that are whole, and holds the rest."""
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            self._block.print(line)
        return len(text)

    def flush(self) -> None:
        """Nothing: half a line would be torn apart by the block."""

    def writable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """True: the block is drawn in terminals only."""
        return True
