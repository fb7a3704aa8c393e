"""The hyperbola of steps against tokens at one loss, fitted to many resamples at once.

Legend: S steps, B batch (tokens), E = B·S tokens, S_min and E_min their least values, B_crit = E_min/S_min;
R resamples, K runs. (S/S_min - 1)(E/E_min - 1) = 1 is S = S_min·(1 + B_crit/B), in logarithms a line of unknown height
whose shape has one parameter, u = ln B_crit; so the fit is a search in one variable.
"""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array

SEARCH_FACTOR = 100.0
"""B_crit is looked for up to this factor outside the batches that were tried."""
_GRID = 121
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_GOLDEN_STEPS = 40


@dataclass(frozen=True, slots=True)
class Hyperbolas:
    """R fits."""

    log_steps_min: Array
    """ln S_min, [R]."""
    log_critical: Array
    """ln B_crit, [R]."""
    squares: Array
    """Sum of squared residuals of ln S, [R]."""
    bounds: tuple[float, float]
    """Box of ln B_crit."""

    def predicted(self, batch_tokens: Array) -> Array:
        """ln S at each batch, [R, K]."""
        shape = _shape(self.log_critical[:, None], np.log(batch_tokens))
        return np.asarray(self.log_steps_min[:, None] + shape)

    @property
    def at_bound(self) -> np.ndarray:
        """Whether B_crit ended at an end of its box, [R]."""
        low, high = self.bounds
        margin = 1e-3 * (high - low)
        return np.asarray((self.log_critical < low + margin) | (self.log_critical > high - margin))


def fit_hyperbolas(log_steps: Array, batch_tokens: Array) -> Hyperbolas:
    """Least squares on ln S; log_steps: [R, K], NaN where a run is censored; batch_tokens: [K].

    A row needs two runs that are not censored; what it gives with fewer than three is no estimate.
    """
    log_batch = np.log(np.asarray(batch_tokens, dtype=float))
    low, high = float(log_batch.min() - np.log(SEARCH_FACTOR)), float(log_batch.max() + np.log(SEARCH_FACTOR))
    weight = np.isfinite(log_steps).astype(float)
    observed = np.where(weight > 0, log_steps, 0.0)
    grid = np.linspace(low, high, _GRID)
    scores = np.stack([_squares(np.full(len(observed), u), observed, weight, log_batch)[0] for u in grid])
    best = grid[scores.argmin(axis=0)]
    width = grid[1] - grid[0]
    critical = _golden(np.maximum(best - width, low), np.minimum(best + width, high), observed, weight, log_batch)
    squares, height = _squares(critical, observed, weight, log_batch)
    return Hyperbolas(height, critical, squares, (low, high))


def _shape(log_critical: Array, log_batch: Array) -> Array:
    """ln(1 + B_crit/B)."""
    return np.asarray(np.logaddexp(0.0, log_critical - log_batch))


def _squares(u: Array, observed: Array, weight: Array, log_batch: Array) -> tuple[Array, Array]:
    """Sum of squares about the best height, and that height, [R] each."""
    rest = observed - _shape(u[:, None], log_batch[None, :])
    height = (weight * rest).sum(axis=1) / weight.sum(axis=1)
    return (weight * (rest - height[:, None]) ** 2).sum(axis=1), height


def _golden(low: Array, high: Array, observed: Array, weight: Array, log_batch: Array) -> Array:
    """Golden section search of each row's minimum between `low` and `high`."""
    for _ in range(_GOLDEN_STEPS):
        span = _GOLDEN * (high - low)
        left, right = high - span, low + span
        below = _squares(left, observed, weight, log_batch)[0] < _squares(right, observed, weight, log_batch)[0]
        low, high = np.where(below, low, left), np.where(below, right, high)
    return np.asarray(0.5 * (low + high))
