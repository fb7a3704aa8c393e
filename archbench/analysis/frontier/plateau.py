"""The plateau gate: what ends on or above the line of pairs enters no multiplier, no law and no tier.

A small model learns single tokens, then pairs, and its loss stays at the line of pairs until it has found what to do
with more context. On that plateau losses of all architectures are alike, and a factor between their costs is one of how
long each stays there.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from archbench.analysis.frontier.curves import CurveSet, MeanCurve
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.results.reference_lines import is_on_plateau, mean_lines, plateau_line
from archbench.results.runs import RunRecord, size_number

_LEARNT = {"bigram": "which token follows which", "neighbours": "which tokens stand beside which"}


def beyond_plateau(curves: CurveSet) -> CurveSet:
    """`curves` without those that end on the plateau."""
    return replace(curves, curves=tuple(curve for curve in curves.curves if not curve.on_plateau))


def points_beyond_plateau(curve: MeanCurve) -> MeanCurve | None:
    """`curve` without its points on the plateau; None where it ends there, and where no point is left."""
    line = plateau_line(curve.reference_lines)
    below = curve.loss_nats < (np.inf if line is None else line[1])
    if curve.on_plateau or not below.any():
        return None
    if below.all():
        return curve
    return replace(
        curve,
        cost=curve.cost[below],
        loss_nats=curve.loss_nats[below],
        tokens=curve.tokens[below],
        finished=curve.finished[below],
    )


def runs_beyond_plateau(runs: Sequence[RunRecord], losses_nats: Sequence[float]) -> list[RunRecord]:
    """Those of `runs` whose cell, runs of one plan but for the seed, does not end on the plateau in its mean.

    losses_nats: what each run came to. Runs whose lines are not known are kept.
    """
    cells: dict[tuple[int, ...], list[tuple[RunRecord, float]]] = defaultdict(list)
    for run, loss in zip(runs, losses_nats, strict=True):
        plan = (run.non_embedding_params, run.size_index, run.planned_tokens, run.unique_tokens, run.batch_tokens)
        cells[plan].append((run, loss))
    on_plateau: set[str] = set()
    for cell in cells.values():
        mean = sum(loss for _, loss in cell) / len(cell)
        if is_on_plateau(mean, mean_lines([run.reference_lines for run, _ in cell])):
            on_plateau.update(run.run_id for run, _ in cell)
    return [run for run in runs if run.run_id not in on_plateau]


def ends_on_plateau(curves: CurveSet, size_index: int) -> bool:
    """Whether every curve of a size ends on the plateau."""
    return all(curve.on_plateau for curve in curves.curves if curve.size_index == size_index)


def plateau_note(finished: FinishedRuns) -> str:
    """What of a contender is not read for the plateau, in words; empty where all is."""
    if finished.refusal:
        learnt = _LEARNT[finished.line]
        return (
            f"on_plateau: {finished.refusal}. There no more is learnt than {learnt}: no multiplier, law or tier is "
            "read; longer or larger runs would tell"
        )
    if not finished.aside:
        return ""
    sizes = ", ".join(str(size_number(size)) for size in finished.aside)
    one = len(finished.aside) == 1
    return (
        f"on_plateau: {'size' if one else 'sizes'} {sizes} {'ends' if one else 'end'} on or above the {finished.line} "
        f"line and {'is' if one else 'are'} left out"
    )
