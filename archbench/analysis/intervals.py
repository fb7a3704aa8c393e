"""Intervals from resamples, by one rule for every room.

Percentiles of those draws that are numbers. Where fewer than half are, there is no interval: its ends are NaN and its
method says how many there were. Where some are missing, the method says so too. Of a figure that may lie beyond what
can be seen, a draw may be infinite: it has its place in the order, and an end of the interval may be infinite.

Legend: R resamples, m figures.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from archbench.results.fits import Interval

Array = NDArray[np.float64]

LEAST_SHARE = 0.5
"""Of the resamples that must be numbers."""
PERCENTILE = "bootstrap-percentile"


def percentile_ends(drawn: Array, *, level: float = 0.95) -> tuple[Array, Array]:
    """Lower and upper ends, [m] each, of draws [R, m] (or two numbers of [R]); NaN where too few draws are numbers."""
    values = np.asarray(drawn, dtype=float)
    nothing = np.full(values.shape[1:], np.nan)
    if not len(values):
        return nothing, nothing
    finite = np.isfinite(values)
    enough = finite.mean(axis=0) >= LEAST_SHARE
    tail = 50.0 * (1.0 - level)
    # Columns without enough numbers are filled so that no warning is given, and emptied below.
    low, high = np.nanpercentile(np.where(finite, values, np.where(enough, np.nan, 0.0)), [tail, 100.0 - tail], axis=0)
    return np.where(enough, low, nothing), np.where(enough, high, nothing)


def percentile_interval(value: float, drawn: Array, *, level: float = 0.95, method: str = PERCENTILE) -> Interval:
    """`value` with the percentile interval of its draws, [R]; NaN ends where fewer than half of them are numbers."""
    low, high = percentile_ends(drawn, level=level)
    numbers, count = int(np.isfinite(drawn).sum()), len(drawn)
    if numbers < count:
        method = f"{method}, {numbers:,} of {count:,} resamples are numbers"
    return Interval(float(value), float(low), float(high), level, method)


def middle_deviation(drawn: Array) -> float:
    """Standard deviation by half the width of the middle 68.27 % of draws [R], whose tails it does not hang on."""
    low, high = np.percentile(drawn, [15.87, 84.13])
    return 0.5 * float(high - low)


def open_interval(value: float, drawn: Array, *, level: float = 0.95, method: str = PERCENTILE) -> Interval:
    """`value` with the percentile interval of draws [R] that may be infinite; NaN are left out.

    Its ends are draws. Infinite to both sides where more than half of the draws are NaN.
    """
    usable = drawn[~np.isnan(drawn)]
    if len(usable) < LEAST_SHARE * len(drawn) or not len(usable):
        return Interval(value, -np.inf, np.inf, level, method)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(value, float(low), float(high), level, method)


def percentile_intervals(
    values: Mapping[str, float], samples: Mapping[str, Array], *, level: float = 0.95, method: str = PERCENTILE
) -> dict[str, Interval]:
    """Percentile interval of each figure by name; those whose draws are mostly no numbers are left out."""
    found = {
        name: percentile_interval(value, samples[name], level=level, method=method) for name, value in values.items()
    }
    return {name: interval for name, interval in found.items() if is_closed(interval)}


def refused(values: Mapping[str, float], intervals: Mapping[str, Interval]) -> tuple[str, ...]:
    """One sentence for each figure that has no interval by this rule."""
    missing = [name for name in values if name not in intervals]
    return tuple(f"{name}: no interval, fewer than half of the resamples gave a number" for name in missing)


def is_closed(interval: Interval) -> bool:
    """Whether both ends are numbers."""
    return bool(np.isfinite(interval.low) and np.isfinite(interval.high))
