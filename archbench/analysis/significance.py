"""Intervals and p-values from resamples: one rule for estimates, differences and tests."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from archbench.results.fits import Interval

Floats = NDArray[np.float64]

METHOD = "resampled deviations (noise and lack of fit)"
_NO_DISTANCE = 1e-6
"""A difference below this is none where no scatter is known."""


def spread_interval(value: float, samples: Floats, freedom: float, level: float = 0.95) -> Interval:
    """`value` with the wider of its percentile and its bias-corrected interval (Efron 1987), end by end.

    It always holds the value. Infinite where nothing tells the scatter, or more than 5 % of the samples are no numbers.
    """
    usable = samples[np.isfinite(samples)]
    if freedom <= 0 or len(usable) < 0.95 * len(samples) or not len(usable):
        return Interval(value, -np.inf, np.inf, level, METHOD)
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    below = np.clip(np.mean(usable < value) + 0.5 * np.mean(usable == value), 0.001, 0.999)
    shifted = ndtr(2 * ndtri(below) + ndtri(ends))
    low, corrected_low, corrected_high, high = np.quantile(usable, [ends[0], *shifted, ends[1]])
    return Interval(
        value, float(min(low, corrected_low, value)), float(max(high, corrected_high, value)), level, METHOD
    )


def exp_of(interval: Interval) -> Interval:
    """The interval of a figure whose logarithm has `interval`; infinite where that is."""
    low = float(np.exp(interval.low)) if np.isfinite(interval.low) else -np.inf
    high = float(np.exp(min(interval.high, 700.0))) if np.isfinite(interval.high) else np.inf
    return Interval(float(np.exp(interval.value)), low, high, interval.level, interval.method)


def p_value_of(interval: Interval, freedom: float, null: float = 0.0) -> float | None:
    """Two-sided p of `null` from a 95 % interval: below 0.05 exactly where the interval leaves `null` out.

    The half of the interval on the null's side is Student's quantile times a standard error (studentised difference).
    """
    half = interval.value - interval.low if interval.value > null else interval.high - interval.value
    if not np.isfinite(half) or freedom <= 0:
        return None
    distance = abs(interval.value - null)
    if half <= 0.0:
        return 1.0 if distance <= _NO_DISTANCE else 0.0
    quantile = float(stdtrit(freedom, (1 + interval.level) / 2))
    return min(1.0, 2.0 * float(stdtr(freedom, -distance / half * quantile)))


def visible_difference(interval: Interval) -> float:
    """The difference that a test at 5 % finds four times in five, by the width of a 95 % interval of one like it.

    The half width is 1.96 standard errors, and 1.96 + 0.84 of them are found with 80 % power (normal approximation).
    """
    return (interval.high - interval.low) / 2 * (1.96 + 0.84) / 1.96


def two_sided_p(samples: Floats) -> float | None:
    """Achieved significance of zero among `samples`: twice the smaller tail, each with one added observation.

    None where fewer than half of the samples are numbers.
    """
    usable = samples[~np.isnan(samples)]
    if len(usable) < len(samples) / 2:
        return None
    tail = min(int((usable <= 0).sum()), int((usable >= 0).sum()))
    return min(1.0, 2.0 * (tail + 1) / (len(usable) + 1))
