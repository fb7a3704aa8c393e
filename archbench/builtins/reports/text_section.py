"""How far the result hangs on which held-out text it was measured on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import Cell, DataTable, ReportSection, ScanResults
from archbench.display import markdown_line, markdown_list
from archbench.report.columns import data_table
from archbench.report.labels import labels_of
from archbench.report.plotting import markdown_table
from archbench.report.words import multiplier_text, number, window_text
from archbench.results.fits import FitStatus
from archbench.results.published import publication_of
from archbench.results.runs import CostAxis, size_number

if TYPE_CHECKING:
    from archbench.results.texts import TextError, TextStanding

# The analysis is imported where it is asked for: registering sections must stay cheap.


class EvaluationTextSection(ReportSection):
    """The standard error of losses from the choice of documents, and each contender on each text."""

    kind: Literal["evaluation_text"] = "evaluation_text"
    title: str = "Does the result hang on the held-out text?"
    order: int = 450
    summary: ClassVar[str] = "Standard error from the choice of documents, paired with the baseline; ranks by text"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A table of errors, then one of texts; None where runs were evaluated on the points of their curves alone."""
        errors, standings = _errors(results), _standings(results)
        parts = [*_error_parts(errors, results), *_text_parts(standings, results)]
        return "\n\n".join(parts) if parts else None

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """The figures of both tables."""
        errors = data_table(
            "evaluation_errors",
            "One contender's largest size on all held-out text, with standard errors from the choice of documents.",
            ("contender", "size_index", "evaluated_documents", "document_groups", "loss_nats", "text_error_nats",
             "difference_nats", "difference_text_error_nats"),
            [
                (
                    one.contender, one.size_index, one.num_documents, one.num_groups, one.loss_nats, one.error_nats,
                    one.difference_nats, one.difference_error_nats,
                )
                for one in _errors(results)
            ],
        )  # fmt: skip
        standings = data_table(
            "evaluation_texts",
            "One contender on one held-out text; multipliers are over the baseline on that text.",
            ("text", "track", "contender", "size_index", "loss_nats", "rank", "cost_axis", "multiplier", "low_95",
             "high_95", "window_high_nats", "window_low_nats", "status", "reason"),
            [_standing_row(one, _axis(results)) for one in _standings(results)],
        )  # fmt: skip
        return [table for table in (errors, standings) if table.rows]


def _standing_row(one: "TextStanding", axis: CostAxis) -> tuple[Cell, ...]:
    place = (one.text, one.track, one.contender, one.size_index, one.loss_nats, one.rank)
    headline = one.multiplier
    if headline is None:
        return (*place, *[None] * 8)
    found = headline.multiplier
    ends: tuple[Cell, ...] = (None, None, None) if found is None else (found.value, found.low, found.high)
    window: tuple[Cell, ...] = headline.window_nats or (None, None)
    return (*place, axis.value, *ends, *window, headline.status.value, headline.reason)


def _axis(results: ScanResults) -> CostAxis:
    """The axis of the multipliers by text, which is that of the verdict."""
    from archbench.report.answer import main_axis

    return main_axis(results)


def _errors(results: ScanResults) -> "tuple[TextError, ...]":
    from archbench.report.contenders import evaluation_errors

    return evaluation_errors(results)


def _standings(results: ScanResults) -> "tuple[TextStanding, ...]":
    from archbench.report.contenders import evaluation_standings

    return evaluation_standings(results)


def _error_parts(errors: "Sequence[TextError]", results: ScanResults) -> Iterator[str]:
    if not errors:
        return
    unit = labels_of(results.records).nats
    published = {run.contender for run in results.records if publication_of(run) is not None}
    yield markdown_list(
        _published_words(one, unit) if one.contender in published else _error_words(one, results.baseline, unit)
        for one in errors
    )
    yield (
        "Standard errors from a bootstrap over groups of whole held-out documents, at each contender's largest size. "
        "They are of the text alone: noise between runs is in the intervals of multipliers and exponents."
    )


def _where(one: "TextError", unit: str) -> str:
    return f"{one.contender}, size {size_number(one.size_index)}: {number(one.loss_nats, 4)} {unit} per token"


def _published_words(one: "TextError", unit: str) -> str:
    documents = f"{one.num_documents:,} documents"
    return f"{_where(one, unit)}; its entry states the sum over {documents} alone, which tells no error of the text"


def _error_words(one: "TextError", baseline: str | None, unit: str) -> str:
    documents = f"{one.num_documents:,} documents"
    if one.num_groups < one.num_documents:
        documents += f" in {one.num_groups:,} groups"
    where = _where(one, unit)
    if one.error_nats is None:
        return f"{where}; evaluation text: {documents} are too few to tell an error from"
    words = f"{where}; evaluation text: ± {number(one.error_nats, 2)} {unit} (bootstrap over {documents})"
    if one.difference_nats is None or one.difference_error_nats is None:
        return words
    apart = f"{one.difference_nats:+.4f} ± {number(one.difference_error_nats, 2)} {unit}"
    return f"{words}; difference to {baseline}: {apart}"


def _text_parts(standings: "Sequence[TextStanding]", results: ScanResults) -> Iterator[str]:
    from archbench.analysis.evaluation_texts import order_changes

    for track in dict.fromkeys(one.track for one in standings):
        mine = [one for one in standings if one.track == track]
        texts = list(dict.fromkeys(one.text for one in mine))
        names = list(dict.fromkeys(one.contender for one in mine))
        at = {(one.contender, one.text): one for one in mine}
        rows = [[name, *(_standing_cell(at.get((name, text)), results.baseline) for text in texts)] for name in names]
        yield markdown_table(["contender", *texts], rows)
        changes = order_changes(standings, track)
        size = f"by the loss at size {size_number(mine[0].size_index)}"
        if changes:
            orders = "; ".join(f"on {text} {', '.join(order)}" for text, order in changes.items())
            yield markdown_line(f"Ranks differ: {size}, from the lowest up, {orders}.")
        elif len(names) > 1:
            yield markdown_line(f"The order of contenders {size} is the same on every text.")
    if standings:
        labels = labels_of(results.records)
        yield (
            f"In each cell: mean loss ({labels.nats} per token) of the largest size that all have, the rank by it, and "
            f"the multiplier over the baseline on that text ({labels.axis_names[_axis(results)]}) with its 95 % "
            "interval, over the middle half of the losses that both reach there, which stand behind it. Order by loss "
            "alone is no test."
        )
    if refused := [words for one in standings if (words := _refused_words(one))]:
        yield markdown_list(refused)


def _standing_cell(one: "TextStanding | None", baseline: str | None) -> str:
    if one is None:
        return "-"
    cell = f"{number(one.loss_nats, 4)} ({one.rank})"
    if one.contender == baseline or one.multiplier is None:
        return cell
    over = "" if one.multiplier.window_nats is None else f" over {window_text(one.multiplier, unit=False)}"
    return f"{cell}, {multiplier_text(one.multiplier)}{over}"


def _refused_words(one: "TextStanding") -> str:
    """Why there is no multiplier on a text; empty where there is one."""
    if one.multiplier is None or one.multiplier.status is FitStatus.OK:
        return ""
    return f"{one.contender} on {one.text}: {one.multiplier.status.value}: {one.multiplier.reason}"
