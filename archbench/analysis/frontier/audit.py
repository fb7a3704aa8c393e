"""The sensitivity table of a comparison: what becomes of multiplier and exponents when one convention is changed.

A conclusion, whether a contender needs less compute for equal loss, is worth most where every convention gives the same
one. As fitted: the study's cost axis, finished runs, the form that both contenders allow (a joint law, or a law of cost
above a common floor), all sizes, the middle half of the losses that both reach.

Legend: N parameters, D tokens, C cost, L loss, E floor, alpha_C the exponent of L(C).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from archbench.analysis.comparison.compare import (
    Contender,
    CostConclusion,
    compare_by,
    compared_with,
    cost_conclusion,
    read_pair,
)
from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.fitting.audit import AuditRow
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.learning import learning_law, learning_reading
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders, holm_corrected
from archbench.results.fits import Comparison, FitResult, FitStatus
from archbench.results.runs import CostAxis, CurvePoint, RunRecord, distinct_axes

AS_FITTED = "as fitted"
PINNED_SHARES = (-0.1, 0.1)
_AXIS_WORDS = {
    CostAxis.EXACT: "executed FLOPs",
    CostAxis.KAPLAN: "6ND without embeddings",
    CostAxis.DEVICE_SECONDS: "device seconds",
    CostAxis.PROCESSOR_SECONDS: "processor seconds",
}
_RESAMPLES = 400
"""Of every row but the one as fitted, which is the study's own."""
_Pair = tuple[Contender, Contender]


@dataclass(frozen=True, slots=True)
class _Unread:
    """That a variant cannot read a pair, and why."""

    reason: str
    status: FitStatus = FitStatus.NOT_IDENTIFIABLE


_Read = Callable[[_Pair], Reading | _Unread]
"""How one variant reads a pair."""


@dataclass(frozen=True, slots=True)
class FrontierAuditRow(AuditRow):
    """One contender against the baseline under one variant of the study."""

    contender: str
    comparison: Comparison | None
    """With the baseline; None where the variant cannot be read."""
    same_conclusion: bool | None
    """Whether it says of the cost what the study as fitted says; None where either says nothing."""

    @property
    def conclusion(self) -> CostConclusion:
        """What this variant says of the contender's cost at equal loss."""
        return CostConclusion.REFUSED if self.comparison is None else cost_conclusion(self.comparison)


_FORMS = {
    "joint law L(N,D)": Form.JOINT_LAW,
    "law L(C), common floor": Form.COMMON_FLOOR,
    "law L(C), no floor": Form.NO_FLOOR,
    "law L(C), own floors": Form.OWN_FLOORS,
}


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """How far one contender's conclusion hangs on conventions."""

    contender: str
    conclusion: CostConclusion
    """As fitted."""
    held: int
    """Variants with the same conclusion."""
    readable: int
    """Variants that give a conclusion, `as fitted` not among them."""
    changed_by: tuple[str, ...]
    """Variants with another conclusion."""
    refused: tuple[str, ...]
    """Variants under which there is no figure to read."""


def audit_frontiers(
    records: Sequence[RunRecord],
    axis: CostAxis,
    *,
    baseline: str | None,
    seed: int = 0,
    num_resamples: int = StudyOptions().num_resamples,
    window: Window | None = None,
) -> tuple[FrontierAuditRow, ...]:
    """Every contender against the baseline on `axis` as the study reads it, and with one convention changed at a time.

    Rows come variant by variant, `as fitted` first, contenders in the study's order. A variant that the runs do not
    allow (times not measured, no floor identified) has rows whose status says why. Empty without a baseline. window:
    the losses over which multipliers are averaged; each variant's own middle half of the common range if None.
    """
    if baseline is None:
        return ()
    options = StudyOptions(floor="none", num_resamples=num_resamples)
    base = fit_contenders(records, axis, baseline=baseline, seed=seed, options=options)
    if not base or base[0].name != baseline:
        return ()
    pairs = [pair for pair in compared_with(base, baseline) if pair[0].track == pair[1].track]
    rows: list[FrontierAuditRow] = []
    said: dict[str, CostConclusion] = {}
    forms: set[str] = set()
    for label, read in _variants(records, axis, seed, options):
        if forms == {_FORMS.get(label)}:
            continue  # as fitted once more, which would count as agreement
        made = _audit_rows(label, read, pairs, said, window)
        said = said or {row.contender: row.conclusion for row in made}
        forms = forms or {row.comparison.form for row in made if row.comparison is not None}
        rows += made
    return tuple(rows)


def summarise(rows: Sequence[FrontierAuditRow]) -> tuple[AuditSummary, ...]:
    """One summary for each contender that is compared with a baseline."""
    summaries = []
    for first in rows:
        if first.variant != AS_FITTED:
            continue
        others = [row for row in rows if row.contender == first.contender and row.variant != AS_FITTED]
        summaries.append(
            AuditSummary(
                contender=first.contender,
                conclusion=first.conclusion,
                held=sum(row.same_conclusion is True for row in others),
                readable=sum(row.same_conclusion is not None for row in others),
                changed_by=tuple(row.variant for row in others if row.same_conclusion is False),
                refused=tuple(row.variant for row in others if row.same_conclusion is None),
            )
        )
    return tuple(summaries)


def _variants(
    records: Sequence[RunRecord], axis: CostAxis, seed: int, options: StudyOptions
) -> Iterator[tuple[str, _Read]]:
    """Label -> how a pair is read under one changed convention."""
    few = min(options.num_resamples, _RESAMPLES)

    def read(pair: _Pair, **changes: object) -> Reading | _Unread:
        try:
            return read_pair(*pair, seed=seed, num_resamples=few, **changes)  # type: ignore[arg-type]
        except ValueError as error:
            return _Unread(str(error))

    def elsewhere(runs: Sequence[RunRecord], other: CostAxis) -> _Read:
        named: dict[str, Contender] = {}

        def on_axis(pair: _Pair) -> Reading | _Unread:
            if not named:
                found = fit_contenders(runs, other, baseline=pair[0].name, seed=seed, options=options)
                named.update({one.name: one for one in found})
            missing = [one.name for one in pair if one.name not in named]
            if missing:
                return _Unread(f"{missing[0]} has no cost there")
            return read((named[pair[0].name], named[pair[1].name]))

        return on_axis

    def pinned(share: float) -> _Read:
        def at(pair: _Pair) -> Reading | _Unread:
            floored = read(pair, form=Form.COMMON_FLOOR)
            if isinstance(floored, _Unread) or floored.floors is None or floored.floors[0] <= 0.0:
                return _Unread("there is no floor to pin")
            floor = float(floored.floors[0]) * (1 + share)
            lowest = float(np.exp(min(one.finished.log_loss.min() for one in pair)))
            if floor >= lowest:
                return _Unread(f"a floor of {floor:.4g} nats lies above the lowest loss, {lowest:.4g} nats")
            return read(pair, form=Form.COMMON_FLOOR, floor_nats=floor)

        return at

    def without(pick: Callable[[FinishedRuns], float]) -> _Read:
        def cut(pair: _Pair) -> Reading | _Unread:
            kept = []
            for one in pair:
                gone = pick(one.finished)
                left = one.finished.take(one.finished.log_params != gone)
                if not len(left):
                    return _Unread(f"{one.name} has one size")
                kept.append(replace(one, finished=left))
            return read((kept[0], kept[1]))

        return cut

    yield AS_FITTED, lambda pair: read_pair(*pair, seed=seed, num_resamples=options.num_resamples)
    for label, form in _FORMS.items():
        yield label, partial(read, form=form)
    for share in PINNED_SHARES:
        yield f"common floor pinned {share:+.0%}", pinned(share)
    yield "learning curves", _by_learning_curves
    for other in distinct_axes(records):
        if other is not axis:
            yield _AXIS_WORDS[other], elsewhere(records, other)
    if all(record.embedding_params > 0 for record in records if record.usable):
        # Where nobody says how many embeddings there are, 6·N_total·D is not known either.
        yield "6ND with embeddings", elsewhere(_with_embeddings(records), CostAxis.KAPLAN)
    yield "without the largest size", without(lambda runs: float(runs.log_params.max()))
    yield "without the smallest size", without(lambda runs: float(runs.log_params.min()))


def _by_learning_curves(pair: _Pair) -> Reading | _Unread:
    if all(one.result.learning_law is None for one in pair):
        return _Unread("there are no points in mid-schedule")
    if refusals := [one.finished.law_refusal for one in pair if one.finished.law_refusal]:
        return _Unread("; ".join(refusals), FitStatus.ON_PLATEAU)
    laws = [learning_law(one.curve_stack, one.draws, one.finished) for one in pair]
    reading = learning_reading([one.name for one in pair], laws)
    if reading is None:
        return _Unread("the law of learning curves may not be read")
    return reading.below_plateau([one.finished for one in pair])


def _audit_rows(
    label: str, read: _Read, pairs: Sequence[_Pair], said: dict[str, CostConclusion], window: Window | None
) -> list[FrontierAuditRow]:
    """The rows of one variant; `said` holds the conclusions as fitted, nothing while these are made."""
    found: list[tuple[Contender, Comparison | None, _Unread | None]] = []
    for baseline, contender in pairs:
        reading = read((baseline, contender))
        if isinstance(reading, _Unread):
            found.append((contender, None, reading))
        else:
            found.append((contender, compare_by(reading, baseline, contender, window=window), None))
    corrected = iter(holm_corrected([pair for _, pair, _ in found if pair is not None]))
    rows = []
    for contender, pair, why in found:
        comparison = next(corrected) if pair is not None else None
        now = CostConclusion.REFUSED if comparison is None else cost_conclusion(comparison)
        before = said.get(contender.name, now if not said else CostConclusion.REFUSED)
        same = None if not said or CostConclusion.REFUSED in (now, before) else now is before
        rows.append(
            FrontierAuditRow(
                variant=label,
                result=_row_status(contender, comparison, why),
                contender=contender.name,
                comparison=comparison,
                same_conclusion=same,
            )
        )
    return rows


def _row_status(contender: Contender, comparison: Comparison | None, why: _Unread | None) -> FitResult:
    """The law of this variant as far as a table needs it: whether there is a figure, and why not."""
    law = replace(contender.result.law, params={}, intervals={})
    if why is not None:
        return replace(law, status=why.status, reason=why.reason)
    assert comparison is not None, "what is not unread is compared"
    headline = comparison.headline
    if headline is None:
        return replace(law, status=comparison.status, reason="losses do not compare")
    return replace(law, status=headline.status, reason=headline.reason)


def _with_embeddings(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records with 6·N_total·D on the Kaplan axis in place of 6·N·D."""

    def point(record: RunRecord, one: CurvePoint) -> CurvePoint:
        return replace(one, kaplan_flops=one.kaplan_flops * record.total_params / record.non_embedding_params)

    return [replace(record, curve=tuple(point(record, one) for one in record.curve)) for record in records]
