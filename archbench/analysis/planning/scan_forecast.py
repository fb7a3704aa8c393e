"""What a budget is expected to buy a contender of a scan: loss by L(C) on its frontier, N and D by L(N,D)."""

from collections.abc import Sequence
from dataclasses import dataclass

from archbench.analysis.fitting.audit import ordering_of
from archbench.analysis.fitting.fit import fit_points
from archbench.analysis.fitting.forecast import (
    Forecast,
    Predictor,
    back_test,
    forecast,
    optimal_allocation,
    predictor,
    with_open_floor,
)
from archbench.analysis.frontier.scan_laws import (
    FINISHED,
    ScanFit,
    cost_model,
    finished_runs,
    frontier_law,
    is_grid,
    joint_law,
)
from archbench.analysis.intervals import percentile_intervals
from archbench.analysis.planning.allocation import SIX_N_D
from archbench.results.fits import FitResult, Interval
from archbench.results.runs import CostAxis, RunRecord


@dataclass(frozen=True, slots=True)
class BudgetForecast:
    """One budget. What a refused fit would have given is None."""

    flops: float
    loss: Forecast | None
    """By the frontier, nats per token: L(N,D) on its best split where a grid of runs identifies it, else L(C)."""
    params: Interval | None
    """N, without embeddings, that spends the budget best."""
    tokens: Interval | None
    """D with it."""
    joint_loss: Forecast | None
    """By L(N,D) at that N and D: the two laws see one budget from two sides. None by points in mid-schedule, whose loss
    is not that of a run that ends there."""


@dataclass(frozen=True, slots=True)
class ScanForecast:
    """One contender."""

    contender: str
    cost_axis: CostAxis
    frontier: FitResult
    frontier_points: str
    joint: FitResult
    joint_points: str
    budgets: tuple[BudgetForecast, ...]
    at: tuple[Forecast, ...]
    """By L(N,D), at each N and D that was asked for; empty where it may not be read."""


def forecast_scan(
    records: Sequence[RunRecord],
    contender: str,
    budgets: Sequence[float],
    *,
    at: Sequence[tuple[float, float]] = (),
    axis: CostAxis = CostAxis.EXACT,
    resamples: int = 400,
    seed: int = 0,
) -> ScanForecast:
    """Loss, N and D of `contender` at each of `budgets` (FLOPs on `axis`), and loss at each N and D in `at`."""
    frontier, joint = frontier_law(records, contender, axis), joint_law(records, contender)
    by_compute, by_size = (_ready(one, resamples, seed) for one in (frontier, joint))
    runs = finished_runs(records, contender)
    cost = cost_model(runs, axis) if runs else SIX_N_D
    # The order in which every frontier is read: a joint law of finished runs first.
    joint_first = by_size is not None and is_grid(records, contender, axis)
    found = []
    for budget in budgets:
        loss = forecast(by_compute, C=budget) if by_compute else None
        params = tokens = joint_loss = None
        if by_size:
            params, tokens = optimal_allocation(by_size, budget, cost=cost)
            if joint.points == FINISHED:
                joint_loss = forecast(by_size, N=params.value, D=tokens.value)
            loss = joint_loss if joint_first and joint_loss else loss
        found.append(BudgetForecast(budget, loss, params, tokens, joint_loss))
    asked = tuple(forecast(by_size, N=size, D=data) for size, data in at) if by_size else ()
    return ScanForecast(
        contender,
        axis,
        _with_resampled_intervals(frontier, by_compute),
        frontier.points,
        _with_resampled_intervals(joint, by_size),
        joint.points,
        tuple(found),
        asked,
    )


def _ready(found: ScanFit, resamples: int, seed: int) -> Predictor | None:
    fit, floor = found.fit, found.floor
    if fit.ok and floor == "none" and len(fit.law.variables) == 1:
        # Runs that do not tell the floor do not say that there is none: a law without one forecasts too low.
        opened = with_open_floor(fit_points(fit.law, fit.points, floor="free", delta=fit.delta))
        fit, floor = (opened, "free") if opened.ok else (fit, floor)
    if not fit.ok:
        return None
    lack = back_test(fit, ordering_of(fit), floor=floor, seed=seed).lack
    return predictor(fit, num_resamples=resamples, seed=seed, lack=lack)


def _with_resampled_intervals(found: ScanFit, ready: Predictor | None) -> FitResult:
    if ready is None:
        return found.fit.result
    return ready.fit.with_intervals(percentile_intervals(ready.fit.result.params, ready.params())).result
