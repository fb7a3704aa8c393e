"""What readers of text, JSON, CSV and SQLite share: each problem is one line with the file and the place in it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from archbench.analysis.tables.text import cell_rows, check_lengths, read_table_text, read_text, separator_of
from archbench.api import HistoryRow, SpecError

_LONGEST_HEADER = 1 << 20
"""Characters of a CSV's first line that are looked at; a chart's export names every run in it."""


def header_of(path: Path) -> list[str]:
    """Names of the columns of a CSV, as far as its first line can be read as such; none of an empty file."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        line = stream.readline(_LONGEST_HEADER)
    try:
        return next(cell_rows(line, separator_of(line)), [])
    except ValueError:
        return []


def from_json(text: str | bytes, where: str) -> Any:
    """`text` as JSON, in which NaN and Infinity are numbers. Raises SpecError that begins with `where`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"{where}: line {error.lineno}, column {error.colno}: is no JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        # A number of thousands of digits is a plain ValueError.
        raise SpecError(f"{where}: is no JSON: {str(error) or type(error).__name__}") from None


def mapping(value: Any, where: str) -> dict[str, Any]:
    """`value`, which must be a JSON object. Raises SpecError that begins with `where`."""
    if not isinstance(value, dict):
        raise SpecError(f"{where}: got {shown(value)}, expected an object of names and values")
    return value


def listed(value: Any, where: str) -> list[Any]:
    """`value`, which must be a JSON array. Raises SpecError that begins with `where`."""
    if not isinstance(value, list):
        raise SpecError(f"{where}: got {shown(value)}, expected a list")
    return value


def shown(value: Any) -> str:
    """`value` in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def flat(values: Mapping[str, Any], prefix: str = "", depth: int = 8) -> Iterator[tuple[str, Any]]:
    """Names and values of nested settings, joined by dots; lists stay as they are."""
    for key, value in values.items():
        if isinstance(value, dict) and depth:
            yield from flat(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}", value


def csv_rows(path: Path) -> tuple[list[str], list[HistoryRow]]:
    """Column names, and a row for each line with the cells that are not empty.

    Raises SpecError for a file without rows, a doubled column, and a row of more or fewer cells than there are columns.
    """
    text = read_table_text(path)
    try:
        lines = list(check_lengths(cell_rows(text, separator_of(text))))
    except ValueError as error:
        raise SpecError(f"{path}: {error}") from None
    if len(lines) < 2:
        raise SpecError(f"{path}: holds no rows")
    names = lines.pop(0)
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"{path}: two columns are called {doubled[0]!r}; rename one")
    return names, [
        HistoryRow(f"row {number}", {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()})
        for number, cells in enumerate(lines, start=1)
    ]


def json_lines(path: Path) -> list[HistoryRow]:
    """A row for each line of `path`, which holds a JSON object; those in it are flattened. Raises SpecError."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            where = f"{path}: line {number}"
            rows.append(HistoryRow(f"line {number}", dict(flat(mapping(from_json(line, where), where)))))
    if not rows:
        raise SpecError(f"{path}: holds no rows")
    return rows


def number_in(cell: Any, where: str) -> float:
    """`cell` as a number, NaN and infinities among them. Raises SpecError that begins with `where`."""
    try:
        if isinstance(cell, bool):
            raise ValueError
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise SpecError(f"{where}: got {shown(cell)}, expected a number") from None


SQLITE_MAGIC = b"SQLite format 3\x00"


def is_sqlite(path: Path) -> bool:
    """Whether `path` is an SQLite database, by its first bytes."""
    return first_bytes(path, len(SQLITE_MAGIC)) == SQLITE_MAGIC


def first_bytes(path: Path, count: int) -> bytes:
    """The first `count` bytes of `path`, fewer where it is shorter; none of a folder."""
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(count)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The database in `path`, to read alone. Raises SpecError for whatever is wrong with it, also while it is open."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            # Damaged text is told where it is used, not by the driver.
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what the driver says of damaged text may be none itself
        raise SpecError(f"{path}: cannot be read as an SQLite database: {error}") from None


def tables_of(path: Path) -> set[str]:
    """Names of the tables in a database; empty where it cannot be read."""
    try:
        with database(path) as connection:
            return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except SpecError:
        return set()


Point = tuple[str, Any, Any]
"""A metric's name, its step and its value."""


def joined_by_step(points: Iterable[Point]) -> list[HistoryRow]:
    """A row for each step with all that was logged at it; what was logged twice at a step begins another row."""
    rows: dict[Any, list[dict[str, Any]]] = {}
    for key, step, value in points:
        same_step = rows.setdefault(step, [])
        row = next((one for one in same_step if key not in one), None)
        if row is None:
            row = {"step": step}
            same_step.append(row)
        row[key] = value
    return [HistoryRow(f"step {step}", row) for step, same_step in rows.items() for row in same_step]
