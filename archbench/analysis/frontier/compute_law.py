"""L(C), loss against training cost, without and with a floor: the law by which architectures are compared.

    without floor  L(C) = (C_c/C)^alpha_C            Kaplan et al. 2020, eq 1.3 (there with C_min)
    with floor     L(C) = E + (C_c/C)^alpha_C        E, the irreducible loss, free or pinned

The search is one of its own beside that of `fitting.py`: with alpha given this law is linear in its other parameters,
so that every start is solved outright, and a floor is judged against the law without one, by an F test.

Legend: C cost (FLOPs or seconds), L loss (nats), alpha_C exponent, C_c scale, E floor, n points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

from archbench.analysis.fitting.fit import Floor
from archbench.analysis.fitting.huber import LEAST_SQUARES, huber, minimise
from archbench.analysis.fitting.points import label_codes
from archbench.analysis.fitting.power_sum import Array, PowerSum
from archbench.results.fits import FitResult, FitStatus
from archbench.results.runs import CostAxis

Residuals = Literal["log_loss", "log_excess"]
"""Residuals of ln L, or of ln(L - E), which only a pinned floor has (the practice of published back-tests)."""

MAX_EXPONENT = 10.0
_SMALLEST_DELTA = 1e-3
_FLOOR_LEVEL = 0.05
_ALPHA_GRID = np.geomspace(0.005, 5.0, 49)
_A, _ALPHA, _FLOOR = 0, 1, 2
_EXP_LIMIT = 700.0


def fit_compute_law(
    cost: ArrayLike,
    loss: ArrayLike,
    *,
    floor: Floor = "none",
    weights: ArrayLike | None = None,
    clusters: Sequence[object] | None = None,
    cost_axis: CostAxis | None = None,
    delta: float | Literal["auto"] = "auto",
    residuals: Residuals = "log_loss",
) -> FitResult:
    """L(C) fitted to points (cost, loss in nats), with the status that says whether it may be read.

    clusters: the run of each point; a floor is only called identified by as many independent points as there are runs.
    delta: Huber's; `auto` takes 1.345 robust standard deviations, at least 1e-3; `inf` is least squares.
    Params: alpha_C, C_c (unit of cost), ln_A (L = E + A·C^-alpha_C), E (nats).
    Points whose cost or loss is not finite and positive are left out and counted. ValueError where lengths differ.
    """
    data = _Data.of(cost, loss, weights, clusters, floor, residuals)
    describe = _Description(floor, cost_axis, residuals, data)
    problem = data.problem(floor)
    if problem is not None:
        return describe.refused(*problem)
    width = _delta(data, floor) if delta == "auto" else float(delta)
    found = _fit(data, floor, width)
    status, reason = _judge(data, found, floor, width)
    return describe.fitted(found, width, status, reason)


@dataclass(frozen=True, slots=True)
class _Data:
    """Points that may enter the fit, in centred logarithms."""

    kept: np.ndarray
    x: Array
    y: Array
    weights: Array
    centre: float
    num_clusters: int
    left_out: dict[str, int]
    excess_floor: float | None

    @staticmethod
    def of(
        cost: ArrayLike,
        loss: ArrayLike,
        weights: ArrayLike | None,
        clusters: Sequence[object] | None,
        floor: Floor,
        residuals: Residuals,
    ) -> "_Data":
        C, L = np.atleast_1d(np.asarray(cost, dtype=float)), np.atleast_1d(np.asarray(loss, dtype=float))
        if C.shape != L.shape or C.ndim != 1:
            raise ValueError(f"cost and loss must be of one length, got {C.shape} and {L.shape}")
        if isinstance(floor, str) and floor not in ("none", "free"):
            raise ValueError(f"floor must be 'none', 'free' or a number, got {floor!r}")
        if residuals == "log_excess" and isinstance(floor, str):
            raise ValueError("residuals of ln(L - E) need a pinned floor E")
        w = np.ones(len(C)) if weights is None else np.asarray(weights, dtype=float)
        subtract = float(floor) if residuals == "log_excess" else None
        reasons = {
            "not_finite": ~(np.isfinite(C) & np.isfinite(L) & np.isfinite(w)),
            "cost_not_positive": C <= 0,
            "loss_not_positive": L <= 0,
            "loss_at_or_below_floor": ~np.greater(L, 0.0 if isinstance(floor, str) else float(floor)),
            "zero_weight": w <= 0,
        }
        kept, left_out = np.ones(len(C), dtype=bool), {}
        for reason, hit in reasons.items():
            if (fresh := int((kept & hit).sum())) > 0:
                left_out[reason] = fresh
            kept &= ~hit
        log_cost = np.log(C[kept])
        centre = float(log_cost.mean()) if kept.any() else 0.0
        labels = np.arange(len(C)) if clusters is None else label_codes(clusters)
        return _Data(
            kept,
            log_cost - centre,
            np.log(L[kept] - (subtract or 0.0)),
            w[kept],
            centre,
            len(np.unique(labels[kept])),
            left_out,
            subtract,
        )

    def problem(self, floor: Floor) -> tuple[FitStatus, str] | None:
        """Why no fit should be tried."""
        if not len(self.x):
            return FitStatus.INVALID_DATA, "no point has a finite, positive cost and loss"
        distinct, needed = len(_distinct(self.x)), 4 if floor == "free" else 3
        if distinct < needed:
            return FitStatus.TOO_FEW_POINTS, f"{distinct} distinct costs, the law needs {needed}"
        return None

    def law(self, floor: Floor) -> PowerSum:
        """The design: parameters ln A at the centre, alpha, and ln E where there is a floor."""
        with_floor = floor != "none" and self.excess_floor is None
        terms = np.zeros((1, len(self.x), 3 if with_floor else 2))
        terms[0, :, _A] = 1.0
        terms[0, :, _ALPHA] = -self.x
        return PowerSum(terms, floor=_FLOOR if with_floor else None)


@dataclass(frozen=True, slots=True)
class _Minimum:
    theta: Array
    """ln A at the centre, alpha, and ln E where there is a floor."""
    objective: float
    converged: bool


def _fit(data: _Data, floor: Floor, delta: float) -> _Minimum:
    """The lowest minimum over all starts."""
    law, weights = data.law(floor), data.weights[None, :]
    lower, upper = np.array([-_EXP_LIMIT, 0.0, -40.0]), np.array([_EXP_LIMIT, MAX_EXPONENT, _EXP_LIMIT])
    lower, upper = lower[: law.num_params], upper[: law.num_params]
    starts, fixed = _starts(data, law, floor)
    scores = [float((weights * huber(law.value(start) - data.y, delta)).sum()) for start in starts]
    # Every start is scored; those that may lead somewhere else (the best, and the best of each side of it) are refined.
    ends = [
        minimise(law, data.y, weights, starts[pick], delta=delta, lower=lower, upper=upper, fixed=fixed)
        for pick in np.argsort(scores)[:4]
    ]
    best = min(ends, key=lambda end: end.objective[0] if np.isfinite(end.objective[0]) else np.inf)
    return _Minimum(best.theta[0], float(best.objective[0]), bool(best.converged[0]))


def _starts(data: _Data, law: PowerSum, floor: Floor) -> tuple[list[Array], tuple[int, ...]]:
    """Where the search begins, [1, P] each, and which parameters stay as they begin."""
    weights = data.weights[None, :]
    line = _line(data.x, data.y, weights)
    if law.floor is None:
        return [line], ()
    if floor == "free":
        solved = [_linear_start(data, weights, float(alpha)) for alpha in _ALPHA_GRID]
        return [*solved, np.column_stack([line, [-20.0]])], ()
    pinned = np.full((1, 1), np.log(float(floor)))
    excess = np.log(np.exp(data.y) - float(floor))
    return [np.hstack([_line(data.x, excess, weights), pinned]), np.hstack([line, pinned])], (_FLOOR,)


def _line(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least-squares line y = a - alpha·x for each row of weights: [R, 2], alpha not negative."""
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = weights @ x / total, weights @ y / total
        slope = (weights @ (x * y) / total - mean_x * mean_y) / (weights @ (x * x) / total - mean_x**2)
    slope = np.clip(np.nan_to_num(-slope), 0.0, MAX_EXPONENT)
    return np.column_stack([np.nan_to_num(mean_y) + slope * np.nan_to_num(mean_x), slope])


def _linear_start(data: _Data, weights: Array, alpha: float) -> Array:
    """With alpha given the law is linear in (A, E): their relative least-squares fit, [R, 3]."""
    loss = np.exp(data.y)
    power, constant = np.exp(-alpha * data.x) / loss, 1.0 / loss
    pp, pc, cc = weights @ power**2, weights @ (power * constant), weights @ constant**2
    p1, c1 = weights @ power, weights @ constant
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = pp * cc - pc * pc
        amplitude = np.nan_to_num((p1 * cc - c1 * pc) / determinant)
        level = np.nan_to_num((c1 * pp - p1 * pc) / determinant)
    both = (amplitude > 0) & (level > 0)
    amplitude = np.where(both, amplitude, np.maximum(p1 / np.maximum(pp, 1e-300), 1e-300))
    level = np.where(both, level, np.exp(-20.0))
    return np.column_stack([np.log(np.maximum(amplitude, 1e-300)), np.full(len(weights), alpha), np.log(level)])


def _delta(data: _Data, floor: Floor) -> float:
    """1.345 robust standard deviations of the residuals about a nearly least-absolute fit, at least 1e-3."""
    law = data.law(floor)
    residual = law.value(_fit(data, floor, _SMALLEST_DELTA).theta[None, :])[0] - data.y
    spread = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    freedom = max(len(residual) - law.num_params + (floor not in ("none", "free")), 1)
    return float(max(1.345 * spread * np.sqrt(len(residual) / freedom), _SMALLEST_DELTA))


def _judge(data: _Data, found: _Minimum, floor: Floor, delta: float) -> tuple[FitStatus, str]:
    """Whether the fitted parameters may be read, and why not."""
    alpha = float(found.theta[_ALPHA])
    if alpha <= 1e-9:
        return FitStatus.BOUND_HIT, "the loss does not fall with cost: alpha_C is at 0"
    if alpha >= MAX_EXPONENT * (1 - 1e-6):
        return FitStatus.BOUND_HIT, f"alpha_C is at its bound {MAX_EXPONENT:g}"
    if floor != "free":
        return _converged(found.converged)
    lowest = float(np.exp(data.y.min()))
    if np.exp(found.theta[_FLOOR]) < 1e-3 * lowest:
        return FitStatus.BOUND_HIT, "the floor is at 0: the data bend no more than a law without floor"
    straight = _fit(data, "none", delta)
    freedom = min(len(data.x), data.num_clusters) - 3
    if freedom < 1:
        return FitStatus.NOT_IDENTIFIABLE, f"{data.num_clusters} runs do not identify a floor beside two parameters"
    noise = max(_noise_objective(data, found.theta, floor, delta), 1e-300)
    ratio = (straight.objective - found.objective) / noise * freedom
    p_value = float(f_distribution.sf(ratio, 1, freedom))
    if p_value > _FLOOR_LEVEL:
        return (
            FitStatus.NOT_IDENTIFIABLE,
            f"a law without floor fits as well (p {p_value:.2g}): the data do not identify the floor",
        )
    return _converged(found.converged)


def _converged(converged: bool) -> tuple[FitStatus, str]:
    if not converged:
        return FitStatus.NOT_CONVERGED, "the minimiser stopped before it reached a minimum"
    return FitStatus.OK, ""


def _noise_objective(data: _Data, theta: Array, floor: Floor, delta: float) -> float:
    """What the objective would be by noise alone, in the units in which half a squared residual counts (Huber 1981)."""
    residual = data.law(floor).value(theta[None, :])[0] - data.y
    inside = max(float(np.average(np.abs(residual) <= delta, weights=data.weights)), 0.05)
    return float((data.weights * np.clip(residual, -delta, delta) ** 2).sum()) / inside / 2.0


@dataclass(frozen=True, slots=True)
class _Description:
    """Turns parameters, or a refusal, into the result that tables print."""

    floor: Floor
    cost_axis: CostAxis | None
    residuals: Residuals
    data: _Data

    def refused(self, status: FitStatus, reason: str) -> FitResult:
        return self._result({}, float("nan"), 0.0, status, reason, float("nan"))

    def fitted(self, found: _Minimum, delta: float, status: FitStatus, reason: str) -> FitResult:
        theta = found.theta
        alpha = float(theta[_ALPHA])
        intercept = float(theta[_A] + alpha * self.data.centre)
        params = {"alpha_C": alpha, "ln_A": intercept}
        if alpha > 0 and abs(intercept / alpha) < _EXP_LIMIT:
            params["C_c"] = float(np.exp(intercept / alpha))
        if self.floor == "free":
            params["E"] = float(np.exp(theta[_FLOOR]))
        elif self.floor != "none":
            params["E"] = float(self.floor)
        law = self.data.law(self.floor)
        residual = law.value(theta[None, :])[0] - self.data.y
        freedom = max(len(residual) - (3 if self.floor == "free" else 2), 1)
        spread = float(np.sqrt((residual**2).sum() / freedom))
        return self._result(params, found.objective, delta, status, reason, spread)

    def _result(
        self, params: dict[str, float], objective: float, delta: float, status: FitStatus, reason: str, spread: float
    ) -> FitResult:
        with_floor = self.floor != "none"
        kind = "least squares" if delta == LEAST_SQUARES else f"huber(delta={delta:.3g})"
        target = "ln(L - E)" if self.residuals == "log_excess" else "ln L"
        return FitResult(
            law="L(C) with floor" if with_floor else "L(C)",
            equation="L = E + (C_c/C)^alpha_C" if with_floor else "L = (C_c/C)^alpha_C (Kaplan et al. 2020, eq 1.3)",
            status=status,
            reason=reason,
            params=params,
            intervals={},
            objective=f"{kind} on residuals of {target}",
            objective_value=objective,
            points_used=len(self.data.x),
            left_out=self.data.left_out,
            floor=self.floor if isinstance(self.floor, str) else f"pinned={self.floor:g}",
            cost_axis=self.cost_axis,
            param_convention="",
            residual_std=spread,
        )


def _distinct(x: Array) -> Array:
    """Distinct values, equal to a relative 1e-9 of the cost being one."""
    return np.unique(np.round(x, 9))
