"""The numbers behind a report: three forms, one content, every column told."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.cli.finish import report_sections
from archbench.contracts.report import Column, DataTable, ScanResults
from archbench.host import default_host
from archbench.report.columns import column, data_table, known_columns
from archbench.report.data_files import write_tables
from archbench.report.plotting import markdown_table
from archbench.report.writer import write_report
from archbench.results.runs import RESULT, FinalEvaluation, RunRecord
from archbench.results.tuning import TRIAL
from archbench.testing.synthetic import SyntheticLaw, synthetic_records
from archbench.testing.synthetic_studies import KAPLAN_SPEC, KaplanPlan, PublishedLaws, kaplan_records, study_results
from archbench.testing.synthetic_transfer import TRANSFER_SECTION, SyntheticTransfer, synthetic_transfer_records
from archbench.testing.synthetic_tuning import synthetic_tuning

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
TABLE = data_table(
    "laws",
    "One law.",
    ("contender", "alpha", "alpha_low", "points_used", "dominated"),
    [
        ("a|b", 0.1, -math.inf, 3, True),
        ("c\nd", None, math.nan, None, None),
        ("é", np.float64(2.5), 1.0, np.int64(4), np.bool_(False)),
    ],
)


def test_all_three_forms_hold_the_same_rows(tmp_path: Path) -> None:
    write_tables(tmp_path, [TABLE])
    with (tmp_path / "laws.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == [one.name for one in TABLE.columns]
    assert rows[0] == ["a|b", "0.1", "-inf", "3", "True"]
    assert rows[1] == ["c\nd", "", "nan", "", ""]
    parquet = pyarrow.parquet.read_table(tmp_path / "laws.parquet")
    assert parquet.to_pylist()[0] == dict(zip(header, ("a|b", 0.1, -math.inf, 3, True), strict=True))
    assert parquet.to_pylist()[2] == dict(zip(header, ("é", 2.5, 1.0, 4, False), strict=True))
    content = json.loads((tmp_path / "laws.json").read_text())
    assert content["rows"] == [["a|b", 0.1, None, 3, True], ["c\nd", None, None, None, None], ["é", 2.5, 1.0, 4, False]]


def test_units_and_meanings_travel_with_the_numbers(tmp_path: Path) -> None:
    write_tables(tmp_path, [data_table("curves", "One evaluation.", ("validation_loss_nats",), [(1.0,)])])
    field = pyarrow.parquet.read_schema(tmp_path / "curves.parquet").field("validation_loss_nats")
    assert field.metadata[b"unit"] == b"nats per token"
    (listed,) = json.loads((tmp_path / "tables.json").read_text())
    assert listed["about"] == "One evaluation."
    assert listed["columns"][0]["unit"] == "nats per token"


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_tables(tmp_path / folder, [TABLE])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_a_strangers_table_of_mixed_cells_is_stored_as_text(tmp_path: Path) -> None:
    columns = (Column("own", "", "of a stranger"),)
    write_tables(tmp_path, [DataTable("own", "A stranger's row.", columns, (("a",), (1,), (None,)))])
    assert pyarrow.parquet.read_table(tmp_path / "own.parquet").column("own").to_pylist() == ["a", "1", None]


SPEC = {"studies": {**KAPLAN_SPEC["studies"], "texts": TRANSFER_SECTION}}
TRANSFER = SyntheticTransfer(
    law={"k": 300.0, "alpha": 0.3, "beta": 0.45},
    sizes=(30_000, 300_000, 3_000_000),
    scratch_tokens=tuple(int(value) for value in np.geomspace(3e4, 1e8, 7)),
    finetune_tokens=tuple(int(value) for value in np.geomspace(3e4, 1e8, 7))[:4],
    seeds=1,
    noise_std=0.003,
    pretraining_tokens=20_000_000,
)


TEXTS = {
    "data": {"corpus_hash": "a" * 64},
    "texts": {"prose": {"corpus_hash": "a" * 64}, "code": {"corpus_hash": "b" * 64}},
}


def evaluated_on_two_texts(run: RunRecord) -> RunRecord:
    """The run with a final evaluation of ten documents, and a loss on another text."""
    own = run.curve[-1].validation_loss_nats
    nats = tuple(100 * own * (0.9 + 0.02 * place) for place in range(10))
    final = FinalEvaluation(nats, (100,) * 10, (1,) * 10, (250,) * 10)
    return replace(run, final=final, other_losses_nats={"b" * 64: own * (0.9 if run.contender == "xl" else 1.0)})


def everything() -> ScanResults:
    """A tuned size scan of two contenders, evaluated on two texts by document, and a study of every kind."""
    law = SyntheticLaw(noise_std=0.003)
    tuned = synthetic_tuning(synthetic_records("gpt2", law), best=9e-3)
    scan = [*(run for run in tuned if run.role == RESULT), *synthetic_records("xl", law, seed=1)]
    scan = [evaluated_on_two_texts(run) for run in scan]
    frontiers, pairs = analyse_scan(scan, baseline="gpt2", options=StudyOptions(num_resamples=100))
    transfer = synthetic_transfer_records(TRANSFER, source="en", target="de", seed=0)
    runs = [
        *kaplan_records(PublishedLaws(), KaplanPlan(noise_std=0.002), seed=1),
        *(replace(run, study="texts") for run in transfer),
    ]
    return ScanResults(
        "all", "", "gpt2", tuple(scan), frontiers, pairs, SPEC, TEXTS,
        studies=study_results(runs, SPEC, baseline="gpt2"),
        study_records=tuple(run for run in runs if run.study in SPEC["studies"]),
        trials=tuple(run for run in tuned if run.role == TRIAL),
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("report")
    write_report(everything(), folder, report_sections(default_host()))
    return json.loads((folder / "data" / "tables.json").read_text())


def test_every_column_of_the_bundled_tables_says_what_it_is(tables: list[dict]) -> None:
    untold = {(table["name"], one["name"]) for table in tables for one in table["columns"] if not one["about"]}
    assert untold == set()


def test_the_documentation_lists_every_column_and_every_table(tables: list[dict]) -> None:
    text = (ROOT / "docs" / "reports.md").read_text()
    rows = [[f"`{one.name}`", one.unit, one.about] for one in known_columns()]
    assert markdown_table(["column", "unit", "what it is"], rows) in text
    missing = [
        table["name"] for table in tables if f"| `{table['name']}` |" not in text and "study_" not in table["name"]
    ]
    assert missing == []


def test_ends_of_intervals_take_the_unit_of_their_value() -> None:
    assert column("effective_tokens_low").unit == "tokens"
    assert column("of_a_plug_in").about == ""
