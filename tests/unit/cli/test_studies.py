"""A scan made of studies alone: a report with what they found, a verdict that speaks of them, no leaderboard entry."""

from dataclasses import replace
from pathlib import Path

import pytest

from archbench.cli.finish import finish_scan
from archbench.host import default_host
from archbench.runs.imported import imported_run_id, write_imported
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.testing.synthetic_studies import KAPLAN_SPEC, KaplanPlan, PublishedLaws, kaplan_records

STUDIES = {name: KAPLAN_SPEC["studies"][name] for name in ("data", "grid")}


def test_studies_alone_give_a_report_and_no_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunStore(tmp_path / "runs")
    store.create()
    runs = []
    for record in kaplan_records(PublishedLaws(), KaplanPlan(noise_std=0.002), seed=1):
        if record.study in STUDIES:
            run_id = imported_run_id(record)
            write_imported(store.directory(run_id), replace(record, run_id=run_id))
            runs.append(
                IndexedRun(
                    contender=record.contender,
                    size_index=record.size_index,
                    seed=record.seed,
                    run_id=run_id,
                    study=record.study,
                )
            )
    spec = {"studies": STUDIES}
    index = ScanIndex(name="alone", description="", baseline=None, runs=tuple(runs), spec=spec, environment={})
    results = finish_scan(
        index, store, default_host(), reports_dir=tmp_path / "reports", leaderboard_dir=tmp_path / "leaderboard"
    )
    assert results is not None
    assert results.records == results.frontiers == ()
    assert set(results.studies) == set(STUDIES)
    said = capsys.readouterr().out
    assert "data: L(D) has alpha_D 0." in said
    assert "grid: L(N,D) has alpha_N 0." in said
    assert "leaderboard" not in said
    assert not (tmp_path / "leaderboard").exists()
    assert "L(N,D)" in (tmp_path / "reports" / "alone" / "report.md").read_text()
