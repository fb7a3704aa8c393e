"""Answers to the spec's question with their controls, multipliers of each size, and normalised learning curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import markdown_list, markdown_text
from archbench.report.labels import labels_of
from archbench.report.plotting import markdown_table
from archbench.report.question_words import (
    answer_words,
    control_lines,
    exponent_words,
    rung_cell,
    rung_words,
    trend_words,
)
from archbench.report.words import number, with_interval
from archbench.results.controls import failed_controls
from archbench.results.runs import size_number
from archbench.units import human_count

if TYPE_CHECKING:
    from archbench.results.controls import Collapse


class QuestionSection(ReportSection):
    """The answer for each contender and axis, and what each control came to."""

    kind: Literal["question"] = "question"
    title: str = "The question and its controls"
    order: int = 50
    summary: ClassVar[str] = "Better, not better or inconclusive, what would settle it, and what controls came to"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Controls, a table of answers, and what would settle those that are open; None without a question."""
        from archbench.analysis.comparison.multiplier import asked_window

        answered = [pair for pair in results.comparisons if pair.answer is not None]
        if not answered and not results.controls:
            return None
        labels = labels_of(results.records)
        rows, words = [], []
        failed = failed_controls(results.controls)
        for pair in answered:
            found = pair.answer
            assert found is not None
            rows.append(
                [
                    pair.contender,
                    labels.axis_names[pair.cost_axis],
                    found.answer.value + ("; a control failed" if failed else ""),
                    number(found.margin),
                    with_interval(found.multiplier),
                    " to ".join(number(end) for end in found.bounds) if found.bounds else "-",
                ]
            )
            said = answer_words(found, labels.axis_names[pair.cost_axis], asked_window(results.spec))
            words.append(f"{pair.contender}: {said}")
        header = ["contender", "cost axis", "answer", "margin", "multiplier, 95 %", "one-sided 95 % bounds"]
        parts = [
            markdown_list(control_lines(results.controls)),
            markdown_table(header, rows, right=(3, 4, 5)) if rows else "",
            markdown_list(words),
        ]
        return "\n\n".join(part for part in parts if part)

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """Answers and controls."""
        from archbench.report.tables import answers_table, controls_table

        return [answers_table(results), controls_table(results)]


class RungSection(ReportSection):
    """The multiplier at each size of each contender, its trend, and whether one exponent serves both."""

    kind: Literal["rungs"] = "rungs"
    title: str = "Multipliers at each size"
    order: int = 310
    summary: ClassVar[str] = "The baseline's cost at the loss of each size over its own cost, and the trend of that"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A table for each axis that the results have; None without a baseline."""
        from archbench.report.answer import main_axis

        axis = main_axis(results)
        pairs = [pair for pair in results.comparisons if pair.baseline == results.baseline and pair.rungs]
        shown = [pair for pair in pairs if pair.cost_axis is axis]
        if not shown:
            return None
        labels = labels_of(results.records)
        rows = [
            [
                pair.contender,
                str(size_number(rung.size_index)),
                human_count(rung.non_embedding_params),
                number(rung.cost),
                number(rung.loss_nats, 4),
                rung_cell(rung),
            ]
            for pair in shown
            for rung in pair.rungs
        ]
        header = ["contender", "size", "N", f"cost ({labels.axis_names[axis]})", f"loss ({labels.nats})",
                  "multiplier, 95 %"]  # fmt: skip
        words = [
            f"{pair.contender}: {' '.join(filter(None, [rung_words(pair), exponent_words(pair)]))}" for pair in shown
        ]
        others = [
            f"{pair.contender}, {labels.axis_names[pair.cost_axis]}: {trend_words(pair.rung_trend)}."
            for pair in pairs
            if pair.cost_axis is not axis
        ]
        return "\n\n".join(
            part
            for part in (
                f"The cost of {markdown_text(str(results.baseline))} at the loss of the contender's finished runs of a "
                "size, over the cost of one of these: no law of the contender enters it. The slope is that of ln "
                "multiplier over ln cost, from sizes whose loss the baseline reaches.",
                markdown_table(header, rows, right=(1, 2, 3, 4, 5)),
                markdown_list([*words, *others]),
            )
            if part
        )

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """Multipliers of sizes on every axis."""
        from archbench.report.tables import rungs_table

        return [rungs_table(results)]


class CollapseSection(ReportSection):
    """How far the normalised learning curves of each ladder agree."""

    kind: Literal["collapse"] = "collapse"
    title: str = "Normalised learning curves"
    order: int = 410
    summary: ClassVar[str] = "Loss over final loss against the share of compute: which size departs from the others"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A table of sizes; None where no contender has curves that can be held against each other."""
        found = [one for one in self._collapse(results) if one.rungs]
        if not found:
            return None
        rows = [
            [
                one.contender,
                str(size_number(rung.size_index)),
                human_count(rung.non_embedding_params),
                str(rung.num_runs),
                f"{100 * rung.residual:+.2f} %",
                f"{100 * rung.standard_error:.2f} %" if rung.standard_error is not None else "-",
                f"{100 * rung.largest:+.2f} % at {100 * rung.largest_at:.0f} %",
                "departs" if rung.flagged else "no",
            ]
            for one in found
            for rung in one.rungs
        ]
        header = ["contender", "size", "N", "seeds", "residual", "standard error", "largest", "departs?"]
        return "\n\n".join(
            (
                "Loss over final loss against the share of a run's compute is one curve for every size of a well "
                "tuned ladder (Qiu et al. 2025). The residual is the mean of ln(loss / final loss) of a size from "
                f"{100 * found[0].from_share:.0f} % of its compute on, less what a line in ln N through the other "
                "sizes says of it. A size departs where it is beyond chance by its seeds (5 %, Bonferroni over the "
                "sizes) and beyond 1 %, without seeds beyond 2 %: a sign that its learning rate is off, not proof.",
                markdown_table(header, rows, right=(1, 2, 3, 4, 5, 6)),
                self._notes(results),
            )
        ).rstrip()

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """Residuals of every size."""
        from archbench.report.tables import collapse_table

        return [collapse_table(self._collapse(results))]

    def _collapse(self, results: ScanResults) -> "Sequence[Collapse]":
        from archbench.report.collapses import collapse_of

        return collapse_of(results)

    def _notes(self, results: ScanResults) -> str:
        return markdown_list(f"{one.contender}: {one.note}." for one in self._collapse(results) if one.note)
