"""Compute of fine-tuning and of training from scratch on the same target data: lower envelopes of loss against cost.

Pre-training is counted in full with every fine-tuned model, and not at all: what it costs each user lies between.
"""

from collections.abc import Mapping, Sequence

from archbench.analysis.planning.isoflop import efficient_points
from archbench.results.runs import CostAxis, RunRecord
from archbench.studies.transfer.cells import Cell, TransferRuns
from archbench.studies.transfer.results import CostFrontier, CostPoint, FrontierKind

AXES = (CostAxis.KAPLAN, CostAxis.EXACT)


def cost_frontiers(
    runs: TransferRuns, finetune: Sequence[Cell], scratch: Mapping[int, Sequence[Cell]]
) -> tuple[CostFrontier, ...]:
    """For every amount of target data that was both fine-tuned and trained from scratch: the frontier of each kind."""
    plain = [cell for curve in scratch.values() for cell in curve]
    shared = sorted({cell.tokens for cell in finetune} & {cell.tokens for cell in plain})
    found = []
    for axis in AXES:
        for tokens in shared:
            tuned = [run for cell in finetune if cell.tokens == tokens for run in cell.runs]
            fresh = [run for cell in plain if cell.tokens == tokens for run in cell.runs]
            before = {run.run_id: spent(runs.pretraining_of(run), axis) for run in tuned}
            none = dict.fromkeys(before, 0.0)
            choices: tuple[tuple[FrontierKind, Sequence[RunRecord], Mapping[str, float | None]], ...] = (
                (FrontierKind.SCRATCH, fresh, dict.fromkeys((run.run_id for run in fresh), 0.0)),
                (FrontierKind.FINETUNE, tuned, none),
                (FrontierKind.FINETUNE_ALL, tuned, before),
            )
            for kind, chosen, added in choices:
                points = _envelope(chosen, added, axis)
                if points:
                    found.append(CostFrontier(kind, axis, tokens, points))
    return tuple(found)


def spent(run: RunRecord | None, axis: CostAxis) -> float | None:
    """What `run` cost until its end; None where it is not known."""
    return None if run is None else run.curve[-1].cost(axis)


def _envelope(runs: Sequence[RunRecord], added: Mapping[str, float | None], axis: CostAxis) -> tuple[CostPoint, ...]:
    points = []
    for run in runs:
        extra = added[run.run_id]
        if extra is None:
            continue
        for point in run.curve:
            cost = point.cost(axis)
            if cost is not None and cost + extra > 0 and not point.in_warmup:
                points.append(CostPoint(cost + extra, point.validation_loss_nats, run.non_embedding_params, run.run_id))
    chosen = efficient_points([point.cost for point in points], [point.loss_nats for point in points])
    return tuple(points[index] for index in chosen)
