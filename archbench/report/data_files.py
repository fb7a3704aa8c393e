"""Data tables as files: CSV for every tool, Parquet for large ones, JSON that says what each column is."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archbench.contracts.report import Cell, DataTable
from archbench.durable import write_whole

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".parquet", ".json")
INDEX = "tables.json"


def write_tables(directory: Path, tables: Sequence[DataTable]) -> None:
    """Stores each table in `directory` in all three forms, and `tables.json`, which lists them with their columns.

    Equal tables give equal bytes. Raises OSError where a file cannot be written.
    """
    # Takes a tenth of a second: only who writes waits for it.
    import pyarrow.parquet

    directory.mkdir(parents=True, exist_ok=True)
    for one in tables:
        table = _plain(one)
        as_csv, as_json, as_parquet = (directory / f"{table.name}{suffix}" for suffix in (".csv", ".json", ".parquet"))
        write_whole(as_csv, csv_text(table).encode())
        write_whole(as_json, json_text(table).encode())
        parquet = io.BytesIO()
        pyarrow.parquet.write_table(arrow_table(table), parquet, compression="zstd")
        write_whole(as_parquet, parquet.getvalue())
    write_whole(directory / INDEX, _dumped([_described(table) for table in tables]).encode())


def csv_text(table: DataTable) -> str:
    """The rows under the names of the columns; what is None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return buffer.getvalue()


def json_text(table: DataTable) -> str:
    """What the table and each column is, then the rows as lists; null also for what is no number or has no end."""
    head = json.dumps(_described(table), ensure_ascii=False, indent=1)
    rows = ",\n".join(
        json.dumps([_finite(cell) for cell in row], ensure_ascii=False, allow_nan=False) for row in table.rows
    )
    return f'{head[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'


def arrow_table(table: DataTable) -> "pyarrow.Table":
    """The table with unit and meaning in the metadata of each column."""
    import pyarrow

    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    arrays = [_array(list(cells)) for cells in columns]
    fields = [
        pyarrow.field(column.name, array.type, metadata={"unit": column.unit, "about": column.about})
        for column, array in zip(table.columns, arrays, strict=True)
    ]
    return pyarrow.table(arrays, schema=pyarrow.schema(fields, metadata={"about": table.about}))


def _array(cells: list[Cell]) -> Any:
    """One column; of cells of several sorts, as a stranger's table may hold, all become text."""
    import pyarrow

    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and float in kinds:
        return pyarrow.array([None if cell is None else float(cell) for cell in cells], pyarrow.float64())
    if len(kinds) > 1:
        return pyarrow.array([None if cell is None else str(cell) for cell in cells], pyarrow.string())
    return pyarrow.array(cells)


def _plain(table: DataTable) -> DataTable:
    """`table` with numpy's scalars as Python's own."""
    rows = tuple(tuple(cell.item() if isinstance(cell, np.generic) else cell for cell in row) for row in table.rows)
    return replace(table, rows=rows)


def _described(table: DataTable) -> dict[str, Any]:
    columns = [{"name": one.name, "unit": one.unit, "about": one.about} for one in table.columns]
    return {"name": table.name, "about": table.about, "columns": columns}


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _dumped(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
