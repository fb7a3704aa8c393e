"""Tables as spreadsheets, programs and people save them: read as meant, or refused in one line with the place."""

from pathlib import Path

import pytest

from archbench.analysis.tables.files import read_table
from archbench.analysis.tables.read import run_tables
from archbench.analysis.tables.run_table import Columns
from archbench.errors import SpecError

COLUMNS = Columns(loss="loss", params="N", tokens="D", arch="arch")
PLAIN = "arch,N,D,loss\ngpt,1e7,1e9,3.5\ngpt,2e7,1e9,3.25\n"


def values(path: Path) -> list[list[float]]:
    """N, D and loss of the one architecture in `path`, row by row."""
    (table,) = run_tables(read_table(path), COLUMNS, source=str(path))
    assert table.arch == "gpt"
    return [list(row) for row in zip(*(table.values[letter].tolist() for letter in "NDL"), strict=True)]


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("t.csv", PLAIN.replace(",", ";")),
        ("t.csv", PLAIN.replace(",", "\t")),
        ("t.csv", PLAIN.replace(",", "|")),
        ("t.tsv", PLAIN),
        ("t.tsv", PLAIN.replace(",", "\t")),
        ("t.csv", PLAIN.replace(",", ", ")),
        ("t.csv", PLAIN.replace(",", " , ").replace("gpt ", "gpt")),
        ("t.csv", PLAIN.replace("gpt", '"gpt"').replace("loss", '"loss"')),
        ("t.csv", PLAIN.replace("\n", "\r\n")),
        ("t.csv", PLAIN.replace("\n", "\r")),
        ("t.csv", "\ufeff" + PLAIN),
        ("t.csv", "\n\n" + PLAIN.replace("\n", "\n\n")),
        ("t.csv", PLAIN.rstrip("\n")),
        ("t.csv", PLAIN.replace("loss", "loss,a|b;c").replace("3.5", "3.5,x").replace("3.25", "3.25,y")),
    ],
)
def test_a_table_is_read_whatever_separates_its_cells_and_lines(tmp_path: Path, name: str, saved: str) -> None:
    file = tmp_path / name
    file.write_bytes(saved.encode())
    assert values(file) == [[1e7, 1e9, 3.5], [2e7, 1e9, 3.25]]


@pytest.mark.parametrize(
    ("name", "saved", "words"),
    [
        ("t.csv", b"", "holds no rows"),
        ("t.csv", b" \n\n  \n", "holds no rows"),
        ("t.tsv", b"", "holds no rows"),
        ("t.csv", b"arch,N,D,loss\n", "holds no rows"),
        ("t.csv", PLAIN.encode("utf-16"), "line 1: is UTF-16, not UTF-8; convert the file: iconv -f UTF-16 -t UTF-8"),
        ("t.csv", PLAIN.encode("utf-16-le"), "line 1: holds NUL bytes"),
        ("t.csv", PLAIN.encode() + b"gpt\xe9,1,2,3\n", "line 4: is no text in UTF-8; save the file as UTF-8"),
        ("t.csv", PLAIN.encode() + b"\0" * 512, "line 4: holds NUL bytes, which no table has"),
        ("t.csv", b"# of May\n" + PLAIN.encode(), "row 1: 4 cells, expected 1 as in the first line"),
        ("t.csv", b"sep=,\n" + PLAIN.encode(), "row 1: 4 cells, expected 2 as in the first line"),
        ("t.csv", PLAIN.encode() + b'"open,1,2,3\ngpt,1,2,3\n', "row 3: 1 cells, expected 4"),
        ("t.csv", PLAIN.replace(",", ";").replace(".", ",").encode(), "got '3,5', expected a number; write it with a"),
        ("t.csv", PLAIN.replace("1e7", '"10,000,000"').encode(), "got '10,000,000', expected a number; write it with"),
        ("t.csv", PLAIN.replace("2e7", "20M").encode(), "row 2: got '20M', expected a number such as 20e6"),
        ("t.csv", PLAIN.replace("2e7", "0.02B").encode(), "row 2: got '0.02B', expected a number such as 0.02e9"),
        ("t.json", b"", "line 1: is no JSON: Expecting value"),
        ("t.json", b'{"N": 1, "loss": 3}', "holds no table, expected a list of objects"),
        ("t.json", b"3", "holds no table, expected a list of objects"),
        ("t.json", b"[" * 100_000, "is nested too deep"),
        ("t.json", '[{"N": 1}]'.encode("utf-16"), "is UTF-16"),
        ("t.jsonl", b"[1, 2]\n", "line 1: is no object of names and values"),
        ("t.jsonl", b'{"N": 1}\n\n{"N": 1\n', "line 3: is no JSON: Expecting ',' delimiter (column "),
        ("t.jsonl", b'{"a":' * 100_000, "line 1: is nested too deep"),
        ("t.parquet", b"", "cannot be read as parquet: "),
        ("t.parquet", b"PAR1" + bytes(100) + b"PAR1", "cannot be read as parquet: "),
    ],
)
def test_a_table_that_is_saved_in_another_way_is_one_line_with_the_place(
    tmp_path: Path, name: str, saved: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(saved)
    with pytest.raises(SpecError) as caught:
        values(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
