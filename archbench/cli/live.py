"""A view that is drawn again several times a second, on a screen of its own, and lines that outlast it.

It is the terminal's alternate screen, which no terminal breaks anew when its width changes: drawn in place among other
lines, a block cannot know where the terminal has put its lines meanwhile (decision 0041). Lines that were printed
meanwhile are shown above the view while it lasts, and are written to the ordinary screen when it ends.
"""

import io
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import RenderableType
from rich.text import Text

from archbench.cli.console import DataConsole
from archbench.cli.terminal import write
from archbench.display import terminal_text

REFRESH_SECONDS = 0.25

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""The alternate screen, without a cursor and without breaking lines."""
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
"""From the cursor on. Said before a line is written: behind a full one the cursor stands on its last cell."""


class LiveView:
    """Draws what `render(columns, rows)` gives until it is left.

    What is printed meanwhile, on standard output or error, stays: nothing is lost when the terminal changes its size,
    when the program is interrupted, or when it fails.
    """

    def __init__(self, render: Callable[[int, int], RenderableType], stream: TextIO | None = None) -> None:
        self._render = render
        self._stream = stream or sys.stdout
        self._console = DataConsole(file=self._stream, force_terminal=True, highlight=False)
        self._lines: list[str] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="live view", daemon=True)
        self._printed = _Printed(self)
        self._streams: tuple[TextIO, TextIO] | None = None

    def __enter__(self) -> Self:
        self._write(_ENTER)
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout = sys.stderr = self._printed
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._streams is not None:
            sys.stdout, sys.stderr = self._streams
        self._printed.end_line()
        with self._lock:
            self._write(_LEAVE + "".join(f"{line}\n" for line in self._lines))

    def print(self, line: str) -> None:
        """Shows `line` above the view, and keeps it for the ordinary screen."""
        with self._lock:
            self._lines.append(terminal_text(line))

    def draw(self) -> None:
        """Draws the view now."""
        with self._lock:
            columns, rows = self._console.size
            with self._console.capture() as capture:
                self._console.print(self._render(columns, rows))
            lines = capture.get().splitlines()[:rows]
            shown = [*self._newest(columns, rows - len(lines)), *lines]
            *upper, last = shown or [""]
            text = "".join(f"{_CLEAR_LINE}{line}\r\n" for line in upper) + _CLEAR_REST + last
            self._write(_HOME + self._in_as_many_columns(text))

    def _newest(self, columns: int, rows: int) -> list[str]:
        """The last printed lines, as many as fit on `rows` rows when broken between words."""
        newest: list[str] = []
        for line in reversed(self._lines):
            if len(newest) >= rows:
                break
            newest = [*(part.plain.rstrip() for part in Text(line).wrap(self._console, columns)), *newest]
        return newest[-rows:] if rows > 0 else []

    def _keep_drawing(self) -> None:
        while not self._stop.is_set():
            self.draw()
            self._stop.wait(REFRESH_SECONDS)

    def _in_as_many_columns(self, text: str) -> str:
        """`text` with a mark for each letter that the stream cannot show: an escape would push others off the line."""
        encoding = self._stream.encoding or "utf-8"
        return text.encode(encoding, "replace").decode(encoding)

    def _write(self, text: str) -> None:
        write(text, self._stream)


class _Printed(io.TextIOBase):
    """A stream whose lines appear above a view."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._begun = ""

    def write(self, text: str) -> int:
        """Prints the lines that are whole, and keeps the rest for later."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._view.print(line)
        return len(text)

    def end_line(self) -> None:
        """Prints what has no end yet."""
        if self._begun:
            self.write("\n")

    def writable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """True: views are drawn in terminals only."""
        return True
