"""The study of one scan: a frontier with its laws for each contender and cost axis, and every pair compared."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from archbench.analysis.comparison.compare import Contender, centred_interval, compare, compare_exponents
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.frontier.curves import CurveSet, mean_curves
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.leadership import leaderships
from archbench.analysis.frontier.noise import Noise, noise_of
from archbench.analysis.frontier.resampled_laws import PowerLaws, fit_floors, fit_lines
from archbench.analysis.frontier.resamples import Draws, Frontiers, Sample, draw
from archbench.analysis.frontier.tiers import find_tiers, holm
from archbench.results.fits import Comparison, FitResult, FitStatus, FrontierPoint, FrontierResult, PointKind
from archbench.results.runs import CostAxis, RunRecord
from archbench.units import counted

MIN_SIZES = 3
NUM_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """How a study is made."""

    finished_only: bool = False
    """Whether points in mid-schedule are left out."""
    num_resamples: int = NUM_RESAMPLES
    floor: Literal["free", "none"] = "free"
    """`none` leaves the law with a floor out, which takes most of the time: unless it was fitted to the same records
    before, it is then the law without."""


def analyse_scan(
    records: Sequence[RunRecord], *, baseline: str | None, seed: int = 0, options: StudyOptions | None = None
) -> tuple[tuple[FrontierResult, ...], tuple[Comparison, ...]]:
    """Frontiers of all contenders on all cost axes, and the comparison of every pair on each axis.

    The pairs with `baseline` come first, with it as their baseline; Holm's correction runs over all pairs of an axis.
    Runs that are not done enter nothing. A contender without a usable run has no frontier; an axis that its runs do
    not have (times not measured) is left out. The same `seed` gives the same intervals.
    """
    settings = options or StudyOptions()
    frontiers: list[FrontierResult] = []
    comparisons: list[Comparison] = []
    for axis in CostAxis:
        contenders = study_contenders(records, axis, baseline=baseline, seed=seed, options=settings)
        frontiers.extend(contender.result for contender in contenders)
        comparisons.extend(compare_all(contenders, baseline))
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
    kept = _Fitted.to(records)
    key = (axis, baseline, seed)
    if (*key, settings) not in kept:
        with_floor = kept.get((*key, replace(settings, floor="free")))
        if with_floor is not None:
            return list(with_floor)
        kept[(*key, settings)] = _fit_contenders(records, axis, baseline, seed, settings)
    return list(kept[(*key, settings)])


class _Fitted:
    """The contenders fitted to one set of records: what a study fits, its audit and its report ask for again."""

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
    sets = {name: mean_curves(name, records, axis, finished_only=settings.finished_only) for name in names}
    contenders = []
    for number, name in enumerate(names):
        if not sets[name].curves:
            continue
        noise = noise_of(sets[name], [sets[other] for other in names if tracks[other] == tracks[name]])
        generator = np.random.default_rng((seed, list(CostAxis).index(axis), number))
        contenders.append(fit_curves(tracks[name], sets[name], noise, settings, generator))
    return contenders


def study_curves(
    track: str, curves: CurveSet, peers: Sequence[CurveSet], settings: StudyOptions, generator: np.random.Generator
) -> Contender:
    """One contender's frontier, laws and resamples; `peers` are the contenders of its track, itself among them."""
    return _judged(fit_curves(track, curves, noise_of(curves, peers), settings, generator))


def fit_curves(
    track: str,
    curves: CurveSet,
    noise: Noise | None,
    settings: StudyOptions,
    generator: np.random.Generator,
    frontiers: Frontiers | None = None,
) -> Contender:
    """One contender's frontier, laws and resamples under known noise; sizes, tiers and warnings are left empty.

    frontiers: those of `curves`, where they are laid out already.
    """
    frontiers = frontiers or Frontiers.of(curves)
    points = frontier_points(frontiers)
    draws = draw(curves.curves, noise, settings.num_resamples, generator)
    sample = Sample.of(frontiers, draws)
    lines = fit_lines(sample.log_cost, sample.log_loss, sample.weights)
    arrays = (
        np.array([point.cost for point in points]),
        np.array([point.loss_nats for point in points]),
        [point.size_index for point in points],
    )
    law = _law(curves, arrays, "none")
    if law.status is FitStatus.OK:
        law = replace(
            law, intervals={"alpha_C": centred_interval(law.params["alpha_C"], lines.alpha, method=draws.method)}
        )
    floor, floors = law, None
    if settings.floor == "free":
        floor = _law(curves, arrays, "free")
        if floor.status is FitStatus.OK:
            floors = _floors(floor, sample)
            floor = _with_floor_intervals(floor, floors, draws)
    result = FrontierResult(
        contender=curves.contender,
        cost_axis=curves.axis,
        points=points,
        sizes=(),
        tiers=(),
        noise_std_nats=noise.std_nats if noise else None,
        law=law,
        law_with_floor=floor,
    )
    return Contender(track, curves, frontiers, result, draws, lines, noise, floors)


def _judged(one: Contender) -> Contender:
    """`one` with what its sizes contribute, its tiers, and what its design cannot see."""
    found = find_tiers(one.curves, one.noise)
    return replace(
        one,
        result=replace(
            one.result,
            sizes=leaderships(one.curves, one.frontiers, one.noise),
            tiers=found.tiers,
            gains=found.gains,
            ladder_note=found.note,
            warnings=_warnings(one.curves, one.result.points, found.warning),
        ),
    )


def _law(
    curves: CurveSet, arrays: tuple[np.ndarray, np.ndarray, list[int]], floor: Literal["free", "none"]
) -> FitResult:
    cost, loss, clusters = arrays
    fit = fit_compute_law(
        cost,
        loss,
        floor=floor,
        clusters=clusters,
        cost_axis=curves.axis,
        delta=LEAST_SQUARES,
    )
    fit = replace(fit, left_out={**curves.left_out, **fit.left_out})
    if curves.num_sizes < MIN_SIZES:
        return replace(
            fit,
            status=FitStatus.TOO_FEW_SIZES,
            reason=f"{counted(curves.num_sizes, 'size')}; a frontier needs at least {MIN_SIZES}",
            params={},
        )
    return fit


def _floors(fit: FitResult, sample: Sample) -> PowerLaws:
    return fit_floors(
        sample.log_cost,
        sample.log_loss,
        sample.weights,
        alpha=fit.params["alpha_C"],
        log_amplitude=fit.params["ln_A"],
        floor_nats=fit.params["E"],
    )


def _with_floor_intervals(fit: FitResult, samples: PowerLaws, draws: Draws) -> FitResult:
    lost = int(np.isnan(samples.alpha).sum())
    notes = (f"{lost} of {draws.num_resamples} resamples identify no floor and are left out",) if lost else ()
    return replace(
        fit,
        intervals={
            "alpha_C": centred_interval(fit.params["alpha_C"], samples.alpha, method=draws.method),
            "E": centred_interval(fit.params["E"], samples.floor_nats, method=draws.method),
        },
        notes=(*fit.notes, *notes),
    )


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


def compare_all(contenders: Sequence[Contender], baseline: str | None = None) -> list[Comparison]:
    """Every pair of `contenders`, which share a cost axis, with Holm's correction over all of them.

    Where the first one is the `baseline`, multipliers and crossovers are given against it only.
    """
    pairs = []
    for index, one in enumerate(contenders):
        chosen = compare if baseline is None or one.name == baseline else compare_exponents
        pairs += [chosen(one, other) for other in contenders[index + 1 :]]
    return holm_corrected(pairs)


def holm_corrected(pairs: Sequence[Comparison]) -> list[Comparison]:
    """`pairs` with Holm's correction over all that have a p-value."""
    corrected = holm({index: pair.p_value for index, pair in enumerate(pairs) if pair.p_value is not None})
    return [replace(pair, holm_p_value=corrected.get(index)) for index, pair in enumerate(pairs)]
