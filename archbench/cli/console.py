"""Consoles for tables: text of others is shown whole, and acts on nothing."""

import io
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from archbench.cli.terminal import write
from archbench.display import terminal_text


class DataConsole(Console):
    """rich's console for data of others: no markup, no emoji codes, no control over the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """See rich: the text of every cell, heading and line."""
        return super().render_str(terminal_text(text), **options | {"markup": False, "emoji": False})

    def print_whole(self, table: Table) -> None:
        """Prints `table`, words that are longer than their column folded: a number that is cut is another number."""
        for column in table.columns:
            column.overflow = "fold"
        self.print(table)


class StandardOutput(io.TextIOBase):
    """Standard output for a console: writing never fails."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As that of standard output."""
        return sys.stdout.encoding or "utf-8"

    def write(self, text: str) -> int:
        """See `archbench.cli.terminal.write`."""
        write(text, sys.stdout)
        return len(text)

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return sys.stdout.isatty()
