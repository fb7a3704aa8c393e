"""N and D against compute by the field's approaches, side by side (Hoffmann et al. 2022, section 3).

Legend: N parameters, D tokens, C compute, L loss, a and b of N ~ C^a and D ~ C^b.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import HOFFMANN_DELTA, fit_law
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.planning.allocation import exponents_of
from archbench.analysis.planning.isoflop import PowerTrend, efficient_points, isoflop_minimum, power_trend
from archbench.analysis.tables.read import RunTable
from archbench.results.fits import FitStatus, Interval

_SAME_BUDGET = 0.02
"""Runs whose compute differs by at most this share are of one budget."""


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """The two exponents by one approach; None where its status forbids them."""

    approach: str
    status: FitStatus
    reason: str
    points: int
    """Points, or budgets, that the trend rests on."""
    of_params: Interval | None
    """a."""
    of_tokens: Interval | None
    """b."""


@dataclass(frozen=True, slots=True)
class _Found:
    points: int
    params: PowerTrend
    tokens: PowerTrend


def study_allocation(
    table: RunTable, *, delta: float = HOFFMANN_DELTA, resamples: int = 400, seed: int = 0
) -> tuple[AllocationRow, ...]:
    """Four approaches on one table, which needs N, D, C and L; intervals by bootstrap over runs.

    The trends of approaches 1 and 2 are in the table's C; the joint law's are those of C = 6·N·D.
    """
    approaches = (
        ("minimum over learning curves (1)", _minimum),
        ("convex hull of learning curves (1)", _hull),
        ("isoFLOP parabolas (2)", _parabolas),
    )
    rows = [_row(name, approach, table, resamples, seed) for name, approach in approaches]
    return (*rows, _joint(table, delta, resamples, seed))


def _minimum(table: RunTable) -> _Found:
    return _of_points(table, efficient_points(table.values["C"], table.values["L"]))


def _hull(table: RunTable) -> _Found:
    return _of_points(table, efficient_points(table.values["C"], table.values["L"], kind="hull"))


def _of_points(table: RunTable, chosen: np.ndarray) -> _Found:
    cost = table.values["C"][chosen]
    trends = [power_trend(cost, table.values[name][chosen]) for name in ("N", "D")]
    return _Found(len(chosen), *trends)


def _parabolas(table: RunTable) -> _Found:
    C, N, D, L = (table.values[name] for name in ("C", "N", "D", "L"))
    budgets, sizes, tokens = [], [], []
    for members in same_budget(C):
        minimum = isoflop_minimum(float(np.exp(np.log(C[members]).mean())), N[members], L[members])
        if minimum.status is not FitStatus.OK:
            continue
        order = np.argsort(N[members])
        at = np.interp(np.log(minimum.params), np.log(N[members][order]), np.log(D[members][order]))
        budgets.append(minimum.flops)
        sizes.append(minimum.params)
        tokens.append(float(np.exp(at)))
    return _Found(len(budgets), power_trend(budgets, sizes), power_trend(budgets, tokens))


def same_budget(cost: Array) -> list[np.ndarray]:
    """Rows of each budget, where at least three runs share one."""
    order = np.argsort(cost, kind="stable")
    order = order[np.isfinite(cost[order]) & (cost[order] > 0)]
    breaks = np.flatnonzero(np.diff(np.log(cost[order])) > _SAME_BUDGET) + 1
    return [members for members in np.split(order, breaks) if len(members) >= 3]


def _row(
    name: str, approach: Callable[[RunTable], _Found], table: RunTable, resamples: int, seed: int
) -> AllocationRow:
    found = approach(table)
    if found.params.status is not FitStatus.OK:
        return AllocationRow(name, found.params.status, found.params.reason, found.points, None, None)
    generator = np.random.default_rng(seed)
    runs, codes = np.unique(table.clusters, return_inverse=True)
    rows_of = [np.flatnonzero(codes == number) for number in range(len(runs))]
    drawn = []
    for _ in range(resamples):
        picked = generator.integers(len(runs), size=len(runs))
        again = approach(table.take(np.concatenate([rows_of[number] for number in picked])))
        drawn.append((again.params.exponent, again.tokens.exponent))
    ends = np.array(drawn).reshape(-1, 2).T
    of_params, of_tokens = (
        _interval(trend.exponent, end) for trend, end in zip((found.params, found.tokens), ends, strict=True)
    )
    return AllocationRow(name, FitStatus.OK, "", found.points, of_params, of_tokens)


def _joint(table: RunTable, delta: float, resamples: int, seed: int) -> AllocationRow:
    name, law = "L(N,D) at C = 6·N·D (3)", Chinchilla()
    variables, response = table.inputs(law)
    fit = fit_law(law, variables, response, delta=delta, clusters=table.clusters)
    if not fit.ok:
        return AllocationRow(name, fit.result.status, fit.result.reason, fit.result.points_used, None, None)
    drawn = bootstrap_law(fit, num_resamples=resamples, seed=seed).params()
    alpha, beta = exponents_of(fit.result.params)
    share = beta / (alpha + beta)
    shares = drawn["beta"] / (drawn["alpha"] + drawn["beta"])
    return AllocationRow(
        name,
        FitStatus.OK,
        "",
        fit.result.points_used,
        _interval(share, shares),
        _interval(1.0 - share, 1.0 - shares),
    )


def _interval(value: float, drawn: Array) -> Interval:
    """Percentile interval; NaN ends where over 5 % of the resamples gave no trend."""
    finite = drawn[np.isfinite(drawn)]
    if not len(finite) or len(finite) < 0.95 * len(drawn):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(value, float(low), float(high))
