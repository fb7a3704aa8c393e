"""Profile-likelihood intervals: for each value of one parameter all others are fitted anew, all values at once.

The deviance 2·(objective(value) - minimum)/noise is compared with Student's t squared. Neighbouring points of a curve
say the same, and few points lie where Huber's loss bends, so the deviance is brought to the scale of runs: multiplied
by the variance that its own curvature gives the parameter over the one that the runs' deviations give it
(`archbench.analysis.fitting.run_noise`), with their degrees of freedom. The grid is widened until the interval closes;
one that does not close before the box of the parameter is open, which says that the data do not bound it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from archbench.analysis.fitting.fit import LawFit, independent_errors, noise_objective, standard_errors
from archbench.analysis.fitting.huber import minimise
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.run_noise import covariance, run_noise
from archbench.results.fits import Interval

_METHOD = "profile likelihood"
_WIDENINGS = 7
"""Doublings of the grid to each side before an interval is called open."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One parameter of theta along its profile."""

    values: Array
    """Grid of theta[index], ascending."""
    deviance: Array
    """How much worse the best fit with that value is, in units of the noise."""
    low: float
    """Lower end of the interval; -inf where it is open."""
    high: float
    """Upper end; inf where it is open."""
    level: float


def profile_exponent(fit: LawFit, index: int, *, level: float = 0.95, points: int = 41, width: float = 6.0) -> Profile:
    """Profile of theta[index] over `width` standard errors to each side of its estimate, or as far as it needs."""
    error = float(standard_errors(fit)[index])
    lower, upper = fit.law.bounds()
    centre = float(fit.theta[index])
    reach = width * error if np.isfinite(error) and error > 0 else 0.5 * abs(centre) + 1e-6
    scale, freedom = _of_runs(fit, index)
    limit = float(stdtrit(freedom, 0.5 + level / 2)) ** 2
    below = above = reach
    for _ in range(_WIDENINGS):
        values = np.linspace(max(centre - below, lower[index]), min(centre + above, upper[index]), points)
        values = np.unique(np.append(values, centre))
        deviance = scale * _deviance(fit, index, values)
        low = _crossing(values[values <= centre][::-1], deviance[values <= centre][::-1], limit)
        high = _crossing(values[values >= centre], deviance[values >= centre], limit)
        wider_below = low is None and values[0] > lower[index]
        wider_above = high is None and values[-1] < upper[index]
        if not (wider_below or wider_above):
            break
        below, above = below * (2 if wider_below else 1), above * (2 if wider_above else 1)
    return Profile(values, deviance, -np.inf if low is None else low, np.inf if high is None else high, level)


def profile_intervals(fit: LawFit, *, level: float = 0.95) -> dict[str, Interval]:
    """Interval of each exponent that is a parameter by itself, and of a free floor; an open end is infinite.

    The lower end of an open exponent or floor is 0, below which there is none. Other parameters (scales, products of
    exponents) have no profile here and are left out.
    """
    found = {}
    here = fit.law.public(fit.theta[None, :], fit.points.centre)
    for index in fit.law.exponents:
        moved = fit.theta.copy()
        moved[index] += 0.01
        there = fit.law.public(moved[None, :], fit.points.centre)
        for name, value in here.items():
            if value[0] == fit.theta[index] and there[name][0] == moved[index]:
                profile = profile_exponent(fit, index, level=level)
                found[name] = _named(float(value[0]), max(profile.low, 0.0), profile.high, level)
    if fit.law.floor is not None and fit.law.floor not in fit.fixed:
        profile = profile_exponent(fit, fit.law.floor, level=level)
        found["E"] = _named(float(here["E"][0]), float(np.exp(profile.low)), float(np.exp(profile.high)), level)
    return found


def _named(value: float, low: float, high: float, level: float) -> Interval:
    sides = [words for words, is_open in (("below", low <= 0.0), ("above", not np.isfinite(high))) if is_open]
    method = f"{_METHOD}, open {' and '.join(sides)}" if sides else _METHOD
    return Interval(value, low, high, level, method)


def _of_runs(fit: LawFit, index: int) -> tuple[float, float]:
    """What a deviance of independent points is multiplied by, and its degrees of freedom."""
    noise = run_noise(fit)
    if noise is None:
        return 1.0, float(max(len(fit.points.observed) - fit.num_free, 1))
    free, spread = covariance(fit, noise)
    by_runs = float(spread[free.index(index), free.index(index)])
    return independent_errors(fit)[index] ** 2 / max(by_runs, 1e-300), noise.freedom


def _deviance(fit: LawFit, index: int, values: Array) -> Array:
    lower, upper = fit.law.bounds()
    start = np.repeat(fit.theta[None, :], len(values), axis=0)
    start[:, index] = values
    ends = minimise(
        fit.design(),
        fit.points.observed,
        fit.points.weights[None, :],
        start,
        delta=fit.delta,
        lower=lower,
        upper=upper,
        fixed=(*fit.fixed, index),
        log_residuals=fit.log_residuals,
    )
    return np.asarray(2.0 * (ends.objective - ends.objective.min()) / max(noise_objective(fit), 1e-300))


def _crossing(values: Array, deviance: Array, limit: float) -> float | None:
    """Where the deviance first passes the limit, going outwards; None where it does not."""
    beyond = np.flatnonzero(deviance > limit)
    if not len(beyond):
        return None
    at = int(beyond[0])
    if at == 0:
        return float(values[0])
    share = (limit - deviance[at - 1]) / (deviance[at] - deviance[at - 1])
    return float(values[at - 1] + share * (values[at] - values[at - 1]))
