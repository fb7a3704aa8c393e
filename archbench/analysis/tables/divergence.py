"""Which runs diverged, by their own curve and by the runs around them. No law is assumed, and no vocabulary known.

Legend: L loss, x logarithms of what a run was given (N and D, or C). A run's own curve tells divergence where its last
loss has given back half of what it had learnt and is a tenth above its lowest. Among runs, ln L is predicted from a
quadratic in x, fitted to the *other* runs by least absolute deviations; a run whose last loss is 35 % above that, and
eight robust standard deviations, diverged; both bounds are wider where the others say less. The first is wide on
purpose: smaller deviations are flagged after the fit, not left out before it.
"""

from collections.abc import Iterator

import numpy as np

from archbench.analysis.fitting.power_sum import Array

_ABOVE_LOWEST = 1.1
_GIVEN_BACK = 0.5
_EXCESS = 0.3
"""Of ln L: 35 %."""
_DEVIATIONS = 8.0
_LARGEST_LOSS = 20.0
"""Nats per token: the loss of a uniform guess over 4.8e8 tokens."""
_MOST = 0.25
"""Share of runs that may be called diverged by the others: beyond, the others are no measure."""
_LEAST_RUNS = 6
_MOST_ALONE = 400
"""Runs up to which each is predicted from all others; of more, one hardly moves the fit."""
_STEPS = 40


def rose_again(losses: Array) -> bool:
    """Whether a curve, in order of steps, ends far above where it had been."""
    if len(losses) < 2:
        return False
    first, lowest, last = float(losses[0]), float(losses.min()), float(losses[-1])
    return last > _ABOVE_LOWEST * lowest and last - lowest >= _GIVEN_BACK * (first - lowest)


def far_above_others(x: Array, loss: Array, *, per_token: bool = True) -> list[tuple[int, float]]:
    """Index of each diverged run, and the loss that the others lead one to expect there.

    x: [V, n] logarithms of what each run was given; loss: [n], of its last point. per_token: losses are nats per token,
    so that none of a trained model is above 20.
    """
    kept = np.arange(len(loss))
    found: list[tuple[int, float]] = []
    if per_token:
        usual = loss <= _LARGEST_LOSS
        typical = float(np.median(loss[usual])) if usual.any() else float("nan")
        found = [(int(index), typical) for index in np.flatnonzero(~usual)] if usual.any() else []
        kept = np.flatnonzero(usual) if usual.any() else kept
    for index, expected in _one_by_one(x, loss, kept, int(_MOST * len(loss))):
        found.append((index, expected))
    return found


def _one_by_one(x: Array, loss: Array, kept: np.ndarray, most: int) -> Iterator[tuple[int, float]]:
    """The run furthest above the others, again and again, so that one does not hide another."""
    for _ in range(most):
        if len(kept) < _LEAST_RUNS:
            return
        design = _design(x[:, kept])
        expected = _expected(design, np.log(loss[kept]))
        excess = np.log(loss[kept]) - expected
        spread = 1.4826 * float(np.median(np.abs(excess)))
        beyond = excess / _reach(design)
        worst = int(np.argmax(beyond))
        if not beyond[worst] > max(_EXCESS, _DEVIATIONS * spread):
            return
        yield int(kept[worst]), float(np.exp(expected[worst]))
        kept = np.delete(kept, worst)


def _reach(design: Array) -> Array:
    """How much wider the bounds are where the others say less, [n]: sqrt(1 / (1 - h)), h the leverage.

    Infinite where only the run itself tells a direction: the one short run among long ones may well have a high loss.
    """
    vectors, sizes, _ = np.linalg.svd(design, full_matrices=False)
    leverage = (vectors[:, sizes > 1e-9 * sizes[0]] ** 2).sum(axis=1)
    alone = 1.0 - leverage < 1e-6
    return np.asarray(np.where(alone, np.inf, 1.0 / np.sqrt(np.where(alone, 1.0, 1.0 - leverage))))


def _expected(design: Array, y: Array) -> Array:
    """What the other runs predict for each, [n]."""
    n = len(y)
    if n > _MOST_ALONE:
        return np.asarray(design @ _least_absolute(design, y, np.ones((1, n)))[0])
    without = np.ones((n, n)) - np.eye(n)
    return np.asarray((design * _least_absolute(design, y, without)).sum(axis=1))


def _design(x: Array) -> Array:
    """A constant, x, and squares of x as far as the runs are enough for them, [n, P]; x that does not vary is left out.

    Products of two x are left out: on an isoFLOP grid they are the same direction as the squares.
    """
    n = x.shape[1]
    spread = np.ptp(x, axis=1) if n else np.zeros(len(x))
    scaled = [(row - row.mean()) / width for row, width in zip(x, spread, strict=True) if width > 1e-6]
    columns = [np.ones(n), *scaled]
    if n >= 2 * (1 + 2 * len(scaled)):
        columns += [row**2 for row in scaled]
    return np.stack(columns, axis=1)


def _least_absolute(design: Array, y: Array, weights: Array) -> Array:
    """Coefficients of least absolute deviations, one fit for each row of weights, [m, P]; by reweighted squares."""
    ridge = 1e-9 * np.eye(design.shape[1])
    w = weights
    coefficients = np.zeros((len(weights), design.shape[1]))
    for _ in range(_STEPS):
        normal = np.einsum("mn,np,nq->mpq", w, design, design, optimize=True) + ridge
        right = np.einsum("mn,np,n->mp", w, design, y, optimize=True)
        coefficients = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
        residual = np.abs(y[None, :] - coefficients @ design.T)
        w = weights / np.maximum(residual, 1e-4)
    return coefficients
