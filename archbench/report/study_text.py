"""The words and tables of the studies of Kaplan et al. 2020."""

from collections.abc import Sequence

from archbench.display import markdown_list, markdown_text
from archbench.report.plotting import markdown_table
from archbench.report.words import law_words, number, p_text, with_interval
from archbench.results.fits import FitResult, FitStatus
from archbench.results.studies import (
    Allocation,
    BatchStudy,
    DataStudy,
    GridStudy,
    IsoflopStudy,
    LearningCurveStudy,
    NoiseScaleStudy,
    SizeStudy,
    StudyComparison,
    StudyOfContender,
    StudyResult,
)
from archbench.units import counted, human_count

_TOKENS_RISE = 1.1
"""Factor between the tokens of two sizes up to which they count as equal."""


def study_lines(study: StudyResult) -> list[str]:
    """One sentence on each law of `study`: its constants, or why there are none."""
    if isinstance(study, IsoflopStudy):
        return [f"{study.contender}, {study.study}: {_allocation_words(one)}." for one in study.allocations]
    return [f"{study.contender}, {study.study}: {label} {_said(law)}." for label, law in _laws(study)]


def _allocation_words(one: Allocation) -> str:
    if one.status is not FitStatus.OK or one.params_exponent is None:
        return f"the best N by {one.approach} was refused (`{one.status.value}`: {one.reason})"
    return f"the best N by {one.approach} grows as C^{with_interval(one.params_exponent)}"


def _laws(study: StudyResult) -> list[tuple[str, FitResult]]:
    match study:
        case SizeStudy():
            return _size_laws(study)
        case DataStudy():
            return _with_and_without_floor("L(D)", study)
        case GridStudy():
            return [("L(N,D)", study.law)]
        case LearningCurveStudy():
            return [("L(N,S)", study.law), ("L(C_min)", study.compute_law)]
        case BatchStudy():
            return [("B_crit(L)", study.law)]
        case NoiseScaleStudy():
            return [("B_simple(L)", study.law)]
        case IsoflopStudy():
            return []


def _size_laws(study: SizeStudy) -> list[tuple[str, FitResult]]:
    """What the law of size is called; none where the larger sizes saw fewer tokens, as on isoFLOP grids."""
    if study.tokens_ratio < 1 / _TOKENS_RISE:
        return []
    # Where tokens rise with size the exponent is that of both together.
    rise = " of this ladder, whose tokens rise with N," if study.tokens_ratio > _TOKENS_RISE else ""
    return _with_and_without_floor(f"L(N){rise}", study)


def _with_and_without_floor(label: str, study: SizeStudy | DataStudy) -> list[tuple[str, FitResult]]:
    """The law as Kaplan et al. have it, and where the runs tell a floor the one above it: exponents differ by it."""
    bent = study.law_with_floor
    if bent.status is not FitStatus.OK:
        return [(label, study.law)]
    return [
        (f"{label} above a floor of {number(bent.params['E'])} nats", bent),
        (f"{label} without a floor, which these runs bend away from,", study.law),
    ]


def _said(law: FitResult) -> str:
    """The exponents of a law, which is what studies are compared by; its scales are in the tables."""
    return law_words(law, [name for name in law.params if name.startswith("alpha")])


def laws_table(rows: Sequence[tuple[str, FitResult]]) -> str:
    """Every law with all that it must be read with: constants or status, objective, points, floor, conventions."""
    cells = [
        [
            label,
            _constants(law),
            law.floor,
            law.objective,
            str(law.points_used),
            ", ".join(f"{count} {reason}" for reason, count in law.left_out.items()) or "none",
            number(law.residual_std, 2),
        ]
        for label, law in rows
    ]
    header = ["law", "constants, 95 %", "floor", "objective", "points", "left out", "residual std"]
    reasons = [f"{label}: `{law.status.value}`: {law.reason}" for label, law in rows if law.status is not FitStatus.OK]
    equations = "; ".join(dict.fromkeys(f"{law.equation}" for _, law in rows))
    table = markdown_table(header, cells, right=(4, 6))
    return "\n\n".join(part for part in (table, markdown_list(reasons), f"Forms: {equations}.") if part)


def _constants(law: FitResult) -> str:
    if law.status is not FitStatus.OK:
        return f"`{law.status.value}`"
    return ", ".join(
        f"{name} {with_interval(law.intervals[name]) if name in law.intervals else number(value)}"
        for name, value in law.params.items()
    )


def notes_text(study: StudyOfContender) -> str:
    """Runs used and left out, and what must be known to read the figures."""
    left_out = ", ".join(f"{count} {reason}" for reason, count in study.left_out.items())
    lines = [f"{counted(study.runs_used, 'run')} used" + (f"; left out: {left_out}" if left_out else "") + "."]
    lines += [f"{note[0].upper()}{note[1:]}." for note in study.notes]
    return markdown_list(lines)


def comparisons_table(pairs: Sequence[StudyComparison]) -> str:
    """Contenders side by side; empty where there is nothing to compare."""
    if not pairs:
        return ""
    rows = [
        [pair.quantity, f"{pair.contender} / {pair.baseline}", pair.at or "-", with_interval(pair.ratio),
         p_text(pair.p_value)]
        for pair in pairs
    ]  # fmt: skip
    return markdown_table(["quantity", "ratio of", "at", "ratio, 95 %", "p"], rows, right=(3, 4))


def overfitting_text(study: GridStudy) -> str:
    """How the data must grow with the size."""
    exponent, factor = study.overfitting_exponent, study.overfitting_factor
    if exponent is None or factor is None:
        return "The data that a size needs is not known: L(N,D) was refused."
    return (
        f"To stay within {100 * study.overfitting_level:.0f} % of what infinite data would give, D must be at least "
        f"k·N^r with r {with_interval(exponent)} and k {with_interval(factor)} (Kaplan et al. 2020: about 5e3·N^0.74)."
    )


def trade_off_table(study: BatchStudy) -> str:
    """Every target with its S_min, E_min and B_crit, or its status."""
    rows = []
    for one in study.trade_offs:
        found = [one.critical_batch_tokens, one.steps_min, one.tokens_min]
        texts = [with_interval(value) if value is not None else f"`{one.status.value}`" for value in found]
        reached = f"{len(one.points) - one.censored} of {len(one.points)}"
        rows.append(
            [human_count(one.non_embedding_params), number(one.loss_nats, 4), reached, *texts, one.reason or "-"]
        )
    header = ["N", "loss (nats)", "runs that reach it", "B_crit (tokens)", "S_min", "E_min (tokens)", "why not"]
    return markdown_table(header, rows, right=(0, 1, 2, 3, 4, 5))


def agreement_text(study: NoiseScaleStudy, factor: float) -> str:
    """Whether noise scale and batch scan agree, by a factor that was set before either was measured."""
    read = sum(window.status is FitStatus.OK for window in study.windows)
    words = f"{markdown_text(study.contender)}: {read} of {len(study.windows)} windows of gradient noise may be read."
    if study.agreement is None:
        return f"{words} No batch scan gives a B_crit at the losses of two windows or more to hold it against."
    ratio = study.agreement.ratio
    says = "agree" if 1 / factor <= ratio.value <= factor else "**do not agree**"
    return (
        f"{words} From {study.agreement.at} the noise scale is {with_interval(ratio)} times B_crit: they {says} within "
        f"the factor of {factor:g} that was set beforehand."
    )


def noise_table(study: NoiseScaleStudy) -> str:
    """Every window with its two averages and their ratio."""
    rows = [
        [
            human_count(window.non_embedding_params),
            human_count(window.batch_tokens),
            number(window.loss_nats, 4),
            str(window.measurements),
            number(window.gradient_squared),
            number(window.trace_covariance),
            with_interval(window.noise_scale_tokens) if window.noise_scale_tokens else f"`{window.status.value}`",
        ]
        for window in study.windows
    ]
    header = ["N", "batch", "loss (nats)", "measurements", "|G|²", "tr Σ a token", "B_simple (tokens)"]
    return markdown_table(header, rows, right=tuple(range(7)))


def allocation_text(study: LearningCurveStudy) -> str:
    """The identity of the exponents, and how a budget is spent."""
    check = study.allocation
    if check is None:
        return ""
    measured = "L(C_min) itself was refused"
    if check.measured_alpha_c is not None:
        measured = f"L(C_min) itself gives {with_interval(check.measured_alpha_c)}"
    verdict = {True: "the two agree", False: "**the two do not agree**", None: "nothing to hold it against"}
    return (
        f"1/α_C = 1/α_N + 1/α_B + 1/α_S gives α_C {with_interval(check.predicted_alpha_c)}; {measured}: "
        f"{verdict[check.consistent]}. Best use of compute: N ~ C^{with_interval(check.params_exponent)}, "
        f"B ~ C^{with_interval(check.batch_exponent)}, S ~ C^{with_interval(check.steps_exponent)}."
    )


def isoflop_table(study: IsoflopStudy) -> str:
    """Best size and data of each budget, then the exponents by every approach."""
    budgets = [
        [
            f"{budget.flops:.3g}",
            str(len(budget.points)),
            human_count(budget.best_params) if budget.best_params else f"`{budget.status.value}`",
            human_count(budget.best_tokens) if budget.best_tokens else "-",
            number(budget.loss_nats, 4) if budget.loss_nats else "-",
            budget.reason or "-",
        ]
        for budget in study.budgets
    ]
    rows = [
        [
            one.approach,
            with_interval(one.params_exponent) if one.params_exponent else f"`{one.status.value}`",
            with_interval(one.tokens_exponent) if one.tokens_exponent else "-",
            str(one.points),
            one.reason or "-",
        ]
        for one in study.allocations
    ]
    first = markdown_table(["budget (FLOPs)", "runs", "best N", "best D", "loss (nats)", "why not"], budgets,
                           right=(0, 1, 2, 3, 4))  # fmt: skip
    second = markdown_table(["approach", "N ~ C^a, a", "D ~ C^b, b", "points", "why not"], rows, right=(1, 2, 3))
    return f"{first}\n\n{second}"
