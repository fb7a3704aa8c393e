"""Intervals of a law that a handful of runs gave: refits to data drawn from the law and from what it leaves over.

Five runs drawn with replacement give four fifths of a variance, and often a design that identifies nothing. Here the
design stays, and each run is given new deviations. Residuals hold run-to-run noise and lack of fit; their scale is
drawn from its own sampling distribution, so that few runs give wide intervals (Student's t, for a linear law).

Legend: K runs, n points, R resamples.
"""

import numpy as np

from archbench.analysis.fitting.bootstrap import Samples, repeated
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.intervals import percentile_interval, percentile_intervals
from archbench.results.fits import Interval

METHOD = "bootstrap-run-residuals"
NUM_RESAMPLES = 1000
_CHUNK_VALUES = 200_000


def redrawn_responses(fit: LawFit, num_resamples: int, generator: np.random.Generator) -> Array | None:
    """Logarithms of `num_resamples` made-up responses, [R, n]; None where runs leave no freedom to estimate noise.

    One point a run: normal deviations of the residuals' standard deviation. Several points a run: each run's residuals
    as a whole times one normal number, so that neighbouring points stay as alike as they are.
    """
    codes = fit.points.runs()
    runs = int(codes.max()) + 1
    freedom = runs - fit.num_free
    if freedom < 1:
        return None
    residual = fit.residuals()
    scale = np.sqrt(freedom / generator.chisquare(freedom, size=(num_resamples, 1)))
    normal = generator.standard_normal((num_resamples, runs))[:, codes]
    if runs == len(residual):
        # Weights say how often a point counts: its own variance is the smaller for it.
        weights = fit.points.weights / fit.points.weights.mean()
        spread = np.sqrt((weights * residual**2).sum() / freedom / weights)
        return np.asarray(fit.points.observed + residual + scale * normal * spread)
    return np.asarray(fit.points.observed + residual + scale * normal * residual * np.sqrt(runs / freedom))


def refit_to(fit: LawFit, observed: Array) -> Samples:
    """`fit` repeated on its own design with each row of `observed` (logarithms, [R, n]), from its own minimum."""
    size = max(1, _CHUNK_VALUES // max(observed.shape[1], 1))
    weights = fit.points.weights[None, :]
    parts = [repeated(fit, observed[start : start + size], weights) for start in range(0, len(observed), size)]
    return Samples(fit, np.concatenate(parts))


def with_residual_intervals(
    fit: LawFit, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[LawFit, Samples | None]:
    """`fit` with 95 % intervals, and the resamples behind them; a fit that may not be read comes back as it is."""
    if not fit.ok:
        return fit, None
    observed = redrawn_responses(fit, num_resamples, np.random.default_rng((seed, 2)))
    if observed is None:
        return fit.with_intervals({}, ["as many parameters as runs: nothing is left to tell the noise"]), None
    samples = refit_to(fit, observed)
    return fit.with_intervals(percentile_intervals(fit.result.params, samples.params(), method=METHOD)), samples


def exp_interval(log_value: float, log_drawn: Array) -> Interval:
    """e to a value, with e to its percentile interval."""
    logs = percentile_interval(log_value, log_drawn, method=METHOD)
    value, low, high = np.exp([logs.value, logs.low, logs.high])
    return Interval(float(value), float(low), float(high), method=logs.method)
