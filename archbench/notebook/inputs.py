"""What a notebook hands in: a frame, runs that were loaded, or the path of either."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from archbench.answers.table_options import Table
from archbench.answers.usual_columns import require_loss, with_usual_columns
from archbench.errors import SpecError
from archbench.notebook.options import flag
from archbench.notebook.runs import Runs, fit_table_of, load

Data = pd.DataFrame | Runs | str | os.PathLike[str]
"""What `fit`, `compare` and `forecast` take."""
FRAME = "DataFrame"
"""What a frame is called in messages and in JSON."""


def runs_in(data: Data) -> Runs:
    """`data` as runs. Raises SpecError where it is none, or a frame without rows."""
    if isinstance(data, Runs):
        return data
    if isinstance(data, pd.DataFrame):
        return Runs(FRAME, table=_table(data))
    if isinstance(data, str | os.PathLike):
        return load(data)
    raise SpecError(f"got a {type(data).__name__}, expected a pandas DataFrame, archbench.load(...) or a path")


def table_for_a_law(runs: Runs, options: Mapping[str, Any], say: Callable[[str], None]) -> tuple[Table, dict[str, Any]]:
    """The table that a law is fitted to, and `options` with its columns.

    Of a scan: its finished runs, whose columns are known. Of a table: usual names, told by `say`. Raises SpecError
    where no column of loss is named or found, and where a column of a scan is called by another name.
    """
    if runs.table is None:
        table, meant = fit_table_of(runs.one_scan(), say)
        for name in (name for name, value in meant.items() if options.get(name) not in (None, value)):
            raise SpecError(f"{flag(name)}: {table.source} says it: {meant[name]}; leave it out, or fit its frame")
        return table, {**options, **meant}
    options = with_usual_columns(runs.table, options, say)
    require_loss(options)
    return runs.table, options


def _table(frame: pd.DataFrame) -> Table:
    """A frame as a file of the same rows is read: names are text, and one of several columns is refused where used.

    Its index is no column.
    """
    if not len(frame):
        raise SpecError(f"{FRAME}: holds no rows")
    if isinstance(frame.columns, pd.MultiIndex):
        raise SpecError(f"{FRAME}: has columns of several levels; flatten them: one name a column")
    names = [str(name) for name in frame.columns]
    read = frame.set_axis(names, axis=1)
    read.attrs = {"repeated_columns": sorted({name for name in names if names.count(name) > 1})}
    return Table(read, FRAME)
