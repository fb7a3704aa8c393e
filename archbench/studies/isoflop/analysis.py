"""The isoFLOP study of one contender: parabolas at each budget, and the allocation by every approach beside them.

Legend: N parameters without embeddings, D tokens, C compute (FLOPs, on the study's cost axis), L validation loss
(nats per predicted token).
"""

from collections.abc import Sequence

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.planning.approaches import same_budget, study_allocation
from archbench.analysis.planning.isoflop import isoflop_minimum
from archbench.analysis.tables.run_table import RunTable
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, RunRecord
from archbench.results.studies import StudyPoint
from archbench.studies.isoflop.results import Allocation, IsoflopBudget, IsoflopStudy
from archbench.studies.points import about, column, result_point, usable

BIAS_NOTE = (
    "parabolas are biased where the exponents of N and D differ or the sizes lie off-centre (arXiv 2603.22339), even "
    "without noise: the joint law decides, they are shown beside it"
)
_RUNS_NOTE = "the joint law and the learning-curve approaches use every run, at its end"


def study_isoflop(
    study: str,
    contender: str,
    runs: Sequence[RunRecord],
    *,
    axis: CostAxis = CostAxis.KAPLAN,
    resamples: int = 400,
    seed: int = 0,
) -> IsoflopStudy:
    """Best size at each budget; trends of N and D against C by parabolas, by learning curves and by the joint law."""
    kept = usable(runs)
    points = [result_point(run) for run in kept.runs]
    name = "exact_flops" if axis is CostAxis.EXACT else "kaplan_flops"
    cost = column(points, name)
    budgets = [_budget([points[index] for index in members], name) for members in same_budget(cost)]
    shared = sum(len(budget.points) for budget in budgets)
    left_out = dict(kept.left_out)
    if alone := len(points) - shared:
        left_out["no two other runs of the same budget"] = alone
    table = RunTable(
        contender,
        {
            "N": column(points, "non_embedding_params"),
            "D": column(points, "tokens"),
            "C": cost,
            "L": column(points, "loss_nats"),
        },
        np.array([point.run_id for point in points]),
        np.ones(len(points), dtype=bool),
    )
    rows = study_allocation(table, resamples=resamples, seed=seed) if points else ()
    return IsoflopStudy(
        **about(study, contender, runs, used=shared, left_out=left_out, notes=(BIAS_NOTE, _RUNS_NOTE)),
        cost_axis=axis,
        budgets=tuple(budgets),
        allocations=tuple(
            Allocation(row.approach, row.status, row.reason, row.points, row.of_params, row.of_tokens) for row in rows
        ),
    )


def _budget(points: Sequence[StudyPoint], cost: str) -> IsoflopBudget:
    ordered = sorted(points, key=lambda point: (point.non_embedding_params, point.seed))
    flops = float(np.exp(np.log(column(ordered, cost)).mean()))
    sizes, losses = column(ordered, "non_embedding_params"), column(ordered, "loss_nats")
    minimum = isoflop_minimum(flops, sizes, losses)
    curvature = None
    if len(np.unique(sizes)) >= 3:
        square, slope, level = np.polyfit(np.log(sizes), losses, 2)
        curvature = (float(square), float(slope), float(level))
    read = minimum.status is FitStatus.OK
    return IsoflopBudget(
        flops=flops,
        status=minimum.status,
        reason=minimum.reason,
        points=tuple(ordered),
        best_params=minimum.params if read else None,
        best_tokens=_tokens_at(minimum.params, sizes, column(ordered, "tokens")) if read else None,
        loss_nats=minimum.loss_nats if read else None,
        curvature=curvature,
    )


def _tokens_at(size: float, sizes: Array, tokens: Array) -> float:
    """D of the budget at a size between those that were trained."""
    return float(np.exp(np.interp(np.log(size), np.log(sizes), np.log(tokens))))
