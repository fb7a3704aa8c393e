"""Weighted Huber regression of a linear model beside a quadratic, in a box, for R problems at once.

    minimise over d:   sum_i w_i · huber(r_i + J_i · d) + d·Q·d / 2,     lower <= d <= upper

The objective is convex and piecewise quadratic. Steps are Newton's on the piece at hand, each with an exact search
along its line, which crosses as many kinks as pay (Madsen and Nielsen 1990): a handful of steps finds the piece of the
minimum, and the last one the minimum itself. Bounds that are met are an active set.

Legend: R problems, n points, P parameters.
"""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array, weighted_gram

_RIDGE = 1e-13
_MAX_STEPS = 20


@dataclass(frozen=True, slots=True)
class LinearHuber:
    """R problems; Q is positive definite, parameters are in units in which it is near one."""

    residual: Array
    """r, [R, n]."""
    slopes: Array
    """J, [R, n, P]."""
    weight: Array
    """w, [R, n]."""
    quadratic: Array
    """Q, [R, P, P]."""
    lower: Array
    """[R, P]."""
    upper: Array
    """[R, P]."""
    delta: float
    held: np.ndarray
    """Parameters that stay at 0, [P], bool."""
    enough: Array
    """A step that promises less than this ends the search, [R]."""

    def rows(self, index: np.ndarray) -> "LinearHuber":
        """Some of the problems."""
        return LinearHuber(
            self.residual[index],
            self.slopes[index],
            self.weight[index],
            self.quadratic[index],
            self.lower[index],
            self.upper[index],
            self.delta,
            self.held,
            self.enough[index],
        )

    def moved(self, d: Array) -> Array:
        """Residuals of the linear model at d, [R, n]."""
        return self.residual + _times(self.slopes, d)

    def bent(self, d: Array) -> Array:
        """The quadratic at d, [R]."""
        return np.asarray(0.5 * (d * _times(self.quadratic, d)).sum(axis=1))

    def minimum(self, start: Array) -> Array:
        """d at the minimum, [R, P], looked for from `start`."""
        d = start.copy()
        left = np.arange(len(d))
        problem, residual, at_bound = self, self.moved(d), np.zeros(d.shape, dtype=bool)
        for _ in range(_MAX_STEPS):
            here = d[left]
            gradient = problem._gradient(here, residual)
            step, promise = problem._step(gradient, residual, at_bound)
            # The minimum along this face of the box: a bound that the gradient points away from is left.
            ends = promise <= problem.enough
            freed = at_bound & ends[:, None] & np.where(here <= problem.lower, gradient < 0, gradient > 0) & ~self.held
            goes_on = np.flatnonzero(~ends | freed.any(axis=1))
            if not len(goes_on):
                break
            if len(goes_on) < len(left):
                left, residual, problem = left[goes_on], residual[goes_on], problem.rows(goes_on)
                here, step, at_bound, freed = here[goes_on], step[goes_on], at_bound[goes_on], freed[goes_on]
            with np.errstate(divide="ignore", invalid="ignore"):
                room = np.where(step > 0, (problem.upper - here) / step, (problem.lower - here) / step)
            room = np.where(step == 0, np.inf, np.maximum(room, 0.0))
            change = _times(problem.slopes, step)
            rise = (step * _times(problem.quadratic, here)).sum(axis=1)
            free = _lowest(residual, change, problem.weight, self.delta, rise, 2 * problem.bent(step))
            length = np.minimum(free, room.min(axis=1))[:, None]
            at_bound = (at_bound | (room <= length)) & ~freed
            d[left] = np.clip(here + length * step, problem.lower, problem.upper)
            residual = residual + length * change
        return d

    def _gradient(self, d: Array, residual: Array) -> Array:
        """[R, P]; 0 where it is not finite."""
        pull = self.weight * np.clip(residual, -self.delta, self.delta)
        gradient = _times(self.slopes.transpose(0, 2, 1), pull) + _times(self.quadratic, d)
        return np.where(np.isfinite(gradient), gradient, 0.0)

    def _step(self, gradient: Array, residual: Array, at_bound: np.ndarray) -> tuple[Array, Array]:
        """Newton's step [R, P] on the piece at hand with what is at a bound left there, and what it promises [R]."""
        stuck = self.held | at_bound
        inside = np.where(np.abs(residual) <= self.delta, self.weight, 0.0)
        identity = np.eye(gradient.shape[1])
        matrix = weighted_gram(self.slopes, inside) + self.quadratic + _RIDGE * identity
        matrix = np.where(stuck[:, :, None] | stuck[:, None, :], identity, matrix)
        right = np.where(stuck, 0.0, gradient)
        step = np.asarray(-np.linalg.solve(matrix, right[:, :, None])[:, :, 0])
        return step, np.asarray(-(step * right).sum(axis=1))


def _times(matrices: Array, vectors: Array) -> Array:
    """Each matrix times its vector, [R, m] for [R, m, k] and [R, k]."""
    return np.asarray(np.matmul(matrices, vectors[:, :, None])[:, :, 0])


def _lowest(residual: Array, slopes: Array, weight: Array, delta: float, rise: Array, bend: Array) -> Array:
    """t >= 0, [R], at which sum_i w_i · huber(r_i + t s_i) + rise·t + bend·t²/2 is lowest.

    Its derivative is piecewise linear and rises: its slope changes by w_i s_i² where point i passes +-delta.
    """
    row = np.arange(len(residual))[:, None]
    curvature = weight * slopes * slopes
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        centre, width = -residual / slopes, np.abs(delta / slopes)
        enters, leaves = centre - width, centre + width
    # A point that hardly moves passes no kink.
    stays = ~np.isfinite(centre)
    enters[stays], leaves[stays] = np.inf, np.inf
    derivative = (weight * slopes * np.clip(residual, -delta, delta)).sum(axis=1) + rise
    at_once = (curvature * ((enters <= 0) & (leaves > 0))).sum(axis=1) + bend
    kinks = np.concatenate([enters, leaves], axis=1)
    changes = np.concatenate([curvature, -curvature], axis=1)
    ahead = (kinks > 0) & np.isfinite(kinks)
    last = np.where(ahead, kinks, 0.0).max(axis=1, keepdims=True, initial=0.0)
    kinks = np.where(ahead, kinks, last)
    changes = np.where(ahead, changes, 0.0)
    order = np.argsort(kinks, axis=1)
    begins = np.zeros((len(row), kinks.shape[1] + 1))
    begins[:, 1:] = kinks[row, order]
    curvatures = np.repeat(at_once[:, None], begins.shape[1], axis=1)
    curvatures[:, 1:] += np.cumsum(changes[row, order], axis=1)
    derivatives = np.repeat(derivative[:, None], begins.shape[1], axis=1)
    # A kink that lies almost infinitely far away is beyond the minimum, whatever the derivative overflows to there; a
    # line that nothing bends has its minimum at infinity, and the box ends it.
    with np.errstate(over="ignore", invalid="ignore"):
        derivatives[:, 1:] += np.cumsum(curvatures[:, :-1] * np.diff(begins, axis=1), axis=1)
        # The piece before the first kink at which the derivative is positive holds the minimum.
        passed = derivatives[:, 1:] >= 0
        piece = np.where(passed.any(axis=1), passed.argmax(axis=1), passed.shape[1])[:, None]
        beyond = derivatives[row, piece] / np.maximum(curvatures[row, piece], 1e-300)
    return np.asarray((begins[row, piece] - beyond)[:, 0])
