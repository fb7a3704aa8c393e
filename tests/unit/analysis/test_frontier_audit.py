from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.comparison.compare import Conclusion
from archbench.analysis.frontier.audit import AS_FITTED, FrontierAuditRow, audit_frontiers, summarise
from archbench.analysis.frontier.resampled_laws import fit_floors, fit_huber_lines, fit_lines
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LAW = SyntheticLaw(noise_std=0.002)
STEEP = SyntheticLaw(alpha=0.3, beta=0.35, A=40.0, B=200.0, noise_std=0.002)
FEW = 200


def rows_of(records: list[RunRecord], axis: CostAxis = CostAxis.EXACT) -> tuple[FrontierAuditRow, ...]:
    return audit_frontiers(records, axis, baseline="a", num_resamples=FEW)


def row(rows: tuple[FrontierAuditRow, ...], variant: str, name: str) -> FrontierAuditRow:
    return next(one for one in rows if (one.variant, one.contender) == (variant, name))


@pytest.fixture(scope="module")
def clear() -> list[RunRecord]:
    """Two architectures of which the second is far steeper, whatever the convention."""
    return synthetic_records("a", LAW) + synthetic_records("b", STEEP, seed=1)


def test_the_row_as_fitted_is_what_the_study_itself_says(clear: list[RunRecord]) -> None:
    _, comparisons = analyse_scan(clear, baseline="a", options=StudyOptions(num_resamples=FEW, floor="none"))
    stated = next(pair for pair in comparisons if pair.cost_axis is CostAxis.EXACT)
    found = row(rows_of(clear), AS_FITTED, "b").comparison
    assert found is not None
    assert found.alpha_difference == stated.alpha_difference
    assert found.holm_p_value == stated.holm_p_value


def test_a_clear_difference_holds_under_every_readable_convention(clear: list[RunRecord]) -> None:
    (summary,) = summarise(rows_of(clear))
    assert summary.conclusion is Conclusion.STEEPER
    assert summary.changed_by == ()
    assert summary.held == summary.readable >= 7
    assert row(rows_of(clear), "without the largest size", "b").rank == 1


def test_a_conclusion_that_hangs_on_the_cost_axis_names_it() -> None:
    # The same losses, but b executes (N / 10,000)^0.5 times as many FLOPs: flatter on that axis, equal on 6ND.
    base = synthetic_records("a", LAW)
    costly = [
        replace(
            record,
            contender="b",
            curve=tuple(
                replace(point, exact_flops=point.exact_flops * (record.non_embedding_params / 1e4) ** 0.5)
                for point in record.curve
            ),
        )
        for record in base
    ]
    (summary,) = summarise(rows_of([*base, *costly]))
    assert summary.conclusion is Conclusion.FLATTER
    assert set(summary.changed_by) >= {"6ND without embeddings", "6ND with embeddings"}
    assert "without the largest size" not in summary.changed_by


def test_seconds_in_proportion_to_flops_give_the_same_exponent(clear: list[RunRecord]) -> None:
    rows = rows_of(clear)
    for name in "ab":
        fitted, timed = (row(rows, variant, name).result.params["alpha_C"] for variant in (AS_FITTED, "device seconds"))
        assert timed == pytest.approx(fitted, rel=1e-9)  # rounding of one division in each cost


def test_counting_embeddings_moves_small_models_most_and_steepens_the_exponent(clear: list[RunRecord]) -> None:
    # N + 16,640 spans less than N, so that the same fall of the loss is spread over less compute.
    rows = rows_of(clear)
    for name in "ab":
        with_, without = (
            row(rows, f"6ND {words} embeddings", name).result.params["alpha_C"] for words in ("with", "without")
        )
        assert with_ > without


def test_embeddings_that_nobody_counted_leave_that_row_out(clear: list[RunRecord]) -> None:
    unknown = [replace(record, embedding_params=0) for record in clear]
    assert "6ND with embeddings" not in {one.variant for one in rows_of(unknown)}


def test_times_that_were_not_measured_give_rows_that_say_so(clear: list[RunRecord]) -> None:
    untimed = [
        replace(record, curve=tuple(replace(point, device_seconds=None) for point in record.curve)) for record in clear
    ]
    found = row(rows_of(untimed), "device seconds", "b")
    assert found.result.status is FitStatus.TOO_FEW_POINTS
    assert found.same_conclusion is None
    assert "device seconds" in summarise(rows_of(untimed))[0].refused


def test_three_sizes_are_too_few_without_one_of_them() -> None:
    three = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(3, 3, 1))
    found = row(rows_of(synthetic_records("a", LAW, three)), "without the largest size", "a")
    assert found.result.status is FitStatus.TOO_FEW_SIZES
    assert found.rank is None


def floored(scale: float) -> list[RunRecord]:
    """Seven sizes whose ends lie on L = 1.5 + (scale/C)^0.3 exactly."""
    sizes = tuple(int(1e4 * 4**index) for index in range(7))
    return [
        replace(
            record,
            curve=tuple(
                replace(point, validation_loss_nats=1.5 + (scale / point.kaplan_flops) ** 0.3)
                for point in record.curve[-1:]
            ),
        )
        for record in synthetic_records("a", LAW, SyntheticScan(sizes=sizes, seeds=(3, 3, 1, 1, 1, 1, 1)))
    ]


def test_an_identified_floor_is_pinned_ten_percent_to_either_side() -> None:
    rows = rows_of(floored(1e13), CostAxis.KAPLAN)
    free = row(rows, "floor free", "a").result
    assert free.params["alpha_C"] == pytest.approx(0.3, rel=1e-6)
    low, high = (row(rows, f"floor pinned {share}", "a").result for share in ("-10%", "+10%"))
    assert (low.params["E"], high.params["E"]) == pytest.approx((1.35, 1.65), rel=1e-6)
    assert low.params["alpha_C"] < 0.3 < high.params["alpha_C"]


def test_a_floor_pinned_above_the_lowest_loss_is_refused() -> None:
    # The largest size ends at 1.5 + (1e11/9.8e14)^0.3 = 1.56 nats, below 1.65.
    found = row(rows_of(floored(1e11), CostAxis.KAPLAN), "floor pinned +10%", "a").result
    assert found.status is FitStatus.NOT_IDENTIFIABLE
    assert "lies above the lowest loss" in found.reason
    assert found.params == {}


def test_a_floor_that_is_not_identified_shows_its_status_in_place_of_figures(clear: list[RunRecord]) -> None:
    rows = rows_of(clear)
    for variant in ("floor free", "floor pinned -10%"):
        found = row(rows, variant, "a")
        assert found.result.status is FitStatus.NOT_IDENTIFIABLE
        assert found.result.intervals == {}
        assert row(rows, variant, "b").conclusion is Conclusion.REFUSED


def test_without_a_baseline_there_are_exponents_and_no_conclusions(clear: list[RunRecord]) -> None:
    rows = audit_frontiers(clear, CostAxis.EXACT, baseline=None, num_resamples=FEW)
    assert {one.comparison for one in rows} == {None}
    assert summarise(rows) == ()
    assert audit_frontiers([], CostAxis.EXACT, baseline=None) == ()


def test_hubers_line_ignores_the_outlier_that_pulls_least_squares_away() -> None:
    x = np.linspace(0.0, 10.0, 21)
    y = 3.0 - 0.1 * x
    y[-1] += 2.0
    weights = np.ones((1, 21))
    assert fit_lines(x, y[None, :], weights).alpha[0] < 0.08
    # Of 21 points one pulls with weight delta: what remains is of the order of delta.
    assert fit_huber_lines(x, y[None, :], weights, delta=1e-3).alpha[0] == pytest.approx(0.1, abs=1e-3)


def test_hubers_line_is_least_squares_where_no_residual_exceeds_delta() -> None:
    generator = np.random.default_rng(0)
    x = np.linspace(0.0, 10.0, 21)
    y = 3.0 - 0.1 * x + 0.01 * generator.standard_normal((5, 21))
    weights = generator.integers(0, 3, (5, 21)).astype(float)
    laws = fit_huber_lines(x, y, weights, delta=1.0)
    np.testing.assert_allclose(laws.alpha, fit_lines(x, y, weights).alpha, rtol=1e-12)  # sums in another order


@pytest.mark.parametrize("floor", ["free", "pinned"])
def test_refits_with_a_floor_recover_it_in_every_resample_of_exact_data(floor: str) -> None:
    x = np.linspace(20.0, 32.0, 30)
    y = np.log(1.7 + np.exp(8.0 - 0.3 * x))
    weights = np.random.default_rng(1).integers(0, 3, (50, 30)).astype(float)
    start = {"alpha": 0.27, "log_amplitude": 7.3, "floor_nats": 1.7 if floor == "pinned" else 1.65}
    laws = fit_floors(x, np.tile(y, (50, 1)), weights, floor=floor, **start)  # type: ignore[arg-type]
    # The objective stops falling at rounding, which leaves about its square root in the parameters.
    np.testing.assert_allclose(laws.alpha, 0.3, rtol=1e-5)
    np.testing.assert_allclose(laws.floor_nats, 1.7, rtol=1e-5)
