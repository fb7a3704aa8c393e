"""A law fitted to points: the global minimum of Huber's loss on log residuals, and whether it may be read.

Starts come from variable projection over a grid of exponents; the best of them, spread over the grid, are all
minimised at once, and the smallest objective wins. A second minimum that is as good within the noise, an exponent whose
standard error is half of itself, a floor at zero: each is a status, not a number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtrc, fdtri

from archbench.analysis.fitting.huber import Minima, huber, minimise
from archbench.analysis.fitting.points import Points, clean_points, design_problem
from archbench.analysis.fitting.power_sum import Array, PowerSum
from archbench.analysis.fitting.starts import projected_starts
from archbench.analysis.laws.base import MAX_EXPONENT, ZERO_FLOOR, Law
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import CostAxis

Floor = Literal["none", "free"] | float
"""`none`, `free`, or the pinned floor in units of the response."""

HOFFMANN_DELTA = 1e-3
"""Hoffmann et al. 2022, section D.2 (there 1e-3 on log residuals)."""
_NUM_STARTS = 48
_SEARCH_POINTS = {False: 400, True: 200}
"""Points up to which starts are looked for on all of them; True: laws with an outer exponent, of forty times as many
starts."""
_SEARCHED = {False: 250, True: 60}
"""Points on which they are looked for where there are more."""
_SAME_MINIMUM = 1e-3
_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class LawFit:
    """A fit with all that refitting, predicting and resampling need."""

    law: Law
    points: Points
    theta: Array
    """[P]; NaN where no fit was tried."""
    fixed: tuple[int, ...]
    delta: float
    result: FitResult
    log_residuals: bool = True
    """Whether residuals are of ln L or of L."""

    @property
    def ok(self) -> bool:
        """Whether the parameters may be read."""
        return self.result.status is FitStatus.OK

    @property
    def num_free(self) -> int:
        """Number of fitted parameters."""
        return self.law.num_params - len(self.fixed)

    def design(self) -> PowerSum:
        """The law on the fit's points."""
        return self.law.design(self.points.logs)

    def residuals(self) -> Array:
        """Prediction less observation at each point, in the scale that was fitted, [n]."""
        value = self.design().value(self.theta[None, :])[0]
        if self.log_residuals:
            return np.asarray(value - self.points.observed)
        return np.asarray(np.exp(value) - np.exp(self.points.observed))

    def logs_of(self, **variables: ArrayLike) -> Array:
        """Centred logarithms, [V, m], of points given by keyword."""
        values = [np.atleast_1d(np.asarray(variables[name], dtype=float)) for name in self.law.variables]
        return np.asarray(np.log(np.stack(np.broadcast_arrays(*values))) - self.points.centre[:, None])

    def predict(self, **variables: ArrayLike) -> Array:
        """The response at points given by keyword, [m]."""
        return np.asarray(np.exp(self.law.design(self.logs_of(**variables)).value(self.theta[None, :])[0]))

    def refused(self, status: FitStatus, reason: str) -> "LawFit":
        """The same fit with a status that forbids to read it."""
        result = replace(self.result, status=status, reason=reason, params={}, intervals={})
        return replace(self, result=result)

    def with_intervals(self, intervals: Mapping[str, Interval], notes: Sequence[str] = ()) -> "LawFit":
        """The same fit, its result with intervals."""
        result = replace(self.result, intervals=dict(intervals), notes=(*self.result.notes, *notes))
        return replace(self, result=result)


def fit_law(
    law: Law,
    variables: Mapping[str, ArrayLike],
    response: ArrayLike,
    *,
    floor: Floor = "free",
    delta: float | None = None,
    log_residuals: bool = True,
    weights: ArrayLike | None = None,
    clusters: Sequence[object] | np.ndarray | None = None,
    cost_axis: CostAxis | None = None,
    param_convention: str = "",
) -> LawFit:
    """`law` fitted to points given by variable name (unlogged) and response.

    floor: of laws that have one. delta: Huber's, `inf` for least squares, the law's own if None; log_residuals:
    residuals of ln L, or of L. clusters: the run of each point.
    Points with a value that is not finite and positive are left out and counted. Raises ValueError where a variable is
    missing or lengths differ; all else that is wrong with the data ends in the result's status.
    """
    points = clean_points(law, variables, response, weights=weights, clusters=clusters)
    return fit_points(
        law,
        points,
        floor=floor,
        delta=delta,
        log_residuals=log_residuals,
        cost_axis=cost_axis,
        param_convention=param_convention,
    )


def fit_points(
    law: Law,
    points: Points,
    *,
    floor: Floor = "free",
    delta: float | None = None,
    log_residuals: bool = True,
    cost_axis: CostAxis | None = None,
    param_convention: str = "",
) -> LawFit:
    """`law` fitted to points that are already clean."""
    log_floor = _log_floor(floor)
    delta = law.delta if delta is None else delta
    fixed = (law.floor,) if law.floor is not None and log_floor is not None else ()
    blank = LawFit(
        law,
        points,
        np.full(law.num_params, np.nan),
        fixed,
        delta,
        _empty(law, points, floor, delta, log_residuals),
        log_residuals,
    )
    blank = replace(blank, result=replace(blank.result, cost_axis=cost_axis, param_convention=param_convention))
    problem = design_problem(law, points, free_floor=law.floor is not None and log_floor is None)
    if problem is not None:
        return replace(blank, result=replace(blank.result, status=problem[0], reason=problem[1]))
    ends = _search(law, points, log_floor, fixed, delta, log_residuals)
    best = ends.best()
    fit = replace(blank, theta=ends.theta[best])
    status, reason = _status_of(fit, ends, best)
    params = {name: float(value[0]) for name, value in law.public(fit.theta[None, :], points.centre).items()}
    if log_floor == ZERO_FLOOR:
        params.pop("E", None)  # absent, and not a number that was found
    residual = fit.residuals()
    spread = float(np.sqrt((residual**2).sum() / max(len(residual) - fit.num_free, 1)))
    result = replace(
        fit.result,
        status=status,
        reason=reason,
        params={name: value for name, value in params.items() if np.isfinite(value)},
        objective_value=float(ends.objective[best]),
        residual_std=spread,
    )
    return replace(fit, result=result)


def _log_floor(floor: Floor) -> float | None:
    """ln of a floor that is not free."""
    if floor == "free":
        return None
    if isinstance(floor, str):
        return ZERO_FLOOR
    return float(np.log(floor)) if floor > 0 else ZERO_FLOOR


def _empty(law: Law, points: Points, floor: Floor, delta: float, log_residuals: bool) -> FitResult:
    described = floor if isinstance(floor, str) else f"pinned={floor:g}"
    kind = "least squares" if np.isinf(delta) else f"huber(delta={delta:.3g})"
    return FitResult(
        law=law.title,
        equation=law.equation,
        status=FitStatus.INVALID_DATA,
        reason="",
        params={},
        intervals={},
        objective=f"{kind} on residuals of {'ln ' if log_residuals else ''}{law.response}",
        objective_value=float("nan"),
        points_used=len(points.observed),
        left_out=points.left_out,
        floor=described if law.floor is not None else "none",
        cost_axis=None,
        param_convention="",
    )


def _search(
    law: Law, points: Points, log_floor: float | None, fixed: tuple[int, ...], delta: float, log_residuals: bool
) -> Minima:
    """Minima from the best starts, which are looked for on a part of the points where they are very many."""
    if (line := _least_squares_line(law, points, log_floor, delta, log_residuals)) is not None:
        return line
    lower, upper = law.bounds()
    few = points
    bent = law.outer is not None and law.floor is not None
    if len(points.observed) > _SEARCH_POINTS[bent]:
        few = points.subset(np.random.default_rng(0).permutation(len(points.observed)) < _SEARCHED[bent])
    design = law.design(few.logs)
    starts = np.clip(projected_starts(law, few.logs, few.observed, few.weights, log_floor), lower, upper)
    scores = (few.weights * huber(design.value(starts) - few.observed, max(delta, 1e-2))).sum(axis=1)
    order = np.argsort(scores)
    # Half the starts are the best ones, half are spread over the grid, so that no basin goes unseen.
    spread = order[:: max(1, len(order) // (_NUM_STARTS // 2))]
    chosen = np.unique(np.concatenate([order[: _NUM_STARTS // 2], spread]))
    ends = minimise(
        design,
        few.observed,
        few.weights[None, :],
        starts[chosen],
        delta=delta,
        lower=lower,
        upper=upper,
        fixed=fixed,
        log_residuals=log_residuals,
        # Ends on a part of the points are starts on all of them.
        tolerance=1e-12 if few is points else 1e-7,
    )
    keep = np.argsort(ends.objective)[:12]
    if few is not points:
        keep = _distinct(ends.theta, keep)[:4]
    return minimise(
        law.design(points.logs),
        points.observed,
        points.weights[None, :],
        ends.theta[keep],
        delta=delta,
        lower=lower,
        upper=upper,
        fixed=fixed,
        max_steps=400,
        tolerance=1e-13,
        log_residuals=log_residuals,
    )


def _least_squares_line(
    law: Law, points: Points, log_floor: float | None, delta: float, log_residuals: bool
) -> Minima | None:
    """The minimum of a power law without floor by least squares of ln L: a line in logarithms, in closed form.

    None for any other fit, and where the exponent would leave its bounds.
    """
    straight = len(law.variables) == len(law.amplitudes) == 1 and law.num_params == 3 and log_floor == ZERO_FLOOR
    if not (straight and np.isinf(delta) and log_residuals):
        return None
    x, y, w = points.logs[0], points.observed, points.weights / points.weights.sum()
    mean_x, mean_y = float(w @ x), float(w @ y)
    alpha = -float(w @ ((x - mean_x) * (y - mean_y))) / float(w @ (x - mean_x) ** 2)
    theta = np.array([[mean_y + alpha * mean_x, alpha, ZERO_FLOOR]])
    lower, upper = law.bounds()
    if not lower[1] < alpha < upper[1]:
        return None
    residual = law.design(points.logs).value(theta)[0] - y
    return Minima(theta, np.array([float((points.weights * huber(residual, delta)).sum())]), np.array([True]))


def _distinct(theta: Array, order: np.ndarray) -> np.ndarray:
    """Those of `order` that end elsewhere than every one before them."""
    found = list[int]()
    for index in order:
        if all(float(np.abs(theta[index] - theta[other]).max()) > _SAME_MINIMUM for other in found):
            found.append(int(index))
    return np.array(found, dtype=int)


def noise_objective(fit: LawFit) -> float:
    """Scale at which a difference of objectives is half a likelihood ratio statistic (Huber 1981, section 7.6)."""
    residual, weights = fit.residuals(), fit.points.weights
    influence = float((weights * np.clip(residual, -fit.delta, fit.delta) ** 2).sum())
    freedom = max(float(weights.sum()) - fit.num_free, 1.0)
    return influence / freedom / inside_share(residual, weights, fit.delta)


def inside_share(residual: Array, weights: Array, delta: float) -> float:
    """Mean second derivative of Huber's loss, smoothed over half a robust deviation where few residuals lie inside."""
    if np.isinf(delta):
        return 1.0
    width = max(delta, 0.5 * 1.4826 * float(np.median(np.abs(residual))))
    share = float(np.average(np.abs(residual) <= width, weights=weights))
    return max(share * delta / width, 1e-6)


def standard_errors(fit: LawFit) -> Array:
    """Cluster-robust standard error of each theta, [P]; zero for fixed ones, infinite where the data say nothing."""
    at = fit.design().evaluate(fit.theta[None, :])
    free = [index for index in range(fit.law.num_params) if index not in fit.fixed]
    gradient, weights = at.gradient[0][:, free], fit.points.weights
    if not fit.log_residuals:
        gradient = gradient * np.exp(at.value[0])[:, None]
    residual = fit.residuals()
    share = inside_share(residual, weights, fit.delta)
    bread = (gradient * weights[:, None]).T @ gradient * share
    scale = np.sqrt(np.maximum(np.diag(bread), 1e-300))
    scaled = bread / np.outer(scale, scale)
    if np.linalg.cond(scaled) > 1e12:
        return np.full(fit.law.num_params, np.inf)
    inverse = np.linalg.inv(scaled) / np.outer(scale, scale)
    scores = gradient * (weights * np.clip(residual, -fit.delta, fit.delta))[:, None]
    codes = fit.points.cells()
    sums = np.zeros((int(codes.max()) + 1, len(free)))
    np.add.at(sums, codes, scores)
    count = len(sums)
    correction = count / max(count - 1, 1) * (len(residual) - 1) / max(len(residual) - len(free), 1)
    covariance = inverse @ (sums.T @ sums * correction) @ inverse
    result = np.zeros(fit.law.num_params)
    result[free] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return result


def independent_errors(fit: LawFit) -> Array:
    """Standard error of each theta were every point independent, [P], on the scale of `noise_objective`."""
    free = [index for index in range(fit.law.num_params) if index not in fit.fixed]
    at = fit.design().evaluate(fit.theta[None, :])
    gradient, weights = at.gradient[0][:, free], fit.points.weights
    if not fit.log_residuals:
        gradient = gradient * np.exp(at.value[0])[:, None]
    bread = (gradient * weights[:, None]).T @ gradient * inside_share(fit.residuals(), weights, fit.delta)
    result = np.zeros(fit.law.num_params)
    result[free] = np.sqrt(np.maximum(np.diag(np.linalg.pinv(bread, rcond=1e-14, hermitian=True)), 0.0))
    return np.asarray(result * np.sqrt(noise_objective(fit)))


def _status_of(fit: LawFit, ends: Minima, best: int) -> tuple[FitStatus, str]:
    """Whether the parameters may be read, and why not."""
    law, theta = fit.law, fit.theta
    lower, upper = law.bounds()
    for index, names in law.exponents.items():
        label = f"the exponent of {' and '.join(names)}"
        if theta[index] <= lower[index] + 1e-9:
            trend = "rise" if law.rises else "fall"
            return FitStatus.BOUND_HIT, f"{label} is at 0: {law.response} does not {trend} with it"
        if theta[index] >= upper[index] * (1 - 1e-6):
            return FitStatus.BOUND_HIT, f"{label} is at its bound {upper[index]:g}"
    if law.outer is not None and not 0.011 < theta[law.outer] < MAX_EXPONENT * (1 - 1e-6):
        return FitStatus.BOUND_HIT, f"the outer exponent is at its bound {theta[law.outer]:.3g}"
    shares = fit.design().evaluate(theta[None, :]).shares[:, 0, :]
    if len(shares) > 1 and float(shares.max(axis=1).min()) < 1e-4:
        return FitStatus.NOT_IDENTIFIABLE, "one of the terms vanishes: the data show no such dependence"
    free_floor = law.floor is not None and law.floor not in fit.fixed
    if free_floor and theta[law.floor or 0] < np.log(1e-3) + fit.points.observed.min():
        return FitStatus.BOUND_HIT, "the floor is at 0: the data bend no more than a law without floor"
    rival = _rival(fit, ends, best)
    if rival:
        return FitStatus.NOT_IDENTIFIABLE, rival
    errors = standard_errors(fit)
    for index, names in law.exponents.items():
        if not errors[index] < 0.5 * theta[index]:
            detail = f"{theta[index]:.3g} with standard error {errors[index]:.2g}"
            return FitStatus.NOT_IDENTIFIABLE, f"the exponent of {' and '.join(names)} is {detail}"
    if free_floor and not errors[law.floor or 0] < 0.5:
        return FitStatus.NOT_IDENTIFIABLE, f"the floor has a relative standard error of {errors[law.floor or 0]:.2g}"
    if free_floor and len(law.amplitudes) == 1 and (hidden := _hidden_floor(fit)):
        return FitStatus.NOT_IDENTIFIABLE, hidden
    if not ends.converged[best]:
        return FitStatus.NOT_CONVERGED, "the minimiser stopped before it reached a minimum"
    return FitStatus.OK, ""


def _hidden_floor(fit: LawFit) -> str:
    """That a law without floor fits as well as one term above a free floor, by an F test; empty where it does not.

    As many points count as independent as there are cells.
    """
    straight = fit_points(fit.law, fit.points, floor="none", delta=fit.delta, log_residuals=fit.log_residuals)
    freedom = fit.points.num_cells - fit.num_free
    if freedom < 1:
        return f"{fit.points.num_cells} runs do not identify a floor beside two parameters"
    by_points = max(float(fit.points.weights.sum()) - fit.num_free, 1.0)
    noise = max(noise_objective(fit) * by_points / freedom, 1e-300)
    gain = straight.result.objective_value - _objective(fit)
    p_value = float(fdtrc(1, freedom, max(2.0 * gain / noise, 0.0))) if np.isfinite(gain) else 0.0
    if p_value <= _LEVEL:
        return ""
    return f"a law without floor fits as well (p {p_value:.2g}): the data do not identify the floor"


def _objective(fit: LawFit) -> float:
    return float((fit.points.weights * huber(fit.residuals(), fit.delta)).sum())


def _rival(fit: LawFit, ends: Minima, best: int) -> str:
    """Describes another minimum whose objective is as good within the noise; empty where there is none."""
    indices = list(fit.law.exponents)
    spare = float(fdtri(1, max(len(fit.points.observed) - fit.num_free, 1), 1.0 - _LEVEL))
    allowed = ends.objective[best] + 0.5 * spare * noise_objective(fit) + 1e-18
    apart = np.abs(np.log((ends.theta[:, indices] + 1e-12) / (fit.theta[indices] + 1e-12))).max(axis=1) > 0.25
    others = np.flatnonzero(apart & (ends.objective <= allowed) & ends.converged)
    if not len(others):
        return ""
    other = ", ".join(f"{value:.3g}" for value in ends.theta[others[0], indices])
    this = ", ".join(f"{value:.3g}" for value in fit.theta[indices])
    return f"two minima are equally good: exponents {this} and {other}"
