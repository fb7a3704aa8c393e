"""The study of one scan: a frontier with its laws for each contender and cost axis, and every pair compared."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from archbench.analysis.comparison.compare import (
    Contender,
    CostConclusion,
    compare,
    compared_with,
    cost_conclusion,
    may_share_exponent,
    read_pair,
)
from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.question import Question, answered, told_apart_by
from archbench.analysis.frontier.compute_law import MIN_CELLS, fit_compute_law, resample_compute_law
from archbench.analysis.frontier.curves import CurveSet, mean_curves
from archbench.analysis.frontier.finished import MIN_SIZES, EqualRuns, FinishedRuns
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.leadership import leaderships
from archbench.analysis.frontier.learning import learning_law
from archbench.analysis.frontier.noise import SeedNoise, noise_of
from archbench.analysis.frontier.plateau import beyond_plateau, plateau_note
from archbench.analysis.frontier.read_joint import joint_fit
from archbench.analysis.frontier.resampled_laws import PowerLaws
from archbench.analysis.frontier.resamples import CurveStack, draw
from archbench.analysis.frontier.tiers import SizeTiers, find_tiers, holm
from archbench.analysis.seeding import contender_generator
from archbench.results.fits import Comparison, FitResult, FitStatus, FrontierPoint, FrontierResult, PointKind
from archbench.results.runs import CostAxis, RunRecord
from archbench.units import counted

NUM_RESAMPLES = 1000
_LAWS = 256
"""Laws kept: axes that hold the same numbers have the same ones."""


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """How a study is made."""

    num_resamples: int = NUM_RESAMPLES
    floor: Literal["free", "none"] = "free"
    """`none` leaves the law with a floor out, which takes most of the time: unless it was fitted to the same records
    before, results then have none."""


def analyse_scan(
    records: Sequence[RunRecord],
    *,
    baseline: str | None,
    seed: int = 0,
    options: StudyOptions | None = None,
    window: Window | None = None,
    question: Question | None = None,
) -> tuple[tuple[FrontierResult, ...], tuple[Comparison, ...]]:
    """Frontiers of all contenders on all cost axes, and on each axis their comparisons with `baseline`.

    Without a baseline every pair is compared. Holm's correction runs over the comparisons of an axis.
    Runs that are not done enter nothing. A contender without a usable run has no frontier; an axis that its runs do
    not have (times not measured) is left out. The same `seed` gives the same intervals. window: the losses over which
    multipliers are averaged, in place of the window of the `question`, or of the middle half of those that both sides
    reach.
    """
    settings = options or StudyOptions()
    frontiers: list[FrontierResult] = []
    comparisons: list[Comparison] = []
    for axis in CostAxis:
        contenders = study_contenders(records, axis, baseline=baseline, seed=seed, options=settings)
        frontiers.extend(contender.result for contender in contenders)
        comparisons.extend(
            compare_all(
                contenders,
                baseline,
                window=window,
                question=question,
                seed=seed,
                num_resamples=settings.num_resamples,
            )
        )
    return tuple(frontiers), tuple(comparisons)


def study_contenders(
    records: Sequence[RunRecord],
    axis: CostAxis,
    *,
    baseline: str | None,
    seed: int = 0,
    options: StudyOptions | None = None,
) -> list[Contender]:
    """Every contender that has a usable run on `axis`, with its resamples: what figures draw bands from.

    The baseline comes first, then the others in the order of the records.
    """
    return [_judged(one) for one in fit_contenders(records, axis, baseline=baseline, seed=seed, options=options)]


def fit_contenders(
    records: Sequence[RunRecord],
    axis: CostAxis,
    *,
    baseline: str | None,
    seed: int = 0,
    options: StudyOptions | None = None,
) -> list[Contender]:
    """As `study_contenders`, with frontiers and laws alone: sizes, tiers and warnings of the results are empty.

    What was fitted to the same records before is not fitted again.
    """
    settings = options or StudyOptions()
    kept = _LastFitted.to(records)
    key = (axis, baseline, seed)
    if (*key, settings) not in kept:
        with_floor = kept.get((*key, replace(settings, floor="free")))
        if with_floor is not None:
            return list(with_floor)
        kept[(*key, settings)] = _fit_contenders(records, axis, baseline, seed, settings)
    return list(kept[(*key, settings)])


class _LastFitted:
    """The contenders fitted to the last set of records: what a study fits, its audit and its report ask for again.

    Records are known by identity: they hold mappings, and so have no hash.
    """

    records: ClassVar[tuple[RunRecord, ...]] = ()
    made: ClassVar[dict[tuple[CostAxis, str | None, int, StudyOptions], list[Contender]]] = {}

    @classmethod
    def to(cls, records: Sequence[RunRecord]) -> dict[tuple[CostAxis, str | None, int, StudyOptions], list[Contender]]:
        """What was fitted to these very records; other records end what was kept of the last ones."""
        same = len(records) == len(cls.records) and all(map(operator.is_, records, cls.records))
        if not same:
            cls.records, cls.made = tuple(records), {}
        return cls.made


def _fit_contenders(
    records: Sequence[RunRecord], axis: CostAxis, baseline: str | None, seed: int, settings: StudyOptions
) -> list[Contender]:
    tracks = {record.contender: record.track for record in records}
    names = sorted(tracks, key=lambda name: name != baseline)  # a stable sort: the spec's order behind the baseline
    sets = {name: mean_curves(name, records, axis) for name in names}
    contenders = []
    for name in names:
        if not sets[name].curves:
            continue
        noise = noise_of(sets[name], [sets[other] for other in names if tracks[other] == tracks[name]])
        contenders.append(fit_curves(tracks[name], sets[name], noise, settings, seed=seed))
    return contenders


def fit_curves(
    track: str,
    curves: CurveSet,
    noise: SeedNoise | None,
    settings: StudyOptions,
    *,
    seed: int = 0,
) -> Contender:
    """One contender's frontier, laws and resamples under known noise; sizes, tiers and warnings are left empty."""
    stack = CurveStack.of(curves)
    points = frontier_points(stack)
    draws = draw(curves.curves, noise, settings.num_resamples, contender_generator(seed, curves.contender))
    finished = FinishedRuns.of(curves)
    law, power_laws = finished_law(curves, finished, "none", settings.num_resamples, seed)
    floored_law, floored_laws = None, None
    if settings.floor == "free":
        floored_law, floored_laws = finished_law(curves, finished, "free", settings.num_resamples, seed)
    mid_schedule = any(point.kind is PointKind.MID_SCHEDULE for point in points)
    result = FrontierResult(
        contender=curves.contender,
        cost_axis=curves.axis,
        points=points,
        sizes=(),
        tiers=(),
        noise_std_nats=noise.std_nats if noise else None,
        law=law,
        law_with_floor=floored_law,
        learning_law=learning_law(stack, draws, finished).result if mid_schedule else None,
        joint_law=_joint_law(finished),
        plateau_note=plateau_note(finished),
    )
    return Contender(track, curves, finished, stack, result, draws, power_laws, noise, floored_laws)


def _joint_law(finished: FinishedRuns) -> FitResult | None:
    if not finished.is_grid:
        return None
    found = joint_fit(finished).result
    if not finished.refusal:
        return found
    return replace(found, status=FitStatus.ON_PLATEAU, reason=finished.refusal, params={}, intervals={})


def _judged(one: Contender) -> Contender:
    """`one` with what its sizes contribute, its tiers, and what its design cannot see."""
    beyond = beyond_plateau(one.curves)
    found = find_tiers(beyond, one.noise) if beyond.curves else SizeTiers((), (), "", None)
    return replace(
        one,
        result=replace(
            one.result,
            sizes=leaderships(one.curves, one.curve_stack, one.noise),
            tiers=found.tiers,
            gains=found.gains,
            ladder_note=found.note,
            warnings=(
                *filter(None, [one.result.plateau_note]),
                *_warnings(one.curves, one.result.points, found.warning),
            ),
        ),
    )


def finished_law(
    curves: CurveSet,
    finished: FinishedRuns,
    floor: Literal["free", "none"],
    num_resamples: int,
    seed: int,
) -> tuple[FitResult, PowerLaws | None]:
    """L(C) of the finished runs with its intervals, and the law of each resample; None where it may not be read.

    Every run is a point: the fit that a table of these runs gets.
    """
    fit, laws = _law_of(EqualRuns.of(finished), floor, num_resamples, seed)
    if reason := finished.law_refusal:
        refused = replace(fit, status=FitStatus.ON_PLATEAU, reason=reason, params={}, intervals={})
        return replace(refused, cost_axis=curves.axis), None
    return replace(fit, cost_axis=curves.axis, left_out={**curves.left_out, **fit.left_out}), laws


@lru_cache(maxsize=_LAWS)
def _law_of(
    runs: EqualRuns, floor: Literal["free", "none"], num_resamples: int, seed: int
) -> tuple[FitResult, PowerLaws | None]:
    finished = runs.runs
    cells, left = finished.on_frontier()
    fit = fit_compute_law(
        np.exp(np.repeat(cells.log_cost, cells.num_runs)), np.exp(np.concatenate(cells.losses)), floor=floor
    )
    fit = replace(fit, notes=(*fit.notes, *([left] if left else [])))
    if finished.num_sizes < MIN_SIZES:
        reason = f"{counted(finished.num_sizes, 'size')}; a frontier needs at least {MIN_SIZES}"
        return replace(fit, status=FitStatus.TOO_FEW_SIZES, reason=reason, params={}), None
    if fit.status is not FitStatus.OK or len(cells) < MIN_CELLS:
        return fit, None
    intervals, laws = resample_compute_law(cells, fit.params, floor, num_resamples=num_resamples, seed=seed)
    return replace(fit, intervals=intervals), laws


def _warnings(curves: CurveSet, points: Sequence[FrontierPoint], design: str | None) -> tuple[str, ...]:
    warnings = list(curves.warnings)
    leading = {point.size_index for point in points}
    if curves.num_sizes >= MIN_SIZES > len(leading):
        ever = "ever leads: the law rests on that" if len(leading) == 1 else "ever lead: the law rests on those"
        warnings.append(f"only {len(leading)} of {counted(curves.num_sizes, 'size')} {ever}")
    if design:
        warnings.append(design)
    unfinished = sum(point.kind is PointKind.MID_SCHEDULE for point in points)
    if unfinished > len(points) / 2:
        warnings.append(
            f"{unfinished} of {len(points)} frontier points are mid-schedule: a run whose schedule had ended there "
            "would have a lower loss"
        )
    return tuple(warnings)


def compare_all(
    contenders: Sequence[Contender],
    baseline: str | None = None,
    *,
    window: Window | None = None,
    question: Question | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> list[Comparison]:
    """Every other one of `contenders`, which share a cost axis, against the `baseline`; every pair where there is none.

    Holm's correction runs over these comparisons. window: as `compare` has it; that of the `question` if None.
    """
    chosen = window or (question.window if question else None)
    pairs = []
    for one, other in compared_with(contenders, baseline):
        pair = compare(one, other, window=chosen, seed=seed, num_resamples=num_resamples)
        reading = read_pair(one, other, seed=seed, num_resamples=num_resamples)
        if question:
            pair = answered(question, pair, reading, (one, other))
        pairs.append(told_apart_by(pair, reading, (one, other)))
    return holm_corrected(pairs)


def holm_corrected(pairs: Sequence[Comparison]) -> list[Comparison]:
    """`pairs` with Holm's correction, over all exponents that have a p-value and over all multipliers that have one.

    What would tell two apart stays with those that then are not.
    """
    exponents = holm({index: pair.p_value for index, pair in enumerate(pairs) if pair.p_value is not None})
    multipliers = holm(
        {
            index: pair.headline.p_value
            for index, pair in enumerate(pairs)
            if pair.headline is not None and pair.headline.p_value is not None
        }
    )
    corrected = [
        replace(
            pair,
            holm_p_value=exponents.get(index),
            headline=replace(pair.headline, holm_p_value=multipliers.get(index)) if pair.headline is not None else None,
        )
        for index, pair in enumerate(pairs)
    ]
    return [
        replace(
            pair,
            one_exponent=may_share_exponent(pair),
            settlement=pair.settlement if cost_conclusion(pair) is CostConclusion.NOT_TOLD_APART else None,
        )
        for pair in corrected
    ]
