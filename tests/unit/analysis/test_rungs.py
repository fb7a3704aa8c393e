"""The multiplier at each size, its trend along the ladder, and whether one exponent serves both."""

import numpy as np
import pytest
from made_ladders import compared, ladder

from archbench.results.fits import Trend


def test_each_rung_has_the_known_factor_and_no_trend_is_shown() -> None:
    pair = compared(ladder("a") + ladder("x", 1.5))
    assert [rung.size_index for rung in pair.rungs] == [0, 1, 2, 3, 4]
    assert [rung.multiplier.value for rung in pair.rungs] == pytest.approx([1.5] * 5, rel=1e-6)
    # Its largest run lies where the baseline would need half as much again as its own dearest.
    assert [rung.extrapolated for rung in pair.rungs] == [False] * 4 + [True]
    assert pair.rung_trend is not None
    assert pair.rung_trend.num_rungs == 4
    assert pair.rung_trend.slope.value == pytest.approx(0.0, abs=1e-6)
    assert pair.rung_trend.trend is Trend.NOT_SHOWN


@pytest.mark.parametrize(("power", "trend"), [(0.3, Trend.GROWS), (-0.3, Trend.FALLS)])
def test_a_factor_that_is_a_power_of_cost_has_that_slope(power: float, trend: Trend) -> None:
    growing = ladder("x", lambda cost: (cost / 2e12) ** power, noise=0.001, seed=1)
    pair = compared(ladder("a", noise=0.001) + growing)
    assert pair.rung_trend is not None
    assert pair.rung_trend.trend is trend
    assert pair.rung_trend.slope.covers(power)
    values = np.log([rung.multiplier.value for rung in pair.rungs])
    assert np.all(np.sign(np.diff(values)) == np.sign(power))
    assert pair.one_exponent is False


def test_intervals_of_rungs_hold_the_factor_and_trends_of_a_constant_one_are_seldom_shown() -> None:
    held, shown, total = 0, 0, 0
    studies = 24
    for number in range(studies):
        records = ladder("a", noise=0.006, seed=2 * number) + ladder("x", 1.3, noise=0.006, seed=2 * number + 1)
        pair = compared(records, resamples=100)
        assert pair.rung_trend is not None
        shown += pair.rung_trend.trend is not Trend.NOT_SHOWN
        for rung in pair.rungs:
            held += rung.multiplier.covers(1.3)
            total += 1
    # Of 120 intervals, which five by five share a law, 95 % less three standard errors of 24 studies.
    assert held / total > 0.85
    # Binomial of 5 % in 24: five or more have a chance of 0.6 %.
    assert shown <= 4


def test_ladders_of_one_law_may_share_an_exponent() -> None:
    pair = compared(ladder("a", noise=0.004) + ladder("x", 1.5, noise=0.004, seed=1))
    assert pair.one_exponent is True


def test_without_any_scatter_known_a_rung_has_no_interval_and_shows_no_trend() -> None:
    few = [run for run in ladder("a") + ladder("x", 1.5) if run.size_index < 2 and run.seed == 0]
    pair = compared(few)
    assert pair.rung_trend is None
    assert all(not np.isfinite(rung.multiplier.high) for rung in pair.rungs)


@pytest.mark.filterwarnings("error")
def test_a_frontier_that_noise_makes_flat_has_no_slope_of_thousands() -> None:
    for seed in range(3):
        pair = compared(ladder("a", noise=0.2, seed=seed) + ladder("x", 1.3, noise=0.2, seed=seed + 50))
        if pair.rung_trend is not None:
            ends = np.array([pair.rung_trend.slope.low, pair.rung_trend.slope.high])
            assert np.all(np.isinf(ends) | (np.abs(ends) < 50.0))
