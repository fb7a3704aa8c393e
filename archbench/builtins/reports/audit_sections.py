"""Sections that doubt the others: what hangs on a convention, and what the frontier would have predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import Cell, DataTable, ReportSection, ScanResults
from archbench.display import markdown_heading, markdown_list
from archbench.report.labels import OWN, Labels, labels_of
from archbench.report.plotting import markdown_table, save
from archbench.report.words import multiplier_text, number, p_text, with_interval
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis, size_number
from archbench.units import counted

if TYPE_CHECKING:
    # Loaded where a section is made: registering sections must stay cheap.
    from archbench.analysis.frontier.audit import AuditSummary, FrontierAuditRow
    from archbench.analysis.frontier.back_test import FrontierBacktestRow


class AuditSection(ReportSection):
    """Every multiplier under every convention, and whether the conclusion stays the same."""

    kind: Literal["audit"] = "audit"
    title: str = "Does the conclusion hang on a convention?"
    order: int = 250
    summary: ClassVar[str] = "Multipliers by form, floor, cost axis, learning curves, without an end of the ladder"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """What holds, in words; a figure of differences; a table for each contender."""
        from archbench.analysis.frontier.audit import summarise
        from archbench.report.answer import main_axis
        from archbench.report.audit_figure import audit
        from archbench.report.contenders import audit_rows, drawn_of, few_drawn

        axis, labels = main_axis(results), labels_of(results.records)
        rows = audit_rows(results)
        if not rows:
            return None
        summaries = summarise(rows)
        words = markdown_list(summary_words(one, results.baseline) for one in summaries)
        names = [one.contender for one in summaries]
        tables = [
            f"{markdown_heading(3, name)}\n\n{self._table([row for row in rows if row.contender == name], labels)}"
            for name in dict.fromkeys(row.contender for row in rows)
        ]
        reasons = dict.fromkeys(
            f"{row.contender}, {_variant(row.variant, labels)}: `{row.result.status.value}`: {row.result.reason}"
            for row in rows
            if row.result.status is not FitStatus.OK
        )
        tables.append(markdown_list(reasons))
        method = (
            f"As fitted: {labels.axis_names[axis]}, finished runs, the form that both allow, over the middle half of "
            "the losses that both reach. Every other row changes one of these. Pinned floors lie 10 % below and above "
            "the common one. Told apart: Holm-corrected p below 0.05."
        )
        alt = (
            f"Compute multiplier over {results.baseline} under every convention, a panel for each contender; the "
            "interval as fitted is shaded, conventions with another conclusion are marked."
        )
        drawn = drawn_of(results, names)
        picture = [save(audit(rows, drawn), figures_dir, "audit", alt, ("audit",))] if drawn else []
        picture += few_drawn(len(drawn), len(names))
        return "\n\n".join(part for part in (words, *picture, method, *tables) if part)

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """One row for each contender and convention."""
        from archbench.report.columns import data_table
        from archbench.report.contenders import audit_rows

        header = ("contender", "variant", "status", "reason", "multiplier", "multiplier_low", "multiplier_high",
                  "multiplier_holm_p_value", "alpha_difference", "alpha_difference_low", "alpha_difference_high",
                  "alpha_holm_p_value", "conclusion", "same_conclusion")  # fmt: skip
        rows = [self._cells(row) for row in audit_rows(results)]
        return [data_table("audit", "One contender against the baseline under one convention.", header, rows)]

    def _cells(self, row: "FrontierAuditRow") -> tuple[Cell, ...]:
        law, pair = row.result, row.comparison
        found = pair.headline if pair is not None else None
        return (
            row.contender, row.variant, law.status.value, law.reason or None,
            *_ends(found.multiplier if found is not None else None),
            found.holm_p_value if found is not None else None,
            *_ends(pair.alpha_difference if pair is not None else None),
            pair.holm_p_value if pair is not None else None,
            row.conclusion.value, row.same_conclusion,
        )  # fmt: skip

    def _table(self, rows: "Sequence[FrontierAuditRow]", labels: Labels) -> str:
        header = ["convention", "multiplier", "p (Holm)", "difference of alpha", "p (Holm)", "says", "same conclusion"]
        cells = []
        for row in rows:
            pair = row.comparison
            found = pair.headline if pair is not None else None
            difference = pair.alpha_difference if pair is not None else None
            cells.append(
                [
                    _variant(row.variant, labels),
                    multiplier_text(found) if found is not None else f"`{row.result.status.value}`",
                    p_text(found.holm_p_value if found is not None else None),
                    with_interval(difference, 2) if difference is not None else "-",
                    p_text(pair.holm_p_value if pair is not None else None),
                    row.conclusion.value if pair is not None else "-",
                    {True: "yes", False: "**no**", None: "-"}[row.same_conclusion],
                ]
            )
        return markdown_table(header, cells, right=(1, 2, 3, 4))


def _ends(found: Interval | None) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def summary_words(one: "AuditSummary", baseline: str | None) -> str:
    """What holds under which conventions, in one sentence."""
    from archbench.analysis.comparison.compare import CostConclusion

    if one.conclusion is CostConclusion.REFUSED:
        return f"{one.contender}: no conclusion as fitted, so nothing to hold."
    says = {
        CostConclusion.LESS: f"needs less than {baseline}",
        CostConclusion.MORE: f"needs more than {baseline}",
        CostConclusion.NOT_TOLD_APART: f"not told apart from {baseline}",
    }[one.conclusion]
    text = f"{one.contender}: {says}; holds {one.held}/{one.readable}"
    if one.changed_by:
        text += f"; another conclusion under: {', '.join(one.changed_by)}"
    if one.refused:
        text += f"; refused under: {', '.join(one.refused)}"
    return f"{text}."


def _one_sided(rows: "Sequence[FrontierBacktestRow]") -> str:
    """How many of the predictions lie too low, where that is worth a word."""
    errors = [row.error for row in rows if row.predicted is not None]
    low = sum(error < 0 for error in errors)
    return f"; {low} of {len(errors)} predictions lie too low" if len(errors) > 1 else ""


class BacktestSection(ReportSection):
    """What the smaller sizes alone would have predicted for the next one."""

    kind: Literal["backtest"] = "backtest"
    title: str = "Back-test"
    order: int = 260
    summary: ClassVar[str] = "The frontier of the smaller sizes asked for the loss at the end of the next one"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A table of windows; None where no contender has four sizes."""
        from archbench.report.answer import main_axis
        from archbench.report.contenders import back_tests

        tested = back_tests(results)
        rows = [self._row(row) for row in tested]
        if not rows:
            return None
        labels = labels_of(results.records)
        axis = labels.axis_names[main_axis(results)]
        header = ["contender", "fitted to", "predicts the end of size", f"at ({axis})", "law",
                  f"predicted loss ({labels.nats}), 95 %", "actual", "error", "covered"]  # fmt: skip
        judged = [row.covered for row in tested if row.covered is not None]
        words = (
            "Each law is read from the cheaper runs alone and asked for the loss at the cost of the next one. "
            f"{sum(judged)} of {len(judged)} intervals cover what came out"
            f"{_one_sided(tested)}. An interval holds the resamples' spread and the deviation of one further run; one "
            "that spans a factor of 1.5 or more could cover anything, and is no test."
        )
        return f"{words}\n\n{markdown_table(header, rows, right=(3, 5, 6, 7))}"

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """One row for each window and law."""
        from archbench.report.columns import data_table
        from archbench.report.contenders import back_tests

        header = ("contender", "sizes_fitted", "size_index", "cost", "floor", "status", "reason", "predicted_nats",
                  "predicted_nats_low", "predicted_nats_high", "actual_nats", "error", "covered")  # fmt: skip
        rows = [
            (row.contender, row.sizes_fitted, row.size_index, row.held_out, row.floor, row.status.value,
             row.reason or None, *_ends(row.predicted), row.actual, row.error, row.covered)
            for row in back_tests(results)
        ]  # fmt: skip
        return [data_table("back_test", "One prediction of the loss at the end of the next size.", header, rows)]

    def _row(self, row: "FrontierBacktestRow") -> list[str]:
        return [
            row.contender,
            counted(row.sizes_fitted, "size"),
            str(size_number(row.size_index)),
            number(row.held_out),
            "no floor" if row.floor == "none" else "floor free",
            with_interval(row.predicted, 4) if row.predicted is not None else f"`{row.status.value}`",
            number(row.actual, 4),
            f"{100 * row.error:+.2f} %" if row.predicted is not None else "-",
            {True: "yes", False: "**no**", None: "-"}[row.covered],
        ]


def _variant(variant: str, labels: Labels) -> str:
    """A row of the audit, its axis called as the runs' own table calls it."""
    own = {"executed FLOPs": labels.axis_names[CostAxis.EXACT], "6ND without embeddings": f"6ND, N {labels.params}"}
    return own.get(variant, variant) if labels != OWN else variant
