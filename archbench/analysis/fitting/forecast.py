"""What a fitted law expects beyond its data, with intervals that hold three things: parameters, noise, lack of fit.

    variance of ln L = variance over the bootstrap + residual variance + (kappa · distance)²

kappa is learnt from the expanding-window back-test: how much larger its errors were than the first two terms allow, per
unit of distance, where distance is ln of how far the predicted point lies beyond the largest one that was fitted.
The quantile is Student's with as many degrees of freedom as there are runs less parameters.

Legend: N parameters, D tokens, C compute, L loss.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as t_distribution

from archbench.analysis.fitting.bootstrap import Samples, bootstrap_law
from archbench.analysis.fitting.fit import Floor, LawFit, fit_points
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.planning.allocation import SIX_N_D, CostModel, best_split
from archbench.results.fits import FitStatus, Interval

_MAX_WINDOWS = 8
FAR = 10.0
"""A forecast beyond this multiple of the data's largest value is marked."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The response that a law expects at one point."""

    at: dict[str, float]
    loss: Interval
    beyond_data: float
    """Factor by which the point exceeds the largest fitted one, in compute where the law has N and D; at least 1."""
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
    predicted: Interval | None
    """Geometric mean over the points held out."""
    actual: float
    """The same mean, as measured."""
    error: float
    """predicted/actual - 1; NaN where there is no prediction."""
    covered: bool | None


def back_test(
    fit: LawFit, ordering: ArrayLike, *, floor: Floor, resamples: int = 200, seed: int = 0, level: float = 0.95
) -> tuple[BacktestRow, ...]:
    """Fits of all points below each window of `ordering` (logarithms, one per kept point), and what they predict there.

    Windows are single values where there are few, else at least doublings, so that there are at most eight.
    Intervals hold parameters and noise of the window, and the lack of fit that earlier windows showed.
    """
    order = np.asarray(ordering, dtype=float)
    rows, excesses = [], list[float]()
    for low, high in _windows(order):
        window, held = fit.points.subset(order < low), (order >= low) & (order <= high)
        part = fit_points(fit.law, window, floor=floor, delta=fit.delta, log_residuals=fit.log_residuals)
        actual = float(np.exp(fit.points.observed[held].mean()))
        if part.result.status is not FitStatus.OK:
            rows.append(_no_prediction((low, high), part, actual))
            continue
        samples = bootstrap_law(part, num_resamples=resamples, seed=seed)
        logs = fit.points.logs[:, held]
        centre = part.law.design(logs).value(part.theta[None, :])[0].mean()
        distance = _distance(window.logs, logs)
        variance = _variance(part, samples, logs)
        lack = float(np.sqrt(np.mean(excesses))) if excesses else 0.0
        interval = _interval(float(centre), variance + (lack * distance) ** 2, part, level)
        miss = float(centre) - np.log(actual)
        if distance > 0:
            excesses.append(max(miss**2 - variance, 0.0) / distance**2)
        covered = interval.covers(actual)
        error = interval.value / actual - 1
        count = len(window.observed)
        rows.append(BacktestRow(low, high, count, part.result.status, "", interval, actual, error, covered))
    return tuple(rows)


def _windows(order: Array) -> list[tuple[float, float]]:
    """First and last value of each window, rising."""
    values = np.unique(order)[2:]
    if len(values) <= _MAX_WINDOWS:
        return [(float(value), float(value)) for value in values]
    width = max(float(np.log(2.0)), float(values[-1] - values[0]) / _MAX_WINDOWS)
    number = np.minimum((values - values[0]) // width, _MAX_WINDOWS - 1)
    return [(float(values[number == one].min()), float(values[number == one].max())) for one in np.unique(number)]


def _no_prediction(held: tuple[float, float], part: LawFit, actual: float) -> BacktestRow:
    count = len(part.points.observed)
    return BacktestRow(*held, count, part.result.status, part.result.reason, None, actual, float("nan"), None)


def lack_of_fit(fit: LawFit, ordering: ArrayLike, rows: tuple[BacktestRow, ...]) -> float:
    """kappa: excess error of ln L per unit of distance in the back-test; 0 where no window predicted."""
    order = np.asarray(ordering, dtype=float)
    found = []
    for row in rows:
        if row.predicted is None:
            continue
        held = (order >= row.held_out) & (order <= row.held_to)
        logs, window = fit.points.logs[:, held], fit.points.logs[:, order < row.held_out]
        distance = _distance(window, logs)
        if distance > 0:
            found.append(max(np.log1p(row.error) ** 2 - fit.result.residual_std**2, 0.0) / distance**2)
    return float(np.sqrt(np.mean(found))) if found else 0.0


def forecast(fit: LawFit, samples: Samples, *, kappa: float = 0.0, level: float = 0.95, **variables: float) -> Forecast:
    """The response at one point given by keyword, with its prediction interval."""
    logs = fit.logs_of(**variables)
    centre = float(fit.law.design(logs).value(fit.theta[None, :])[0, 0])
    distance = _distance(fit.points.logs, logs)
    variance = _variance(fit, samples, logs) + (kappa * distance) ** 2
    factor = float(np.exp(distance))
    return Forecast(dict(variables), _interval(centre, variance, fit, level), factor, factor > FAR)


def optimal_allocation(
    fit: LawFit, samples: Samples, flops: float, *, cost: CostModel = SIX_N_D, level: float = 0.95
) -> tuple[Interval, Interval]:
    """N and D that spend `flops` best under L(N,D), with percentile intervals; NaN ends where resamples have none."""
    N, D = best_split(fit.result.params, flops, cost)
    drawn = samples.params()
    draws = []
    for index in range(len(samples.theta)):
        params = {name: float(value[index]) for name, value in drawn.items()}
        if all(np.isfinite(value) and value > 0 for value in params.values()):
            draws.append(best_split(params, flops, cost))
    if len(draws) < 0.95 * len(samples.theta):
        nan = float("nan")
        return Interval(N, nan, nan, level), Interval(D, nan, nan, level)
    tails = [50 * (1 - level), 50 * (1 + level)]
    sizes, tokens = np.percentile(np.array(draws), tails, axis=0).T
    return Interval(N, float(sizes[0]), float(sizes[1]), level), Interval(D, float(tokens[0]), float(tokens[1]), level)


def _distance(fitted: Array, logs: Array) -> float:
    """ln of how far the points lie beyond the fitted ones: in the sum of logarithms, which is compute for N and D."""
    return max(float(logs.sum(axis=0).mean() - fitted.sum(axis=0).max()), 0.0)


def _variance(fit: LawFit, samples: Samples, logs: Array) -> float:
    drawn = fit.law.design(logs).value(samples.theta).mean(axis=1)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.percentile(drawn, [15.87, 84.13]) if len(drawn) else (0.0, 0.0)
    scale = (
        fit.result.residual_std if fit.log_residuals else fit.result.residual_std / np.exp(fit.points.observed.mean())
    )
    return float(((high - low) / 2) ** 2 + scale**2)


def _interval(centre: float, variance: float, fit: LawFit, level: float) -> Interval:
    freedom = max(fit.points.num_clusters - fit.num_free, 1)
    half = float(t_distribution.ppf(0.5 + level / 2, freedom)) * float(np.sqrt(variance))
    low, high = np.exp(centre - half), np.exp(min(centre + half, 700.0))
    return Interval(float(np.exp(centre)), float(low), float(high), level, "bootstrap + noise + lack of fit, Student t")
