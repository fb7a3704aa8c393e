"""Runs and figures of studies: listed in the report, and stored as tables with every number behind the figures."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archbench.builtins.reports.run_sections import RunSection
from archbench.contracts.report import ScanResults
from archbench.report.data_files import csv_text
from archbench.report.study_tables import study_curves_table, study_tables
from archbench.report.verdict import details
from archbench.report.writer import write_report
from archbench.results.fits import FitStatus
from archbench.results.runs import RunState
from archbench.studies.subsets.results import DataStudy, GridStudy
from archbench.studies.transfer.results import FINETUNE, TransferResult
from archbench.testing.synthetic_studies import KAPLAN_SPEC, KaplanPlan, PublishedLaws, analysed_studies, kaplan_records
from archbench.testing.synthetic_transfer import TRANSFER_SECTION, SyntheticTransfer, synthetic_transfer_records

SPEC = {
    "studies": {**{name: KAPLAN_SPEC["studies"][name] for name in ("data", "grid")}, "texts": TRANSFER_SECTION},
}
AMOUNTS = tuple(int(value) for value in np.geomspace(3e4, 1e8, 7))
TRANSFER = SyntheticTransfer(
    law={"k": 300.0, "alpha": 0.3, "beta": 0.45},
    sizes=(30_000, 300_000, 3_000_000),
    scratch_tokens=AMOUNTS,
    finetune_tokens=AMOUNTS[:4],
    seeds=1,
    noise_std=0.003,
    pretraining_tokens=20_000_000,
)


@pytest.fixture(scope="module")
def results() -> ScanResults:
    runs = [
        run
        for run in kaplan_records(PublishedLaws(), KaplanPlan(noise_std=0.002), seed=1)
        if run.study in SPEC["studies"]
    ]
    transfer = synthetic_transfer_records(TRANSFER, source="en", target="de", seed=0)
    runs += [replace(run, study="texts") for run in transfer]
    runs.append(replace(runs[0], run_id="f" * 64, curve=(), state=RunState.FAILED, reason="the disk is full"))
    found = analysed_studies(runs, SPEC)
    return ScanResults(
        "alone", "", None, (), (), (), SPEC, {},
        studies={name: one.results for name, one in found.items()},
        study_sentences={name: one.sentences for name, one in found.items()},
        study_records=tuple(runs),
    )  # fmt: skip


def tables_of(results: ScanResults) -> dict[str, str]:
    return {f"{table.name}.csv": csv_text(table) for table in study_tables(results)}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_run_of_a_study_is_listed_with_its_losses_and_the_reason_where_it_failed(
    results: ScanResults, tmp_path: Path
) -> None:
    text = RunSection().render(results, tmp_path)
    assert text is not None
    assert text.startswith("<details>")
    for study in SPEC["studies"]:
        runs = [run for run in results.study_records if run.study == study]
        done = sum(run.usable for run in runs)
        assert f"<summary>Study {study}: {len(runs)} runs, {done} of them done</summary>" in text
    assert text.count("<details>") == text.count("</details>") == len(SPEC["studies"])
    lines = [line for line in text.splitlines() if line.startswith("| gpt2")]
    assert len(lines) == len(results.study_records)
    (failed,) = [line for line in lines if "f" * 12 in line]
    assert failed.endswith("| **left out**: failed, the disk is full |")
    tuned = next(run for run in results.study_records if run.role == "finetune")
    (line,) = [line for line in lines if f"`{tuned.run_id[:12]}`" in line]
    best = min(point.validation_loss_nats for point in tuned.curve)
    assert "| finetune | " in line
    assert "source en" in line
    assert f" {best:.3f} |" in line


def test_the_runs_of_the_size_scan_keep_their_table(results: ScanResults, tmp_path: Path) -> None:
    scanned = replace(results.study_records[0], study="scan")
    before = RunSection().render(replace(results, records=(scanned,), study_records=()), tmp_path)
    with_studies = RunSection().render(replace(results, records=(scanned,)), tmp_path)
    assert before is not None
    assert with_studies is not None
    assert before.startswith("1 run, 1 of them used.")
    assert with_studies.startswith(before + "\n\n<details>")


def test_curves_of_studies_hold_every_evaluation(results: ScanResults) -> None:
    found = rows(csv_text(study_curves_table(results.study_records)))
    assert len(found) == sum(len(run.curve) for run in results.study_records)
    run = results.study_records[3]
    mine = [row for row in found if row["run_id"] == run.run_id]
    assert [float(row["validation_loss_nats"]) for row in mine] == [point.validation_loss_nats for point in run.curve]
    assert {(row["study"], row["role"], row["unique_tokens"]) for row in mine} == {
        (run.study, run.role, str(run.unique_tokens))
    }


def test_cells_and_curves_of_a_transfer_study_are_tables(results: ScanResults) -> None:
    tables = tables_of(results)
    study = results.studies["texts"]
    assert isinstance(study, TransferResult)
    (one,) = study.directions
    cells = rows(tables["study_texts_cells.csv"])
    assert [(float(row["multiplier"]), float(row["multiplier_low"]), row["censored"]) for row in cells] == [
        (cell.multiplier.value, cell.multiplier.low, cell.censored.value) for cell in one.cells
    ]
    assert {(row["study"], row["source"], row["target"]) for row in cells} == {("texts", "en", "de")}
    points = rows(tables["study_texts_scratch_points.csv"])
    assert [(row["size_index"], float(row["monotone_loss_nats"])) for row in points] == [
        (str(curve.size_index), point.monotone_loss_nats) for curve in one.scratch for point in curve.points
    ]
    costs = rows(tables["study_texts_frontiers_points.csv"])
    assert len(costs) == sum(len(frontier.points) for frontier in one.frontiers)


def test_laws_of_studies_have_a_row_for_each_parameter_and_a_refused_one_its_reason(results: ScanResults) -> None:
    (data,) = results.studies["data"]  # type: ignore[misc]  # a study of one contender
    assert isinstance(data, DataStudy)
    assert data.law.status is FitStatus.OK
    refused = replace(data.law, status=FitStatus.BOUND_HIT, reason="at its bound", params={}, intervals={})
    studies = {"data": (replace(data, law_with_floor=refused),)}
    *read, last = rows(tables_of(replace(results, studies=studies))["study_laws.csv"])
    assert (last["law"], last["status"], last["reason"]) == ("law_with_floor", "bound_hit", "at its bound")
    assert last["parameter"] == last["value"] == ""
    assert {row["parameter"]: float(row["value"]) for row in read} == dict(data.law.params)


def test_the_figures_of_a_grid_are_in_its_points_and_its_summary(results: ScanResults) -> None:
    (grid,) = results.studies["grid"]  # type: ignore[misc]  # a study of one contender
    assert isinstance(grid, GridStudy)
    tables = tables_of(results)
    assert [float(row["loss_nats"]) for row in rows(tables["study_grid_points.csv"])] == [
        point.loss_nats for point in grid.points
    ]
    (summary,) = rows(tables["study_grid_summary.csv"])
    assert grid.overfitting_exponent is not None
    assert float(summary["overfitting_exponent_low"]) == grid.overfitting_exponent.low


def test_a_report_of_studies_alone_links_their_tables_and_no_empty_ones(results: ScanResults, tmp_path: Path) -> None:
    text = write_report(results, tmp_path, [RunSection()]).read_text()
    stored = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert all(f"(data/{name})" in text for name in stored)
    assert "study_curves.csv" in stored
    assert "curves.csv" not in stored
    assert all(len((tmp_path / "data" / name).read_text().splitlines()) > 1 for name in stored if name[-4:] == ".csv")


def test_a_result_of_a_plug_in_that_is_no_dataclass_costs_nothing(results: ScanResults) -> None:
    assert study_tables(replace(results, studies={"own": {"a": 1}})) == ()


def test_the_verdict_names_a_study_none_of_whose_runs_has_finished(results: ScanResults) -> None:
    begun = {name: study for name, study in results.studies.items() if name != "grid"}
    words = "\n".join(details(replace(results, studies=begun)))
    assert "Study grid: no run has finished that it could speak of." in words
    assert "gpt2, data: L(D) has alpha_D" in words


def test_a_transfer_study_without_a_fine_tuned_run_says_so(results: ScanResults) -> None:
    runs = [run for run in results.study_records if run.study == "texts" and run.role != FINETUNE]
    (said,) = analysed_studies(runs, SPEC)["texts"].sentences
    assert said == "Study texts: no direction has a fine-tuned run that finished."
