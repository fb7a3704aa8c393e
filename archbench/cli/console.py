"""Consoles for tables: text of others is shown whole, and acts on nothing."""

import io
import sys
import textwrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from archbench.cli.terminal import write
from archbench.display import terminal_text


class DataConsole(Console):
    """rich's console for data of others: no markup, no emoji codes, no control over the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """See rich: the text of every cell, heading and line."""
        return super().render_str(terminal_text(text), **options | {"markup": False, "emoji": False})

    def print_whole(self, table: Table) -> None:
        """Prints `table` with every figure whole: a number that is cut is another number.

        Where its longest words do not fit beside each other, each row stands as lines of its own, a figure each.
        """
        for column in table.columns:
            column.overflow = "fold"
        gaps = 2 * (len(table.columns) - (not table.pad_edge))
        if sum(map(_least_columns, table.columns)) + gaps <= self.width:
            self.print(table)
            return
        if table.title:
            self.print(table.title)
        for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
            lines = [_plain(name)] if _plain(name) else []  # an empty one stands for the name above
            for column, cell in zip(table.columns[1:], cells, strict=True):
                lines.append(f"  {_plain(column.header)}: {_plain(cell)}".rstrip())
            for line in lines:
                folded = textwrap.wrap(line, self.width, subsequent_indent="    ", break_on_hyphens=False)
                self.print("\n".join(folded), soft_wrap=True)


NAME_COLUMNS = 8
"""Letters of a name that stand together, at least: names may be broken anywhere, figures may not."""


def _least_columns(column: Column) -> int:
    """How narrow a column may become with its figures whole; one of names has `NAME_COLUMNS` as its least width."""
    cells = [_plain(cell) for cell in (column.header, *column.cells)]
    if column.no_wrap:
        return max(map(cell_len, cells))
    longest = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
    return min(longest, column.min_width) if column.min_width else longest


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


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
