"""Laws refitted to every resample at once, each the least squares of a contender's own law.

Legend: R resamples, P points, M most points that have weight in any resample, alpha exponent, A amplitude, E floor.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from archbench.analysis.frontier.curves import Floats

_REWEIGHTINGS = 100
_SETTLED = 1e-6
"""Relative change of an exponent from which on reweighting goes on: far below any interval's width."""


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """L = E + A·C^-alpha for each resample; NaN where a resample identifies none. All arrays are [R]."""

    alpha: Floats
    log_amplitude: Floats
    floor_nats: Floats

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """Log loss of each law at each log cost, [R, M]."""
        power = self.log_amplitude[:, None] - self.alpha[:, None] * log_cost[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.logaddexp(power, np.log(self.floor_nats)[:, None]))


def fit_lines(log_cost: Floats, log_loss: Floats, weights: Floats) -> PowerLaws:
    """Least squares of ln L = ln A - alpha·ln C for each row of `weights` and `log_loss` [R, P]; NaN below 3 points."""
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x = weights @ log_cost / total
        mean_y = (weights * log_loss).sum(axis=1) / total
        x = log_cost[None, :] - mean_x[:, None]
        slope = (weights * x * (log_loss - mean_y[:, None])).sum(axis=1) / (weights * x * x).sum(axis=1)
    alpha = np.where((weights > 0).sum(axis=1) >= 3, -slope, np.nan)
    return PowerLaws(alpha, mean_y + alpha * mean_x, np.zeros(len(alpha)))


def fit_huber_lines(log_cost: Floats, log_loss: Floats, weights: Floats, *, delta: float) -> PowerLaws:
    """As `fit_lines`, by Huber's loss: iteratively reweighted least squares (Huber 1981)."""
    least_squares = fit_lines(log_cost, log_loss, weights)
    alpha, intercept = least_squares.alpha.copy(), least_squares.log_amplitude.copy()
    rows = np.flatnonzero(np.isfinite(alpha))
    if not len(rows):
        return least_squares
    x, y, w = _packed(log_cost, log_loss[rows], weights[rows])
    for _ in range(_REWEIGHTINGS):
        residual = np.abs(y - (intercept[rows, None] - alpha[rows, None] * x))
        tamed = w * np.minimum(1.0, delta / np.maximum(residual, 1e-300))
        total = tamed.sum(axis=1)
        mean_x, mean_y = (tamed * x).sum(axis=1) / total, (tamed * y).sum(axis=1) / total
        centred = x - mean_x[:, None]
        slope = -(tamed * centred * y).sum(axis=1) / (tamed * centred * centred).sum(axis=1)
        moving = np.abs(slope - alpha[rows]) > _SETTLED * np.abs(slope)
        alpha[rows], intercept[rows] = slope, mean_y + slope * mean_x
        rows, x, y, w = rows[moving], x[moving], y[moving], w[moving]
        if not len(rows):
            break
    return PowerLaws(alpha, intercept, least_squares.floor_nats)


def fit_floors(
    log_cost: Floats,
    log_loss: Floats,
    weights: Floats,
    *,
    alpha: float,
    log_amplitude: float,
    floor_nats: float,
    floor: Literal["free", "pinned"] = "free",
) -> PowerLaws:
    """Least squares of ln L = ln(E + A·C^-alpha) for each row, started from the law given (that of the data).

    floor: `pinned` keeps E at `floor_nats`. Levenberg-Marquardt for all rows at once; a row that does not settle within
    60 steps is NaN.
    """
    if not len(log_cost):
        nothing = np.full(len(weights), np.nan)
        return PowerLaws(nothing, nothing, nothing)
    centre = float(log_cost.mean())
    x, y, w = _packed(log_cost - centre, log_loss, weights)
    start = np.array([log_amplitude - alpha * centre, alpha, np.log(floor_nats)])
    theta = np.tile(start, (len(weights), 1))
    settled = np.zeros(len(weights), dtype=bool)
    rows = np.arange(len(weights))
    free = np.array([1.0, 1.0, 1.0 if floor == "free" else 0.0])
    damping = np.full(len(rows), 1e-3)
    fitted, top = _floored(theta, x)
    objective = (w * (fitted - y) ** 2).sum(axis=1)
    for _ in range(60):
        step = _floor_step(fitted - y, top, x, w, damping, free)
        candidate = theta[rows] + np.clip(step, -1.0, 1.0)
        fitted_there, top_there = _floored(candidate, x)
        value = (w * (fitted_there - y) ** 2).sum(axis=1)
        better = value <= objective
        done = better & (objective - value <= 1e-10 * objective + 1e-24)
        theta[rows[better]] = candidate[better]
        settled[rows[done]] = True
        # Rows that have settled are left alone from here on: after a few steps only few are left to work on.
        go_on = ~done
        rows, x, y, w = rows[go_on], x[go_on], y[go_on], w[go_on]
        damping = np.where(better, damping / 5.0, damping * 5.0)[go_on]
        objective = np.where(better, value, objective)[go_on]
        fitted = np.where(better[:, None], fitted_there, fitted)[go_on]
        top = np.where(better[:, None], top_there, top)[go_on]
        if not len(rows):
            break
    theta = np.where((settled & (theta[:, 1] > 0))[:, None], theta, np.nan)
    return PowerLaws(theta[:, 1], theta[:, 0] + theta[:, 1] * centre, np.exp(theta[:, 2]))


def _packed(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """The points that have weight in each row, [R, M], M the most of any row; the rest is filled with weight 0."""
    counts = (weights > 0).sum(axis=1)
    first = np.argsort(weights <= 0, axis=1, kind="stable")[:, : max(int(counts.max(initial=0)), 1)]
    kept = np.take_along_axis(weights, first, axis=1)
    return x[first], np.take_along_axis(y, first, axis=1), kept


def _floored(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """ln(E + A·C^-alpha) for theta = (ln A, alpha, ln E) [R, 3], and the share of the power term in it; both [R, M]."""
    over = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * x - theta[:, 2:], -700.0, 700.0))
    return theta[:, 2:] + np.log1p(over), over / (1.0 + over)


def _floor_step(residual: Floats, top: Floats, x: Floats, weights: Floats, damping: Floats, free: Floats) -> Floats:
    """The damped Gauss-Newton step of (ln A, alpha, ln E), [R, 3]; 0 in those that are not `free` [3].

    The gradients of ln L are (t, -t·x, 1 - t) with t = `top`, so that six weighted sums hold the whole normal matrix.
    """
    wt = weights * top
    wtx = wt * x
    total, t, tx = weights.sum(axis=1), wt.sum(axis=1), wtx.sum(axis=1)
    tt, ttx, ttxx = (wt * top).sum(axis=1), (wtx * top).sum(axis=1), (wtx * top * x).sum(axis=1)
    wr = weights * residual
    tr = (wr * top).sum(axis=1)
    gradient = np.stack([tr, -(wr * top * x).sum(axis=1), wr.sum(axis=1) - tr], axis=1) * free
    rows = [[tt, -ttx, t - tt], [-ttx, ttxx, ttx - tx], [t - tt, ttx - tx, total - 2.0 * t + tt]]
    gram = np.stack([np.stack(row, axis=1) for row in rows], axis=1) * (free[:, None] * free)
    scale = np.maximum(np.einsum("rpp->rp", gram), 1e-12)
    damped = gram + damping[:, None, None] * (scale[:, :, None] * np.eye(3)) + 1e-13 * np.eye(3)
    return np.asarray(-np.linalg.solve(damped, gradient[:, :, None])[:, :, 0])
