from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.analysis.frontier.curves import log_spaced, mean_curves
from archbench.analysis.frontier.envelope import lower_envelope
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.leadership import leaderships
from archbench.analysis.frontier.noise import estimate_noise
from archbench.analysis.frontier.resampled_laws import PowerLaws, fit_lines, loss_band
from archbench.analysis.frontier.resamples import CurveStack, Draws, no_draw
from archbench.results.fits import PointKind
from archbench.results.runs import CostAxis, RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

ONE_SEED = SyntheticScan(seeds=(1, 1, 1, 1, 1))


def frontiers_of(records: list[RunRecord]) -> CurveStack:
    return CurveStack.of(mean_curves(records[0].contender, records, CostAxis.KAPLAN))


def test_points_inside_warm_up_are_left_out_and_counted() -> None:
    records = synthetic_records("a", SyntheticLaw(), ONE_SEED)
    curves = mean_curves("a", records, CostAxis.KAPLAN)
    inside = sum(point.in_warmup for record in records for point in record.curve)
    assert curves.left_out["inside warm-up"] == inside > 0
    assert min(curve.tokens[0] for curve in curves.curves) > 50 * 4096


def test_seeds_of_a_size_enter_by_their_mean_and_not_by_their_minimum() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.1), SyntheticScan(sizes=(10_000,), seeds=(3,)))
    (curve,) = mean_curves("a", records, CostAxis.KAPLAN).curves
    finals = [record.curve[-1].validation_loss_nats for record in records]
    assert curve.loss_nats[-1] == pytest.approx(np.mean(finals), rel=1e-12)
    assert curve.final_losses_nats.tolist() == finals


def test_diverged_and_failed_runs_enter_no_frontier() -> None:
    good = synthetic_records("a", SyntheticLaw(), ONE_SEED)
    spoiled = replace(good[0], seed=9, state=RunState.DIVERGED, curve=good[4].curve)
    assert mean_curves("a", [*good, spoiled], CostAxis.KAPLAN).curves[0].num_runs == 1


def test_a_cost_that_was_not_measured_leaves_the_axis_empty() -> None:
    records = [
        replace(record, curve=tuple(replace(point, device_seconds=None) for point in record.curve))
        for record in synthetic_records("a", SyntheticLaw(), ONE_SEED)
    ]
    assert mean_curves("a", records, CostAxis.DEVICE_SECONDS).curves == ()
    assert len(mean_curves("a", records, CostAxis.EXACT).curves) == 5


def test_a_point_in_mid_schedule_says_so() -> None:
    points = frontier_points(frontiers_of(synthetic_records("a", SyntheticLaw(), ONE_SEED)))
    assert points[-1].kind is PointKind.FINISHED
    assert {point.kind for point in points[:5]} == {PointKind.MID_SCHEDULE}


def test_frontier_points_of_many_resamples_agree_with_the_envelope_of_the_curves() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01), seed=3)
    frontiers = frontiers_of(records)
    pairs = [(np.log(curve.cost), np.log(curve.loss_nats)) for curve in frontiers.curves]
    envelope = lower_envelope(pairs)
    # On the envelope, and below all that their own curve had before.
    expected = [
        bool(loss <= envelope.value(np.array([cost]))[0] + 1e-12 and (y[:place] > loss).all())
        for x, y in pairs
        for place, (cost, loss) in enumerate(zip(x, y, strict=True))
    ]
    assert (frontiers.weights(no_draw(5))[0] > 0).tolist() == expected


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_shifting_curves_in_a_resample_is_the_same_as_measuring_them_shifted(seed: int) -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01), ONE_SEED, seed=seed)
    shift = 0.02 * np.random.default_rng(seed).standard_normal(5)
    moved = [
        replace(
            record,
            curve=tuple(
                replace(point, validation_loss_nats=point.validation_loss_nats * float(np.exp(by)))
                for point in record.curve
            ),
        )
        for record, by in zip(records, shift, strict=True)
    ]
    resampled = frontiers_of(records).weights(Draws(shift[None, :], np.ones((1, 5)), "given"))
    assert (resampled == frontiers_of(moved).weights(no_draw(5))).all()


def test_the_order_of_records_changes_nothing() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01), seed=5)
    assert frontier_points(frontiers_of(records)) == frontier_points(frontiers_of(records[::-1]))


def test_every_size_leads_in_turn_where_each_larger_one_pays_off() -> None:
    records = synthetic_records("a", SyntheticLaw(), ONE_SEED)
    curves = mean_curves("a", records, CostAxis.KAPLAN)
    sizes = leaderships(curves, CurveStack.of(curves), None)
    assert not any(size.dominated for size in sizes)
    starts = [size.lead_from_cost for size in sizes]
    assert starts == sorted(starts)  # type: ignore[type-var]


def test_sizes_beyond_the_capacity_are_dominated_and_the_reason_names_the_better_one() -> None:
    records = synthetic_records("a", SyntheticLaw(), ONE_SEED, capacity_limit=40_000)
    curves = mean_curves("a", records, CostAxis.KAPLAN)
    sizes = leaderships(curves, CurveStack.of(curves), None)
    assert [size.dominated for size in sizes] == [False, False, False, True, True]
    assert "size 3 (N 40k)" in sizes[3].reason
    assert "50 % of its cost" in sizes[3].reason  # half as many parameters, the same tokens, the same loss
    assert "too few tokens do not explain" in sizes[3].reason


def test_a_size_with_too_few_tokens_is_told_so() -> None:
    law = SyntheticLaw(A=12.0, alpha=0.15, B=3000.0, beta=0.5)
    records = synthetic_records("a", law, ONE_SEED)
    short = SyntheticScan(seeds=(1, 1, 1, 1, 1), tokens=400_000)
    records = records[:4] + synthetic_records("a", law, short)[4:]
    curves = mean_curves("a", records, CostAxis.KAPLAN)
    last = leaderships(curves, CurveStack.of(curves), None)[-1]
    assert last.dominated
    assert "too few tokens for its size" in last.reason


def test_a_size_is_dominated_only_by_what_is_better_beyond_the_noise() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.3), seed=2)
    curves = mean_curves("a", records, CostAxis.KAPLAN)
    noise = estimate_noise(curves.curves)
    assert noise is not None
    with_noise = leaderships(curves, CurveStack.of(curves), noise)
    without = leaderships(curves, CurveStack.of(curves), None)
    assert sum(size.dominated for size in with_noise) < sum(size.dominated for size in without)


def test_lines_are_fitted_exactly_where_the_points_lie_on_one() -> None:
    x = np.linspace(10, 30, 12)
    y = np.stack([3 - 0.05 * x, 4 - 0.1 * x])
    weights = np.ones((2, 12))
    weights[:, :4] = [[0.0], [2.0]]
    laws = fit_lines(x, y, weights)
    np.testing.assert_allclose(laws.alpha, [0.05, 0.1], rtol=1e-12)
    np.testing.assert_allclose(laws.log_amplitude, [3, 4], rtol=1e-12)


def test_long_curves_keep_points_even_in_the_logarithm_of_cost_and_their_last() -> None:
    cost = np.arange(1.0, 10_001.0)
    chosen = log_spaced(cost, 9)
    # Half a decade each, from 1 to 10,000; a wanted cost between two measured ones is the dearer of them.
    dearer = cost[chosen] - 10.0 ** np.arange(0.0, 4.5, 0.5)
    assert dearer.min() > -1e-9
    assert dearer.max() < 1.0 + 1e-9
    assert chosen[-1] == len(cost) - 1
    assert log_spaced(cost[:9], 9).tolist() == list(range(9))


def test_band_of_a_law_is_that_of_its_resamples_in_nats() -> None:
    alpha = np.linspace(0.1, 0.2, 1001)
    laws = PowerLaws(alpha, np.zeros(1001), np.zeros(1001))
    band = loss_band(laws, np.array([0.0, 10.0]))
    assert band is not None
    low, high = band
    assert (low[0], high[0]) == (1.0, 1.0)
    assert (low[1], high[1]) == pytest.approx((np.exp(-1.975), np.exp(-1.025)))
    unknown = PowerLaws(np.full(5, np.nan), np.zeros(5), np.zeros(5))
    assert loss_band(unknown, np.array([1.0])) is None
    assert loss_band(None, np.array([1.0])) is None
