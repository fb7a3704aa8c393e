"""Forgetting: how far the loss on the source has risen when fine-tuning on the target has ended."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from archbench.results.fits import Interval
from archbench.results.runs import RunRecord
from archbench.studies.transfer.cells import Cell, TransferRuns
from archbench.studies.transfer.results import ForgettingPoint

_LEVEL = 0.95


def forgetting(runs: TransferRuns, finetune: Sequence[Cell]) -> tuple[ForgettingPoint, ...]:
    """One point for each cell whose runs measured the loss on their source's validation text as it was measured before:
    both document by document at the end, or neither.

    The interval is Student's, from the spread of ln of the loss between seeds, pooled over all cells with several;
    infinite where there are none. The loss before is that of the pre-trained weights themselves and has no error.
    """
    found = []
    for cell in finetune:
        pairs = [pair for run in cell.runs if (pair := _before_and_after(runs, run)) is not None]
        if pairs:
            found.append((cell, np.array(pairs)))
    several = [np.log(pairs[:, 1] / pairs[:, 0]) for _, pairs in found if len(pairs) > 1]
    freedom = sum(len(rises) - 1 for rises in several)
    deviation = float("inf")
    if freedom:
        squares = sum(float(((rises - rises.mean()) ** 2).sum()) for rises in several)
        deviation = float(np.sqrt(squares / freedom)) * float(stdtrit(freedom, 0.5 + _LEVEL / 2))
    return tuple(_point(cell, pairs, deviation) for cell, pairs in found)


def _point(cell: Cell, pairs: np.ndarray, deviation: float) -> ForgettingPoint:
    before, after = (float(value) for value in pairs.mean(axis=0))
    half = after * deviation / float(np.sqrt(len(pairs)))
    return ForgettingPoint(
        size_index=cell.size_index,
        non_embedding_params=cell.non_embedding_params,
        finetune_tokens=cell.tokens,
        before_nats=before,
        after_nats=after,
        rise_nats=Interval(after - before, after - before - half, after - before + half, _LEVEL, "Student t of seeds"),
        num_runs=len(pairs),
    )


def _before_and_after(runs: TransferRuns, run: RunRecord) -> tuple[float, float] | None:
    first = runs.pretraining_of(run)
    if first is None:
        return None
    data = (first.details.get("identity") or {}).get("data") or {}
    after = run.other_losses_nats.get(str(data.get("corpus_hash")))
    if after is None:
        return None
    # Both on the same documents: a run with an evaluation at its end has that on other texts too.
    if run.final is None:
        return first.curve[-1].validation_loss_nats, after
    return None if first.final is None else (first.final.loss_nats, after)
