import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.expected_gain import floor_gains, line_gains
from archbench.analysis.frontier.noise import SeedNoise, SizeNoise, estimate_noise
from archbench.analysis.frontier.tiers import SizeTiers, find_tiers, holm
from archbench.analysis.simulation.tiers import (
    PROMISE,
    designs,
    every_size_gains,
    one_size_gains_nothing,
    simulate,
    stops_at_the_third,
)
from archbench.analysis.simulation.tiers import Design as LadderDesign
from archbench.results.fits import GainOutcome
from archbench.results.runs import CostAxis

NOISE = SeedNoise(std_log=0.003, degrees_of_freedom=8, source="its own seeds", loss_nats=3.0)
GAINS, NOT, OPEN = GainOutcome.GAINS, GainOutcome.DOES_NOT_GAIN, GainOutcome.NOT_RESOLVED


def ladder(
    losses: Sequence[float | Sequence[float]],
    *,
    spacing: float = 4.0,
    costs: Sequence[float] | None = None,
    params: Sequence[float] | None = None,
) -> CurveSet:
    """One finished point at each size; D proportional to N unless costs are given."""
    sizes = np.array(params) if params is not None else 1e6 * spacing ** np.arange(len(losses))
    spent = np.array(costs) if costs is not None else 120.0 * sizes**2
    curves = []
    for place, (size, cost, loss) in enumerate(zip(sizes, spent, losses, strict=True)):
        finals = np.atleast_1d(np.array(loss, dtype=float))
        curves.append(
            MeanCurve(
                size_index=place,
                non_embedding_params=int(size),
                planned_tokens=int(cost / 6 / size),
                run_ids=tuple(f"{place}-{seed}" for seed in range(len(finals))),
                cost=np.array([cost]),
                loss_nats=np.array([finals.mean()]),
                tokens=np.array([int(cost / 6 / size)]),
                finished=np.array([True]),
                final_losses_nats=finals,
            )
        )
    return CurveSet("a", CostAxis.KAPLAN, tuple(curves))


def outcomes(found: SizeTiers) -> list[GainOutcome]:
    return [one.outcome for one in found.gains]


def groups(found: SizeTiers) -> list[tuple[int, ...]]:
    return [tier.size_indices for tier in found.tiers]


def test_sizes_that_improve_far_beyond_the_noise_gain_and_are_tiers_by_themselves() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.05, 3.645]), NOISE)
    assert outcomes(found) == [GAINS] * 3
    assert groups(found) == [(0,), (1,), (2,), (3,)]
    assert found.warning is None


def test_a_ladder_that_stops_is_one_tier_from_where_it_stops() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.05, 4.051, 4.049]), NOISE)
    assert groups(found) == [(0,), (1,), (2, 3, 4)]
    tier = found.tiers[-1]
    assert set(tier.p_values) == {3, 4}
    assert all(p < 0.05 for p in tier.p_values.values())


def test_a_size_that_gains_nothing_between_sizes_that_do_is_a_tier_with_the_one_before() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.5, 3.645, 3.2805]), NOISE)
    assert groups(found) == [(0,), (1, 2), (3,), (4,)]


def test_a_small_gain_that_the_noise_hides_is_not_resolved_and_no_tier() -> None:
    coarse = SeedNoise(std_log=0.05, degrees_of_freedom=8, source="its own seeds", loss_nats=3.0)
    found = find_tiers(ladder([5.0, 4.9, 4.8, 4.7, 4.6], spacing=1.5), coarse)
    assert outcomes(found) == [OPEN] * 4
    assert groups(found) == [(0,), (1,), (2,), (3,), (4,)]
    assert found.warning is not None
    assert "(2, 3, 4, 5)" in found.warning


def test_the_seeds_said_to_settle_a_gain_do_settle_it() -> None:
    losses = [5.0, 4.5, 4.05, 3.645, 3.645 * np.exp(-0.03)]
    found = find_tiers(ladder(losses), SeedNoise(0.012, 8, "its own seeds", 3.0))
    one = found.gains[-1]
    assert one.outcome is OPEN
    assert one.seeds_to_settle is not None
    seeds = [one.seeds_to_settle if one.seeds_at_every_size or place == 4 else 1 for place in range(5)]
    more = ladder([[loss] * count for loss, count in zip(losses, seeds, strict=True)])
    assert find_tiers(more, SeedNoise(0.012, 8, "its own seeds", 3.0)).gains[-1].outcome is not OPEN


def test_a_ladder_that_nears_its_floor_is_not_tiered() -> None:
    # The last gain is a third of what a power law without a floor through the smaller sizes would expect.
    params = 1e6 * 4.0 ** np.arange(6)
    losses = 1.8 + 2e6 * (120.0 * params**2) ** -0.5
    found = find_tiers(ladder(list(losses)), SeedNoise(0.001, 12, "its own seeds", 2.0))
    assert NOT not in outcomes(found)


def test_a_size_that_is_worse_than_a_smaller_one_does_not_gain() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.05, 4.3, 3.2805]), NOISE)
    assert found.gains[2].outcome is NOT
    assert found.gains[2].rival_index == 2
    assert found.gains[3].rival_index == 2
    assert found.gains[3].outcome is GAINS


def test_three_sizes_have_no_law_to_fall_short_of() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.5]), NOISE)
    assert outcomes(found) == [GAINS, OPEN]
    assert found.gains[1].p_does_not_gain is None


def test_without_seeds_nothing_is_resolved_and_bare_figures_are_said() -> None:
    found = find_tiers(ladder([5.0, 4.5, 4.05, 4.06]), None)
    assert outcomes(found) == [OPEN] * 3
    assert all(one.p_gains is None and one.p_does_not_gain is None for one in found.gains)
    assert found.warning is not None
    assert "noise is unknown" in found.warning
    assert "size 4 gain nothing" in found.warning


def test_without_seeds_the_scatter_about_the_law_stands_in_where_enough_sizes_show_it() -> None:
    scatter = np.exp(0.002 * np.array([1, -1, 1, -1, 1, -1, 1]))
    losses = 5.0 * 0.9 ** np.arange(7) * scatter
    losses[5] = losses[4]
    found = find_tiers(ladder(list(losses)), None)
    assert groups(found) == [(0,), (1,), (2,), (3,), (4, 5), (6,)]
    assert "stands in for noise" in found.note


def test_an_isoflop_grid_is_no_ladder() -> None:
    budgets = np.repeat([1e18, 1e19, 1e20], 4)
    params = np.array([1e7, 2e7, 4e7, 8e7, 3e7, 6e7, 1.2e8, 2.4e8, 9e7, 1.8e8, 3.6e8, 7.2e8])
    order = np.argsort(params)
    found = find_tiers(ladder(list(np.linspace(4, 3, 12)), params=params[order], costs=budgets[order]), NOISE)
    assert found.tiers == ()
    assert found.gains == ()
    assert "isoFLOP" in found.note


def test_a_size_that_spent_less_than_a_smaller_one_is_left_out_by_name() -> None:
    costs = [1e15, 1e16, 1e17, 1e18, 5e17]
    found = find_tiers(ladder([5.0, 4.5, 4.05, 3.645, 3.9], costs=costs), NOISE)
    assert "size 5 costs no more than a smaller one" in found.note
    assert [tier.size_indices[0] for tier in found.tiers] == [0, 1, 2, 3]


def test_a_size_is_judged_by_its_own_noise_where_noise_grows_along_the_ladder() -> None:
    losses = [5.0, 4.5, 4.05, 3.645, 3.5]
    even = SeedNoise(0.01, 10, "its own seeds", 4.0)
    own = {place: SizeNoise(0.001 * 3.0**place, 2) for place in range(5)}
    growing = SeedNoise(0.01, 10, "its own seeds", 4.0, own)
    assert find_tiers(ladder(losses), even).gains[-1].outcome is GAINS
    assert find_tiers(ladder(losses), growing).gains[-1].outcome is OPEN


def test_p_values_of_a_gain_are_those_of_a_one_sided_t_test() -> None:
    found = find_tiers(ladder([4.0, 4.0 * np.exp(-0.002)]), SeedNoise(0.003, 4, "its own seeds", 4.0))
    # t = 0.002 / (0.003 * sqrt 2) = 0.4714 with 4 degrees of freedom: p = 0.3309 by tables of Student's t
    assert found.gains[0].p_gains == pytest.approx(0.3309, abs=1e-4)


def test_holms_correction_follows_the_worked_example_of_the_method() -> None:
    assert holm({1: 0.01, 2: 0.04, 3: 0.03, 4: 0.005}) == pytest.approx({1: 0.03, 2: 0.06, 3: 0.06, 4: 0.02})


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=8))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(raw: dict[int, float]) -> None:
    corrected = holm(raw)
    assert all(raw[key] <= corrected[key] <= 1 for key in raw)
    ranked = sorted(raw, key=lambda key: raw[key])
    assert [corrected[key] for key in ranked] == sorted(corrected.values())


@pytest.mark.parametrize(("form", "floor"), [(line_gains, 0.0), (floor_gains, 0.0), (floor_gains, 1.5)])
def test_the_expected_gain_of_an_exact_law_is_the_laws_own(form: Callable[..., object], floor: float) -> None:
    x = np.linspace(30, 40, 5)
    y = np.log(floor + np.exp(8.0 - 0.2 * x))
    weights = np.array([[1.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0]])
    found = form(x, y, weights, np.full(2, x[2]), np.full(2, x[3]))
    # The search for gamma ends within a 1e-4 of its grid.
    np.testing.assert_allclose(found.gain, y[2] - y[3], rtol=1e-3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", [line_gains, floor_gains])
def test_the_gradient_of_an_expected_gain_is_that_of_its_differences(form: Callable[..., object]) -> None:
    x = np.linspace(30, 40, 5)
    y = np.log(1.5 + np.exp(8.0 - 0.2 * x))
    weights, start, end = np.array([[1.0, 2.0, 1.0, 0.0, 1.0]]), x[2:3], x[3:4]

    def gain(values: Floats) -> float:
        return float(form(x, values, weights, start, end).gain[0])  # type: ignore[attr-defined]

    numeric = [(gain(y + h) - gain(y - h)) / 0.02 for h in 0.01 * np.eye(5)]
    found = form(x, y, weights, start, end).gradient[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, numeric, atol=0.02)


@pytest.mark.parametrize("design", designs()[5::9], ids=str)
def test_exact_ladders_are_hardly_ever_called_tiered(design: LadderDesign) -> None:
    # The full table, 1,000 studies a row, is in docs/tiers.md; of 30 studies more than 5 have a chance of 0.3 % at 5 %.
    called = simulate(design, every_size_gains, studies=30)
    assert sum(map(bool, called)) <= 5


@pytest.mark.thorough
@pytest.mark.parametrize("design", [one for one in designs() if one.seeds == 3 and one.sizes == 5], ids=str)
def test_exact_ladders_are_called_tiered_as_rarely_as_promised(design: LadderDesign) -> None:
    called = simulate(design, every_size_gains, studies=1000)
    assert sum(map(bool, called)) / 1000 <= PROMISE


def test_true_tiers_are_found() -> None:
    design = LadderDesign("power law, alpha_C 0.05", 4.0, 5, 3, "0.3 %")
    one = simulate(design, one_size_gains_nothing, studies=40)
    stop = simulate(design, stops_at_the_third, studies=40)
    # 5 % of sizes that gain nothing are said to gain, by the level of that test; 40 studies allow for a tenth more.
    assert sum(3 in places for places in one) >= 32
    assert sum(3 in places for places in stop) >= 32


def test_noise_seen_by_seeds_is_that_of_the_logarithm() -> None:
    noise = estimate_noise(ladder([[5.0, 5.05], [2.5, 2.525], 1.0]).curves)
    assert noise is not None
    # Two values apart by 1 % have a standard deviation of ln(1.01)/sqrt 2.
    assert noise.std_log == pytest.approx(np.log(1.01) / np.sqrt(2))
    assert noise.std_nats == pytest.approx(noise.std_log * np.sqrt(2.5 * 1.01 * 5.0) * 1.0, rel=1e-3)


@pytest.mark.parametrize("seed", range(40))
def test_losses_of_any_magnitude_have_expected_gains_that_are_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_sizes = int(rng.integers(3, 9))
    costs, losses = np.sort(rng.uniform(0, 20, num_sizes)), np.log(10) * rng.uniform(-11.9, 4, num_sizes)
    weights = np.ones((3, num_sizes))
    weights[np.arange(3), rng.integers(0, num_sizes, 3)] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gains = floor_gains(costs, losses, weights, np.full(3, costs[0]), np.full(3, costs[-1]))
    assert np.isfinite(gains.gain).all()
    assert np.isfinite(gains.gradient).all()
