"""Which run to train next: the one that shrinks the expected variance of a named quantity most per FLOP.

What is known now is the covariance V that the runs give (by runs, not by points of their curves, and with what Huber's
loss gives away under normal noise). A further run at x with noise s of ln L and gradient g by theta adds the
information g gᵀ/s², so the variance of a quantity with gradient q falls from qᵀVq by the rank-one formula of Sherman
and Morrison, and every candidate is judged at once (Chaloner and Verdinelli 1995: local c-optimal design).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.run_noise import RunNoise, covariance, inefficiency, run_noise
from archbench.errors import SpecError

_STEP = 1e-5
_PRICES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Powers of a run's cost that its worth is divided by, of which the best is kept."""


def greedy_design(
    fit: LawFit,
    quantity: Callable[[Mapping[str, float]], float],
    candidates: Mapping[str, ArrayLike],
    flops: ArrayLike,
    *,
    budget: float,
    max_runs: int = 100,
    max_repeats: int = 100,
) -> tuple[int, ...]:
    """Indices of candidates, one at a time the best given those before it, until `budget` is spent.

    No candidate is taken more than `max_repeats` times. What is best is the variance taken away per FLOP to a power,
    that one of `_PRICES` whose runs leave the least: where `max_runs` are few, runs that are cheap buy little.
    """
    free, covariance, direction = _covariance_and_gradient(fit, quantity)
    there = _information(fit, candidates)[:, free]
    cost = np.broadcast_to(np.asarray(flops, dtype=float), (len(there),))
    offer = _Offer(there, cost, budget, max_runs, max_repeats)
    plans = [_greedy(offer, covariance, direction, price=price) for price in _PRICES]
    return min(plans, key=lambda plan: plan[1])[0]


@dataclass(frozen=True, slots=True)
class _Offer:
    """The runs that may be taken: m candidates."""

    information: Array
    """g/s of each by the free parameters, [m, free]."""
    cost: Array
    """FLOPs, [m]."""
    budget: float
    max_runs: int
    max_repeats: int


def _greedy(offer: _Offer, covariance: Array, direction: Array, *, price: float) -> tuple[tuple[int, ...], float]:
    """The runs taken, worth most per FLOP to the power `price`, and the variance of the quantity with them."""
    there, budget = offer.information, offer.budget
    chosen: list[int] = []
    left = np.full(len(there), offer.max_repeats)
    while len(chosen) < offer.max_runs and (offered := (offer.cost <= budget) & (left > 0)).any():
        worth = np.where(offered, _reduction(covariance, direction, there) / offer.cost**price, -1.0)
        best = int(worth.argmax())
        carried = covariance @ there[best]
        covariance = covariance - np.outer(carried, carried) / (1.0 + float(there[best] @ carried))
        budget -= float(offer.cost[best])
        left[best] -= 1
        chosen.append(best)
    return tuple(chosen), float(direction @ covariance @ direction)


def standard_error(
    fit: LawFit,
    quantity: Callable[[Mapping[str, float]], float],
    added: Mapping[str, ArrayLike] | None = None,
) -> float:
    """Standard error of the quantity now, or expected with all of the runs `added` (by variable)."""
    free, covariance, direction = _covariance_and_gradient(fit, quantity)
    if added is not None:
        there = _information(fit, added)[:, free]
        covariance = np.asarray(np.linalg.inv(np.linalg.inv(covariance) + there.T @ there))
    return float(np.sqrt(direction @ covariance @ direction))


def _covariance_and_gradient(
    fit: LawFit, quantity: Callable[[Mapping[str, float]], float]
) -> tuple[list[int], Array, Array]:
    """Indices of free parameters, their covariance, and the gradient of the quantity."""
    free, spread = covariance(fit, _noise_of_runs(fit))
    return free, spread, _gradient(fit, quantity)[free]


def _noise_of_runs(fit: LawFit) -> RunNoise:
    noise = run_noise(fit)
    if noise is None:
        raise SpecError(
            f"{fit.result.law}: as many parameters as runs ({fit.points.num_clusters}): nothing tells the noise, so no "
            "standard error is known; finish the scan, or add sizes or seeds"
        )
    return noise


def _information(fit: LawFit, candidates: Mapping[str, ArrayLike]) -> Array:
    """g/s of each candidate, [m, P], with s of one run as Huber's loss sees it."""
    noise = _noise_of_runs(fit)
    std = noise.one_run_std * np.sqrt(inefficiency(fit.delta / max(noise.one_run_std, 1e-300)))
    design = fit.law.design(fit.logs_of(**candidates))
    return np.asarray(design.evaluate(fit.theta[None, :]).gradient[0] / std)


def _reduction(covariance: Array, direction: Array, there: Array) -> Array:
    """Variance that each candidate would take away, [m]."""
    carried = there @ covariance
    return np.asarray((carried @ direction) ** 2 / (1.0 + np.einsum("mp,mp->m", carried, there)))


def _gradient(fit: LawFit, quantity: Callable[[Mapping[str, float]], float]) -> Array:
    """Derivative of the quantity by theta, by central differences."""
    count = fit.law.num_params
    steps = np.concatenate([np.eye(count), -np.eye(count)]) * _STEP
    drawn = fit.law.public(fit.theta + steps, fit.points.centre)
    values = [quantity({name: float(value[row]) for name, value in drawn.items()}) for row in range(2 * count)]
    return np.asarray((np.array(values[:count]) - np.array(values[count:])) / (2 * _STEP))
