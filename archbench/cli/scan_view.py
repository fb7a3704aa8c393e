"""A scan as a table of contenders and sizes, and the loss of a run as a line of blocks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from rich.console import Group, JustifyMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archbench.results.runs import RESULT, SIZE_SCAN, RunState, purpose
from archbench.units import human_count

_BLOCKS = "▁▂▃▄▅▆▇█"
_NAME_COLUMNS = 24
_CELL_COLUMNS = 9
"""Of one size, with the space beside it."""
_GAP_COLUMNS = 2
_HIDDEN_COLUMNS = 3 + _GAP_COLUMNS
"""Of the number of sizes that are not shown, `+12`, with the space beside it."""
_LEAST_NAME_COLUMNS = 10
"""Room that a run's name has as long as there is a figure which may be left out."""


class _OfContender(Protocol):
    @property
    def contender(self) -> str: ...
    @property
    def study(self) -> str: ...
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ShownRun:
    """What the table says about one run."""

    row: str
    """The contender, and what the run is for where that is not the scan of sizes."""
    size_index: int
    params: int
    """N."""
    state: RunState
    share: float = 0.0
    """Of its steps, from 0 to 1."""
    loss_nats: float | None = None
    """On validation text, at its end."""


def row_name(run: _OfContender) -> str:
    """The row of the table that `run` belongs to."""
    is_result = (run.study, run.role) == (SIZE_SCAN, RESULT)
    return run.contender if is_result else f"{run.contender} {purpose(run)}"


def scan_table(runs: Sequence[ShownRun], columns: int) -> Table:
    """One row a contender, one column a size: the mean loss of what is done, how far the rest is.

    Sizes that find no room are counted where they would stand, `+2`.
    """
    names = list(dict.fromkeys(run.row for run in runs))
    longest = max(map(cell_len, names), default=0)
    # Figures stay whole: names make room for those of one size at least.
    width = max(1, min(_NAME_COLUMNS, longest, columns - _CELL_COLUMNS))
    shown = _fitting(runs, columns - width)
    if shown.before or shown.after:
        counts = _HIDDEN_COLUMNS * (bool(shown.before) + bool(shown.after))
        width = max(1, min(width, columns - counts - _CELL_COLUMNS * len(shown.sizes)))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=width)
    _add_count(table, shown.before)
    for size in shown.sizes:
        params = next(run.params for run in runs if run.size_index == size)
        table.add_column(human_count(float(f"{params:.2g}")), justify="right", no_wrap=True, width=_CELL_COLUMNS - 2)
    _add_count(table, shown.after)
    for name in names:
        cells = [[run for run in runs if run.row == name and run.size_index == size] for size in shown.sizes]
        table.add_row(name, *[""] * bool(shown.before), *map(_cell, cells))
    return table


def _add_count(table: Table, hidden: int) -> None:
    """A column that says how many sizes are not shown there; none where all are."""
    if hidden:
        table.add_column(f"+{hidden}", justify="right", no_wrap=True, width=_HIDDEN_COLUMNS - 2, header_style="dim")


@dataclass(frozen=True, slots=True)
class _Fitting:
    """The sizes that find room, and how many smaller and larger ones do not."""

    sizes: Sequence[int]
    before: int
    after: int


def _fitting(runs: Sequence[ShownRun], columns: int) -> _Fitting:
    """What fits on `columns` columns, one size at least: those that have ended make way first."""
    sizes = sorted({run.size_index for run in runs})
    if len(sizes) * _CELL_COLUMNS <= columns:
        return _Fitting(sizes, 0, 0)
    open_sizes = [size for size in sizes if any(run.size_index == size and not run.state.ended for run in runs)]
    first = sizes.index(open_sizes[0]) if open_sizes else 0
    # With a count at one end, and else with one at both.
    for num_counts in (1, 2):
        room = max(1, (columns - num_counts * _HIDDEN_COLUMNS) // _CELL_COLUMNS)
        start = max(0, min(first, len(sizes) - room))
        before, after = start, max(0, len(sizes) - start - room)
        if bool(before) + bool(after) <= num_counts:
            break
    return _Fitting(sizes[start : start + room], before, after)


def _cell(runs: Sequence[ShownRun]) -> Text:
    """How far the runs of one contender and size are."""
    if not runs:
        return Text("")
    ended = [run for run in runs if run.state.ended]
    if any(run.state is RunState.RUNNING for run in runs):
        share = sum(1.0 if run.state.ended else run.share for run in runs) / len(runs)
        return Text(f"{share:.0%}", style="cyan")
    if len(ended) < len(runs):
        return Text(f"{len(ended)} of {len(runs)}" if ended else "·", style="dim")
    lost = next((run.state for run in runs if run.state is not RunState.DONE), None)
    if lost is not None:
        return Text(lost.value[: _CELL_COLUMNS - 2], style="red")
    losses = [run.loss_nats for run in runs if run.loss_nats is not None]
    return Text(f"{sum(losses) / len(losses):.3f}" if losses else "done", style="green")


@dataclass(frozen=True, slots=True)
class WorkColumn:
    """One figure of the runs that go on."""

    header: str
    cells: Sequence[RenderableType]
    """One for each run."""
    columns: int
    """What the widest cell takes."""
    rank: int
    """Where there is no room for all, columns of higher rank are left out first."""
    justify: JustifyMethod = "right"


def work_table(names: Sequence[str], figures: Sequence[WorkColumn], columns: int) -> Table:
    """The runs that go on: figures stand whole or are left out, names are broken into what is left."""
    shown = list(figures)
    while len(shown) > 1 and _needed(shown) + _LEAST_NAME_COLUMNS > columns:
        shown.remove(max(shown, key=lambda figure: figure.rank))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold", max_width=max(1, columns - _needed(shown)))
    for figure in shown:
        table.add_column(figure.header, justify=figure.justify, no_wrap=True, min_width=figure.columns)
    for place, name in enumerate(names):
        table.add_row(name, *(figure.cells[place] for figure in shown))
    return table


def _needed(figures: Sequence[WorkColumn]) -> int:
    """Columns of `figures`, with the space before each."""
    return sum(max(figure.columns, cell_len(figure.header)) + _GAP_COLUMNS for figure in figures)


def text_column(header: str, cells: Sequence[str], rank: int, justify: JustifyMethod = "right") -> WorkColumn:
    """A column of short texts."""
    return WorkColumn(header, cells, max(map(cell_len, cells), default=0), rank, justify)


def summary_line(share: float, words: str, columns: int) -> RenderableType:
    """A bar of the whole scan, and `words` beside it; the words alone where there is no room."""
    bar_columns = min(24, columns - len(words) - 8)
    if bar_columns < 6:
        return Text(words, style="dim")
    line = Table.grid(padding=(0, 1))
    line.add_row(ProgressBar(1.0, share, width=bar_columns), Text(f"{share:4.0%}", style="bold"), Text(words))
    return line


def stacked(parts: Sequence[RenderableType]) -> RenderableType:
    """The parts below each other."""
    return Group(*parts)


def sparkline(points: Sequence[tuple[int, float]], width: int) -> str:
    """The loss of (step, loss) points as `width` blocks over the logarithm of the steps: high is a high loss.

    Over steps themselves, the fall of the first hundred would leave the rest flat at the bottom.
    """
    if len(points) < 2:
        return ""
    first, last = max(1, points[0][0]), max(1, points[-1][0])
    values = []
    index = 0
    for place in range(width):
        step = first * (last / first) ** (place / max(1, width - 1))
        while index + 1 < len(points) and points[index + 1][0] <= step * (1 + 1e-9):
            index += 1
        values.append(points[index][1])
    low, high = min(values), max(values)
    if not math.isfinite(high - low) or high == low:
        return _BLOCKS[0] * width
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in values)
