from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.back_test import back_test_frontier, last_error
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

FEW = StudyOptions(num_resamples=50, floor="none")


def contender(records: list[RunRecord], options: StudyOptions = FEW) -> Contender:
    return fit_contenders(records, CostAxis.KAPLAN, baseline=None, options=options)[0]


def test_runs_that_end_on_a_power_law_are_predicted_exactly() -> None:
    records = [
        replace(
            record,
            curve=tuple(
                replace(point, validation_loss_nats=(1e17 / point.kaplan_flops) ** 0.08) for point in record.curve[-1:]
            ),
        )
        for record in synthetic_records("a", SyntheticLaw())
    ]
    rows = back_test_frontier(contender(records), floors=("none",))
    assert [row.sizes_fitted for row in rows] == [3, 4]
    assert [row.size_index for row in rows] == [3, 4]
    for row in rows:
        assert row.error == pytest.approx(0.0, abs=1e-9)  # a line through exact points, rounded
        assert row.actual == pytest.approx((1e17 / row.held_out) ** 0.08)


def test_a_size_that_gains_nothing_is_predicted_too_well() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.002), capacity_limit=80_000)
    last = last_error(back_test_frontier(contender(records)))
    assert last is not None
    assert last.size_index == 4
    assert last.error < -0.01


def test_intervals_cover_the_next_size_in_made_up_studies() -> None:
    covered = []
    for seed in range(40):
        records = synthetic_records("a", SyntheticLaw(noise_std=0.005), SyntheticScan(seeds=(1,) * 5), seed=seed)
        covered += [row.covered for row in back_test_frontier(contender(records), floors=("free",), num_resamples=100)]
    judged = [one for one in covered if one is not None]
    assert len(judged) >= 40
    # At nominal 95 %: fewer than 85 % covered of 40 has a probability below 1 %.
    assert np.mean(judged) >= 0.85


def test_an_interval_that_could_cover_anything_is_no_test() -> None:
    scan = SyntheticScan(sizes=(10_000, 20_000, 40_000, 640_000), seeds=(1, 1, 1, 1))
    records = synthetic_records("a", SyntheticLaw(noise_std=0.05), scan)
    (row,) = back_test_frontier(contender(records), floors=("none",))
    assert row.covered is None
    assert row.status is FitStatus.NOT_IDENTIFIABLE
    assert "no test" in row.reason


def test_three_sizes_leave_no_window() -> None:
    three = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(3, 1, 1))
    assert back_test_frontier(contender(synthetic_records("a", SyntheticLaw(), three))) == ()
    assert last_error(()) is None


def test_only_the_windows_with_the_most_sizes_are_kept() -> None:
    sizes = tuple(int(1e4 * 1.3**index) for index in range(12))
    records = synthetic_records("a", SyntheticLaw(), SyntheticScan(sizes=sizes, seeds=(2,) + (1,) * 11))
    assert [row.sizes_fitted for row in back_test_frontier(contender(records), floors=("none",))] == [
        6,
        7,
        8,
        9,
        10,
        11,
    ]
