"""Starts of a fit by variable projection: with the exponents given, a law is linear in its sizes and its floor.

Every point of a grid of exponents is solved by non-negative least squares on relative residuals, which for small ones
are log residuals. With an outer exponent gamma, (L - E)^(1/gamma) is linear in the sizes, so E and gamma join the grid.
"""

import itertools

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import MAX_EXPONENT, ZERO_FLOOR, Law

_GRID = {1: np.geomspace(0.01, 4.0, 60), 2: np.geomspace(0.03, 3.0, 14), 3: np.geomspace(0.05, 2.0, 7)}
_OUTER = np.array([0.03, 0.07, 0.15, 0.3, 0.6, 1.0, 1.6])
_FLOOR_SHARES = np.array([0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
_REWEIGHTINGS = 3


def projected_starts(law: Law, logs: Array, observed: Array, weights: Array, floor_value: float | None) -> Array:
    """theta at each point of the grid, [G, P], for weights [n]; `floor_value`: ln of a floor that is not free."""
    grid = _exponent_grid(law) * law.exponent_scale
    blank = np.zeros((len(grid), law.num_params))
    for column, index in enumerate(law.exponents):
        blank[:, index] = grid[:, column]
    if law.outer is None:
        return _solve(law, logs, observed, weights, blank, floor_value)
    lowest = float(observed.min())
    floors = [ZERO_FLOOR]
    if law.floor is not None:
        floors = [floor_value] if floor_value is not None else [_log(share) + lowest for share in _FLOOR_SHARES]
    found = []
    for gamma, floor in itertools.product(_OUTER, floors):
        excess = np.exp(observed) - np.exp(floor)
        excess = np.maximum(excess, 1e-3 * np.exp(lowest))
        theta = _solve(law, logs, np.log(excess) / gamma, weights, blank, ZERO_FLOOR)
        theta[:, law.outer] = gamma
        if law.floor is not None:
            theta[:, law.floor] = floor
        found.append(theta)
    return np.concatenate(found)


def _log(share: float) -> float:
    return float(np.log(share)) if share > 0 else ZERO_FLOOR


def _exponent_grid(law: Law) -> Array:
    count = len(law.exponents)
    values = _GRID[min(count, 3)]
    return np.asarray(np.minimum(np.array(list(itertools.product(values, repeat=count))), MAX_EXPONENT))


def _solve(law: Law, logs: Array, observed: Array, weights: Array, blank: Array, floor_value: float | None) -> Array:
    """Fills the sizes, and the floor where `floor_value` is None, by non-negative least squares."""
    terms, offsets = law.terms(logs), law.offsets(logs)
    columns = []
    for k, term in enumerate(terms):
        exponent = blank @ term.T + (0.0 if offsets is None else offsets[k])
        columns.append(np.exp(np.clip(exponent - observed, -300, 300)))
    free_floor = law.floor is not None and floor_value is None
    target = np.ones((len(blank), len(observed)))
    if free_floor:
        columns.append(np.broadcast_to(np.exp(-observed), target.shape))
    elif law.floor is not None and floor_value is not None:
        target = target - np.exp(floor_value - observed)
    basis = np.stack(columns, axis=1)
    weight = np.broadcast_to(weights, target.shape).copy()
    for _ in range(_REWEIGHTINGS):
        sizes = _non_negative(basis, target, weight)
        residual = np.abs(np.einsum("gk,gkn->gn", sizes, basis) - target)
        spread = np.maximum(np.median(residual, axis=1, keepdims=True), 1e-9)
        weight = weights / np.maximum(residual / (2 * spread), 1.0)
    theta = blank.copy()
    for k, index in enumerate(law.amplitudes):
        theta[:, index] = np.log(np.maximum(sizes[:, k], 1e-12))
    if law.floor is not None:
        theta[:, law.floor] = np.log(np.maximum(sizes[:, -1], 1e-12)) if free_floor else floor_value
    return theta


def _non_negative(basis: Array, target: Array, weight: Array) -> Array:
    """Least-squares coefficients >= 0, [G, K], of basis [G, K, n], by trying every set of positive ones (K <= 3)."""
    gram = np.einsum("gkn,gln,gn->gkl", basis, basis, weight, optimize=True)
    right = np.einsum("gkn,gn,gn->gk", basis, target, weight, optimize=True)
    count = basis.shape[1]
    best, lowest = np.zeros(right.shape), np.full(len(right), np.inf)
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            pick = list(chosen)
            part = gram[:, pick][:, :, pick]
            scale = np.sqrt(np.maximum(np.einsum("gkk->gk", part), 1e-300))
            scaled = part / scale[:, :, None] / scale[:, None, :] + 1e-13 * np.eye(size)
            values = np.linalg.solve(scaled, (right[:, pick] / scale)[:, :, None])[:, :, 0] / scale
            # Without the constant sum of squared targets: the same for every set.
            cost = -np.einsum("gk,gk->g", values, right[:, pick])
            better = (values > 0).all(axis=1) & (cost < lowest)
            lowest = np.where(better, cost, lowest)
            filled = np.zeros(right.shape)
            filled[:, pick] = values
            best = np.where(better[:, None], filled, best)
    return best
