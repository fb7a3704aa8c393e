"""Step by step from one architecture to another: what each change does to exponent, cost and time.

Every contender's frontier is resampled once, and each step is read off the resamples of its two ends. So steps add up
to the whole way, in the values and in every resample; what they add is an account of it, with intervals.

Legend: A before a step, X after it; C cost, L loss, alpha the exponent of L(C) without floor, R resamples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from archbench.analysis.comparison.compare import Contender, compare_exponents, interval, log_multipliers, two_sided_p
from archbench.analysis.frontier.scan import StudyOptions, study_contenders
from archbench.analysis.frontier.step_seconds import Timing, measured_timing, seconds_effect
from archbench.analysis.frontier.tiers import holm
from archbench.results.decomposition import Decomposition, Figure, StepEffect, StepSum
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis, RunRecord

DECOMPOSITION = "decompose"
"""Under this name stands the decomposition among a scan's studies, and in its spec."""

WHOLE = 0
"""Number of the step that is the whole way at once."""

_Step = tuple[int, str, str]


def decompose(
    records: Sequence[RunRecord], order: Sequence[str], *, baseline: str | None, seed: int = 0
) -> Decomposition:
    """What each step of `order`, names of contenders, does; from the runs of the size scan, those of others among them.

    `baseline` and `seed` are those of the scan's own comparisons, so that the resamples are the same. A figure that
    may not be read has a status and no value; Holm's correction runs over the steps of each figure and axis.
    """
    chosen = [record for record in records if record.contender in order]
    steps = [*_steps(order), (WHOLE, order[0], order[-1])]
    on_axes = {axis: _frontiers(records, axis, order, baseline, seed) for axis in CostAxis}
    loss = _common_loss(on_axes.values(), order)
    timing = measured_timing(chosen)
    effects: list[StepEffect] = []
    for axis, contenders in on_axes.items():
        effects += _corrected(_alpha(step, contenders, axis) for step in steps)
        effects += _corrected(_multiplier(step, contenders, axis, loss) for step in steps)
    effects += _corrected(_seconds(step, timing) for step in steps)
    return Decomposition(
        contenders=tuple(order),
        loss_nats=loss,
        clock=timing.clock,
        effects=tuple(effects),
        sums=tuple(_sums(effects)),
        seconds=timing.table(order),
    )


def _steps(order: Sequence[str]) -> list[_Step]:
    return [(number, before, after) for number, (before, after) in enumerate(pairwise(order), start=1)]


def _frontiers(
    records: Sequence[RunRecord], axis: CostAxis, order: Sequence[str], baseline: str | None, seed: int
) -> dict[str, Contender]:
    """The contenders of `order` that have a usable run on `axis`, by name."""
    # No floor is asked for: fitting one takes most of the time.
    found = study_contenders(records, axis, baseline=baseline, seed=seed, options=StudyOptions(floor="none"))
    return {one.name: one for one in found if one.name in order}


def _common_loss(on_axes: Iterable[Mapping[str, Contender]], order: Sequence[str]) -> float | None:
    """The lowest loss that every contender's frontier reaches on every axis that all of them have."""
    lowest = [
        max(one.result.points[-1].loss_nats for one in contenders.values())
        for contenders in on_axes
        if len(contenders) == len(set(order)) and all(one.result.points for one in contenders.values())
    ]
    return max(lowest, default=None)


def _alpha(step: _Step, contenders: Mapping[str, Contender], axis: CostAxis) -> StepEffect:
    before, after = (contenders.get(name) for name in step[1:])
    if before is None or after is None:
        return _unread(step, Figure.ALPHA, axis, FitStatus.INVALID_DATA, _missing(step, contenders))
    pair = compare_exponents(before, after)
    notes = "; ".join(pair.notes)
    if pair.alpha_difference is None:
        return _unread(step, Figure.ALPHA, axis, pair.status, notes)
    return _read(step, Figure.ALPHA, axis, (pair.alpha_difference, pair.p_value, notes))


def _multiplier(step: _Step, contenders: Mapping[str, Contender], axis: CostAxis, loss: float | None) -> StepEffect:
    before, after = (contenders.get(name) for name in step[1:])
    if before is None or after is None or loss is None:
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.INVALID_DATA, _missing(step, contenders))
    if before.track != after.track:
        reason = f"losses of the tracks {before.track} and {after.track} do not compare"
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.INVALID_DATA, reason)
    poor = next((one.result.law for one in (before, after) if one.result.law.status is not FitStatus.OK), None)
    if poor is not None:
        return _unread(step, Figure.MULTIPLIER, axis, poor.status, poor.reason)
    values, samples = log_multipliers(before, after, np.log([loss]))
    late = [one.name for one in (before, after) if one.result.points[0].loss_nats < loss]
    mind = f"{' and '.join(late)} lay below that loss at the first point behind warm-up" if late else ""
    ratio = interval(float(np.exp(values[0])), np.exp(samples[:, 0]), method=after.draws.method)
    return _read(step, Figure.MULTIPLIER, axis, (ratio, two_sided_p(samples[:, 0]), mind))


def _seconds(step: _Step, timing: Timing) -> StepEffect:
    _, before, after = step
    found = seconds_effect(timing, before, after)
    if found is None:
        reason = f"{before} and {after} have no time measured at models of one rung"
        return _unread(step, Figure.SECONDS_PER_TOKEN, None, FitStatus.INVALID_DATA, reason)
    return _read(step, Figure.SECONDS_PER_TOKEN, None, found)


def _read(step: _Step, figure: Figure, axis: CostAxis | None, found: tuple[Interval, float | None, str]) -> StepEffect:
    """An effect by its value, its p-value and what to mind."""
    effect, p_value, mind = found
    return StepEffect(*step, figure, axis, effect, p_value, None, FitStatus.OK, mind)


def _unread(step: _Step, figure: Figure, axis: CostAxis | None, status: FitStatus, reason: str) -> StepEffect:
    return StepEffect(*step, figure, axis, None, None, None, status, reason)


def _missing(step: _Step, contenders: Mapping[str, Contender]) -> str:
    absent = [name for name in step[1:] if name not in contenders]
    return f"{' and '.join(absent)} have no usable run on this axis" if absent else "no loss is reached by all"


def _corrected(effects: Iterable[StepEffect]) -> list[StepEffect]:
    """`effects` of one figure and axis with Holm's correction over its steps; the whole way is no test of its own."""
    found = list(effects)
    corrected = holm({one.step: one.p_value for one in found if one.step != WHOLE and one.p_value is not None})
    return [replace(one, holm_p_value=corrected.get(one.step)) for one in found]


def _sums(effects: Sequence[StepEffect]) -> Iterator[StepSum]:
    groups: dict[tuple[Figure, CostAxis | None], list[StepEffect]] = {}
    for one in effects:
        groups.setdefault((one.figure, one.cost_axis), []).append(one)
    for (figure, axis), ones in groups.items():
        steps = [one for one in ones if one.step != WHOLE]
        direct = next(one.effect for one in ones if one.step == WHOLE)
        values = [one.effect.value for one in steps if one.effect is not None]
        summed = None
        if len(values) == len(steps):
            summed = float(np.sum(values) if figure is Figure.ALPHA else np.prod(values))
        yield StepSum(
            figure=figure,
            cost_axis=axis,
            summed=summed,
            direct=None if direct is None else direct.value,
            num_told_apart=sum(one.told_apart for one in steps),
            num_steps=len(steps),
        )
