"""Profile-likelihood intervals: for each value of one parameter all others are fitted anew, all values at once.

The deviance 2·(objective(value) - minimum)/noise is compared with Student's t squared; an interval that does not close
inside the grid is open, which says that the data do not bound the parameter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as t_distribution

from archbench.analysis.fitting.fit import LawFit, noise_objective, standard_errors
from archbench.analysis.fitting.huber import minimise
from archbench.analysis.fitting.power_sum import Array
from archbench.results.fits import Interval


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
    """Profile of theta[index] over `width` standard errors to each side of its estimate."""
    error = float(standard_errors(fit)[index])
    lower, upper = fit.law.bounds()
    reach = width * error if np.isfinite(error) and error > 0 else 0.5 * abs(float(fit.theta[index])) + 1e-6
    centre = float(fit.theta[index])
    values = np.linspace(max(centre - reach, lower[index]), min(centre + reach, upper[index]), points)
    values = np.unique(np.append(values, centre))
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
    deviance = 2.0 * (ends.objective - ends.objective.min()) / max(noise_objective(fit), 1e-300)
    freedom = max(len(fit.points.observed) - fit.num_free, 1)
    limit = float(t_distribution.ppf(0.5 + level / 2, freedom)) ** 2
    below, above = values <= centre, values >= centre
    low = _crossing(values[below][::-1], deviance[below][::-1], limit)
    high = _crossing(values[above], deviance[above], limit)
    return Profile(values, deviance, -np.inf if low is None else low, np.inf if high is None else high, level)


def profile_intervals(fit: LawFit, *, level: float = 0.95) -> dict[str, Interval]:
    """Interval of each exponent that is a parameter by itself, and of a free floor; an open end is infinite.

    Other parameters (scales, products of exponents) have no profile here and are left out.
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
                found[name] = Interval(float(value[0]), profile.low, profile.high, level, "profile likelihood")
    if fit.law.floor is not None and fit.law.floor not in fit.fixed:
        profile = profile_exponent(fit, fit.law.floor, level=level)
        low, high = float(np.exp(profile.low)), float(np.exp(profile.high))
        found["E"] = Interval(float(here["E"][0]), low, high, level, "profile likelihood")
    return found


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
