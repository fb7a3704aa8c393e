from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.results.fits import Comparison, FitStatus, FrontierResult
from archbench.results.runs import CostAxis, RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

FEW = StudyOptions(num_resamples=300)


def power_law_records(name: str, alpha: float, scale: float, *, noise: float = 0.0, seed: int = 0) -> list[RunRecord]:
    """Runs whose envelope is L = (scale/C)^alpha exactly: each size touches it at one cost, where its curve ends."""
    generator = np.random.default_rng(seed)
    records = synthetic_records(name, SyntheticLaw(), SyntheticScan(), seed=seed)
    moved = []
    for record in records:
        shift = float(np.exp(noise * generator.standard_normal()))
        end = record.curve[-1].kaplan_flops
        curve = tuple(
            replace(
                point,
                validation_loss_nats=shift
                * (scale / max(point.kaplan_flops, 1.0)) ** alpha
                * (1 + 0.05 * np.log(end / max(point.kaplan_flops, 1.0)) ** 2),
            )
            for point in record.curve
        )
        moved.append(replace(record, curve=curve))
    return moved


def on(axis: CostAxis, results: tuple[FrontierResult, ...], name: str) -> FrontierResult:
    return next(one for one in results if one.cost_axis is axis and one.contender == name)


def pair(axis: CostAxis, comparisons: tuple[Comparison, ...], name: str) -> Comparison:
    return next(one for one in comparisons if one.cost_axis is axis and one.contender == name)


def test_a_noise_free_power_law_is_recovered_from_finished_points() -> None:
    records = power_law_records("a", 0.08, 1e17)
    frontiers, _ = analyse_scan(records, baseline=None, options=StudyOptions(num_resamples=100))
    law = on(CostAxis.KAPLAN, frontiers, "a").law
    assert law.status is FitStatus.OK
    assert law.params["alpha_C"] == pytest.approx(0.08, rel=1e-6)
    assert law.params["C_c"] == pytest.approx(1e17, rel=1e-4)  # the scale is extrapolated far beyond the data


def test_a_law_with_a_floor_that_was_not_asked_for_is_none() -> None:
    options = StudyOptions(num_resamples=50, floor="none")
    frontiers, _ = analyse_scan(power_law_records("a", 0.08, 1e17, noise=0.003), baseline=None, options=options)
    assert [one.law_with_floor for one in frontiers] == [None] * len(frontiers)
    assert [one.laws_of_finished_runs for one in frontiers] == [(one.law,) for one in frontiers]


def test_the_interval_covers_the_exponent_of_the_law_that_made_the_runs() -> None:
    frontiers, _ = analyse_scan(power_law_records("a", 0.08, 1e17, noise=0.003), baseline=None, options=FEW)
    truth, _ = analyse_scan(power_law_records("a", 0.08, 1e17), baseline=None, options=FEW)
    found = on(CostAxis.KAPLAN, frontiers, "a").law.intervals["alpha_C"]
    assert found.covers(on(CostAxis.KAPLAN, truth, "a").law.params["alpha_C"])
    assert 0 < found.high - found.low < 0.02


def test_an_architecture_that_needs_twice_the_compute_is_found_to() -> None:
    # Twice the exact FLOPs for the same losses: the multiplier is one half on that axis and 1 on the other.
    base = synthetic_records("a", SyntheticLaw(noise_std=0.003), seed=1)
    twice = synthetic_records("b", SyntheticLaw(noise_std=0.003), SyntheticScan(exact_flops_per_kaplan=4.0), seed=2)
    _, comparisons = analyse_scan([*base, *twice], baseline="a", options=FEW)
    for axis, expected in ((CostAxis.EXACT, 0.5), (CostAxis.KAPLAN, 1.0), (CostAxis.DEVICE_SECONDS, 0.5)):
        inside = [point for point in pair(axis, comparisons, "b").multipliers if not point.extrapolated]
        assert len(inside) >= 10
        assert sum(point.multiplier.covers(expected) for point in inside) >= 0.8 * len(inside)


def test_the_90_percent_interval_lies_inside_the_95_percent_interval() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01)) + synthetic_records(
        "b", SyntheticLaw(A=13, noise_std=0.01), seed=1
    )
    _, comparisons = analyse_scan(records, baseline="a", options=FEW)
    for point in comparisons[0].multipliers:
        assert point.multiplier.low <= point.interval_90.low <= point.interval_90.high <= point.multiplier.high


def test_multipliers_are_given_over_the_losses_that_both_reach() -> None:
    records = synthetic_records("a", SyntheticLaw()) + synthetic_records("b", SyntheticLaw(A=14))
    _, comparisons = analyse_scan(records, baseline="a", options=FEW)
    ends = {
        name: [run.curve[-1].validation_loss_nats for run in records if run.contender == name] for name in ("a", "b")
    }
    points = comparisons[0].multipliers
    assert points
    assert not any(point.extrapolated for point in points)
    # The ends of the range are the law's at the cheapest and the dearest run, a rounding away from theirs.
    assert points[0].loss_nats == pytest.approx(min(max(losses) for losses in ends.values()), rel=1e-3)
    assert points[-1].loss_nats == pytest.approx(max(min(losses) for losses in ends.values()), rel=1e-3)


def test_the_same_runs_under_two_names_differ_in_nothing() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01))
    again = [replace(record, contender="b") for record in records]
    _, comparisons = analyse_scan([*records, *again], baseline="a", options=FEW)
    for comparison in comparisons:
        assert comparison.alpha_difference is not None
        assert comparison.alpha_difference.value == 0
        assert comparison.alpha_difference.covers(0)
        assert comparison.within_margin
        assert all(point.multiplier.value == pytest.approx(1) for point in comparison.multipliers)
        assert comparison.p_value is not None
        assert comparison.p_value > 0.05


def test_a_steeper_architecture_is_found_steeper_and_the_crossover_is_where_the_laws_meet() -> None:
    # (1e17/C)^0.08 and (c/C)^0.12 meet at C = 1e12 for ln c = ln 1e12 + (0.08/0.12)·ln 1e5.
    crossing = 1e12
    scale = crossing * (1e17 / crossing) ** (0.08 / 0.12)
    records = power_law_records("a", 0.08, 1e17, noise=0.001) + power_law_records("b", 0.12, scale, noise=0.001, seed=1)
    options = StudyOptions(num_resamples=300)
    _, comparisons = analyse_scan(records, baseline="a", options=options)
    found = pair(CostAxis.KAPLAN, comparisons, "b")
    assert found.alpha_difference is not None
    assert found.alpha_difference.covers(0.04)
    assert found.alpha_difference.low > 0
    assert found.within_margin is False
    assert found.holm_p_value is not None
    assert found.holm_p_value < 0.05
    assert found.crossover_cost is not None
    assert found.crossover_cost.covers(crossing)


def test_parallel_laws_have_no_crossover_within_ten_times_of_the_data() -> None:
    records = power_law_records("a", 0.08, 1e17) + power_law_records("b", 0.0800001, 3e17)
    _, comparisons = analyse_scan(records, baseline="a", options=StudyOptions(num_resamples=100))
    found = pair(CostAxis.KAPLAN, comparisons, "b")
    assert found.crossover_cost is None
    assert found.crossover_note == "none within 10x of the data"


def test_across_tracks_only_exponents_are_compared() -> None:
    records = synthetic_records("a", SyntheticLaw()) + synthetic_records("b", SyntheticLaw(), track="masked")
    _, comparisons = analyse_scan(records, baseline="a", options=FEW)
    assert not comparisons[0].comparable_loss
    assert comparisons[0].alpha_difference is not None
    assert comparisons[0].multipliers == ()
    assert comparisons[0].crossover_cost is None


def test_two_sizes_are_refused_with_a_status_and_no_exponent() -> None:
    two = SyntheticScan(sizes=(10_000, 20_000), seeds=(3, 3))
    records = synthetic_records("a", SyntheticLaw(), two) + synthetic_records("b", SyntheticLaw())
    frontiers, comparisons = analyse_scan(records, baseline="a", options=FEW)
    law = on(CostAxis.KAPLAN, frontiers, "a").law
    assert law.status is FitStatus.TOO_FEW_SIZES
    assert law.params == {}
    assert comparisons[0].alpha_difference is None
    assert comparisons[0].form == "hull of finished runs"
    assert any("fewer than three sizes of a" in note for note in comparisons[0].notes)


def test_no_usable_run_gives_no_frontier_and_no_error() -> None:
    records = [replace(record, state=RunState.FAILED, curve=()) for record in synthetic_records("a", SyntheticLaw())]
    assert analyse_scan(records, baseline="a") == ((), ())
    assert analyse_scan([], baseline=None) == ((), ())


def test_a_tiered_scan_is_flagged_and_an_untiered_one_is_not() -> None:
    law = SyntheticLaw(noise_std=0.003)
    records = synthetic_records("flat", law, seed=1, capacity_limit=40_000) + synthetic_records("fine", law, seed=2)
    frontiers, _ = analyse_scan(records, baseline="fine", options=FEW)
    flat, fine = on(CostAxis.EXACT, frontiers, "flat"), on(CostAxis.EXACT, frontiers, "fine")
    assert flat.tiered
    assert flat.tiers[-1].size_indices == (2, 3, 4)
    assert not fine.tiered


def test_one_seed_at_each_size_is_said_and_the_scatter_about_the_law_gives_the_interval() -> None:
    scan = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01), scan)
    frontiers, _ = analyse_scan(records, baseline=None, options=FEW)
    assert frontiers[0].noise_std_nats is None
    assert any("noise" in warning for warning in frontiers[0].warnings)
    found = frontiers[0].law.intervals["alpha_C"]
    assert found.low < found.value < found.high
    assert "lack of fit" in found.method


def test_a_contender_without_seeds_borrows_the_noise_of_its_track() -> None:
    law = SyntheticLaw(noise_std=0.01)
    records = synthetic_records("a", law) + synthetic_records("b", law, SyntheticScan(seeds=(1, 1, 1, 1, 1)), seed=1)
    frontiers, _ = analyse_scan(records, baseline="a", options=FEW)
    assert on(CostAxis.EXACT, frontiers, "b").noise_std_nats == on(CostAxis.EXACT, frontiers, "a").noise_std_nats


def test_the_same_seed_gives_the_same_intervals_and_another_one_others() -> None:
    records = synthetic_records("a", SyntheticLaw(noise_std=0.01))
    one, again, other = (analyse_scan(records, baseline=None, seed=seed, options=FEW)[0] for seed in (0, 0, 1))
    assert one == again
    assert one[0].law.intervals != other[0].law.intervals


def test_holms_correction_runs_over_the_comparisons_with_the_baseline() -> None:
    law = SyntheticLaw(noise_std=0.005)
    records = [record for i, name in enumerate("abcd") for record in synthetic_records(name, law, seed=i)]
    _, comparisons = analyse_scan(records, baseline="b", options=FEW)
    kaplan = [one for one in comparisons if one.cost_axis is CostAxis.KAPLAN]
    assert [(one.baseline, one.contender) for one in kaplan] == [("b", "a"), ("b", "c"), ("b", "d")]
    least = min(kaplan, key=lambda one: one.p_value or 1)
    assert least.holm_p_value == pytest.approx(min(1.0, 3 * (least.p_value or 1)))


def test_every_pair_is_compared_where_there_is_no_baseline() -> None:
    records = [record for i, name in enumerate("abcd") for record in synthetic_records(name, SyntheticLaw(), seed=i)]
    _, comparisons = analyse_scan(records, baseline=None, options=FEW)
    assert len([one for one in comparisons if one.cost_axis is CostAxis.KAPLAN]) == 6


def test_a_pair_says_the_same_whoever_else_is_in_the_scan() -> None:
    law = SyntheticLaw(noise_std=0.005)
    pair_only = synthetic_records("a", law) + synthetic_records("b", replace(law, A=13), seed=1)
    more = [*pair_only, *synthetic_records("c", replace(law, A=20), seed=2)]
    frontiers, alone = analyse_scan(pair_only, baseline="a", options=FEW)
    wider, among = analyse_scan(more, baseline="a", options=FEW)
    found, same = pair(CostAxis.EXACT, alone, "b").headline, pair(CostAxis.EXACT, among, "b").headline
    assert found is not None
    assert same is not None
    assert (found.multiplier, found.p_value) == (same.multiplier, same.p_value)
    for name in "ab":
        assert on(CostAxis.EXACT, frontiers, name).law == on(CostAxis.EXACT, wider, name).law


def test_intervals_hold_lack_of_fit_and_not_seed_noise_alone() -> None:
    """Seeds agree to 1e-4, the sizes lie 1 % off the law: the interval is as wide as the misfit makes it."""
    off = (1.01, 0.99, 1.01, 0.99, 1.01)
    records = [
        replace(
            record,
            curve=tuple(
                replace(point, validation_loss_nats=point.validation_loss_nats * off[record.size_index])
                for point in record.curve
            ),
        )
        for record in synthetic_records("a", SyntheticLaw(noise_std=1e-4), SyntheticScan(seeds=(3, 3, 3, 3, 3)))
    ]
    frontiers, _ = analyse_scan(records, baseline=None, options=FEW)
    found = on(CostAxis.KAPLAN, frontiers, "a").law.intervals["alpha_C"]
    # Least squares of five points 1 % off over ln 16^... of cost: a standard error of about 0.004, times Student's 3.2.
    assert found.high - found.low > 0.01


def test_three_sizes_of_one_seed_tell_little_and_say_so() -> None:
    three = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(1, 1, 1))
    law = SyntheticLaw(noise_std=0.01)
    records = synthetic_records("a", law, three) + synthetic_records("b", replace(law, A=12.2), three, seed=1)
    _, comparisons = analyse_scan(records, baseline="a", options=FEW)
    found = pair(CostAxis.KAPLAN, comparisons, "b").headline
    assert found is not None
    assert found.status is not FitStatus.OK or (found.multiplier is not None and found.multiplier.covers(1.0))


def test_headline_over_a_window_that_is_asked_for_carries_it() -> None:
    records = synthetic_records("a", SyntheticLaw()) + synthetic_records("b", SyntheticLaw(A=12.5))
    _, comparisons = analyse_scan(records, baseline="a", options=FEW, window=Window(4.1, 3.9))
    found = pair(CostAxis.KAPLAN, comparisons, "b").headline
    assert found is not None
    assert found.window_nats == (4.1, 3.9)
