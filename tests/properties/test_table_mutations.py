"""Whatever is done to a table of runs, the answer is runs, named rows, or one line that names the file.

ARCHBENCH_MUTATIONS says how many mutants are tried; a hundred of each kind in everyday tests.
"""

import os
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.tables.files import read_table
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.read import run_tables
from archbench.analysis.tables.records import ImportSettings, records_of
from archbench.analysis.tables.run_table import Columns, RunTable
from archbench.cli.main import exit_code_of
from archbench.errors import ArchbenchError, SpecError
from archbench.runs.imported import imported_run_id

NUM_MUTANTS = int(os.environ.get("ARCHBENCH_MUTATIONS", "120"))
STRANGE: tuple[Any, ...] = (
    "", " ", "nan", "inf", "-inf", "0", "-1", "1e400", "1e300", "1e-300", "0.19", "7.6", "x", "1,000", "None", "true",
    "2026-01-02", "1e4", "[1]", "é" * 50, "9" * 400, "1_000", "0x10", "\"", "'", ",", "\t", "12%",
)  # fmt: skip
COLUMNS = (
    Columns(loss="loss", params="N", tokens="D", arch="arch"),
    Columns(loss="loss", params="N", tokens="D", compute="C", arch="arch", seed="seed"),
    Columns(loss="loss", params="N", tokens="D", arch="arch", seed="seed", step="step"),
    Columns(loss="loss", params="N", tokens="D", arch="arch", run="run", step="step", seconds="hours"),
)
TREATMENTS = (
    Treatment(),
    Treatment(best_of=("lr",)),
    Treatment(loss_unit="ppl", scale={"params": 1e9}),
    Treatment(loss_unit="bpb", log10=frozenset({"tokens"})),
)
SETTINGS = ImportSettings("t.csv", "causal", "total", None)


def sound() -> pd.DataFrame:
    """Curves of two architectures, three sizes, two seeds, two points each."""
    rows = [
        {"arch": arch, "N": N, "D": step * 1e6, "C": 6e6 * N * step, "seed": seed, "step": step, "lr": 1e-3,
         "run": f"{arch}-{N:g}-{seed}", "hours": step / 100,
         "loss": float(Chinchilla().predict({"A": 482.0, "B": 2085.0, "E": 1.8, "alpha": 0.35, "beta": 0.37},
                                            N=N, D=step * 1e6)[0]) + 0.01 * seed}
        for arch in ("gpt", "mamba") for N in (1e7, 1e8, 1e9) for seed in (0, 1) for step in (500, 1000)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def mutate(text: str, draw: random.Random) -> str:
    """`text` of a CSV with cells replaced, rows doubled, dropped, moved or cut, headers renamed."""
    lines = [line.split(",") for line in text.splitlines()]
    for _ in range(draw.randint(1, 6)):
        row = draw.randrange(len(lines))
        match draw.randrange(6):
            case 0 | 1:
                lines[row][draw.randrange(len(lines[row]))] = draw.choice(STRANGE)
            case 2:
                lines.insert(draw.randrange(1, len(lines) + 1), list(lines[row]))
            case 3 if len(lines) > 2:
                del lines[row]
            case 4:
                column = draw.randrange(len(lines[0]))
                for line in lines[1:]:
                    if column < len(line):
                        line[column] = draw.choice(STRANGE)
            case _:
                lines[row] = lines[row][: draw.randrange(1, len(lines[row]) + 1)] + ["7"] * draw.randrange(2)
    return "\n".join(",".join(line) for line in lines) + "\n"


def take_in(file: Path, columns: Columns, treatment: Treatment) -> list[RunTable]:
    """What `fit` and `import` do with a table before anything is fitted."""
    tables = run_tables(read_table(file), columns, source=str(file), treatment=treatment)
    for table in tables:
        if len(table):
            for record in records_of(table, SETTINGS):
                imported_run_id(record)
    return tables


def test_every_mutated_table_gives_runs_or_one_line_that_names_it(tmp_path: Path) -> None:
    text, file = sound().to_csv(index=False), tmp_path / "t.csv"
    entered, refused = 0, []
    for number in range(NUM_MUTANTS):
        draw = random.Random(number)
        file.write_text(mutate(text, draw))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                tables = take_in(file, draw.choice(COLUMNS), draw.choice(TREATMENTS))
        except ArchbenchError as error:
            refused.append(str(error))
            continue
        entered += 1
        for table in tables:
            assert table.gate.lines()
            for letter in ("N", "D", "L"):
                assert np.isfinite(table.values[letter]).all()
                assert (table.values[letter] > 0).all()
    assert [line for line in refused if "t.csv" not in line or "\n" in line] == []
    # Some mutants are harmless, some only cost a row; a gate that refused all would pass otherwise.
    assert entered > NUM_MUTANTS // 20


def saved(text: str, draw: random.Random) -> bytes:
    """`text` as one of many programs would save it, perhaps cut off."""
    text = text.replace(",", draw.choice(",,,;\t|"))
    text = draw.choice(("", "", "", "\ufeff", "\n", "# by hand\n")) + text
    if draw.randrange(8) == 0:
        text = text.replace(".", ",")
    text = text.replace("\n", draw.choice(("\n", "\n", "\r\n", "\r", "\n\n")))
    encoded = text.encode(draw.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace")
    if draw.randrange(8) == 0:
        encoded = encoded[: draw.randrange(len(encoded))]
    return encoded + draw.choice((b"", b"", b"", b"\0" * 9, b"\xff"))


def test_import_of_every_mutated_table_ends_in_runs_or_one_line_and_writes_nothing_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, file = sound().head(8).to_csv(index=False), tmp_path / "t.csv"
    where = ["--param-convention", "total", "--track", "causal", "--runs", str(tmp_path / "runs"), "--replace"]
    named = ["--loss", "loss", "--params", "N", "--tokens", "D", "--arch", "arch"]
    ways = ([], ["--seed", "seed", "--step", "step"], ["--run", "run", "--step", "step"], ["--best-of", "lr"],
            ["--from", "table", "--set", "params=1e6"], ["--batch-tokens", "1000", "--step", "step"])  # fmt: skip
    ends = []
    for number in range(NUM_MUTANTS):
        draw = random.Random(number)
        file.write_bytes(saved(mutate(text, draw) if draw.randrange(4) else text, draw))
        ends.append(exit_code_of(["import", str(file), *named, *draw.choice(ways), *where], debug=False))
        told = capsys.readouterr().err
        assert ends[-1] in (0, 2), told
        if ends[-1] == 2:
            assert told.splitlines()[-1].startswith(("archbench: t.csv: ", f"archbench: {file}: ")), told
        assert {path.name for path in tmp_path.iterdir()} <= {"t.csv", "runs"}
    assert NUM_MUTANTS // 20 < ends.count(0) < NUM_MUTANTS - NUM_MUTANTS // 20


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1e7, 1e8, 1e9, 0.0, float("nan"), -1.0]),
            st.sampled_from([1e9, 1e10, 1e11, float("inf"), float("nan")]),
            st.floats(min_value=0.5, max_value=30) | st.sampled_from([float("nan"), 1e4, -3.0]),
            st.sampled_from([0.0, 1.0, float("nan")]),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_every_row_is_used_or_named_once(rows: list[tuple[float, float, float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["N", "D", "loss", "seed"]).assign(arch="a")
    columns = Columns(loss="loss", params="N", tokens="D", arch="arch", seed="seed")
    try:
        (table,) = run_tables(frame, columns, source="t.csv")
    except SpecError:
        return  # no row of any architecture with a seed, or another unit: said in a line, which other tests read
    assert table.rows is not None
    named = [row for one in table.gate.left_out for row in one.rows]
    assert sorted([*named, *table.rows.tolist()]) == list(range(1, len(frame) + 1))
    assert (table.gate.rows_read, table.gate.rows_used) == (len(frame), len(table))


@pytest.mark.parametrize("order", range(4))
def test_the_order_of_finished_rows_changes_no_row_that_enters(order: int) -> None:
    frame = sound().query("step == 1000").reset_index(drop=True)
    frame.loc[[1, 5], "loss"] = [1e4, np.nan]
    shuffled = frame.sample(frac=1, random_state=order)
    columns = Columns(loss="loss", params="N", tokens="D", arch="arch", seed="seed")

    def kept(given: pd.DataFrame) -> list[float]:
        found = run_tables(given.reset_index(drop=True), columns, source="t.csv")
        return sorted(loss for table in found for loss in table.values["L"].tolist())

    assert kept(shuffled) == kept(frame)
