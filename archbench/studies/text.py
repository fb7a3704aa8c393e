"""Words and tables that studies of laws have in common."""

from collections.abc import Sequence

from archbench.display import markdown_list
from archbench.report.plotting import markdown_table
from archbench.report.words import law_words, number, p_text, with_interval
from archbench.results.fits import FitResult, FitStatus
from archbench.results.studies import StudyComparison, StudyOfContender
from archbench.units import counted


def law_sentences(study: StudyOfContender, laws: Sequence[tuple[str, FitResult]]) -> list[str]:
    """One sentence on each of `laws`, by its label: its exponents, or why there are none."""
    return [f"{study.contender}, {study.study}: {label} {_said(law)}." for label, law in laws]


def with_and_without_floor(label: str, law: FitResult, with_floor: FitResult) -> list[tuple[str, FitResult]]:
    """The law as Kaplan et al. have it, and where the runs tell a floor the one above it: exponents differ by it."""
    if with_floor.status is not FitStatus.OK:
        return [(label, law)]
    return [
        (f"{label} above a floor of {number(with_floor.params['E'])} nats", with_floor),
        (f"{label} without a floor, which these runs bend away from,", law),
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
