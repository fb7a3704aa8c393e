"""What a fitted law expects of a run that was not made, with intervals that hold three things.

    parameters    refits to responses that are drawn anew, run by run (`archbench.analysis.fitting.run_noise`)
    noise         of the one run that is forecast, from the same deviations
    lack of fit   where the back-test misses by more than the first two explain, and only there

Each resample draws the scale of the noise from its own sampling distribution, so that few runs give wide intervals.
The back-test fits all smaller points and predicts the next window. Its misses, as normal scores, are tested together
(chi-squared, 5 %): a law that holds is not made less certain by chance misses. Where they are too large, what is left
of each squared miss is laid out per squared distance beyond the data. Windows that lie next to the data count as if
they lay a factor of 1.5 beyond them: a miss at no distance says nothing of far away.

Legend: N parameters, D tokens, C compute, L loss, R resamples.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri, ndtri

from archbench.analysis.fitting.bootstrap import Samples, refitted, repeated
from archbench.analysis.fitting.fit import Floor, LawFit, fit_points, standard_errors
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.run_noise import RunNoise, redrawn, run_noise
from archbench.analysis.fitting.thinning import thinned
from archbench.analysis.intervals import middle_deviation, percentile_interval
from archbench.analysis.planning.allocation import SIX_N_D, CostModel, best_splits
from archbench.results.fits import FitStatus, Interval

_MAX_WINDOWS = 8
_ONE_WINDOW = float(np.log(1.2))
"""Values of the ordering variable that lie closer than this are of one window."""
_LEAST_DISTANCE = float(np.log(1.5))
_LEVEL = 0.05
FAR = 10.0
"""A forecast beyond this multiple of the data, on either side, is marked as far."""
NO_TEST = 1.5
"""A back-test whose interval spans this factor could cover anything."""
METHOD = "refits of redrawn runs + noise of one run + lack of fit"
_TOO_FEW = "none: as many parameters as runs"


@dataclass(frozen=True, slots=True)
class Forecast:
    """The response that a law expects of one run."""

    at: dict[str, float]
    loss: Interval
    """Its ends are NaN where the runs leave nothing to tell the noise."""
    beyond: dict[str, float]
    """Of each variable, and of C where the law has N and D: how many times the largest fitted value, or, below 1, what
    share of the smallest one; 1 inside the data."""
    beyond_data: float
    """The largest of these factors, to either side; at least 1."""
    far: bool
    """Whether `beyond_data` is above 10."""


@dataclass(frozen=True, slots=True)
class BacktestRow:
    """One window: fitted below `held_out`, predicted from there to `held_to`."""

    held_out: float
    """Smallest value of the ordering variable that was predicted."""
    held_to: float
    """Largest value of the ordering variable that was predicted."""
    points_fitted: int
    status: FitStatus
    reason: str
    """Why there is no prediction, or why the prediction is no test; empty otherwise."""
    predicted: Interval | None
    """Geometric mean over the points held out."""
    actual: float
    """The same mean, as measured."""
    error: float
    """predicted/actual - 1; NaN where there is no prediction."""
    covered: bool | None
    """None where there is no interval, or one that could cover anything."""


@dataclass(frozen=True, slots=True)
class BackTest:
    """All windows, and what they say of the law."""

    rows: tuple[BacktestRow, ...]
    lack: float
    """Lack of fit of ln L per unit of ln distance beyond the data; 0 where the windows show none."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A law with all that forecasts by it need."""

    fit: LawFit
    samples: Samples
    """Refits to redrawn runs; none where the runs leave nothing to tell the noise."""
    scale: Array
    """Factor of the noise in each resample, [R]."""
    noise: RunNoise | None
    seed: int
    lack: float = 0.0

    def draws(self, logs: Array, runs: int) -> Array:
        """ln of the mean response of `runs` runs at points of centred logarithms [V, m], in each resample, [R]."""
        if self.noise is None:
            return np.empty(0)
        generator = np.random.default_rng((self.seed, 5))
        centre = self.fit.law.design(logs).value(self.samples.theta).mean(axis=1)
        deviation = self.noise.one_run_std * self.scale * generator.standard_normal(len(self.scale)) / np.sqrt(runs)
        lack = self.lack * _distance(self.fit.points.logs, logs) * generator.standard_normal(len(self.scale))
        return np.asarray(centre + deviation + lack)

    def params(self) -> dict[str, Array]:
        """Public parameters, [R] each."""
        return self.samples.params()


def predictor(fit: LawFit, *, num_resamples: int = 1000, seed: int = 0, lack: float = 0.0) -> Predictor:
    """`fit` made ready to forecast."""
    noise = run_noise(fit)
    if noise is None:
        return Predictor(fit, Samples(fit, np.empty((0, fit.law.num_params))), np.empty(0), None, seed, lack)
    generator = np.random.default_rng((seed, 4))
    scale = np.sqrt(noise.freedom / generator.chisquare(noise.freedom, size=num_resamples))
    part = thinned(fit.points)
    if part is None:
        samples = refitted(fit, redrawn(fit, noise, scale, generator), extra=_other_floors(fit))
        return Predictor(fit, samples, scale, noise, seed, lack)
    few = replace(fit, points=part.points)
    few = replace(few, theta=repeated(few, part.points.observed, part.points.weights[None, :])[0])
    own = run_noise(few) or noise
    # A part of the runs scatters more than all of them.
    shrink = np.sqrt(few.points.num_clusters / part.runs)
    moved = refitted(few, redrawn(few, own, shrink * scale, generator)).theta - few.theta + fit.theta
    lower, upper = fit.law.bounds()
    return Predictor(fit, Samples(fit, np.clip(moved, lower, upper)), scale, noise, seed, lack)


def forecast(ready: Predictor, *, level: float = 0.95, **variables: float) -> Forecast:
    """The response of one run at a point given by keyword, with its prediction interval."""
    logs = ready.fit.logs_of(**variables)
    centre = float(ready.fit.law.design(logs).value(ready.fit.theta[None, :])[0, 0])
    loss = _loss_interval(centre, ready.draws(logs, 1), level)
    factors = beyond(ready.fit, **variables)
    most = max(max(factor, 1.0 / factor) for factor in factors.values())
    return Forecast(dict(variables), loss, factors, most, most > FAR)


def beyond(fit: LawFit, **variables: float) -> dict[str, float]:
    """Of each variable, and of C for a law of N and D: its factor above the largest value, or below the smallest."""
    logs, given = fit.logs_of(**variables)[:, 0], fit.points.logs
    spans = dict(zip(fit.law.variables, zip(logs, given, strict=True), strict=True))
    if fit.law.variables == ("N", "D"):
        spans["C"] = (logs.sum(), given.sum(axis=0))
    return {
        name: float(np.exp(max(at - own.max(), 0.0) + min(at - own.min(), 0.0))) for name, (at, own) in spans.items()
    }


def with_open_floor(fit: LawFit) -> LawFit:
    """A law of one variable whose floor the data do not bound, as a fit to forecast by; other fits as they are.

    Its parameters may not be read, but what it says of a loss may: refits hold floors from 0 to the lowest loss, and
    between them they say how far the forecast can be trusted.
    """
    free = fit.law.floor is not None and fit.law.floor not in fit.fixed
    if fit.ok or not free or len(fit.law.variables) > 1 or not np.isfinite(fit.theta).all():
        return fit
    bare = fit_points(fit.law, fit.points, floor="none", delta=fit.delta, log_residuals=fit.log_residuals)
    if not bare.ok:
        return fit
    note = "the floor is open: forecasts hold every floor that the runs allow"
    return replace(fit, result=replace(fit.result, status=FitStatus.OK, reason="", notes=(*fit.result.notes, note)))


def back_test(
    fit: LawFit, ordering: ArrayLike, *, floor: Floor, resamples: int = 200, seed: int = 0, level: float = 0.95
) -> BackTest:
    """Fits of all points below each window of `ordering` (logarithms, one per kept point), and what they predict there.

    Windows are groups of near values where those are few, else at least doublings, so that there are at most eight.
    Intervals hold parameters and noise; lack of fit is what their misses are tested for.
    """
    order = np.asarray(ordering, dtype=float)
    if (thin := thinned(fit.points)) is not None:
        fit, order = replace(fit, points=thin.points), order[thin.index]
    rows, scores, excesses = [], list[float](), list[float]()
    for low, high in windows_of(order):
        window, held = fit.points.subset(order < low), (order >= low) & (order <= high)
        part = fit_points(fit.law, window, floor=floor, delta=fit.delta, log_residuals=fit.log_residuals)
        actual = float(fit.points.observed[held].mean())
        part = with_open_floor(part)
        if not part.ok:
            rows.append(_no_prediction((low, high), part, float(np.exp(actual))))
            continue
        logs = fit.points.logs[:, held]
        ready = predictor(part, num_resamples=resamples, seed=seed)
        drawn = ready.draws(logs, len(np.unique(fit.points.clusters[held])))
        centre = float(part.law.design(logs).value(part.theta[None, :])[0].mean())
        rows.append(_tested_window(part, (low, high), _loss_interval(centre, drawn, level), float(np.exp(actual))))
        if len(drawn):
            # Half a rank to either side: no miss is further out than so many draws can tell.
            share = float(np.clip((drawn < actual).mean(), 0.5 / len(drawn), 1.0 - 0.5 / len(drawn)))
            scores.append(float(ndtri(share)))
            distance = max(_distance(window.logs, logs), _LEAST_DISTANCE)
            excesses.append(max((centre - actual) ** 2 - middle_deviation(drawn) ** 2, 0.0) / distance**2)
    missed = bool(scores) and float(np.square(scores).sum()) > float(chdtri(len(scores), _LEVEL))
    return BackTest(tuple(rows), float(np.sqrt(np.mean(excesses))) if missed else 0.0)


def optimal_allocation(
    ready: Predictor, flops: float, *, cost: CostModel = SIX_N_D, level: float = 0.95
) -> tuple[Interval, Interval]:
    """N and D that spend `flops` best under L(N,D), with percentile intervals; NaN ends where resamples have none."""
    here = best_splits(ready.fit.result.params, flops, cost)
    drawn = best_splits(ready.params(), flops, cost)
    size, tokens = (
        percentile_interval(float(value), sample, level=level) for value, sample in zip(here, drawn, strict=True)
    )
    return size, tokens


def windows_of(order: Array) -> list[tuple[float, float]]:
    """First and last value of each window of a back-test, rising; the first two groups are only ever fitted."""
    values = np.unique(order)
    starts = [values[0]]
    for value in values:
        if value - starts[-1] > _ONE_WINDOW:
            starts.append(value)
    group = np.searchsorted(np.array(starts), values, side="right")
    values = values[group > 2]
    if not len(values):
        return []
    if len(starts) - 2 > _MAX_WINDOWS:
        width = max(float(np.log(2.0)), float(values[-1] - values[0]) / _MAX_WINDOWS)
        number = np.minimum((values - values[0]) // width, _MAX_WINDOWS - 1)
    else:
        number = group[group > 2].astype(float)
    return [(float(values[number == one].min()), float(values[number == one].max())) for one in np.unique(number)]


def _no_prediction(held: tuple[float, float], part: LawFit, actual: float) -> BacktestRow:
    count = len(part.points.observed)
    return BacktestRow(*held, count, part.result.status, part.result.reason, None, actual, float("nan"), None)


def _tested_window(part: LawFit, held: tuple[float, float], predicted: Interval, actual: float) -> BacktestRow:
    span, reason, covered = predicted.high / predicted.low, "", None
    if not np.isfinite(span):
        reason = "no test: the runs leave nothing to tell the noise"
    elif span >= NO_TEST:
        reason = f"no test: an interval of a factor {span:.3g} could cover anything"
    else:
        covered = predicted.covers(actual)
    count, error = len(part.points.observed), predicted.value / actual - 1
    return BacktestRow(*held, count, part.result.status, reason, predicted, actual, error, covered)


def _distance(fitted: Array, logs: Array) -> float:
    """ln of how far the points lie beyond the fitted ones, in that variable (or their product) where it is furthest."""
    joint = np.concatenate([fitted, fitted.sum(axis=0, keepdims=True)])
    at = np.append(logs.mean(axis=1), logs.sum(axis=0).mean())
    return float(max(np.max(at - joint.max(axis=1)), np.max(joint.min(axis=1) - at), 0.0))


def _loss_interval(centre: float, drawn: Array, level: float) -> Interval:
    if not len(drawn):
        return Interval(float(np.exp(centre)), float("nan"), float("nan"), level, _TOO_FEW)
    logs = percentile_interval(centre, drawn, level=level, method=METHOD)
    value, low, high = np.exp(np.minimum([centre, logs.low, logs.high], 700.0))
    return Interval(float(value), float(low), float(high), level, logs.method)


def _other_floors(fit: LawFit) -> tuple[Array, ...]:
    """Another start of refits where the floor is open: from next to nothing it would not be left again."""
    floor = fit.law.floor
    if floor is None or floor in fit.fixed or standard_errors(fit)[floor] < 0.25:
        return ()
    half = float(np.log(0.5) + fit.points.observed.min())
    pinned = fit_points(
        fit.law, fit.points, floor=float(np.exp(half)), delta=fit.delta, log_residuals=fit.log_residuals
    )
    return (pinned.theta,) if np.isfinite(pinned.theta).all() else ()
