"""One percentile rule for every room."""

import numpy as np
import pytest
from scipy.stats import norm

from archbench.analysis.intervals import (
    is_closed,
    middle_deviation,
    open_interval,
    percentile_ends,
    percentile_interval,
    percentile_intervals,
    refused,
)


def test_ends_are_percentiles_of_the_draws_that_are_numbers() -> None:
    drawn = np.append(np.arange(101.0), np.full(50, np.nan))
    interval = percentile_interval(50.0, drawn)
    assert (interval.low, interval.high) == pytest.approx((2.5, 97.5))
    assert "101 of 151 resamples are numbers" in interval.method


@pytest.mark.parametrize("drawn", [np.array([]), np.array([1.0, np.nan, np.inf]), np.full(4, np.nan)])
def test_fewer_than_half_numbers_give_no_interval(drawn: np.ndarray) -> None:
    interval = percentile_interval(1.0, drawn)
    assert not is_closed(interval)
    assert np.isnan([interval.low, interval.high]).all()


def test_figures_side_by_side_are_judged_one_by_one() -> None:
    drawn = np.column_stack([np.arange(5.0), np.array([1.0, *[np.nan] * 4])])
    low, high = percentile_ends(drawn, level=0.5)
    assert (low[0], high[0]) == pytest.approx((1.0, 3.0))
    assert np.isnan([low[1], high[1]]).all()


def test_a_figure_without_an_interval_is_named() -> None:
    values, samples = {"a": 1.0, "b": 2.0}, {"a": np.ones(4), "b": np.full(4, np.nan)}
    found = percentile_intervals(values, samples)
    assert set(found) == {"a"}
    assert [line.split(":")[0] for line in refused(values, found)] == ["b"]


def test_an_infinite_draw_has_its_place_in_the_order_of_an_open_interval() -> None:
    drawn = np.concatenate([np.arange(90.0), np.full(10, np.inf), np.full(50, np.nan)])
    interval = open_interval(40.0, drawn)
    assert (interval.low, interval.high) == (2.0, np.inf)
    assert open_interval(40.0, np.append(drawn, np.full(60, np.nan))).low == -np.inf


def test_deviation_of_the_middle_is_that_of_normal_draws_whatever_their_tails_are() -> None:
    drawn = norm.ppf((np.arange(1000) + 0.5) / 1000)
    assert middle_deviation(3.0 * drawn) == pytest.approx(3.0, rel=0.002)  # a thousand draws have steps
    assert middle_deviation(np.where(np.abs(drawn) > 2, 1e6 * drawn, drawn)) == middle_deviation(drawn)
