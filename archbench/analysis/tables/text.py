"""Text as spreadsheets and programs save it: its encoding, and of a table what separates its cells."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from archbench.errors import SpecError

SEPARATORS = (",", ";", "\t", "|")
"""What may separate cells; a spreadsheet writes semicolons where its country writes a comma into numbers."""

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_CELL = 16 << 20
"""Characters of one cell; Python's own limit is 128 thousand, and a config in one cell may be longer."""


def read_text(path: Path) -> str:
    """The text of `path`, its mark of UTF-8 left out, every kind of line end as one.

    Raises OSError, and SpecError with the line that is no UTF-8.
    """
    data = path.read_bytes()
    if data.startswith(_UTF_16_MARKS):
        raise SpecError(f"{path}: line 1: is UTF-16, not UTF-8; convert the file: iconv -f UTF-16 -t UTF-8")
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except UnicodeDecodeError:
        line = next(n for n, part in enumerate(data.split(b"\n"), start=1) if not _is_text(part))
        raise SpecError(f"{path}: line {line}: is no text in UTF-8; save the file as UTF-8") from None


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_table_text(path: Path) -> str:
    """The text of a table. Raises OSError, and SpecError with the line that is no UTF-8 or holds NUL bytes."""
    text = read_text(path)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SpecError(f"{path}: line {line}: holds NUL bytes, which no table has; was the file written to its end?")
    return text


def separator_of(text: str, expected: str = ",") -> str:
    """What separates the cells of `text`: `expected` where its header has it, else the first of SEPARATORS in it."""
    header = next((line for line in io.StringIO(text) if line.strip()), "")
    for separator in (expected, *SEPARATORS):
        if len(next(cell_rows(header, separator), ())) > 1:
            return separator
    return expected


def cell_rows(text: str, separator: str) -> Iterator[list[str]]:
    """The cells of each line of `text` that has any, the header first. Raises ValueError with the line of a problem."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: is no CSV: {error}") from None


def check_lengths(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """`rows`, the header first. Raises ValueError at the first row that has more or fewer cells than the header."""
    header: list[str] | None = None
    for number, cells in enumerate(rows):
        header = cells if header is None else header
        if len(cells) != len(header):
            raise ValueError(f"row {number}: {len(cells)} cells, expected {len(header)} as in the first line")
        yield cells
