"""What a report draws of runs that are known by their ends alone, as tables of anybody's runs hold them."""

import csv
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan, study_contenders
from archbench.builtins.reports.sections import LearningCurveSection
from archbench.contracts.report import ScanResults
from archbench.report.envelopes import envelope_line
from archbench.report.figures import frontier, learning_curves
from archbench.report.writer import write_report
from archbench.results.runs import CostAxis, RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

FEW = StudyOptions(num_resamples=20)


def finished_runs(num_sizes: int) -> list[RunRecord]:
    """A ladder of which nothing is known but how each run ended, and no FLOPs but 6ND."""
    sizes = tuple(int(size) for size in np.geomspace(1e4, 1e6, num_sizes))
    plan = SyntheticScan(sizes=sizes, seeds=(1,) * num_sizes, exact_flops_per_kaplan=1.0)
    whole = synthetic_records("theirs", SyntheticLaw(noise_std=0.003), plan)
    return [replace(record, curve=record.curve[-1:]) for record in whole]


def contender(records: list[RunRecord]) -> Contender:
    (one,) = study_contenders(records, CostAxis.EXACT, baseline=None, options=FEW)
    return one


def test_labels_of_forty_sizes_do_not_overlap_and_name_both_ends() -> None:
    figure = frontier(contender(finished_runs(40)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    marks = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    assert len(marks) >= 6
    names = [mark.get_text() for mark in marks]
    assert "1: 10k" in names
    assert "40: 1M" in names
    boxes = [mark.get_window_extent(canvas.get_renderer()) for mark in marks]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_the_envelope_of_finished_runs_is_no_staircase_and_goes_through_the_best_of_them() -> None:
    one = contender(finished_runs(6))
    cost, loss = envelope_line(one)
    assert all(later < earlier for earlier, later in pairwise(loss))
    for point in one.result.points:
        at = int(np.argmin(np.abs(np.log(cost / point.cost))))
        np.testing.assert_allclose([cost[at], loss[at]], [point.cost, point.loss_nats], rtol=1e-9)


def test_runs_without_learning_curves_get_no_empty_figure_of_them(tmp_path: Path) -> None:
    records = finished_runs(5)
    frontiers, comparisons = analyse_scan(records, baseline=None, options=FEW)
    results = ScanResults("demo", "", None, tuple(records), frontiers, comparisons, {}, {})
    assert LearningCurveSection().render(results, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_curve_beside_others_with_one_is_a_dot() -> None:
    whole = synthetic_records("ours", SyntheticLaw())
    mixed = [replace(record, curve=record.curve[-1:]) if record.size_index == 0 else record for record in whole]
    lines = learning_curves([contender(mixed)]).axes[0].lines
    dots = [line for line in lines if len(line.get_xdata()) == 1]  # type: ignore[arg-type]  # arrays, in fact
    assert [line.get_marker() for line in dots] == ["."]


@pytest.mark.parametrize(
    ("records", "axes"),
    [
        (finished_runs(5), {"exact", "device_seconds"}),
        (synthetic_records("ours", SyntheticLaw()), {"exact", "kaplan", "device_seconds"}),
    ],
    ids=["6ND stands in for executed FLOPs", "executed FLOPs were counted"],
)
def test_a_report_leaves_out_an_axis_that_says_what_another_says(
    records: list[RunRecord], axes: set[str], tmp_path: Path
) -> None:
    frontiers, comparisons = analyse_scan(records, baseline=None, options=FEW)
    write_report(ScanResults("demo", "", None, tuple(records), frontiers, comparisons, {}, {}), tmp_path, [])
    with (tmp_path / "data" / "laws.csv").open() as rows:
        assert {row["cost_axis"] for row in csv.DictReader(rows)} == axes
