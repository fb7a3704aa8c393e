"""What a budget is expected to buy a contender of a scan: loss by L(C) on its frontier, N and D by L(N,D)."""

from collections.abc import Sequence
from dataclasses import dataclass

from archbench.analysis.fitting.audit import ordering_of
from archbench.analysis.fitting.bootstrap import Samples, bootstrap_law, percentile_intervals
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.forecast import Forecast, back_test, forecast, lack_of_fit, optimal_allocation
from archbench.analysis.frontier.scan_laws import ScanFit, cost_model, finished_runs, frontier_law, joint_law
from archbench.results.fits import FitResult, Interval
from archbench.results.runs import CostAxis, RunRecord


@dataclass(frozen=True, slots=True)
class BudgetForecast:
    """One budget. What a refused fit would have given is None."""

    flops: float
    loss: Forecast | None
    """By L(C), nats per token."""
    params: Interval | None
    """N, without embeddings, that spends the budget best."""
    tokens: Interval | None
    """D with it."""
    joint_loss: Forecast | None
    """By L(N,D) at that N and D: the two laws see one budget from two sides."""


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


@dataclass(frozen=True, slots=True)
class _Ready:
    """A fit with all that a forecast by it needs."""

    fit: LawFit
    samples: Samples
    kappa: float


def forecast_scan(
    records: Sequence[RunRecord],
    contender: str,
    budgets: Sequence[float],
    *,
    axis: CostAxis = CostAxis.EXACT,
    resamples: int = 400,
    seed: int = 0,
) -> ScanForecast:
    """Loss, N and D of `contender` at each of `budgets` (FLOPs on `axis`), with 95 % intervals."""
    frontier, joint = frontier_law(records, contender, axis), joint_law(records, contender)
    by_compute, by_size = (_ready(one, resamples, seed) for one in (frontier, joint))
    cost = cost_model(finished_runs(records, contender), axis)
    found = []
    for budget in budgets:
        loss = forecast(by_compute.fit, by_compute.samples, kappa=by_compute.kappa, C=budget) if by_compute else None
        params = tokens = joint_loss = None
        if by_size:
            params, tokens = optimal_allocation(by_size.fit, by_size.samples, budget, cost=cost)
            joint_loss = forecast(by_size.fit, by_size.samples, kappa=by_size.kappa, N=params.value, D=tokens.value)
        found.append(BudgetForecast(budget, loss, params, tokens, joint_loss))
    return ScanForecast(
        contender,
        axis,
        _result(frontier, by_compute),
        frontier.points,
        _result(joint, by_size),
        joint.points,
        tuple(found),
    )


def _ready(found: ScanFit, resamples: int, seed: int) -> _Ready | None:
    if not found.fit.ok:
        return None
    ordering = ordering_of(found.fit)
    windows = back_test(found.fit, ordering, floor=found.floor, seed=seed)
    samples = bootstrap_law(found.fit, num_resamples=resamples, seed=seed)
    return _Ready(found.fit, samples, lack_of_fit(found.fit, ordering, windows))


def _result(found: ScanFit, ready: _Ready | None) -> FitResult:
    if ready is None:
        return found.fit.result
    return found.fit.with_intervals(percentile_intervals(found.fit.result.params, ready.samples.params())).result
