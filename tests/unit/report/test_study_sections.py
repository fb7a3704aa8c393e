"""Sections of the studies of Kaplan et al. 2020: what they print, and that no small study breaks them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archbench.cli.finish import report_sections
from archbench.contracts.report import ReportSection, ScanResults
from archbench.host import default_host
from archbench.report.run_tables import study_runs
from archbench.report.words import number
from archbench.results.runs import FinalEvaluation, NoiseMeasurement, RunRecord
from archbench.testing.synthetic_studies import KAPLAN_SPEC, KaplanPlan, PublishedLaws, kaplan_records, study_results

pytestmark = pytest.mark.thorough


def sections() -> list[ReportSection]:
    found = report_sections(default_host())
    return [section for section in found if section.kind.startswith("study_")]


def results_of(records: Sequence[RunRecord]) -> ScanResults:
    studies: Mapping[str, Any] = study_results(records, KAPLAN_SPEC, baseline="gpt2")
    return ScanResults("made up", "", "gpt2", tuple(records), (), (), KAPLAN_SPEC, {}, studies=studies)


def rendered(results: ScanResults, folder: Path) -> dict[str, str | None]:
    return {section.kind: section.render(results, folder / "figures") for section in sections()}


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    runs = kaplan_records(PublishedLaws(), KaplanPlan(noise_std=0.002), seed=1)
    generator = np.random.default_rng(0)
    return [with_noise(run, generator) if run.study == "batches" else run for run in runs]


def with_noise(run: RunRecord, generator: np.random.Generator) -> RunRecord:
    steps = np.unique(np.geomspace(350, run.curve[-1].step, 40).astype(int))
    squared, trace = generator.normal(1.0, 0.2, len(steps)), generator.normal(2e5, 1e4, len(steps))
    measured = tuple(
        NoiseMeasurement(int(step), int(step) * run.batch_tokens, float(g), float(t), 1, 8)
        for step, g, t in zip(steps, squared, trace, strict=True)
    )
    return replace(run, noise_scale=measured)


@pytest.fixture(scope="module")
def texts(records: list[RunRecord], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    return rendered(results_of(records), tmp_path_factory.mktemp("report"))


def test_every_study_has_its_section_with_a_figure(texts: dict[str, str | None]) -> None:
    assert set(texts) == {f"study_{kind}" for kind in ("size", "data", "grid", "isoflop", "batch", "steps")}
    assert all(text is not None and "![" in text for text in texts.values())


def test_laws_are_printed_with_constants_intervals_and_conventions(texts: dict[str, str | None]) -> None:
    grid = texts["study_grid"] or ""
    assert "alpha_D 0.10" in grid
    assert "least squares on residuals of ln L" in grid
    assert "Kaplan et al. 2020, eq 1.5" in grid
    assert "about 5e3·N^0.74" in grid
    assert "the two agree" in (texts["study_steps"] or "")
    assert "within the factor of 3 that was set beforehand" in (texts["study_batch"] or "")
    assert "biased" in (texts["study_isoflop"] or "")


def test_same_results_give_the_same_bytes(records: list[RunRecord], tmp_path: Path) -> None:
    results = results_of([run for run in records if run.study in ("grid", "batches")])
    for folder in ("one", "two"):
        rendered(results, tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one" / "figures").iterdir())
    assert names
    for name in names:
        assert (tmp_path / "one" / "figures" / name).read_bytes() == (tmp_path / "two" / "figures" / name).read_bytes()


@pytest.mark.parametrize("seed", range(12))
def test_studies_of_a_few_runs_are_refused_and_never_fail(records: list[RunRecord], tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    few = [records[index] for index in generator.permutation(len(records))[: int(generator.integers(1, 12))]]
    cut = [replace(run, curve=run.curve[: int(generator.integers(1, len(run.curve) + 1))]) for run in few]
    renamed = [replace(run, contender=str(generator.choice(["gpt2", "reformer"]))) for run in cut]
    for text in rendered(results_of(renamed), tmp_path).values():
        assert text is None or "nan" not in text.replace("contenders", "")


def test_a_batch_scan_that_gives_no_critical_batch_has_its_table_all_the_same(
    records: list[RunRecord], tmp_path: Path
) -> None:
    batches = [replace(run, noise_scale=()) for run in records if run.study == "batches"]
    few = sorted({run.batch_tokens for run in batches})[:2]
    text = rendered(results_of([run for run in batches if run.batch_tokens in few]), tmp_path)["study_batch"]
    assert text is not None
    assert "B_crit, batch scan" in text
    assert "critical_batch" not in text


def test_losses_of_the_curve_stand_beside_each_other_and_that_of_the_final_evaluation_apart(
    records: list[RunRecord],
) -> None:
    plain = [run for run in records if run.study == "isoflop"][:2]
    (bare,) = study_runs(plain)
    assert "final evaluation" not in bare
    measured = replace(plain[0], final=FinalEvaluation((432.1,), (100,), (3,), None))
    (text,) = study_runs([measured, plain[1]])
    header, rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    of_curve = {f"`{run.run_id[:12]}`": number(run.curve[-1].validation_loss_nats, 4) for run in plain}
    found = {row[header.index("run")]: dict(zip(header, row, strict=True)) for row in rows}
    for name, row in found.items():
        assert row["final loss (nats)"] == of_curve[name]
        assert float(row["best loss (nats)"]) <= float(row["final loss (nats)"])
    evaluated = [row["final evaluation (nats)"] for row in found.values()]
    assert sorted(evaluated) == ["-", "4.321"]
    assert rule[header.index("final evaluation (nats)")].endswith(":")


def test_scan_without_studies_has_no_such_section(tmp_path: Path) -> None:
    assert not any(rendered(replace(results_of([]), studies={}), tmp_path).values())
