"""Loss against bytes of weights: the axis on which mixtures of experts pay for what a token does not use.

The weights of a run take the same memory from its first step to its last, so that a learning curve says nothing here:
each size is its finished run of the largest budget. Comparisons are then read as on any other axis of cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.results.experts import weight_bytes
from archbench.results.fits import Comparison
from archbench.results.runs import CostAxis, RunRecord


@dataclass(frozen=True, slots=True)
class ModelInMemory:
    """One size of one contender, at its largest budget."""

    contender: str
    size_index: int
    non_embedding_params: int
    active_params: int
    weight_bytes: int
    loss_nats: float
    """Mean over seeds of the loss at the end."""
    lowest: bool
    """Whether no model of the scan of at most as many bytes has a lower one: it is on the frontier of all."""


def models_in_memory(records: Sequence[RunRecord]) -> tuple[ModelInMemory, ...]:
    """Every size of every contender that has finished runs, the contenders in their order, the smallest size first."""
    cells: dict[tuple[str, int], list[RunRecord]] = {}
    for run in _largest_budgets(records):
        cells.setdefault((run.contender, run.size_index), []).append(run)
    found = [_model(name, size, runs) for (name, size), runs in cells.items()]
    return tuple(
        replace(
            one,
            lowest=not any(
                other.weight_bytes <= one.weight_bytes and other.loss_nats < one.loss_nats for other in found
            ),
        )
        for one in found
    )


def compare_by_memory(
    records: Sequence[RunRecord],
    *,
    baseline: str | None,
    window: Window | None = None,
    options: StudyOptions | None = None,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Each contender against `baseline`, every pair without one: bytes of weights stand where the costs of a run stand.

    Their `cost_axis` is that of executed FLOPs, whose place the bytes have taken.
    """
    settings = options or StudyOptions(floor="none")
    placed = [_in_bytes(run) for run in _largest_budgets(records)]
    contenders = fit_contenders(placed, CostAxis.EXACT, baseline=baseline, seed=seed, options=settings)
    return tuple(compare_all(contenders, baseline, window=window, seed=seed, num_resamples=settings.num_resamples))


def _largest_budgets(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Of each contender, size and seed the usable run of most tokens, as the records have them, sizes rising."""
    longest: dict[tuple[str, int, int], RunRecord] = {}
    for run in records:
        if run.usable:
            key = (run.contender, run.size_index, run.seed)
            if key not in longest or run.planned_tokens > longest[key].planned_tokens:
                longest[key] = run
    order = list(dict.fromkeys(run.contender for run in records))
    return sorted(longest.values(), key=lambda run: (order.index(run.contender), run.size_index, run.seed))


def _model(name: str, size_index: int, runs: Sequence[RunRecord]) -> ModelInMemory:
    losses = [loss for run in runs if (loss := run.final_loss_nats) is not None]
    first = runs[0]
    return ModelInMemory(
        contender=name,
        size_index=size_index,
        non_embedding_params=first.non_embedding_params,
        active_params=first.active_params,
        weight_bytes=weight_bytes(first),
        loss_nats=float(np.mean(losses)),
        lowest=False,
    )


def _in_bytes(run: RunRecord) -> RunRecord:
    """`run` as one finished point that costs the bytes of its weights."""
    cost = float(weight_bytes(run))
    last = replace(
        run.curve[-1], exact_flops=cost, kaplan_flops=cost, device_seconds=None, processor_seconds=None, finished=True
    )
    return replace(run, curve=(last,))
