"""What a report says of trials, from made-up records whose best rate is known."""

from dataclasses import replace

import pytest

from archbench.analysis.frontier.tuning import analyse_tuning, tuning_warnings
from archbench.results.runs import RunRecord, RunState
from archbench.results.tuning import CHECK_LABEL, RUNG_LABEL, TRIAL, Edge
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_tuning import synthetic_tuning, with_rate

SCAN = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(3, 3, 1))
NOISE = SyntheticLaw(noise_std=0.003)


def made_up(contender: str, *, best: float = 4e-3, curvature: float = 0.02, seed: int = 0) -> list[RunRecord]:
    return synthetic_tuning(synthetic_records(contender, NOISE, SCAN, seed=seed), best=best, curvature=curvature)


def test_a_scan_without_trials_has_no_tuning() -> None:
    assert analyse_tuning(synthetic_records("gpt2", NOISE)) is None


def test_the_chosen_rate_and_the_optimum_are_those_that_the_records_were_made_with() -> None:
    tuning = analyse_tuning(made_up("gpt2", best=4.6e-3))
    assert tuning is not None
    assert [size.rate for size in tuning.sizes] == [4e-3] * 3
    for size in tuning.sizes:
        assert size.optimum is not None
        assert size.optimum.rate == pytest.approx(4.6e-3, rel=0.02)  # exp of a parabola is not quite one
        assert size.edge is None
        assert len(size.trials) == 8
        assert size.near == ()
    assert tuning_warnings(tuning) == []


def test_the_law_of_the_best_rates_is_that_which_the_trials_were_made_with() -> None:
    """0.32·N^-0.45 is 5.1, 3.7 and 2.7e-3 at the three sizes: inside of the grid's inner rates."""
    made = synthetic_records("gpt2", NOISE, SCAN)
    records = [
        record
        for size_index, num_params in enumerate(SCAN.sizes)
        for record in synthetic_tuning(
            [one for one in made if one.size_index == size_index], best=0.32 * num_params**-0.45
        )
    ]
    tuning = analyse_tuning(records)
    assert tuning is not None
    (law,) = tuning.laws
    assert (law.contender, law.num_sizes) == ("gpt2", 3)
    assert law.exponent == pytest.approx(-0.45, abs=0.02)
    assert law.coefficient * 2e4**law.exponent == pytest.approx(0.32 * 2e4**-0.45, rel=0.02)


def test_rates_that_noise_does_not_tell_apart_are_near() -> None:
    tuning = analyse_tuning(made_up("gpt2", curvature=1e-4))
    assert tuning is not None
    assert [len(size.near) for size in tuning.sizes] == [2, 2, 2]


def test_a_best_rate_at_the_end_of_its_grid_is_flagged_in_the_warnings() -> None:
    tuning = analyse_tuning([*made_up("gpt2", best=1.6e-2), *made_up("reformer", best=1e-3, seed=1)])
    assert tuning is not None
    assert {size.edge for size in tuning.sizes if size.contender == "gpt2"} == {Edge.HIGH}
    low, high = tuning_warnings(tuning)
    assert "lowest of its grid at reformer sizes 1, 2, 3" in low
    assert "highest of its grid at gpt2 sizes 1, 2, 3" in high


def test_the_budget_counts_a_trial_that_is_a_result_once() -> None:
    records = made_up("gpt2")
    tuning = analyse_tuning(records)
    assert tuning is not None
    (budget,) = tuning.budgets
    assert budget.num_trials == 24
    flops = {one.run_id: one.curve[-1].exact_flops for one in records}
    assert budget.extra_exact_flops + budget.scan_exact_flops == pytest.approx(sum(flops.values()))
    assert budget.exact_flops > budget.extra_exact_flops


def test_unequal_numbers_of_trials_are_said_first() -> None:
    both = [*made_up("gpt2"), *made_up("reformer", seed=1)]
    equal = analyse_tuning(both)
    assert equal is not None
    assert equal.trials_equal
    removed = next(one for one in both if one.contender == "reformer" and one.labels.get(RUNG_LABEL) == "1")
    unequal = analyse_tuning([one for one in both if one is not removed])
    assert unequal is not None
    assert not unequal.trials_equal
    assert "unequal numbers of trials (gpt2 24, reformer 23)" in tuning_warnings(unequal)[0]


def test_a_diverged_trial_loses_and_a_failed_one_leaves_the_size_undecided() -> None:
    records = made_up("gpt2")
    index = next(i for i, one in enumerate(records) if one.labels.get(RUNG_LABEL) == "1")
    diverged = [*records]
    diverged[index] = replace(records[index], state=RunState.DIVERGED)
    tuning = analyse_tuning(diverged)
    assert tuning is not None
    assert tuning.sizes[0].rate == 4e-3
    assert tuning.sizes[0].trials[0].loss_nats is None
    failed = [*records]
    failed[index] = replace(records[index], state=RunState.FAILED, reason="out of disk")
    tuning = analyse_tuning(failed)
    assert tuning is not None
    assert tuning.sizes[0].rate is None
    assert tuning.sizes[0].missing == ("failed: out of disk",)


@pytest.mark.parametrize(("gain", "beyond"), [(0.1, True), (0.0005, False)])
def test_a_law_that_loses_to_a_neighbour_is_flagged_only_beyond_noise(gain: float, beyond: bool) -> None:
    records = made_up("gpt2")
    law = next(one for one in reversed(records) if one.role != TRIAL)
    beside = [
        replace(
            with_rate(law, rate),
            run_id=f"check{rate}",
            role=TRIAL,
            labels={CHECK_LABEL: "2"},
            curve=tuple(replace(one, validation_loss_nats=one.validation_loss_nats * factor) for one in law.curve),
        )
        for rate, factor in ((2e-3, 1.0 + gain), (8e-3, 1.0 - gain))
    ]
    tuning = analyse_tuning([*records, *beside])
    assert tuning is not None
    (check,) = tuning.checks
    assert check.beyond_noise is beyond
    assert check.excess_nats == pytest.approx(gain * law.curve[-1].validation_loss_nats)
    assert any("extrapolated peak rate loses" in one for one in tuning_warnings(tuning)) is beyond
