"""L = E + A_g·C^-alpha_g: power laws of several architectures above one floor, for many resamples at once.

On one text the irreducible loss E is one number, whoever models it. With E in common a ladder of three sizes has a law
with a floor beside one of six, and two ladders on one law are not told apart because one of them lies lower. E is
bounded by 0 and by the lowest loss: where the data do not bend it ends at 0, and the law is the one without a floor.

Least squares of ln L, by Gauss-Newton steps within the bounds; started from the best of a grid of floors, at each of
which the other parameters follow in closed form.

Legend: R resamples, n points, G architectures, C cost, L loss (nats), E floor, A amplitude, alpha exponent.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archbench.analysis.fitting.power_sum import Array

Ints = NDArray[np.intp]

_FLOOR_SHARES = (0.0, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.96)
"""Starting floors, as shares of the lowest loss."""
_HIGHEST_SHARE = 0.999
_LEAST_ALPHA = 1e-6
_MAX_STEPS = 60
_EXP_LIMIT = 300.0
_SETTLED = 1e-9
"""Relative gain of an objective below which a search has ended."""


@dataclass(frozen=True, slots=True)
class FlooredLines:
    """One law a resample and architecture."""

    log_amplitude: Array
    """ln A, [R, G]."""
    alpha: Array
    """[R, G]; `_LEAST_ALPHA` where the loss does not fall with cost."""
    floor_nats: Array
    """E, [R]."""
    objective: Array
    """Weighted sum of squared log residuals, [R]."""

    def take(self, row: int) -> "FlooredLines":
        """One resample's, as the only one."""
        rows = slice(row, row + 1)
        return FlooredLines(self.log_amplitude[rows], self.alpha[rows], self.floor_nats[rows], self.objective[rows])

    def log_loss_at(self, group: int, log_cost: Array) -> Array:
        """ln L of one architecture at each log cost [M], [R, M]."""
        power = self.log_amplitude[:, group, None] - self.alpha[:, group, None] * log_cost[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.logaddexp(power, np.log(self.floor_nats)[:, None]))

    def log_cost_at(self, group: int, log_loss: Array) -> Array:
        """ln C at which one architecture has each log loss [M], [R, M]; infinite at or below the floor."""
        excess = np.exp(log_loss)[None, :] - self.floor_nats[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = (self.log_amplitude[:, group, None] - np.log(excess)) / self.alpha[:, group, None]
        return np.where(excess > 0, reached, np.inf)


@dataclass(frozen=True, slots=True)
class _Problem:
    x: Array
    """Centred log costs, [n]."""
    y: Array
    """Log losses, [R, n]."""
    weights: Array
    """[n], or [R, n]."""
    group: Ints
    """[n]."""
    members: Array
    """[n, G]: 1 where the point is that architecture's."""

    def rows(self, rows: Ints) -> "_Problem":
        """Some of the resamples."""
        weights = self.weights[rows] if self.weights.ndim == 2 else self.weights
        return _Problem(self.x, self.y[rows], weights, self.group, self.members)


def fit_floored_lines(
    log_cost: Array,
    log_loss: Array,
    group: Ints,
    *,
    weights: Array | None = None,
    floor: Literal["free", "none"] | float = "free",
    start: FlooredLines | None = None,
) -> FlooredLines:
    """The least squares of each row of `log_loss` [R, n] over points at `log_cost` [n] of architectures `group` [n].

    weights: [n], or [R, n]; 0 leaves a point out. floor: `none` keeps E at 0, a number at so many nats. start: a law to
    begin each row from (one row), in place of the grid of floors.
    Every architecture needs points at two costs or more.
    """
    count = int(group.max()) + 1
    centre = float(log_cost.mean())
    members = (group[:, None] == np.arange(count)).astype(float)
    problem = _Problem(log_cost - centre, log_loss, np.ones(len(group)) if weights is None else weights, group, members)
    rows = len(log_loss)
    if floor != "free":
        level = np.full(rows, 0.0 if isinstance(floor, str) else floor)
        amplitude, alpha = _lines_above(problem, level)
    elif start is not None:
        amplitude = np.repeat(start.log_amplitude - start.alpha * centre, rows, axis=0)
        alpha, level = np.repeat(start.alpha, rows, axis=0), np.repeat(start.floor_nats, rows)
        level = np.minimum(level, _HIGHEST_SHARE * np.exp(log_loss.min(axis=1)))
    else:
        amplitude, alpha, level = _best_start(problem)
    if floor == "free":
        amplitude, alpha, level = _descend(problem, amplitude, alpha, level)
    objective = _objective(problem, _residual(problem, amplitude, alpha, level)[0])
    return FlooredLines(amplitude + alpha * centre, alpha, level, objective)


def _lines_above(problem: _Problem, level: Array) -> tuple[Array, Array]:
    """ln A and alpha [R, G] above given floors [R], to first order the least squares of ln L."""
    # The share of the loss that lies above the floor, by the logarithm: a wild draw's loss itself would overflow.
    above = np.maximum(1.0 - level[:, None] * np.exp(-np.maximum(problem.y, -_EXP_LIMIT)), 1e-9)
    weight, z = problem.weights * above**2, problem.y + np.log(above)
    total, wx, wz = weight @ problem.members, (weight * problem.x) @ problem.members, (weight * z) @ problem.members
    mean_x, mean_z = wx / total, wz / total
    x, dz = problem.x - mean_x[:, problem.group], z - mean_z[:, problem.group]
    slope = ((weight * x * dz) @ problem.members) / ((weight * x * x) @ problem.members)
    alpha = np.maximum(-slope, _LEAST_ALPHA)
    return mean_z + alpha * mean_x, alpha


def _best_start(problem: _Problem) -> tuple[Array, Array, Array]:
    lowest = np.exp(problem.y.min(axis=1))
    tried = []
    for share in _FLOOR_SHARES:
        level = share * lowest
        amplitude, alpha = _lines_above(problem, level)
        tried.append((_objective(problem, _residual(problem, amplitude, alpha, level)[0]), amplitude, alpha, level))
    best = np.argmin(np.stack([one[0] for one in tried]), axis=0)
    rows = np.arange(len(best))
    amplitude, alpha, level = (np.stack([one[part] for one in tried])[best, rows] for part in (1, 2, 3))
    return amplitude, alpha, level


def _residual(problem: _Problem, amplitude: Array, alpha: Array, level: Array) -> tuple[Array, Array, Array]:
    """ln of the law less ln L, the share of the power term in the law, and the law, [R, n] each."""
    # A wild step would overflow; it's refused by the objective that it gives.
    power = np.exp(np.clip(amplitude[:, problem.group] - alpha[:, problem.group] * problem.x, -_EXP_LIMIT, _EXP_LIMIT))
    law = power + level[:, None]
    return np.log(law) - problem.y, power / law, law


def _objective(problem: _Problem, residual: Array) -> Array:
    return np.asarray((problem.weights * residual * residual).sum(axis=1))


def _descend(problem: _Problem, amplitude: Array, alpha: Array, level: Array) -> tuple[Array, Array, Array]:
    """Gauss-Newton from given starts; a floor at 0 stays there while the objective falls towards a negative one."""
    amplitude, alpha, level = amplitude.copy(), alpha.copy(), level.copy()
    highest = _HIGHEST_SHARE * np.exp(problem.y.min(axis=1))
    rows, here = np.arange(len(level)), problem
    residual, top, law = _residual(problem, amplitude, alpha, level)
    objective = _objective(problem, residual)
    damping = np.full(len(level), 1e-4)
    for _ in range(_MAX_STEPS):
        step = _damped_step(here, residual, top, law, level[rows] <= 0.0, damping)
        count = amplitude.shape[1]
        next_amplitude = amplitude[rows] + step[:, :count]
        next_alpha = np.maximum(alpha[rows] + step[:, count:-1], _LEAST_ALPHA)
        next_level = np.clip(level[rows] + step[:, -1], 0.0, highest[rows])
        tried = _residual(here, next_amplitude, next_alpha, next_level)
        value = _objective(here, tried[0])
        better = value <= objective
        done = better & (objective - value <= _SETTLED * objective + 1e-28)
        moved = rows[better]
        amplitude[moved], alpha[moved] = next_amplitude[better], next_alpha[better]
        level[moved] = next_level[better]
        damping = np.where(better, damping / 8.0, damping * 6.0)
        on = ~done & (damping < 1e8)
        if not on.any():
            break
        # A row whose step was refused is tried again from where it was.
        residual, top, law = (
            np.where(better[:, None], new, old)[on] for new, old in zip(tried, (residual, top, law), strict=True)
        )
        objective, damping, rows = np.where(better, value, objective)[on], damping[on], rows[on]
        here = problem.rows(rows)
    return amplitude, alpha, level


def _damped_step(
    problem: _Problem, residual: Array, top: Array, law: Array, at_zero: np.ndarray, damping: Array
) -> Array:
    """The damped step of (ln A, alpha, E), [R, 2G + 1].

    The gradients of ln L are (t, -t·x, 1/L) with t = `top`, and those of two architectures share E alone.
    """
    members, count = problem.members, problem.members.shape[1]
    weighted, by_law = problem.weights * top, problem.weights / law
    tt, ttx, ttxx = (
        (weighted * top) @ members,
        (weighted * top * problem.x) @ members,
        (weighted * top * problem.x**2) @ members,
    )
    te, tex = (weighted / law) @ members, (weighted / law * problem.x) @ members
    size = 2 * count + 1
    gram = np.zeros((len(residual), size, size))
    each = np.arange(count)
    gram[:, each, each], gram[:, count + each, count + each] = tt, ttxx
    gram[:, each, count + each] = gram[:, count + each, each] = -ttx
    gram[:, each, -1] = gram[:, -1, each] = te
    gram[:, count + each, -1] = gram[:, -1, count + each] = -tex
    gram[:, -1, -1] = (by_law / law).sum(axis=1)
    gradient = np.concatenate(
        [
            (weighted * residual) @ members,
            -(weighted * residual * problem.x) @ members,
            (by_law * residual).sum(axis=1, keepdims=True),
        ],
        axis=1,
    )
    held = np.zeros_like(gradient, dtype=bool)
    held[:, -1] = at_zero & (gradient[:, -1] > 0)
    scale = np.sqrt(np.maximum(np.einsum("rpp->rp", gram), 1e-300))
    matrix = gram / (scale[:, :, None] * scale[:, None, :]) + (damping[:, None, None] + 1e-13) * np.eye(size)
    either = held[:, :, None] | held[:, None, :]
    matrix = np.where(either, np.eye(size), matrix)
    right = np.where(held, 0.0, -gradient / scale)
    return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0] / scale)
