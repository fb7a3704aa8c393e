"""What a call in a notebook returns: sentences, tables, JSON and a figure of one frozen answer."""

import html
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from archbench.contracts.report import DataTable
from archbench.display import terminal_text
from archbench.errors import SpecError, nearest
from archbench.report.plotting import png_bytes
from archbench.results.fits import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 60
"""Rows of a table that a notebook shows; the frame has all."""


class Result(ABC):
    """One answer: `str()` is what the command says, and `to_dict()` what it prints with `--json`."""

    __slots__ = ()

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """The sentences of the command, without its tables."""

    @abstractmethod
    def told(self) -> tuple[str, ...]:
        """What the command says on standard error: columns that were chosen by their names, warnings."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The figures as a table."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What the command prints with `--json`, read."""

    @abstractmethod
    def plot(self) -> "Figure":
        """The figure of the answer. Raises SpecError where there is nothing to draw."""

    def __str__(self) -> str:
        return terminal_text("\n".join(self.lines()))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Sentences and table for a notebook; names of others are text in it, never markup."""
        told = "".join(f"<div><small>{_escaped(line)}</small></div>" for line in self.told())
        said = f'<pre style="white-space: pre-wrap">{_escaped(str(self))}</pre>'
        return f"<div>{told}{said}{_table(self.to_frame())}</div>"


def chosen(of: str, known: Sequence[str]) -> str:
    """`of`, a table that `to_frame` knows. Raises SpecError for another one."""
    if of not in known:
        raise SpecError(f"to_frame: got {of!r}, expected the name of a table{nearest(str(of), known)}")
    return of


def frame_of(table: DataTable) -> pd.DataFrame:
    """A report's data table as a frame; units and meanings of its columns are in `attrs["columns"]`."""
    frame = pd.DataFrame(list(table.rows), columns=[column.name for column in table.columns])
    frame.attrs["columns"] = {column.name: f"{column.about} ({column.unit})" for column in table.columns}
    return frame


def interval_cells(name: str, interval: Interval | None) -> Mapping[str, float | None]:
    """A figure and the ends of its interval, as three columns; empty where there is none."""
    ends = (None, None, None) if interval is None else (interval.value, interval.low, interval.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def shown(figure: "Figure") -> "Figure":
    """`figure`, which a notebook shows by itself: without pyplot, which nothing here imports, it would print its size.

    The figure belongs to no window and no list, so that nothing has to be closed.
    """
    figure._repr_png_ = partial(png_bytes, figure)  # type: ignore[attr-defined]  # what IPython asks for
    return figure


def _escaped(text: str) -> str:
    return html.escape(terminal_text(text))


def _table(frame: pd.DataFrame) -> str:
    if frame.empty:
        return ""
    harmless = frame.map(lambda cell: terminal_text(cell) if isinstance(cell, str) else cell)
    rendered: str = harmless.to_html(
        index=False, escape=True, max_rows=_MOST_ROWS, na_rep="", float_format=lambda value: f"{value:.5g}"
    )
    return rendered
