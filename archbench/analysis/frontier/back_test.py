"""What a frontier would have said of the next size: fitted to the smaller sizes, asked for the loss that came out.

An expanding window over sizes. Each window's law predicts the frontier at the final cost of the next size; the
interval holds what `archbench.analysis.fitting.forecast` names: parameters (resamples), noise, and the lack of fit that
earlier windows showed.

    variance of ln L = variance over the resamples + residual variance + noise of the new runs + (kappa · distance)²

Legend: C cost, L loss, E floor; distance is ln of how far the predicted cost lies beyond the last fitted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import t as student_t

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.fitting.forecast import BacktestRow
from archbench.analysis.frontier.curves import MeanCurve
from archbench.analysis.frontier.refits import with_floor
from archbench.analysis.frontier.scan import MIN_SIZES, StudyOptions, fit_curves
from archbench.results.fits import FitResult, FitStatus, Interval

MAX_WINDOWS = 6
"""Windows kept, those with the most sizes: with many sizes the first ones say little of the next."""
_METHOD = "resamples + noise + lack of fit, Student t"


@dataclass(frozen=True, slots=True)
class FrontierBacktestRow(BacktestRow):
    """One window of one contender; `held_out` is the cost at which the loss is predicted."""

    contender: str
    sizes_fitted: int
    size_index: int
    """The size whose end is predicted."""
    floor: str
    """`none` or `free`: the law that predicts."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The end of the next size."""

    size_index: int
    log_cost: float
    log_loss: float
    num_runs: int


def back_test_frontier(
    one: Contender,
    *,
    floors: Sequence[Literal["none", "free"]] = ("none", "free"),
    seed: int = 0,
    num_resamples: int = 200,
    level: float = 0.95,
) -> tuple[FrontierBacktestRow, ...]:
    """Windows of rising size, for the law with each of `floors` in turn; empty below 4 sizes.

    A window whose law may not be read gives a row with its status and no prediction.
    """
    params = {curve.size_index: curve.non_embedding_params for curve in one.curves.curves}
    sizes = sorted(params, key=lambda size: params[size])
    options = StudyOptions(floor="none", num_resamples=num_resamples)
    windows = []
    for number in range(max(MIN_SIZES, len(sizes) - MAX_WINDOWS), len(sizes)):
        kept = tuple(curve for curve in one.curves.curves if curve.size_index in sizes[:number])
        generator = np.random.default_rng((seed, number))
        curves, frontiers = replace(one.curves, curves=kept), one.frontiers.of_some(kept)
        fitted = fit_curves(one.track, curves, one.noise, options, generator, frontiers)
        windows.append((fitted, _target(one, sizes[: number + 1])))
    rows = []
    for floor in floors:
        made = windows if floor == "none" else [(with_floor(window, floor), target) for window, target in windows]
        rows += _rows(made, floor, level)
    return tuple(rows)


def last_error(rows: Sequence[FrontierBacktestRow]) -> FrontierBacktestRow | None:
    """The row that predicts the largest size by the law without floor; None where no window was possible."""
    return next((row for row in reversed(rows) if row.floor == "none"), None)


def _target(one: Contender, sizes: Sequence[int]) -> _Target:
    """Where the last of `sizes` ends, and what the frontier of all of them had reached there."""
    numbers = [number for number, curve in enumerate(one.curves.curves) if curve.size_index in sizes]
    ends: list[MeanCurve] = [curve for curve in one.curves.curves if curve.size_index == sizes[-1]]
    last = max(ends, key=lambda curve: float(curve.cost[-1]))
    log_cost = float(np.log(last.cost[-1]))
    reached = min(float(one.frontiers.steps[number].value(np.array([log_cost]))[0]) for number in numbers)
    return _Target(sizes[-1], log_cost, reached, last.num_runs)


def _rows(windows: Sequence[tuple[Contender, _Target]], floor: str, level: float) -> list[FrontierBacktestRow]:
    rows, excesses = [], list[float]()
    for window, target in windows:
        law, actual = window.result.law, float(np.exp(target.log_loss))
        predicted, error, covered = None, float("nan"), None
        if law.status is FitStatus.OK:
            centre = _expected(law, target.log_cost)
            distance = max(target.log_cost - float(np.log(window.result.points[-1].cost)), 0.0)
            variance = _variance(window, target)
            lack = float(np.mean(excesses)) if excesses else 0.0
            freedom = max(window.curves.num_sizes - len({"alpha_C", "ln_A", "E"} & set(law.params)), 1)
            predicted = _interval(centre, variance + lack * distance**2, freedom, level)
            error = predicted.value / actual - 1.0
            covered = predicted.covers(actual) if np.isfinite(predicted.high) else None
            if distance > 0 and np.isfinite(variance):
                excesses.append(max((centre - target.log_loss) ** 2 - variance, 0.0) / distance**2)
        rows.append(
            FrontierBacktestRow(
                held_out=float(np.exp(target.log_cost)),
                held_to=float(np.exp(target.log_cost)),
                points_fitted=law.points_used,
                status=law.status,
                reason=law.reason,
                predicted=predicted,
                actual=actual,
                error=error,
                covered=covered,
                contender=window.name,
                sizes_fitted=window.curves.num_sizes,
                size_index=target.size_index,
                floor=floor,
            )
        )
    return rows


def _expected(law: FitResult, log_cost: float) -> float:
    """ln L by the fitted law."""
    power = law.params["ln_A"] - law.params["alpha_C"] * log_cost
    floor = law.params.get("E", 0.0)
    return float(np.logaddexp(power, np.log(floor))) if floor > 0 else power


def _variance(window: Contender, target: _Target) -> float:
    """Of ln L, without lack of fit; infinite where the resamples tell nothing."""
    samples = window.lines.log_loss_at(np.array([target.log_cost]))[:, 0]
    usable = samples[np.isfinite(samples)]
    if len(usable) < len(samples) / 2:
        return float("inf")
    # Half the central 68 %: a few wild resamples must not set the width.
    low, high = np.quantile(usable, [0.1587, 0.8413])
    noise = window.noise.std_log**2 / target.num_runs if window.noise else 0.0
    return float(((high - low) / 2.0) ** 2 + window.result.law.residual_std**2 + noise)


def _interval(centre: float, variance: float, freedom: int, level: float) -> Interval:
    value = float(np.exp(centre))
    if not np.isfinite(variance):
        return Interval(value, float("-inf"), float("inf"), level, _METHOD)
    half = float(student_t.ppf(0.5 + level / 2.0, freedom)) * float(np.sqrt(variance))
    return Interval(value, float(np.exp(centre - half)), float(np.exp(min(centre + half, 700.0))), level, _METHOD)
