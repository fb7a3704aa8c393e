"""N and D against compute by the field's approaches, side by side (Hoffmann et al. 2022, section 3).

Legend: N parameters, D tokens, C compute, L loss, a and b of N ~ C^a and D ~ C^b.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.intervals import percentile_interval
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.planning.allocation import exponents_of
from archbench.analysis.planning.isoflop import PowerTrend, efficient_points, isoflop_minimum, power_trend
from archbench.analysis.tables.run_table import RunTable
from archbench.results.fits import FitStatus, Interval
from archbench.units import counted

_BETWEEN_BUDGETS = float(np.log(1.1))
"""Runs whose compute lies further apart than this are of two budgets: a grid's budgets differ by far more."""
_WIDEST_BUDGET = float(np.log(1.25))
"""Runs that lie close one by one but spread further than this share no budget, unless they fall into close groups."""
_CLEAR = 0.3
"""Least distance of a budget whose runs are spread from the next one."""
_CLOSE = 0.02
"""Runs no further apart are of one budget wherever it lies."""
_LEAST_SIZES = 3


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
    notes: tuple[str, ...] = ()
    """What was left out, and what is known of the approach's bias on this table."""


@dataclass(frozen=True, slots=True)
class _Found:
    points: int
    params: PowerTrend
    tokens: PowerTrend
    notes: tuple[str, ...] = ()


def study_allocation(
    table: RunTable, *, delta: float | None = None, resamples: int = 400, seed: int = 0
) -> tuple[AllocationRow, ...]:
    """Four approaches on one table, which needs N, D, C and L; intervals by bootstrap over runs.

    The trends of approaches 1 and 2 are in the table's C; the joint law's are those of C = 6·N·D.
    """
    variables, response = table.inputs(Chinchilla())
    joint = fit_law(Chinchilla(), variables, response, delta=delta, clusters=table.clusters)
    curves = (
        ("minimum over learning curves (1)", _minimum),
        ("convex hull of learning curves (1)", _hull),
    )
    rows = [_allocation_row(name, approach, table, resamples, seed) for name, approach in curves]
    parabolas = _allocation_row("isoFLOP parabolas (2)", _parabolas, table, resamples, seed)
    if parabolas.status is FitStatus.OK:
        parabolas = replace(parabolas, notes=(*parabolas.notes, _bias(table, joint)))
    return (*rows, parabolas, _joint(joint, resamples, seed))


def _minimum(table: RunTable) -> _Found:
    return _of_curves(table, "minimum")


def _hull(table: RunTable) -> _Found:
    return _of_curves(table, "hull")


def _of_curves(table: RunTable, kind: Literal["minimum", "hull"]) -> _Found:
    """Trend through the efficient points, without those of the smallest and the largest size.

    At the edge of the sizes a point is efficient because there is no size beyond it: it is no minimum.
    """
    _, codes, counts = np.unique(table.clusters, return_inverse=True, return_counts=True)
    size = table.values["N"]
    if len(np.unique(size[counts[codes] > 1])) < _LEAST_SIZES:
        reason = "no learning curves of 3 sizes: runs have one point each; name runs and steps by --run and --step"
        return _refused(0, FitStatus.TOO_FEW_POINTS, reason)
    chosen = efficient_points(table.values["C"], table.values["L"], kind=kind)
    inside = chosen[(size[chosen] > np.nanmin(size)) & (size[chosen] < np.nanmax(size))]
    notes: tuple[str, ...] = ()
    if left := len(chosen) - len(inside):
        notes = (f"{counted(left, 'efficient point')} of the smallest or largest size left out: edges of the grid",)
    if (levels := len(np.unique(size[inside]))) < _LEAST_SIZES:
        reason = f"{counted(levels, 'size')} between the smallest and the largest ever efficient, a trend needs 3"
        return _refused(len(inside), FitStatus.NO_INTERIOR_MINIMUM, reason, notes)
    cost = table.values["C"][inside]
    of_params, of_tokens = (power_trend(cost, table.values[name][inside]) for name in ("N", "D"))
    return _Found(len(inside), of_params, of_tokens, notes)


def _refused(points: int, status: FitStatus, reason: str, notes: tuple[str, ...] = ()) -> _Found:
    nothing = PowerTrend(float("nan"), float("nan"), status, reason)
    return _Found(points, nothing, nothing, notes)


def _parabolas(table: RunTable) -> _Found:
    C, N, D, L = (table.values[name] for name in ("C", "N", "D", "L"))
    groups = same_budget(C)
    centres = [float(np.exp(np.log(C[members]).mean())) for members in groups]
    # Runs of one budget differ in compute by a little, and so in loss: brought to the budget's middle.
    slope = power_trend(centres, [float(np.nanmin(L[members])) for members in groups])
    per_cost = slope.exponent if slope.status is FitStatus.OK else 0.0
    budgets, sizes, tokens, dropped = [], [], [], list[str]()
    for members, centre in zip(groups, centres, strict=True):
        minimum = isoflop_minimum(centre, N[members], L[members] * (centre / C[members]) ** per_cost)
        if minimum.status is not FitStatus.OK:
            dropped.append(f"{centre:.3g} FLOPs ({minimum.reason})")
            continue
        order = np.argsort(N[members])
        at = np.interp(np.log(minimum.params), np.log(N[members][order]), np.log(D[members][order]))
        budgets.append(minimum.flops)
        sizes.append(minimum.params)
        tokens.append(float(np.exp(at)))
    notes = [f"budgets left out: {'; '.join(dropped)}"] if dropped else []
    if alone := len(C) - sum(len(members) for members in groups):
        notes.append(f"{counted(alone, 'point')} left out: no two others of the same budget")
    return _Found(len(budgets), power_trend(budgets, sizes), power_trend(budgets, tokens), tuple(notes))


def _bias(table: RunTable, joint: LawFit) -> str:
    """What the parabolas make of the joint law itself, without noise, on the table's own grid."""
    known = "parabolas are biased where exponents differ or sizes lie off-centre (arXiv 2603.22339)"
    if not joint.ok:
        return f"{known}; by how much here is not known, since no joint law may be read"
    size, tokens = table.values["N"], table.values["D"]
    law = RunTable(table.arch, {**table.values, "L": joint.predict(N=size, D=tokens)}, table.clusters, table.finished)
    made = _parabolas(law).params
    alpha, beta = exponents_of(joint.result.params)
    if made.status is not FitStatus.OK:
        return f"{known}; by how much here is not known: on the joint law itself, {made.reason}"
    return f"{known}: on this grid a comes out {made.exponent - beta / (alpha + beta):+.3f} off under the joint law (3)"


def same_budget(cost: Array) -> list[np.ndarray]:
    """Rows of each budget, where at least three runs share one; budgets that differ by a few per cent are one."""
    order = np.argsort(cost, kind="stable")
    order = order[np.isfinite(cost[order]) & (cost[order] > 0)]
    found = _split(order, cost, _BETWEEN_BUDGETS)
    groups = []
    for number, members in enumerate(found):
        if not len(members):
            continue
        log_low, log_high = np.log(cost[members[[0, -1]]])
        before = log_low - np.log(cost[found[number - 1][-1]]) if number else np.inf
        after = np.log(cost[found[number + 1][0]]) - log_high if number + 1 < len(found) else np.inf
        span = log_high - log_low
        # Runs whose compute is scattered come close by chance: a budget with spread stands clear of the next.
        clear = span <= _WIDEST_BUDGET and min(before, after) >= max(_CLEAR, 2.0 * span)
        groups += [members] if clear else _split(members, cost, _CLOSE)
    return [members for members in groups if len(members) >= 3]


def _split(order: np.ndarray, cost: Array, gap: float) -> list[np.ndarray]:
    return list(np.split(order, np.flatnonzero(np.diff(np.log(cost[order])) > gap) + 1))


def _allocation_row(
    name: str, approach: Callable[[RunTable], _Found], table: RunTable, resamples: int, seed: int
) -> AllocationRow:
    found = approach(table)
    if found.params.status is not FitStatus.OK:
        return AllocationRow(name, found.params.status, found.params.reason, found.points, None, None, found.notes)
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
        percentile_interval(trend.exponent, end) for trend, end in zip((found.params, found.tokens), ends, strict=True)
    )
    return AllocationRow(name, FitStatus.OK, "", found.points, of_params, of_tokens, found.notes)


def _joint(fit: LawFit, resamples: int, seed: int) -> AllocationRow:
    name = "L(N,D) at C = 6·N·D (3)"
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
        percentile_interval(share, shares),
        percentile_interval(1.0 - share, 1.0 - shares),
    )
