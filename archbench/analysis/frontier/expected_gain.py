"""The gain that a ladder's own law expects between two costs, with the weight of every size in that expectation.

Two forms, both fitted by least squares of ln L to the sizes that are let in, many choices of sizes at once:

    line   ln L = a - alpha ln C          (a power law without floor)
    floor  L = E + A C^-gamma, E >= 0     (gains shrink along the ladder as the floor comes near)

With gamma given the second is linear in (E, A), so that the search is one in gamma alone: a grid, narrowed three times.

Legend: x ln C, y ln L, F fits, P sizes, G values of gamma.
"""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.frontier.curves import Floats

_GRID = 40
_ZOOMS = 3
_DECAY = (0.01, 50.0)
"""Least and most fall of ln(L - E) over all sizes of a ladder that is looked at."""


@dataclass(frozen=True, slots=True)
class ExpectedGains:
    """What one form expects of each fit."""

    gain: Floats
    """[F], ln of loss before over loss after; not negative."""
    gradient: Floats
    """[F, P]: by how much the expected gain moves with each size's log loss."""
    residual_std: Floats
    """[F]: of one run's log loss about the law; NaN without degrees of freedom."""
    degrees_of_freedom: Floats
    """[F]: sizes let in beyond the parameters."""


def line_gains(x: Floats, y: Floats, weights: Floats, start: Floats, end: Floats) -> ExpectedGains:
    """Those of the law without floor from log cost `start` to `end`, both [F]; `weights` [F, P], 0: left out."""
    total = weights.sum(axis=1, keepdims=True)
    centred = x - weights @ x[:, None] / total
    slope_weights = weights * centred / (weights * centred**2).sum(axis=1, keepdims=True)
    slope = slope_weights @ y
    level = (weights @ y) / total[:, 0]
    residual = y - level[:, None] - slope[:, None] * centred
    falls = slope < 0
    distance = end - start
    return ExpectedGains(
        np.where(falls, -slope * distance, 0.0),
        np.where(falls[:, None], -slope_weights * distance[:, None], 0.0),
        *_scale(residual, weights, 2),
    )


def floor_gains(x: Floats, y: Floats, weights: Floats, start: Floats, end: Floats) -> ExpectedGains:
    """As `line_gains`, of the law with a floor; where the best floor is 0 it is the law without."""
    origin, span = float(x.min()), float(x.max() - x.min())
    loss, relative = np.exp(y), weights / np.exp(2 * y)
    low = np.full(len(weights), np.log(_DECAY[0] / span))
    high = np.full(len(weights), np.log(_DECAY[1] / span))
    rows = np.arange(len(weights))
    steps = np.linspace(0.0, 1.0, _GRID)
    for _ in range(1 + _ZOOMS):
        grid = low[:, None] + (high - low)[:, None] * steps  # [F, G]
        floor, amplitude, objective = _solved(np.exp(grid), x - origin, loss, relative)
        best = np.argmin(objective, axis=1)
        low, high = grid[rows, np.maximum(best - 1, 0)], grid[rows, np.minimum(best + 1, _GRID - 1)]
    gamma, floor, amplitude = np.exp(grid[rows, best]), floor[rows, best], amplitude[rows, best]
    falling = np.exp(-gamma[:, None] * (x - origin))
    fitted = floor[:, None] + amplitude[:, None] * falling
    jacobian = _jacobian(gamma, floor, amplitude, x - origin)
    at_start, at_end = (_jacobian(gamma, floor, amplitude, (point - origin)[:, None])[:, 0] for point in (start, end))
    normal = np.einsum("fpi,fp,fpj->fij", jacobian, weights, jacobian)
    solved = np.einsum("fi,fij,fpj,fp->fp", at_start - at_end, np.linalg.pinv(normal, rcond=1e-12), jacobian, weights)
    reached = [np.log(floor + amplitude * np.exp(-gamma * (point - origin))) for point in (start, end)]
    return ExpectedGains(reached[0] - reached[1], solved, *_scale(y - np.log(fitted), weights, 3))


def _solved(gamma: Floats, x: Floats, loss: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """E, A and the objective at each gamma, all [F, G]: relative least squares with E and A not negative."""
    falling = np.exp(-gamma[:, :, None] * x)
    total = weights.sum(axis=1)[:, None]
    one = (weights @ loss)[:, None]
    power = np.einsum("fgp,fp->fg", falling, weights)
    square = np.einsum("fgp,fp->fg", falling**2, weights)
    crossed = np.einsum("fgp,fp->fg", falling, weights * loss)
    determinant = np.maximum(square * total - power**2, 1e-300)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        amplitude = (crossed * total - one * power) / determinant
        floor = (one * square - crossed * power) / determinant
        floor = np.where(amplitude < 0, one / total, floor)
        amplitude = np.where(floor < 0, crossed / square, np.maximum(amplitude, 0.0))
    # Losses that differ by twenty orders of magnitude: no numbers hold both, and the law that does not fall stands in.
    beyond = ~(np.isfinite(amplitude) & np.isfinite(floor))
    amplitude, floor = np.where(beyond, 0.0, amplitude), np.where(beyond, one / total, floor)
    floor = np.maximum(floor, 0.0)
    residual = loss - floor[:, :, None] - amplitude[:, :, None] * falling
    return floor, amplitude, np.einsum("fgp,fp->fg", residual**2, weights)


def _jacobian(gamma: Floats, floor: Floats, amplitude: Floats, x: Floats) -> Floats:
    """Of ln L by E, ln A and gamma, [F, P, 3]; zero for a floor that lies at its bound."""
    part = amplitude[:, None] * np.exp(-gamma[:, None] * x)
    fitted = floor[:, None] + part
    by_floor = np.where(floor[:, None] > 0, floor[:, None] / fitted, 0.0)
    return np.stack([by_floor, part / fitted, -part * x / fitted], axis=2)


def _scale(residual: Floats, weights: Floats, parameters: int) -> tuple[Floats, Floats]:
    freedom = (weights > 0).sum(axis=1) - float(parameters)
    squares = (weights * residual**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(freedom > 0, np.sqrt(squares / freedom), np.nan), freedom
