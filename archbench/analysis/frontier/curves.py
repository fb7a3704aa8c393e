"""Learning curves as arrays, the mean over seeds taken: what frontiers are made of.

Legend: C cost (FLOPs or seconds), L validation loss (nats per predicted token), N parameters, D tokens.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archbench.results.reference_lines import is_on_plateau, mean_lines
from archbench.results.runs import CostAxis, CurvePoint, RunRecord

Floats = NDArray[np.float64]

MAX_POINTS = 256
"""Longer curves are thinned to about this many points, log-spaced in cost, before laws are fitted to them."""


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """The learning curve of one size under one training plan: the mean over its seeds at the steps all of them share.

    The minimum over seeds would be biased downwards, and the more so the more seeds a size has; the mean is not.
    Of runs that were evaluated on all held-out text at their end, the curve is scaled to end there (`_scale`).
    """

    size_index: int
    non_embedding_params: int
    planned_tokens: int
    run_ids: tuple[str, ...]
    """In order of the seed."""
    cost: Floats
    """[points], rising, above 0."""
    loss_nats: Floats
    """[points]."""
    tokens: NDArray[np.int64]
    """[points]."""
    finished: NDArray[np.bool_]
    """[points]: whether the schedule had ended."""
    final_losses_nats: Floats
    """[runs]: each seed's loss as a finished run, else at its last point."""
    seeds: tuple[int, ...] = ()
    """[runs]."""
    reference_lines: Mapping[str, float] = field(default_factory=dict)
    """The lines of its runs (`archbench.results.reference_lines`), their mean; empty where none is known."""

    @property
    def num_runs(self) -> int:
        """Number of seeds."""
        return len(self.run_ids)

    @property
    def final_loss_nats(self) -> float:
        """The mean over seeds of the loss at the end."""
        return float(self.final_losses_nats.mean())

    @property
    def on_plateau(self) -> bool:
        """Whether it ends on the plateau; not where its lines are not known."""
        return is_on_plateau(self.final_loss_nats, self.reference_lines) is True


@dataclass(frozen=True, slots=True)
class CurveSet:
    """The mean curves of one contender on one cost axis, smallest size first."""

    contender: str
    axis: CostAxis
    curves: tuple[MeanCurve, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of points left out."""
    warnings: tuple[str, ...] = ()

    @property
    def num_sizes(self) -> int:
        """Number of different sizes that have points."""
        return len({curve.size_index for curve in self.curves})

    @property
    def has_curves(self) -> bool:
        """Whether any run was evaluated on its way; of finished runs alone nothing lies between two of them."""
        return any(len(curve.cost) > 1 for curve in self.curves)


def mean_curves(contender: str, records: Sequence[RunRecord], axis: CostAxis) -> CurveSet:
    """The mean curves of `contender`'s usable runs on `axis`.

    Runs of the same size, batch and token budget are seeds of each other. Left out, and counted by reason: points
    inside warm-up, points without a positive finite cost or loss, and steps that not all seeds share.
    """
    left_out: dict[str, int] = defaultdict(int)
    warnings: list[str] = []
    groups: dict[tuple[int, int, int, int], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.contender == contender and record.usable:
            key = (record.non_embedding_params, record.size_index, record.planned_tokens, record.batch_tokens)
            groups[key].append(record)
    curves = []
    for key in sorted(groups):
        runs = sorted(groups[key], key=lambda run: (run.seed, run.run_id))
        curve = _mean_over_seeds(runs, axis, left_out, warnings)
        if curve is not None:
            curves.append(curve)
    return CurveSet(contender, axis, tuple(curves), dict(left_out), tuple(warnings))


def _mean_over_seeds(
    runs: Sequence[RunRecord], axis: CostAxis, left_out: dict[str, int], warnings: list[str]
) -> MeanCurve | None:
    kept = [(run, _usable_points(run, axis, left_out)) for run in runs]
    kept = [(run, points) for run, points in kept if points]
    if not kept:
        return None
    common = sorted(set.intersection(*(set(points) for _, points in kept)))
    if not common:
        warnings.append(
            f"size {kept[0][0].size_index}: its {len(kept)} seeds share no step, so that there is no mean curve; "
            "the first seed is used"
        )
        left_out["step not shared by all seeds"] += sum(len(points) for _, points in kept[1:])
        kept = kept[:1]
        common = sorted(kept[0][1])
    left_out["step not shared by all seeds"] += sum(len(points) - len(common) for _, points in kept)
    cost = np.mean([[_cost(points[step], axis) for step in common] for _, points in kept], axis=0)
    scales = np.array([_scale(run, points) for run, points in kept])
    losses = np.array([[points[step].validation_loss_nats for step in common] for _, points in kept])
    loss = np.mean(scales[:, None] * losses, axis=0)
    first = kept[0][1]
    # Mean measured times can tie or fall where the clock was coarse; a stable order keeps later steps behind.
    order = log_spaced(cost[np.argsort(cost, kind="stable")], MAX_POINTS)
    ranked = np.argsort(cost, kind="stable")[order]
    return MeanCurve(
        size_index=kept[0][0].size_index,
        non_embedding_params=kept[0][0].non_embedding_params,
        planned_tokens=kept[0][0].planned_tokens,
        run_ids=tuple(run.run_id for run, _ in kept),
        cost=cost[ranked],
        loss_nats=loss[ranked],
        tokens=np.array([first[step].tokens for step in common], dtype=np.int64)[ranked],
        finished=np.array([all(points[step].finished for _, points in kept) for step in common])[ranked],
        final_losses_nats=scales * [points[max(points)].validation_loss_nats for _, points in kept],
        seeds=tuple(run.seed for run, _ in kept),
        reference_lines=mean_lines([run.reference_lines for run, _ in kept]),
    )


def _scale(run: RunRecord, points: Mapping[int, CurvePoint]) -> float:
    """The run's loss on all held-out text over that at the end of its curve, which is on a part of the text; else 1.

    A part of the text is harder or easier than the whole by much the same factor all along: scaled by it, points in
    mid-schedule estimate the loss on the whole text (a ratio estimate; Cochran 1977, chapter 6), and stand in one
    envelope with finished points without the offset between two texts.
    """
    last = points[max(points)]
    if run.final is None or last.step != run.curve[-1].step:
        return 1.0
    return run.final.loss_nats / last.validation_loss_nats


def _usable_points(run: RunRecord, axis: CostAxis, left_out: dict[str, int]) -> dict[int, CurvePoint]:
    points: dict[int, CurvePoint] = {}
    for point in run.curve:
        cost = point.cost(axis)
        if point.in_warmup:
            left_out["inside warm-up"] += 1
        elif cost is None or not (0.0 < cost < np.inf):
            left_out["cost not measured or not positive"] += 1
        elif not (0.0 < point.validation_loss_nats < np.inf):
            left_out["loss not positive and finite"] += 1
        else:
            points[point.step] = point
    return points


def _cost(point: CurvePoint, axis: CostAxis) -> float:
    cost = point.cost(axis)
    assert cost is not None, "points without a cost are left out before"
    return cost


def log_spaced(rising: ArrayLike, most: int) -> NDArray[np.intp]:
    """Indices of about `most` of many `rising` positive values, even in their logarithm; the last is among them."""
    values = np.asarray(rising, dtype=float)
    if len(values) <= most:
        return np.arange(len(values))
    logs = np.log(values)
    wanted = np.linspace(logs[0], logs[-1], most)
    return np.unique(np.append(np.searchsorted(logs, wanted[:-1]), len(values) - 1))
