"""The contenders of a scan in a ranked table, one line each: multiplier, its interval drawn, and what is said of it.

What is the same for all is said once, by `basis`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from archbench.analysis.comparison.compare import CostConclusion
from archbench.contracts.report import ScanResults
from archbench.report.answer import figure_of, said_of, settled_by, status_of, told_pairs
from archbench.report.labels import labels_of
from archbench.report.words import known, loss_unit, number, window_text, with_interval
from archbench.results.bits_per_byte import bits_per_byte_factor
from archbench.results.fits import Comparison, FitStatus, Interval

DRAWN_COLUMNS = 25
_WIDEST = 100.0
"""A factor from 1 beyond which a drawn interval is cut off, with an arrow at its end."""
_GAP = "  "
IN_ASCII = str.maketrans("·│━●◂▸", ".|=o<>")
"""What a terminal is shown that has no letters for drawings."""


class ColumnKind(StrEnum):
    """What a column of the table holds."""

    CONTENDER = "contender"
    MULTIPLIER = "multiplier"
    DRAWING = "drawing"
    CONCLUSION = "conclusion"
    SETTLED_BY = "settled by"
    LOSSES = "losses"


GIVEN_UP = (ColumnKind.LOSSES, ColumnKind.DRAWING, ColumnKind.SETTLED_BY)
"""What a narrow terminal is not shown, the first to go first."""


@dataclass(frozen=True, slots=True)
class Column:
    """One cell for each contender."""

    kind: ColumnKind
    title: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        """Letters of its widest cell or title."""
        return max(map(len, (self.title, *self.cells)))


@dataclass(frozen=True, slots=True)
class RankedTable:
    """Contenders by their multiplier over the baseline, the largest first."""

    columns: tuple[Column, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of its columns."""
        return tuple(column.title for column in self.columns)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One cell for each column."""
        return tuple(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def width(self) -> int:
        """Letters of its lines, gaps among them."""
        return sum(column.width for column in self.columns) + len(_GAP) * (len(self.columns) - 1)

    def without(self, kind: ColumnKind) -> "RankedTable":
        """The table less a column."""
        return RankedTable(tuple(column for column in self.columns if column.kind is not kind))


def ranked_table(results: ScanResults) -> RankedTable | None:
    """The table, for two contenders beside a baseline or more; None for fewer, of which the sentence says all."""
    pairs = told_pairs(results)
    if len(pairs) < 2:
        return None
    figures = [figure_of(pair) for pair in pairs]
    low, high = _scale([figure for figure in figures if figure is not None])
    scale = f"from {number(low, 2)} to {number(high, 2)}"
    drawn = tuple("" if figure is None else drawn_interval(figure, low, high) for figure in figures)
    columns = [
        Column(ColumnKind.CONTENDER, "contender", tuple(pair.contender for pair in pairs)),
        Column(ColumnKind.MULTIPLIER, "multiplier, 95 %", tuple(map(_figure_text, pairs))),
        Column(ColumnKind.DRAWING, scale, drawn),
        Column(ColumnKind.CONCLUSION, "says", tuple(map(said_of, pairs))),
        Column(ColumnKind.SETTLED_BY, "settled by", tuple(map(settled_by, pairs))),
    ]
    if len(dict.fromkeys(_windows(results, pairs))) > 1:  # else `basis` says it once
        title = f"at losses ({loss_unit(bits_per_byte_factor(results.records))})"
        columns.append(Column(ColumnKind.LOSSES, title, tuple(_window(results, pair) for pair in pairs)))
    return RankedTable(tuple(column for column in columns if any(column.cells)))


def basis(results: ScanResults) -> str:
    """What a multiplier is here: of which cost, over which baseline, at which losses; empty where there is none."""
    pairs = told_pairs(results)
    if not any(figure_of(pair) is not None for pair in pairs):
        return ""
    labels, asked = labels_of(results.records), pairs[0].answer
    cost = labels.cost_words[pairs[0].cost_axis]
    opening = f"Multiplier: {cost} of {results.baseline} over the contender's at equal loss"
    if asked is not None and asked.cost is not None:
        return f"{opening}, at {number(asked.cost)} {labels.axis_names[pairs[0].cost_axis]}; above 1, it needs less."
    windows, corrected = dict.fromkeys(_windows(results, pairs)), _corrected(pairs)
    one = f"losses of {next(iter(windows))} {loss_unit(bits_per_byte_factor(results.records))}"
    where = one if len(windows) == 1 else "losses of their own, those of each line"
    return f"{opening}, averaged over {where}; above 1, it needs less.{corrected}"


def _corrected(pairs: Sequence[Comparison]) -> str:
    """Why an interval beside 1 is called no difference; empty where none is."""
    for pair in pairs:
        figure = figure_of(pair)
        beside = figure is not None and known(figure) and not figure.low <= 1.0 <= figure.high
        if beside and said_of(pair) == CostConclusion.NOT_TOLD_APART.value:
            return (
                f" Intervals are each contender's own; what is said is corrected for all {len(pairs)} (Holm), so that "
                "an interval which leaves out 1 may not suffice."
            )
    return ""


def ranked_lines(results: ScanResults, columns: int) -> list[str]:
    """The table as aligned lines of at most `columns` letters, as far as cells allow; empty where there is none.

    Where there is no room losses are left out, then the drawing, then what would settle an open line, then the heads.
    """
    table = ranked_table(results)
    if table is None:
        return []
    for kind in GIVEN_UP:
        if table.width > columns:
            table = table.without(kind)
    if table.width > columns:
        return [_GAP.join(filter(None, row)) for row in table.rows]
    widths = [column.width for column in table.columns]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (table.header, *table.rows)
    ]


def _figure_text(pair: Comparison) -> str:
    figure = figure_of(pair)
    return f"`{status_of(pair).value}`" if figure is None else with_interval(figure)


def _windows(results: ScanResults, pairs: Sequence[Comparison]) -> list[str]:
    return [_window(results, pair) for pair in pairs if figure_of(pair) is not None]


def _window(results: ScanResults, pair: Comparison) -> str:
    """The losses that a figure holds over; empty where it is asked at a cost, or there is none."""
    if pair.headline is None or pair.headline.status is not FitStatus.OK:
        return ""
    if pair.answer is not None and pair.answer.cost is not None:
        return ""
    return window_text(pair.headline, bits_per_byte_factor(results.records), unit=False)


def _scale(figures: Sequence[Interval]) -> tuple[float, float]:
    """The ends of the common scale: all intervals, and 1, which every drawing shows."""
    ends = [end for figure in figures for end in (figure.value, figure.low, figure.high) if 0.0 < end < math.inf]
    low, high = min([1.0, *ends]), max([1.0, *ends])
    if low == high:
        return 0.5, 2.0
    return max(low, 1.0 / _WIDEST), min(high, _WIDEST)


def drawn_interval(figure: Interval, low: float, high: float, columns: int = DRAWN_COLUMNS) -> str:
    """`···━━●━━·│···`: `figure` on a logarithmic scale from `low` to `high`, with a bar at 1.

    An arrow stands at an end that the scale cuts off; an unknown interval is a point alone.
    """

    def place(value: float) -> int:
        share = math.log(min(max(value, low), high) / low) / math.log(high / low)
        return round(share * (columns - 1))

    cells = ["·"] * columns
    cells[place(1.0)] = "│"
    if known(figure):
        for cell in range(place(figure.low), place(figure.high) + 1):
            cells[cell] = "━"
        if figure.low < low * (1 - 1e-9):
            cells[0] = "◂"
        if figure.high > high * (1 + 1e-9):
            cells[-1] = "▸"
    cells[place(figure.value)] = "●"
    return "".join(cells)
