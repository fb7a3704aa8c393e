"""Files of tables: CSV and its kin, JSON, JSON lines and Parquet, as frames."""

import io
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from archbench.analysis.tables.text import cell_rows, check_lengths, read_table_text, read_text, separator_of
from archbench.errors import SpecError


def read_table(path: Path) -> pd.DataFrame:
    """The table in `path`. Raises SpecError where it is missing, empty, malformed or of an unknown kind.

    Names that several columns share are in the frame's `attrs["repeated_columns"]`.
    """
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": lambda file: _read_separated(file, ","),
        ".tsv": lambda file: _read_separated(file, "\t"),
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".json": _read_json,
        ".parquet": _read_parquet,
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise SpecError(f"{path}: files of kind {kind or 'without suffix'!r} are not read; use {', '.join(readers)}")
    if not path.is_file():
        raise SpecError(f"{path}: no such file")
    try:
        frame = readers[kind](path)
    except (ValueError, TypeError, OSError, OverflowError, pd.errors.ParserWarning) as error:
        lines = str(error).splitlines()
        raise SpecError(
            f"{path}: cannot be read as {kind[1:]}: {lines[0] if lines else type(error).__name__}"
        ) from error
    if not len(frame):
        raise SpecError(f"{path}: holds no rows")
    return frame


def _read_separated(path: Path, expected: str) -> pd.DataFrame:
    text = read_table_text(path)
    separator = separator_of(text, expected)
    header = [name.strip() for name in next(cell_rows(text, separator), ())]
    if not any(header):
        raise SpecError(f"{path}: holds no rows")
    with warnings.catch_warnings():
        # Rows longer than the header would shift or lose a column in silence.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                io.StringIO(text), sep=separator, index_col=False, skipinitialspace=True, low_memory=False
            )
        except (pd.errors.ParserWarning, pd.errors.ParserError):
            for _ in check_lengths(cell_rows(text, separator)):  # whose words name the row
                pass
            raise
    frame.columns = frame.columns.str.strip()
    frame.attrs["repeated_columns"] = sorted(_several(header))
    return frame


def _read_json(path: Path) -> pd.DataFrame:
    text = read_text(path)
    rows = _from_json(text, "")
    frame = None
    if isinstance(rows, list | dict) and all(isinstance(row, list | dict) for row in _items(rows)):
        frame = pd.read_json(io.StringIO(text))
    if not isinstance(frame, pd.DataFrame):
        raise ValueError("holds no table, expected a list of objects, one a row, or an object of columns")
    return frame


def _items(rows: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return rows.values() if isinstance(rows, dict) else rows


def _read_json_lines(path: Path) -> pd.DataFrame:
    text = read_text(path)
    repeated: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not isinstance(_from_json(line, f"line {number}: ", repeated), dict):
            raise ValueError(f"line {number}: is no object of names and values")
    frame = pd.read_json(io.StringIO(text), lines=True)
    frame.attrs["repeated_columns"] = sorted(repeated)
    return frame


def _from_json(text: str, where: str, repeated: set[str] | None = None) -> Any:
    """`text` as JSON; names that an object in it has several times are added to `repeated`. Raises ValueError."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if repeated is not None:
            repeated.update(_several([name for name, _ in found]))
        return dict(found)

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        place = where or f"line {error.lineno}: "
        raise ValueError(f"{place}is no JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError(f"{where}is nested too deep") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(path)
    except pyarrow.ArrowException as error:  # of which some are no ValueError
        raise ValueError(str(error)) from error


def _several(names: Sequence[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}
