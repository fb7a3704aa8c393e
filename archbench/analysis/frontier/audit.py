"""The sensitivity table of a comparison: what becomes of every exponent when one convention of the study is changed.

A conclusion, which of two exponents is larger and whether they are told apart, is worth most where every convention
gives the same one. As fitted: the study's cost axis, no floor, least squares on ln L, all points of the frontier.

Legend: N parameters, D tokens, C cost, L loss, E floor, alpha_C the exponent of L(C).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from archbench.analysis.comparison.compare import Conclusion, Contender, compare_exponents, conclusion
from archbench.analysis.fitting.audit import AuditRow
from archbench.analysis.fitting.fit import HOFFMANN_DELTA
from archbench.analysis.frontier.refits import with_floor, with_huber, with_pinned_floors
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders, fit_curves, holm_corrected
from archbench.results.fits import Comparison, FitResult, FitStatus
from archbench.results.runs import CostAxis, CurvePoint, RunRecord

AS_FITTED = "as fitted"
PINNED_SHARES = (-0.1, 0.1)
_AXIS_WORDS = {
    CostAxis.EXACT: "executed FLOPs",
    CostAxis.KAPLAN: "6ND without embeddings",
    CostAxis.DEVICE_SECONDS: "device seconds",
}


@dataclass(frozen=True, slots=True)
class FrontierAuditRow(AuditRow):
    """One contender's exponent under one variant of the study."""

    contender: str
    rank: int | None
    """By exponent among the contenders of its track, 1 for the largest; None where the exponent may not be read."""
    ranked: int
    """Number of contenders of its track whose exponent may be read."""
    comparison: Comparison | None
    """With the baseline; None for the baseline itself, and where there is none."""
    same_conclusion: bool | None
    """Whether it says of the two exponents what the study as fitted says; None where either says nothing."""

    @property
    def conclusion(self) -> Conclusion:
        """What this variant says of the exponent against the baseline's."""
        return Conclusion.REFUSED if self.comparison is None else conclusion(self.comparison)


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """How far one contender's conclusion hangs on conventions."""

    contender: str
    conclusion: Conclusion
    """As fitted."""
    held: int
    """Variants with the same conclusion."""
    readable: int
    """Variants that give a conclusion, `as fitted` not among them."""
    changed_by: tuple[str, ...]
    """Variants with another conclusion."""
    refused: tuple[str, ...]
    """Variants under which a law may not be read."""


def audit_frontiers(
    records: Sequence[RunRecord],
    axis: CostAxis,
    *,
    baseline: str | None,
    seed: int = 0,
    num_resamples: int = StudyOptions().num_resamples,
) -> tuple[FrontierAuditRow, ...]:
    """Every contender's exponent on `axis` as the study fits it, and with one convention changed at a time.

    Rows come variant by variant, `as fitted` first, contenders in the study's order. A variant that the runs do not
    allow (times not measured, no floor identified) has rows whose status says why.
    """
    options = StudyOptions(floor="none", num_resamples=num_resamples)
    base = fit_contenders(records, axis, baseline=baseline, seed=seed, options=options)
    if not base:
        return ()
    first = _rows(AS_FITTED, base, base, baseline, None)
    said = {row.contender: row.conclusion for row in first}
    rows = list(first)
    for label, make in _variants(records, axis, base, baseline, seed, options):
        rows += _rows(label, make(), base, baseline, said)
    return tuple(rows)


def summarise(rows: Sequence[FrontierAuditRow]) -> tuple[AuditSummary, ...]:
    """One summary for each contender that is compared with a baseline."""
    summaries = []
    for first in rows:
        if first.variant != AS_FITTED or first.comparison is None:
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


Variant = tuple[str, Callable[[], list[Contender]]]


def _variants(
    records: Sequence[RunRecord],
    axis: CostAxis,
    base: Sequence[Contender],
    baseline: str | None,
    seed: int,
    options: StudyOptions,
) -> list[Variant]:
    """Label -> the contenders under one changed convention, made when asked for."""

    def study(runs: Sequence[RunRecord], on: CostAxis, settings: StudyOptions = options) -> list[Contender]:
        return fit_contenders(runs, on, baseline=baseline, seed=seed, options=settings)

    free = [with_floor(one, "free") for one in base]
    variants: list[Variant] = [("floor free", lambda: free)]
    variants += [
        (f"floor pinned {share:+.0%}", partial(with_pinned_floors, base, free, share)) for share in PINNED_SHARES
    ]
    variants += [(_AXIS_WORDS[other], partial(study, records, other)) for other in CostAxis if other is not axis]
    if all(record.embedding_params > 0 for record in records if record.usable):
        # Where nobody says how many embeddings there are, 6·N_total·D is not known either.
        variants.append(("6ND with embeddings", lambda: study(_with_embeddings(records), CostAxis.KAPLAN)))
    variants += [
        ("finished points only", lambda: study(records, axis, replace(options, finished_only=True))),
        (f"Huber, delta {HOFFMANN_DELTA:g}", lambda: [with_huber(one) for one in base]),
        ("without the largest size", partial(_without_size, base, max, options, seed)),
        ("without the smallest size", partial(_without_size, base, min, options, seed)),
    ]
    return variants


def _rows(
    label: str,
    made: Sequence[Contender],
    base: Sequence[Contender],
    baseline: str | None,
    said: dict[str, Conclusion] | None,
) -> list[FrontierAuditRow]:
    """The rows of one variant; `said` holds the conclusions as fitted."""
    present = {one.name: one for one in made}
    pairs = holm_corrected(
        [compare_exponents(one, other) for index, one in enumerate(made) for other in made[index + 1 :]]
    )
    against = {pair.contender: pair for pair in pairs if pair.baseline == baseline}
    rows = []
    for reference in base:
        one = present.get(reference.name)
        peers = [other.alpha for other in made if other.track == reference.track and _readable(other)]
        law = one.result.law if one is not None else _missing(reference, label)
        comparison = against.get(reference.name)
        now = Conclusion.REFUSED if comparison is None else conclusion(comparison)
        same = None
        if said is not None and Conclusion.REFUSED not in (now, said[reference.name]):
            same = now is said[reference.name]
        rows.append(
            FrontierAuditRow(
                variant=label,
                result=law,
                contender=reference.name,
                rank=1 + sum(alpha > one.alpha for alpha in peers) if one is not None and _readable(one) else None,
                ranked=len(peers),
                comparison=comparison,
                same_conclusion=same,
            )
        )
    return rows


def _readable(one: Contender) -> bool:
    return one.result.law.status is FitStatus.OK


def _missing(reference: Contender, label: str) -> FitResult:
    """The refusal of a contender of which this variant leaves no point."""
    return replace(
        reference.result.law,
        status=FitStatus.TOO_FEW_POINTS,
        reason=f"it has no point for: {label}",
        params={},
        intervals={},
        points_used=0,
    )


def _without_size(
    base: Sequence[Contender], which: Callable[[Sequence[int]], int], options: StudyOptions, seed: int
) -> list[Contender]:
    """Each contender without its largest or smallest size; noise stays what all its seeds show."""
    made = []
    for number, one in enumerate(base):
        params = [curve.non_embedding_params for curve in one.curves.curves]
        dropped = which(params)
        kept = tuple(curve for curve in one.curves.curves if curve.non_embedding_params != dropped)
        if kept:
            curves, generator = replace(one.curves, curves=kept), np.random.default_rng((seed, number))
            frontiers = one.frontiers.of_some(kept)
            made.append(fit_curves(one.track, curves, one.noise, options, generator, frontiers))
    return made


def _with_embeddings(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records with 6·N_total·D on the Kaplan axis in place of 6·N·D."""

    def point(record: RunRecord, one: CurvePoint) -> CurvePoint:
        return replace(one, kaplan_flops=one.kaplan_flops * record.total_params / record.non_embedding_params)

    return [replace(record, curve=tuple(point(record, one) for one in record.curve)) for record in records]
