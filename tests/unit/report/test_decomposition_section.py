"""The report of a decomposition: every step and the whole way, statuses where figures are missing, CSV beside it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from archbench.contracts.report import ScanResults
from archbench.report.data_files import csv_text
from archbench.report.study_tables import study_tables
from archbench.results.runs import RunRecord, RunState
from archbench.studies.decomposition.section import DecompositionSection
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_studies import study_results

LAW = SyntheticLaw(noise_std=0.003)
SPEC = {"decompose": ["gpt2", "dearer", "same"]}


def runs() -> list[RunRecord]:
    dearer = SyntheticScan(exact_flops_per_kaplan=3.0)
    return [
        *synthetic_records("gpt2", LAW),
        *synthetic_records("dearer", LAW, dearer, seed=1),
        *synthetic_records("same", LAW, dearer, seed=2),
    ]


def results_of(records: list[RunRecord]) -> ScanResults:
    studies = study_results(records, SPEC, baseline="gpt2")
    return ScanResults("made up", "", "gpt2", tuple(records), (), (), SPEC, {}, studies=studies)


@pytest.fixture(scope="module")
def results() -> ScanResults:
    return results_of(runs())


@pytest.fixture(scope="module")
def text(results: ScanResults, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report") / "figures"
    found = DecompositionSection().render(results, folder)
    assert found is not None
    assert (folder / "decomposition.svg").stat().st_size > 1000
    return found


def test_every_step_and_the_whole_way_have_a_line(text: str) -> None:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| 1 | gpt2 | dearer |") and "compute multiplier" in line for line in lines)
    assert any(line.startswith("| 2 | dearer | same |") and line.endswith("| nothing |") for line in lines)
    assert any(line.startswith("| all | gpt2 | same |") for line in lines)


def test_the_text_says_at_which_loss_by_which_clock_and_what_the_order_means(text: str, results: ScanResults) -> None:
    assert "the middle half of those that all of them reach" in text
    assert "the time that passed in training steps" in text
    assert "put down to the later one" in text
    assert "- compute multiplier: product 0.6" in text


def test_the_figures_are_in_csv_files(results: ScanResults) -> None:
    tables = {f"{table.name}.csv": csv_text(table) for table in study_tables(results)}
    rows = list(csv.DictReader(tables["study_decompose_effects.csv"].splitlines()))
    assert len(rows) == 3 * (2 * 3 + 1)
    first = next(row for row in rows if row["figure"] == "multiplier" and row["cost_axis"] == "exact")
    assert float(first["effect_low"]) < float(first["effect"]) < float(first["effect_high"])
    assert {row["status"] for row in rows} == {"ok"}
    assert "study_decompose_sums.csv" in tables
    assert len(tables["study_decompose_seconds.csv"].splitlines()) == 1 + 3 * 5


def test_a_contender_without_runs_leaves_its_status_and_the_reason(tmp_path: Path) -> None:
    broken = [replace(one, state=RunState.DIVERGED) if one.contender == "same" else one for one in runs()]
    found = DecompositionSection().render(results_of(broken), tmp_path / "figures")
    assert found is not None
    assert "`invalid_data`" in found
    assert "same have no usable run on this axis" in found
    assert "a step may not be read, so there is no sum" in found


def test_a_scan_that_asks_for_no_steps_has_no_such_section(tmp_path: Path) -> None:
    plain = ScanResults("made up", "", "gpt2", tuple(runs()), (), (), {}, {})
    assert DecompositionSection().render(plain, tmp_path / "figures") is None
