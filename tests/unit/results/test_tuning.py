"""Trials of learning rates: who goes on, which is chosen, where the best one lies."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.results.tuning import (
    Edge,
    HalvingRung,
    Trial,
    by_merit,
    edge_of,
    halving,
    optimum,
    rate_grid,
    rate_law,
    survivors,
)

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)


def trials_of(*losses: float | None) -> list[Trial]:
    return [Trial(rate, loss) for rate, loss in zip(RATES, losses, strict=False)]


def test_halving_sends_the_best_part_on_to_more_tokens_and_ends_on_all_of_them() -> None:
    assert halving(9, 3, 3) == (HalvingRung(9, 1 / 9), HalvingRung(3, 1 / 3), HalvingRung(1, 1.0))
    assert halving(5, 2, 2) == (HalvingRung(5, 0.5), HalvingRung(3, 1.0))
    assert halving(5, 1, 4) == (HalvingRung(5, 1.0),)


@given(st.integers(3, 64), st.integers(1, 6), st.integers(2, 8))
def test_no_rung_is_empty_and_none_grows(trials: int, rungs: int, eta: int) -> None:
    plan = halving(trials, rungs, eta)
    assert len(plan) == rungs
    assert plan[-1].fraction == 1.0
    for before, after in pairwise(plan):
        assert 1 <= after.count <= before.count
        assert after.fraction == pytest.approx(eta * before.fraction)


def test_the_middle_of_an_odd_grid_is_the_centre_to_the_bit() -> None:
    """So that a tuned scan shares its runs with the scan that was not tuned."""
    centre = 0.5 * 10_160**-0.43
    grid = rate_grid(centre, 4.0, 5)
    assert grid[2] == centre
    assert grid[0] == pytest.approx(centre / 4)
    assert [later / earlier for earlier, later in pairwise(grid)] == pytest.approx([2.0] * 4)


def test_the_lowest_loss_wins_and_a_tie_goes_to_the_lower_rate() -> None:
    assert by_merit(trials_of(2.0, 1.5, 1.5, 1.8))[0].rate == RATES[1]


def test_a_diverged_trial_goes_on_only_where_too_few_others_are_left() -> None:
    assert survivors(trials_of(2.0, 1.9, 1.8, None, None), 3) == RATES[:3]
    assert survivors(trials_of(2.0, None, None, None, None), 3) == RATES[:3]
    assert by_merit(trials_of(None, None))[0].rate == RATES[0]


@given(st.permutations(range(5)), st.lists(st.one_of(st.none(), st.floats(0.5, 6.0)), min_size=5, max_size=5))
def test_the_order_of_the_trials_decides_nothing(order: list[int], losses: list[float | None]) -> None:
    trials = trials_of(*losses)
    shuffled = [trials[index] for index in order]
    assert survivors(shuffled, 3) == survivors(trials, 3)
    assert optimum(shuffled) == optimum(trials)


def test_a_rate_at_either_end_of_its_grid_is_told() -> None:
    assert [edge_of(rate, RATES) for rate in RATES] == [Edge.LOW, None, None, None, Edge.HIGH]


@given(st.floats(math.log(1.5e-3), math.log(1.1e-2)), st.floats(0.01, 2.0), st.floats(0.5, 5.0))
def test_the_optimum_of_a_parabola_in_log_rate_is_found(centre: float, curvature: float, floor: float) -> None:
    losses = [floor + curvature * (math.log(rate) - centre) ** 2 for rate in RATES]
    found = optimum(trials_of(*losses))
    assert found is not None
    assert math.log(found.rate) == pytest.approx(centre, abs=1e-6)
    assert found.loss_nats == pytest.approx(floor, abs=1e-6)


@given(st.lists(st.floats(0.5, 6.0), min_size=3, max_size=5))
def test_the_optimum_lies_between_the_neighbours_of_the_best_trial(losses: list[float]) -> None:
    trials = trials_of(*losses)
    found = optimum(trials)
    if found is not None:
        best = RATES.index(by_merit(trials)[0].rate)
        assert RATES[best - 1] * (1 - 1e-9) <= found.rate <= RATES[best + 1] * (1 + 1e-9)
        assert found.loss_nats <= min(losses) + 1e-9


@pytest.mark.parametrize("losses", [(1.0, 1.5, 2.0), (2.0, 1.5, 1.0), (1.0, 1.0, 1.0), (1.0, 0.5), (2.0, 1.0, None)])
def test_there_is_no_optimum_without_a_neighbour_on_both_sides(losses: tuple[float | None, ...]) -> None:
    assert optimum(trials_of(*losses)) is None


def test_the_law_goes_through_both_sizes() -> None:
    coefficient, exponent = rate_law((1e4, 9e-3), (4e4, 5e-3))
    assert coefficient * 1e4**exponent == pytest.approx(9e-3)
    assert coefficient * 4e4**exponent == pytest.approx(5e-3)
