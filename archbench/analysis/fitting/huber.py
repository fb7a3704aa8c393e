"""Weighted Huber regression of a law on log residuals, for many resamples or starts at once.

The loss of a residual r is r²/2 up to delta and delta·(|r| - delta/2) beyond (Huber 1964; Hoffmann et al. 2022 use
delta = 1e-3, at which nearly all points lie beyond: the minimum is where a few residuals are as good as zero, and the
objective has a kink at each). So a step replaces the law by its tangent and leaves the loss as it is: that problem is
solved to its end (`archbench.analysis.fitting.linear_huber`), beside a quadratic that holds the law's curvature and as
much damping as the last steps asked for. Where the law bends away, the step is corrected for what it missed (Fletcher
1982), and the floor is moved by E and not by ln E, so that a floor of 0 is not infinitely far away.
"""

from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.linear_huber import LinearHuber
from archbench.analysis.fitting.power_sum import Array, PowerSum, weighted_gram

LEAST_SQUARES = float("inf")
"""The delta at which Huber's loss is half the squared residual."""

_LEAST_DAMPING = 1e-12
_MOST_DAMPING = 1e14
_GOOD, _POOR = 0.75, 0.25
"""Share of the promised gain from which a step is as good as its model, and below which it is not."""
_CLOSING = 1e-7
"""Share of the objective: after a step that gained no more, the minimum is near."""


def huber(residual: Array, delta: float) -> Array:
    """Huber's loss of each residual."""
    if np.isinf(delta):
        return 0.5 * residual * residual
    size = np.abs(residual)
    return np.where(size <= delta, 0.5 * residual * residual, delta * (size - 0.5 * delta))


@dataclass(frozen=True, slots=True)
class Minima:
    """Where R minimisations ended."""

    theta: Array
    """[R, P]."""
    objective: Array
    """Weighted sum of Huber losses, [R]."""
    converged: np.ndarray
    """[R], bool."""

    def best(self) -> int:
        """Index of the smallest objective."""
        return int(np.nanargmin(self.objective))


def minimise(
    law: PowerSum,
    observed: Array,
    weights: Array,
    start: Array,
    *,
    delta: float,
    lower: Array,
    upper: Array,
    fixed: tuple[int, ...] = (),
    max_steps: int = 200,
    log_residuals: bool = True,
    tolerance: float = 1e-12,
) -> Minima:
    """Local minima of the weighted Huber objective from each start.

    observed: ln of what was measured, [n] or [R, n]; weights: [R, n], zero leaves a point out; start: [R, P]; lower,
    upper: box of the parameters, [P]; fixed: indices that stay at their start; log_residuals: residuals of ln L, or of
    L. A minimisation has converged when two steps in a row lower the objective, or promise to, by less than `tolerance`
    of its size or by less than rounding.
    """
    theta = np.clip(np.array(start, dtype=float), lower, upper)
    num_points = observed.shape[-1]
    held = np.zeros(law.num_params, dtype=bool)
    held[list(fixed)] = True
    problem = _Problem(
        law,
        np.broadcast_to(observed if log_residuals else np.exp(observed), (len(theta), num_points)),
        np.broadcast_to(weights, (len(theta), num_points)),
        delta,
        lower,
        upper,
        held,
        log_residuals,
    )
    objective = problem.objective(problem.residual(theta))
    damping = np.full(len(theta), 1e-3)
    quiet = np.zeros(len(theta), dtype=int)
    closing = np.zeros(len(theta), dtype=bool)
    active = np.isfinite(objective)
    # Residuals of 1e-12 are rounding: nothing is left to minimise.
    exact = 1e-24 * num_points
    rounding = 1e-15 * (1.0 + float(np.abs(problem.target).max(initial=0.0))) * np.sqrt(num_points)
    for _ in range(max_steps):
        index = np.flatnonzero(active)
        if not len(index):
            break
        before, damped = objective[index], damping[index]
        enough = tolerance * before + rounding * np.sqrt(before)
        candidate, value, promise = problem.rows(index).step(theta[index], before, damped, closing[index], enough)
        gain = before - value
        accepted = np.isfinite(value) & (gain >= 0)
        theta[index[accepted]] = candidate[accepted]
        objective[index[accepted]] = value[accepted]
        kept = gain / np.maximum(promise, 1e-300)
        less = np.where(kept > _GOOD, damped / 10, np.where(kept < _POOR, damped * 3, damped))
        damping[index] = np.maximum(np.where(accepted, less, np.maximum(damped, 1e-6) * 8), _LEAST_DAMPING)
        # A step that only damping made short promises little and proves nothing.
        flat = ((promise <= enough) & (damped <= 1e2)) | (accepted & (gain <= enough) & (kept > _POOR))
        closing[index] = accepted & (gain <= _CLOSING * before)
        quiet[index] = np.where(flat, quiet[index] + 1, 0)
        active[index[(quiet[index] >= 2) | (damping[index] > _MOST_DAMPING) | (objective[index] < exact)]] = False
    return Minima(theta, objective, ~active & np.isfinite(objective))


@dataclass(frozen=True, slots=True)
class _Problem:
    """R minimisations of one law on the same points."""

    law: PowerSum
    target: Array
    """What was measured, or its logarithm, [R, n]."""
    weight: Array
    """[R, n]."""
    delta: float
    lower: Array
    """[P]."""
    upper: Array
    """[P]."""
    held: np.ndarray
    """[P], bool."""
    log_residuals: bool

    def rows(self, index: np.ndarray) -> "_Problem":
        """Some of the minimisations."""
        target, weight = self.target[index], self.weight[index]
        return _Problem(self.law, target, weight, self.delta, self.lower, self.upper, self.held, self.log_residuals)

    def residual(self, theta: Array) -> Array:
        """[R, n]."""
        value = self.law.value(theta)
        return (value if self.log_residuals else np.exp(np.minimum(value, 300.0))) - self.target

    def objective(self, residual: Array) -> Array:
        """[R]."""
        return np.asarray((self.weight * huber(residual, self.delta)).sum(axis=1))

    def step(
        self, theta: Array, before: Array, damping: Array, closing: np.ndarray, enough: Array
    ) -> tuple[Array, Array, Array]:
        """theta after one step [R, P], the objective there [R], and what the step's model promised to gain [R].

        before: the objective at theta; damping: of the step; closing: whether the minimum is near; enough: gains too
        small to be looked for; [R] each.
        """
        tangent = self._tangent(theta, damping, closing, 1e-3 * enough)
        linear = tangent.linear
        d = linear.minimum(np.zeros_like(theta))
        reached = linear.moved(d)
        promise = before - self.objective(reached) - linear.bent(d)
        candidate = tangent.theta(d, self.lower, self.upper)
        residual = self.residual(candidate)
        value = self.objective(residual)
        missed = np.flatnonzero((before - value < _GOOD * promise) & np.isfinite(value))
        if len(missed):
            # The same tangent through the residuals that the step did reach.
            through = (residual - reached + linear.residual)[missed]
            better = d.copy()
            better[missed] = replace(linear.rows(missed), residual=through).minimum(d[missed])
            corrected = tangent.theta(better, self.lower, self.upper)
            lower = self.objective(self.residual(corrected))
            wins = lower < value
            candidate, value = np.where(wins[:, None], corrected, candidate), np.where(wins, lower, value)
        return candidate, value, promise

    def _tangent(self, theta: Array, damping: Array, closing: np.ndarray, enough: Array) -> "_Tangent":
        at = self.law.evaluate(theta)
        level = np.ones_like(at.value) if self.log_residuals else np.exp(np.minimum(at.value, 300.0))
        residual = (at.value if self.log_residuals else level) - self.target
        slopes = at.gradient * level[:, :, None]
        pull = self.weight * np.clip(residual, -self.delta, self.delta)
        curvature = self.law.curvature(theta, at, pull * level)
        if not self.log_residuals:
            curvature += weighted_gram(at.gradient, pull * level)
        lower, upper = self.lower - theta, self.upper - theta
        floor = None if self.law.floor is None or self.held[self.law.floor] else self.law.floor
        share = np.ones(len(theta))
        if floor is not None:
            # E in units of the lowest value of the law; its own share of that is dE/d ln E.
            share = np.maximum(np.exp(theta[:, floor] - at.value.min(axis=1)), 1e-12)
            curvature[:, floor, floor] -= np.einsum("rn,rn->r", pull, slopes[:, :, floor])
            curvature[:, floor, :] /= share[:, None]
            curvature[:, :, floor] /= share[:, None]
            slopes[:, :, floor] /= share[:, None]
            lower[:, floor], upper[:, floor] = -share, np.expm1(np.minimum(upper[:, floor], 50.0)) * share
        width = np.maximum(np.abs(residual), self.delta)
        majoriser = weighted_gram(slopes, self.weight * (1.0 if np.isinf(self.delta) else self.delta / width))
        scale = np.sqrt(np.maximum(np.einsum("rpp->rp", majoriser), 1e-300))
        curvature /= scale[:, :, None] * scale[:, None, :]
        curvature = np.where(np.isfinite(curvature), curvature, 0.0)
        # Where the law bends the objective down, the model would have no minimum: its eigenvalues are folded up.
        values, vectors = np.linalg.eigh(curvature)
        quadratic = np.matmul(vectors * np.abs(values)[:, None, :], vectors.transpose(0, 2, 1))
        if len(rows := np.flatnonzero(closing)):
            # Near a minimum the model is convex as it is, and its last steps are Newton's.
            inside = np.where(np.abs(residual[rows]) <= self.delta, self.weight[rows], 0.0)
            whole = weighted_gram(slopes[rows] / scale[rows, None, :], inside) + curvature[rows]
            convex = np.linalg.eigvalsh(np.where(np.isfinite(whole), whole, 0.0))[:, 0] > 0
            quadratic[rows[convex]] = curvature[rows[convex]]
        quadratic += damping[:, None, None] * np.eye(self.law.num_params)
        linear = LinearHuber(
            residual,
            slopes / scale[:, None, :],
            self.weight,
            quadratic,
            lower * scale,
            upper * scale,
            self.delta,
            self.held,
            enough,
        )
        return _Tangent(theta, linear, scale, floor, share)


@dataclass(frozen=True, slots=True)
class _Tangent:
    """The law's tangent at R thetas, in units in which every parameter matters as much."""

    origin: Array
    """theta, [R, P]."""
    linear: LinearHuber
    scale: Array
    """Units of d by units of theta, [R, P]."""
    floor: int | None
    """Index of a floor that moves by E."""
    share: Array
    """E in units of the law's lowest value, [R]."""

    def theta(self, d: Array, lower: Array, upper: Array) -> Array:
        """theta at a step d, inside the box, [R, P]."""
        moved = d / self.scale
        if self.floor is not None:
            moved[:, self.floor] = np.log(np.maximum(1.0 + moved[:, self.floor] / self.share, 1e-300))
        return np.clip(self.origin + moved, lower, upper)
