"""Compute-optimal N and D from isoFLOP curves and from learning curves (Hoffmann et al. 2022, approaches 2 and 1).

Legend: C compute, N parameters, D tokens, L loss. Parabolas are biased where the two exponents differ or the grid lies
off-centre (arXiv 2603.22339): the joint law is what decides, these are shown beside it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.power_sum import Array
from archbench.results.fits import FitStatus
from archbench.units import counted


@dataclass(frozen=True, slots=True)
class IsoflopMinimum:
    """The minimum of loss over N at one budget."""

    flops: float
    status: FitStatus
    reason: str
    params: float
    loss_nats: float


@dataclass(frozen=True, slots=True)
class PowerTrend:
    """y = exp(intercept)·x^exponent by least squares in logarithms."""

    exponent: float
    intercept: float
    status: FitStatus
    reason: str

    def at(self, x: float) -> float:
        """y at x."""
        return float(np.exp(self.intercept + self.exponent * np.log(x)))


def isoflop_minimum(flops: float, params: ArrayLike, loss: ArrayLike) -> IsoflopMinimum:
    """Vertex of the parabola of loss in ln N through the runs of one budget.

    `no_interior_minimum` where the parabola opens downwards or its vertex lies outside the sizes tried, or where
    the lowest loss is that of the smallest or the largest size.
    """
    N, L = np.asarray(params, dtype=float), np.asarray(loss, dtype=float)
    good = np.isfinite(N) & np.isfinite(L) & (N > 0) & (L > 0)
    N, L = N[good], L[good]
    nan = float("nan")
    if len(np.unique(N)) < 3:
        return IsoflopMinimum(
            flops, FitStatus.TOO_FEW_SIZES, f"{counted(len(np.unique(N)), 'size')}, a parabola needs 3", nan, nan
        )
    levels = np.unique(N)
    lowest = levels[int(np.argmin([L[level == N].mean() for level in levels]))]
    if lowest in (levels[0], levels[-1]):
        side = "smallest" if lowest == levels[0] else "largest"
        reason = f"the lowest loss is that of the {side} size tried, N = {lowest:.3g}"
        return IsoflopMinimum(flops, FitStatus.NO_INTERIOR_MINIMUM, reason, nan, nan)
    x = np.log(N)
    centre = x.mean()
    square, slope, level = np.polyfit(x - centre, L, 2)
    if square <= 0:
        return IsoflopMinimum(flops, FitStatus.NO_INTERIOR_MINIMUM, "the parabola opens downwards", nan, nan)
    vertex = -slope / (2 * square) + centre
    if not x.min() < vertex < x.max():
        reason = f"the parabola's minimum N = {np.exp(vertex):.3g} lies outside the sizes tried"
        return IsoflopMinimum(flops, FitStatus.NO_INTERIOR_MINIMUM, reason, nan, nan)
    return IsoflopMinimum(flops, FitStatus.OK, "", float(np.exp(vertex)), float(level - slope**2 / (4 * square)))


def power_trend(x: ArrayLike, y: ArrayLike) -> PowerTrend:
    """Exponent of y against x, by least squares in logarithms, as the field regresses optima on compute."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    good = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    if len(np.unique(a[good])) < 3:
        reason = f"{len(np.unique(a[good]))} budgets, a trend needs 3"
        return PowerTrend(float("nan"), float("nan"), FitStatus.TOO_FEW_POINTS, reason)
    exponent, intercept = np.polyfit(np.log(a[good]), np.log(b[good]), 1)
    return PowerTrend(float(exponent), float(intercept), FitStatus.OK, "")


def efficient_points(cost: ArrayLike, loss: ArrayLike, *, kind: Literal["minimum", "hull"] = "minimum") -> np.ndarray:
    """Indices of the points of all learning curves that are compute-efficient, in order of cost.

    `minimum`: no cheaper point has a lower loss (approach 1). `hull`: lower convex hull of (ln cost, ln loss), which
    a point just below a bend of one curve does not enter (the practice of the Gemstones study).
    """
    C, L = np.asarray(cost, dtype=float), np.asarray(loss, dtype=float)
    good = np.flatnonzero(np.isfinite(C) & np.isfinite(L) & (C > 0) & (L > 0))
    order = good[np.lexsort((L[good], C[good]))]
    if not len(order):
        return order
    lowest = np.minimum.accumulate(L[order])
    falls = np.concatenate([[True], L[order][1:] < lowest[:-1]])
    chosen = order[falls]
    return np.asarray(chosen if kind == "minimum" else chosen[_lower_hull(np.log(C[chosen]), np.log(L[chosen]))])


def _lower_hull(x: Array, y: Array) -> np.ndarray:
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) > (y[b] - y[a]) * (x[i] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(hull, dtype=int)
