"""Weighted Huber regression of a law on log residuals, for many resamples or starts at once.

The loss of a residual r is r²/2 up to delta and delta·(|r| - delta/2) beyond (Huber 1964; Hoffmann et al. 2022 use
delta = 1e-3). Steps are Newton's with the exact second derivative, damped by the reweighted-least-squares majoriser, so
that they still descend where the objective is not convex.
"""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array, PowerSum, weighted_gram

LEAST_SQUARES = float("inf")
"""The delta at which Huber's loss is half the squared residual."""

_RIDGE = 1e-14
_MAX_DAMPING = 1e12


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
    L. A minimisation has converged when three steps in a row lower the objective, or promise to, by less than
    `tolerance` of its size or by less than rounding.
    """
    theta = np.clip(np.array(start, dtype=float), lower, upper)
    num_points = observed.shape[-1]
    weights = np.broadcast_to(weights, (len(theta), num_points))
    target = np.broadcast_to(observed if log_residuals else np.exp(observed), weights.shape)
    objective = (weights * huber(_residual(law, target, theta, log_residuals), delta)).sum(axis=1)
    damping = np.full(len(theta), 1e-2)
    quiet = np.zeros(len(theta), dtype=int)
    active = np.isfinite(objective)
    # Residuals of 1e-12 are rounding: nothing is left to minimise.
    exact = 1e-24 * num_points
    rounding = 1e-15 * (1.0 + float(np.abs(target).max(initial=0.0))) * np.sqrt(num_points)
    held = np.zeros(law.num_params, dtype=bool)
    held[list(fixed)] = True
    for _ in range(max_steps):
        index = np.flatnonzero(active)
        if not len(index):
            break
        here, weight, wanted = theta[index], weights[index], target[index]
        gradient, hessian, majoriser = _model(law, wanted, weight, here, delta, log_residuals)
        stuck = held | ((here <= lower) & (gradient > 0)) | ((here >= upper) & (gradient < 0))
        step = _step(gradient, hessian, majoriser, damping[index], stuck)
        candidate = np.clip(here + step, lower, upper)
        value = (weight * huber(_residual(law, wanted, candidate, log_residuals), delta)).sum(axis=1)
        gain = objective[index] - value
        accepted = np.isfinite(value) & (gain >= 0)
        theta[index[accepted]] = candidate[accepted]
        objective[index[accepted]] = value[accepted]
        damping[index] = np.where(accepted, np.maximum(damping[index] / 8, 1e-12), np.maximum(damping[index], 1e-6) * 6)
        # A step that only damping made short promises little and proves nothing.
        promised = np.abs(np.einsum("rp,rp->r", gradient, step))
        small = (damping[index] <= 1.0) & (promised <= tolerance * (np.abs(objective[index]) + 1e-30))
        flat = small | (
            np.abs(gain) <= tolerance * np.abs(objective[index]) + rounding * np.sqrt(np.abs(objective[index]))
        )
        quiet[index] = np.where(flat, quiet[index] + 1, 0)
        active[index[(quiet[index] >= 3) | (damping[index] > _MAX_DAMPING) | (objective[index] < exact)]] = False
    return Minima(theta, objective, ~active & np.isfinite(objective))


def _residual(law: PowerSum, target: Array, theta: Array, log_residuals: bool) -> Array:
    value = law.value(theta)
    return (value if log_residuals else np.exp(np.minimum(value, 300.0))) - target


def _model(
    law: PowerSum, target: Array, weight: Array, theta: Array, delta: float, log_residuals: bool
) -> tuple[Array, Array, Array]:
    """Gradient [R, P], Hessian and majoriser [R, P, P] of the objective at theta."""
    at = law.evaluate(theta)
    level = np.ones_like(at.value) if log_residuals else np.exp(np.minimum(at.value, 300.0))
    residual = (at.value if log_residuals else level) - target
    slopes = at.gradient if log_residuals else at.gradient * level[:, :, None]
    influence = weight * np.clip(residual, -delta, delta)
    gradient = np.einsum("rn,rnp->rp", influence, slopes)
    curvature = law.curvature(theta, at, influence * level)
    if not log_residuals:
        curvature = curvature + weighted_gram(at.gradient, influence * level)
    if np.isinf(delta):
        gram = weighted_gram(slopes, weight)
        return gradient, gram + curvature, gram
    size = np.abs(residual)
    inside = weighted_gram(slopes, np.where(size <= delta, weight, 0.0))
    return gradient, inside + curvature, weighted_gram(slopes, weight * (delta / np.maximum(size, delta)))


def _step(gradient: Array, hessian: Array, majoriser: Array, damping: Array, stuck: np.ndarray) -> Array:
    """Damped Newton step [R, P] that leaves `stuck` parameters where they are, in units of the majoriser's diagonal."""
    scale = np.sqrt(np.maximum(np.einsum("rpp->rp", majoriser), 1e-300))
    shape = scale[:, :, None] * scale[:, None, :]
    damp = damping[:, None, None]
    identity = np.eye(hessian.shape[1])
    matrix = (hessian + damp * majoriser) / shape + (_RIDGE + 1e-3 * damp) * identity
    right = np.where(stuck, 0.0, -gradient / scale)
    free = ~stuck
    matrix = np.where(free[:, :, None] & free[:, None, :], matrix, identity)
    matrix = np.where(np.isfinite(matrix), matrix, identity)
    # An indefinite model would step towards a maximum: its eigenvalues are folded up instead.
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(np.abs(values), 1e-14)
    projected = np.einsum("rpq,rp->rq", vectors, np.nan_to_num(right))
    return np.asarray(np.einsum("rpq,rq->rp", vectors, projected / values) / scale)
