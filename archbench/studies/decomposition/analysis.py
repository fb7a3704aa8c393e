"""Step by step from one architecture to another: what each change does to exponent, cost and time.

All contenders of the way are read together, in one form and over one window of losses, and each step is read off the
resamples of its two ends. So steps add up to the whole way, in the values and in every resample.

Legend: A before a step, X after it; C cost, L loss, alpha the exponent of L(C) above the common floor, R resamples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from archbench.analysis.comparison.compare import NUM_RESAMPLES, Contender
from archbench.analysis.comparison.multiplier import Window, headline_multiplier
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Reading
from archbench.analysis.frontier.scan import StudyOptions, study_contenders
from archbench.analysis.frontier.tiers import holm
from archbench.analysis.significance import p_value_of, spread_interval
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis, RunRecord
from archbench.studies.decomposition.results import Decomposition, Figure, StepEffect, StepSum
from archbench.studies.decomposition.step_seconds import Timing, measured_timing, seconds_effect

WHOLE = 0
"""Number of the step that is the whole way at once."""

_Step = tuple[int, str, str]
_Missing = Callable[[_Step], str]


def decompose(
    records: Sequence[RunRecord], order: Sequence[str], *, baseline: str | None, seed: int = 0
) -> Decomposition:
    """What each step of `order`, names of contenders, does; from the runs of the size scan, those of others among them.

    `baseline` and `seed` are those of the scan's own comparisons, so that the resamples are the same. A figure that
    may not be read has a status and no value; Holm's correction runs over the steps of each figure and axis.
    """
    chosen = [record for record in records if record.contender in order]
    steps = [*_steps(order), (WHOLE, order[0], order[-1])]
    on_axes = {axis: _frontiers(records, axis, order, baseline, seed) for axis in _axes(records)}
    ways = {axis: _Way.of(contenders, order, seed) for axis, contenders in on_axes.items()}
    whole = [way for way in ways.values() if way is not None and len(way.places) == len(set(order))]
    window = _common_window(whole)
    timing = measured_timing(chosen)
    effects: list[StepEffect] = []
    for axis, way in ways.items():
        missing = partial(_missing, contenders=on_axes[axis])
        effects += _corrected(_alpha(step, way, axis, missing) for step in steps)
        effects += _corrected(_multiplier(step, way, axis, window, missing) for step in steps)
    effects += _corrected(_seconds(step, timing) for step in steps)
    return Decomposition(
        contenders=tuple(order),
        window_nats=None if window is None else (window.high_nats, window.low_nats),
        clock=timing.clock,
        effects=tuple(effects),
        sums=tuple(_sums(effects)),
        seconds=timing.table(order),
    )


def _axes(records: Sequence[RunRecord]) -> list[CostAxis]:
    """All axes, but for processor seconds where no run has any: those on accelerators, imported ones, older ones."""
    timed = any(point.processor_seconds is not None for record in records for point in record.curve)
    return [axis for axis in CostAxis if timed or axis is not CostAxis.PROCESSOR_SECONDS]


def _steps(order: Sequence[str]) -> list[_Step]:
    return [(number, before, after) for number, (before, after) in enumerate(pairwise(order), start=1)]


def _frontiers(
    records: Sequence[RunRecord], axis: CostAxis, order: Sequence[str], baseline: str | None, seed: int
) -> dict[str, Contender]:
    """The contenders of `order` that have a usable run on `axis`, by name."""
    # No floor is asked for: fitting one takes most of the time.
    found = study_contenders(records, axis, baseline=baseline, seed=seed, options=StudyOptions(floor="none"))
    return {one.name: one for one in found if one.name in order}


@dataclass(frozen=True, slots=True)
class _Way:
    """All contenders of the order, read together on one axis."""

    contenders: Mapping[str, Contender]
    reading: Reading
    places: Mapping[str, int]

    @staticmethod
    def of(contenders: Mapping[str, Contender], order: Sequence[str], seed: int) -> "_Way | None":
        names = [name for name in dict.fromkeys(order) if name in contenders]
        if len(names) < 2:
            return None
        generator = np.random.default_rng((seed, len(names)))
        runs = [contenders[name].finished for name in names]
        reading = read_frontiers(runs, num_resamples=NUM_RESAMPLES, generator=generator)
        return _Way(contenders, reading, {name: place for place, name in enumerate(names)})

    def ends(self) -> tuple[float, float]:
        """ln L of the highest and the lowest loss that all reach, below the line of pairs."""
        reached = [self.reading.reached(place)[0] for place in self.places.values()]
        high = min(self.reading.ceiling(*self.places.values()), *(float(one[0]) for one in reached))
        return high, max(float(one[1]) for one in reached)


def _common_window(ways: Sequence[_Way]) -> Window | None:
    """The middle half of the losses that every contender reaches on every axis; None where there are none."""
    ends = [way.ends() for way in ways]
    if not ends:
        return None
    high, low = min(one[0] for one in ends), max(one[1] for one in ends)
    quarter = (high - low) / 4
    return Window(float(np.exp(high - quarter)), float(np.exp(low + quarter))) if high > low else None


def _alpha(step: _Step, way: _Way | None, axis: CostAxis, missing: "_Missing") -> StepEffect:
    if way is None or any(name not in way.places for name in step[1:]):
        return _unread(step, Figure.ALPHA, axis, FitStatus.INVALID_DATA, missing(step))
    if way.reading.exponents is None:
        return _unread(step, Figure.ALPHA, axis, FitStatus.TOO_FEW_SIZES, way.reading.why)
    before, after = (way.places[name] for name in step[1:])
    if refusal := way.reading.refusal(before, after):
        return _unread(step, Figure.ALPHA, axis, FitStatus.ON_PLATEAU, refusal)
    samples = way.reading.exponents[:, after] - way.reading.exponents[:, before]
    found = spread_interval(float(samples[0]), samples[1:], way.reading.freedom)
    return _step_effect(step, Figure.ALPHA, axis, (found, p_value_of(found, way.reading.freedom), way.reading.why))


def _multiplier(
    step: _Step, way: _Way | None, axis: CostAxis, window: Window | None, missing: "_Missing"
) -> StepEffect:
    if way is None or any(name not in way.places for name in step[1:]):
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.INVALID_DATA, missing(step))
    if refusal := way.reading.refusal(*(way.places[name] for name in step[1:])):
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.ON_PLATEAU, refusal)
    if window is None:
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.INVALID_DATA, missing(step))
    before, after = step[1:]
    tracks = [way.contenders[name].track for name in (before, after)]
    if tracks[0] != tracks[1]:
        reason = f"losses of the tracks {tracks[0]} and {tracks[1]} do not compare"
        return _unread(step, Figure.MULTIPLIER, axis, FitStatus.INVALID_DATA, reason)
    found = headline_multiplier(way.reading, window, baseline=way.places[before], contender=way.places[after])
    if found.status is not FitStatus.OK or found.multiplier is None:
        return _unread(step, Figure.MULTIPLIER, axis, found.status, found.reason)
    return _step_effect(step, Figure.MULTIPLIER, axis, (found.multiplier, found.p_value, found.why))


def _seconds(step: _Step, timing: Timing) -> StepEffect:
    _, before, after = step
    found = seconds_effect(timing, before, after)
    if found is None:
        reason = f"{before} and {after} have no time measured at models of one rung"
        return _unread(step, Figure.SECONDS_PER_TOKEN, None, FitStatus.INVALID_DATA, reason)
    return _step_effect(step, Figure.SECONDS_PER_TOKEN, None, found)


def _step_effect(
    step: _Step, figure: Figure, axis: CostAxis | None, found: tuple[Interval, float | None, str]
) -> StepEffect:
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
