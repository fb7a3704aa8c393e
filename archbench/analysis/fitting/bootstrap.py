"""Bootstrap of any law, all resamples at once.

Resampling runs (and seeds inside a size) is giving each run a random weight, so R resamples of one law are one batched
minimisation on the same design with R rows of weights, each started from the fit to all data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from archbench.analysis.fitting.cluster_weights import cluster_weights
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.huber import Minima, minimise
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.thinning import thinned
from archbench.analysis.intervals import LEAST_SHARE, is_closed
from archbench.results.fits import Interval

_CHUNK = 250
_CHUNK_POINTS = 500_000
"""Resamples times points held at once: some 100 MB."""


@dataclass(frozen=True, slots=True)
class Samples:
    """R refits of one law."""

    fit: LawFit
    theta: Array
    """[R, P]; NaN rows where a resample holds too few distinct points."""

    def params(self) -> dict[str, Array]:
        """Public parameters, [R] each."""
        return self.fit.law.public(self.theta, self.fit.points.centre)

    def predict(self, **variables: ArrayLike) -> Array:
        """The response at points given by keyword, [R, m]."""
        return np.asarray(np.exp(self.fit.law.design(self.fit.logs_of(**variables)).value(self.theta)))


def bootstrap_law(
    fit: LawFit, *, num_resamples: int = 1000, seed: int = 0, strata: Sequence[object] | None = None
) -> Samples:
    """`fit` repeated on `num_resamples` resamples of its runs; inside `strata` (one label per kept point) if given.

    Of very many points a part is resampled (`archbench.analysis.fitting.thinning`), and the refits are moved by as much
    as the fit to that part differs from the fit to all.
    """
    generator = np.random.default_rng(seed)
    part = thinned(fit.points) if strata is None else None
    if part is None:
        counts = cluster_weights(fit.points.runs(), num_resamples, generator, strata)
        return refit(fit, counts * fit.points.weights)
    few = replace(fit, points=part.points)
    few = replace(few, theta=repeated(few, part.points.observed, part.points.weights[None, :])[0])
    counts = cluster_weights(part.points.runs(), num_resamples, generator, drawn=part.runs)
    theta = refit(few, counts * part.points.weights).theta - few.theta + fit.theta
    lower, upper = fit.law.bounds()
    return Samples(fit, np.clip(theta, lower, upper))


def refit(fit: LawFit, weights: Array) -> Samples:
    """`fit` repeated with each row of weights, [R, n]; weight 0 leaves a point out."""
    chunk = int(np.clip(_CHUNK_POINTS // max(weights.shape[1], 1), 1, _CHUNK))
    ends = [
        repeated(fit, fit.points.observed, weights[start : start + chunk]) for start in range(0, len(weights), chunk)
    ]
    theta = np.concatenate(ends) if ends else np.empty((0, fit.law.num_params))
    too_few = (weights > 0).sum(axis=1) < fit.num_free
    theta[too_few] = np.nan
    return Samples(fit, theta)


def refitted(fit: LawFit, observed: Array, *, extra: Sequence[Array] = ()) -> Samples:
    """`fit` repeated on its own design with each row of `observed` (logarithms, [R, n]).

    Each refit begins at the fit's own minimum, and at each theta in `extra`; the lowest end is kept.
    """
    chunk = int(np.clip(_CHUNK_POINTS // max(observed.shape[1], 1), 1, _CHUNK))
    weights = fit.points.weights[None, :]
    parts = []
    for first in range(0, len(observed), chunk):
        rows = observed[first : first + chunk]
        ends = [_minima(fit, rows, weights, start) for start in (fit.theta, *extra)]
        best = np.argmin([end.objective for end in ends], axis=0)
        parts.append(np.stack([end.theta for end in ends])[best, np.arange(len(rows))])
    return Samples(fit, np.concatenate(parts) if parts else np.empty((0, fit.law.num_params)))


def repeated(fit: LawFit, observed: Array, weights: Array) -> Array:
    """theta of `fit` repeated on its own design and from its own minimum, [R, P].

    observed: logarithms of the response, [n] or [R, n]; weights: [R, n], or [1, n] for all R alike.
    """
    return _minima(fit, observed, weights, fit.theta).theta


def _minima(fit: LawFit, observed: Array, weights: Array, start: Array) -> Minima:
    lower, upper = fit.law.bounds()
    rows = np.broadcast_shapes(observed.shape, weights.shape)[0]
    return minimise(
        fit.design(),
        observed,
        weights,
        np.broadcast_to(start, (rows, fit.law.num_params)),
        delta=fit.delta,
        lower=lower,
        upper=upper,
        fixed=fit.fixed,
        tolerance=1e-9,
        log_residuals=fit.log_residuals,
    )


def bca_interval(value: float, drawn: Array, left_out: Array, *, level: float = 0.95) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987) from resamples and the values with each run left out."""
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < LEAST_SHARE * len(drawn) or not len(finite):
        return Interval(value, float("nan"), float("nan"), level, "bootstrap-bca")
    share = np.clip((finite < value).mean() + 0.5 * (finite == value).mean(), 1e-4, 1 - 1e-4)
    bias = float(ndtri(share))
    centred = left_out.mean() - left_out
    spread = float((centred**2).sum()) ** 1.5
    acceleration = float((centred**3).sum()) / (6.0 * spread) if spread > 0 else 0.0
    edges = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(ndtri(tail))
        edges.append(100.0 * float(ndtr(bias + z / (1.0 - acceleration * z))))
    low, high = np.percentile(finite, edges)
    return Interval(value, float(low), float(high), level, "bootstrap-bca")


def bca_intervals(fit: LawFit, samples: Samples, *, level: float = 0.95) -> dict[str, Interval]:
    """BCa interval of each parameter; none where resamples, or fits without one run, gave no finite value."""
    found = {}
    drawn, left_out = samples.params(), leave_one_run_out(fit).params()
    for name, value in fit.result.params.items():
        if np.isfinite(left_out[name]).all():
            found[name] = bca_interval(value, drawn[name], left_out[name], level=level)
    return {name: interval for name, interval in found.items() if is_closed(interval)}


def leave_one_run_out(fit: LawFit) -> Samples:
    """`fit` without each run in turn, [runs, P]."""
    runs = np.unique(fit.points.clusters)
    return refit(fit, np.where(fit.points.clusters == runs[:, None], 0.0, fit.points.weights))
