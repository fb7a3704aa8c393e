"""How a report opens: the answer in one sentence, its figure, the ranked table, what it hangs on; detail folded."""

from pathlib import Path

from archbench.contracts.report import ScanResults
from archbench.display import Markdown, folded, markdown_line, markdown_list
from archbench.report.answer import answer_sentence, figure_of, main_axis, told_pairs
from archbench.report.labels import labels_of
from archbench.report.plotting import markdown_table, save
from archbench.report.ranked import ColumnKind, RankedTable, basis, ranked_table
from archbench.report.verdict import details, reservations
from archbench.units import counted

MAIN_FIGURE = "multiplier_by_size"
_SHOWN_RESERVATIONS = 4
"""What a verdict must be read with, at first sight; the rest is folded."""


def lead(results: ScanResults, figures_dir: Path) -> str:
    """The verdict as Markdown; its figure goes to `figures_dir`."""
    sentence = answer_sentence(results)
    table = ranked_table(results)
    parts = [
        "## Verdict",
        f"**{markdown_line(sentence)}**",
        _table_text(table) if table is not None else "",
        markdown_line(basis(results)),
        _figure(results, figures_dir),
        *_hangs_on(results),
        _detail(results),
    ]
    return "\n\n".join(part for part in parts if part)


def _table_text(table: RankedTable) -> str:
    """The ranked table; drawings keep their letters under each other."""
    drawn = [column.kind is ColumnKind.DRAWING for column in table.columns]
    rows = [
        [Markdown(f"`{cell}`") if is_drawn and cell else cell for cell, is_drawn in zip(row, drawn, strict=True)]
        for row in table.rows
    ]
    return markdown_table(table.header, rows, right=(1,))


def _figure(results: ScanResults, figures_dir: Path) -> str:
    """The multiplier at each size with its trend: the main figure of a comparison; empty where nothing is read."""
    from archbench.report.contenders import drawn_of, few_drawn
    from archbench.report.rung_figure import rung_multipliers

    axis, pairs = main_axis(results), told_pairs(results)
    drawn = drawn_of(results, [pair.contender for pair in pairs])
    shown = [
        pair for pair in results.comparisons
        if pair.cost_axis is axis and pair.baseline == results.baseline and pair.contender in drawn and pair.rungs
    ]  # fmt: skip
    labels = labels_of(results.records)
    figure = rung_multipliers(shown, list(dict.fromkeys(one.contender for one in results.frontiers)), labels)
    if figure is None:
        return ""
    alt = (
        f"Compute multiplier over {results.baseline} at each size of each contender against {labels.axis_names[axis]}, "
        "with 95 % intervals and the trend over sizes; above 1, it needs less."
    )
    return "\n\n".join([save(figure, figures_dir, MAIN_FIGURE, alt, ("rungs",)), *few_drawn(len(drawn), len(pairs))])


def _hangs_on(results: ScanResults) -> list[str]:
    """Conventions under which another conclusion stands, and what the design of the study cannot see."""
    lines = [*_conventions(results), *reservations(results)]
    if not lines:
        return []
    shown, rest = lines[:_SHOWN_RESERVATIONS], lines[_SHOWN_RESERVATIONS:]
    more = [folded(f"{counted(len(rest), 'further reservation')}", markdown_list(rest))] if rest else []
    return ["### It hangs on", markdown_list(shown), *more]


def _conventions(results: ScanResults) -> list[str]:
    """Under how many conventions the conclusion on each contender holds, in one line."""
    from archbench.analysis.frontier.audit import summarise
    from archbench.report.contenders import audit_rows

    if not any(figure_of(pair) is not None for pair in told_pairs(results)):
        return []
    said = [f"{one.contender} {one.held} of {one.readable}" for one in summarise(audit_rows(results)) if one.readable]
    return [f"Conventions under which the conclusion holds: {', '.join(said)}."] if said else []


def _detail(results: ScanResults) -> str:
    lines = details(results)
    return folded("Detail: exponents, trends, tiers, studies", markdown_list(lines)) if lines else ""
