"""Bootstrap of any law, all resamples at once.

Resampling runs (and seeds inside a size) is giving each run a random weight, so R resamples of one law are one batched
minimisation on the same design with R rows of weights, each started from the fit to all data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from archbench.analysis.fitting.cluster_weights import cluster_weights
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.huber import minimise
from archbench.analysis.fitting.power_sum import Array
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
    """`fit` repeated on `num_resamples` resamples of its runs; inside `strata` (one label per kept point) if given."""
    generator = np.random.default_rng(seed)
    counts = cluster_weights(fit.points.clusters, num_resamples, generator, strata)
    return refit(fit, counts * fit.points.weights)


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


def repeated(fit: LawFit, observed: Array, weights: Array) -> Array:
    """theta of `fit` repeated on its own design and from its own minimum, [R, P].

    observed: logarithms of the response, [n] or [R, n]; weights: [R, n], or [1, n] for all R alike.
    """
    lower, upper = fit.law.bounds()
    rows, _ = np.broadcast_shapes(observed.shape, weights.shape)
    return minimise(
        fit.design(),
        observed,
        weights,
        np.broadcast_to(fit.theta, (rows, fit.law.num_params)),
        delta=fit.delta,
        lower=lower,
        upper=upper,
        fixed=fit.fixed,
        tolerance=1e-9,
        log_residuals=fit.log_residuals,
    ).theta


def percentile_intervals(
    values: Mapping[str, float], samples: Mapping[str, Array], *, level: float = 0.95
) -> dict[str, Interval]:
    """Percentile interval of each parameter; none where over 5 % of the resamples gave no finite value."""
    found = {}
    tail = 50.0 * (1.0 - level)
    for name, value in values.items():
        drawn = samples[name]
        finite = drawn[np.isfinite(drawn)]
        if len(finite) < 0.95 * len(drawn) or not len(finite):
            continue
        low, high = np.percentile(finite, [tail, 100.0 - tail])
        found[name] = Interval(value, float(low), float(high), level)
    return found


def bca_interval(value: float, drawn: Array, left_out: Array, *, level: float = 0.95) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987) from resamples and the values with each run left out."""
    finite = drawn[np.isfinite(drawn)]
    share = np.clip((finite < value).mean() + 0.5 * (finite == value).mean(), 1e-4, 1 - 1e-4)
    bias = float(norm.ppf(share))
    centred = left_out.mean() - left_out
    spread = float((centred**2).sum()) ** 1.5
    acceleration = float((centred**3).sum()) / (6.0 * spread) if spread > 0 else 0.0
    edges = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(norm.ppf(tail))
        edges.append(100.0 * float(norm.cdf(bias + z / (1.0 - acceleration * z))))
    low, high = np.percentile(finite, edges)
    return Interval(value, float(low), float(high), level, "bootstrap-bca")


def bca_intervals(fit: LawFit, samples: Samples, *, level: float = 0.95) -> dict[str, Interval]:
    """BCa interval of each parameter; none where resamples, or fits without one run, gave no finite value."""
    found = {}
    drawn, left_out = samples.params(), leave_one_run_out(fit).params()
    for name, value in fit.result.params.items():
        enough = np.isfinite(drawn[name]).mean() >= 0.95
        if enough and np.isfinite(left_out[name]).all():
            found[name] = bca_interval(value, drawn[name], left_out[name], level=level)
    return found


def leave_one_run_out(fit: LawFit) -> Samples:
    """`fit` without each run in turn, [runs, P]."""
    runs = np.unique(fit.points.clusters)
    return refit(fit, np.where(fit.points.clusters == runs[:, None], 0.0, fit.points.weights))
