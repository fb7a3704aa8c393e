"""The words and tables of a transfer study."""

import math
from collections.abc import Sequence

from archbench.display import Markdown, markdown_line, markdown_list, markdown_text
from archbench.report.plotting import markdown_table
from archbench.report.words import known, law_words, number, p_text, with_interval
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import size_number
from archbench.studies.transfer.results import (
    Censoring,
    DirectionRanking,
    DirectionResult,
    Effect,
    TransferCell,
    TransferResult,
)
from archbench.units import counted, human_count

_SIGNS = {Censoring.NONE: "", Censoring.ABOVE: "> ", Censoring.BELOW: "< "}
_FALLING = {Censoring.NONE: "", Censoring.ABOVE: "< ", Censoring.BELOW: "> "}


def verdict_lines(study: TransferResult) -> list[str]:
    """One sentence on each direction, on each of its laws, and on each order of directions."""
    lines = []
    if not study.directions:
        return [f"Study {study.study}: no direction has a fine-tuned run that finished."]
    for one in study.directions:
        if not one.cells:
            lines.append(f"{one.contender}, {one.name}: no pair of N and D_F has a result yet.")
            continue
        helps, hurts = (
            sum(cell.effect is effect for cell in one.cells) for effect in (Effect.TRANSFER, Effect.OSSIFICATION)
        )
        worth = _bounds_text(one)
        if one.mean_multiplier is not None:
            worth = (
                f"a target token is worth {with_interval(one.mean_multiplier)} from scratch (geometric mean of D_E/D_F)"
            )
        lines.append(
            f"{one.contender}, {one.name}: pre-training helps at {helps} of {len(one.cells)} pairs of N and D_F and "
            f"hurts at {hurts}; {worth}."
        )
        lines += [f"{one.contender}, {words}." for words in _law_lines(one)]
    lines = list(dict.fromkeys(lines))  # directions with one target share its law from scratch
    lines += _refused_words(study)
    lines += [f"{one.contender}, {one.common}: {one.statement}." for one in study.rankings]
    return lines


def _laws(one: DirectionResult) -> list[tuple[str, FitResult]]:
    """Each law of a direction under the name that it is spoken of by."""
    return [
        (f"{one.name}: D_T(D_F,N)", one.law),
        (f"{one.target} from scratch: L(N,D)", one.scratch_law),
        (f"{one.name}: L(N,D_F) of fine-tuned models", one.unified_law),
    ]


def _law_lines(one: DirectionResult) -> list[str]:
    exponents = ("alpha", "beta", "alpha_N", "alpha_D")
    return [f"{name} {law_words(law, exponents)}" for name, law in _laws(one) if law.status is FitStatus.OK]


def _refused_words(study: TransferResult) -> list[str]:
    """How many laws may not be read, in one sentence; which and why stands in the section."""
    laws = {(one.contender, name): law for one in study.directions if one.cells for name, law in _laws(one)}
    statuses = [law.status.value for law in laws.values() if law.status is not FitStatus.OK]
    if not statuses:
        return []
    counts = ", ".join(f"{statuses.count(status)} `{status}`" for status in dict.fromkeys(statuses))
    return [
        f"Study {study.study}: {len(statuses)} of its {counted(len(laws), 'law')} may not be read ({counts}); "
        "the tables of the directions say why."
    ]


def bounds(one: DirectionResult) -> tuple[list[float], list[float]]:
    """What D_E/D_F is at least, and at most, at each pair of N and D_F where one end of it is all that is known."""
    least = [cell.multiplier.value for cell in one.cells if cell.censored is Censoring.ABOVE]
    most = [cell.multiplier.value for cell in one.cells if cell.censored is Censoring.BELOW]
    for cell in one.cells:
        if cell.censored is Censoring.NONE and known(cell.multiplier):
            # An end beyond the data is 0 or infinite; the other end is what the data show.
            if math.isinf(cell.multiplier.high) and cell.multiplier.low > 0:
                least.append(cell.multiplier.low)
            elif cell.multiplier.low <= 0 and math.isfinite(cell.multiplier.high):
                most.append(cell.multiplier.high)
    return least, most


def _bounds_text(one: DirectionResult) -> str:
    """What is known of D_E/D_F where no interval of it lies within the data from scratch."""
    least, most = bounds(one)
    said = [
        f"at {words} {range_text(found)} at {len(found)}"
        for words, found in (("least", least), ("most", most))
        if found
    ]
    if not said:
        return "D_E/D_F is known at none of them"
    return f"of D_E/D_F only bounds are known: {' and '.join(said)} of them"


def range_text(values: Sequence[float]) -> str:
    """`1.2 to 33`, the smallest and the largest; one where they look the same."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def headline(one: DirectionResult) -> str:
    """What a direction shows, in two or three sentences."""
    counts = {effect: sum(cell.effect is effect for cell in one.cells) for effect in Effect}
    words = [
        f"Of {len(one.cells)} pairs of N and D_F, pre-training helps at {counts[Effect.TRANSFER]}, hurts "
        f"(ossification) at {counts[Effect.OSSIFICATION]} and is not told apart at {counts[Effect.NOT_TOLD_APART]}."
    ]
    censored = sum(cell.censored is not Censoring.NONE for cell in one.cells)
    if censored:
        words.append(f"D_E is a bound at {censored} of them: the loss lies outside what was trained from scratch.")
    if one.mean_multiplier is not None:
        words.append(
            f"Geometric mean of D_E/D_F where the interval lies within the data: {with_interval(one.mean_multiplier)}."
        )
    noise = (
        f"Run-to-run noise of ln L: {number(one.noise_std_log, 2)} ({one.noise_source})."
        if one.noise_std_log is not None
        else "Run-to-run noise is unknown, so no interval is given."
    )
    words += [
        noise,
        f"Low-data regime by {one.regime_law}." if _known_regime(one) else f"Low-data regime {one.regime_law}.",
    ]
    if one.source_bytes_per_token and one.target_bytes_per_token:
        words.append(
            f"A token holds {number(one.source_bytes_per_token)} bytes of {one.source} and "
            f"{number(one.target_bytes_per_token)} of {one.target}."
        )
    return " ".join(words)


def _known_regime(one: DirectionResult) -> bool:
    return any(curve.low_data_tokens is not None for curve in one.scratch)


def cells_table(one: DirectionResult) -> str:
    """One line for each N and D_F."""
    rows = [_row(cell) for cell in one.cells]
    header = ["size", "N", "D_F", "runs", "loss (nats)", "from scratch", "D_E", "D_T", "D_F/D_E", "D_E/D_F",
              "low data", "pre-training"]  # fmt: skip
    return markdown_table(header, rows, right=tuple(range(10)))


def _row(cell: TransferCell) -> list[str]:
    sign, inverse = _SIGNS[cell.censored], _FALLING[cell.censored]
    return [
        str(size_number(cell.size_index)),
        human_count(cell.non_embedding_params),
        human_count(cell.finetune_tokens),
        str(cell.num_runs),
        number(cell.loss_nats, 4),
        "-" if cell.scratch_loss_nats is None else number(cell.scratch_loss_nats, 4),
        sign + _tokens(cell.effective_tokens),
        sign + _tokens(cell.transferred_tokens),
        inverse + with_interval(cell.fraction),
        sign + with_interval(cell.multiplier),
        {True: "yes", False: "no", None: "unknown"}[cell.low_data],
        {Effect.TRANSFER: "helps", Effect.OSSIFICATION: Markdown("**hurts**")}.get(cell.effect, cell.effect.value),
    ]


def _tokens(interval: Interval) -> str:
    if not known(interval):
        return human_count(interval.value)
    high = human_count(interval.high) if interval.high != float("inf") else "∞"
    return f"{human_count(interval.value)} [{human_count(interval.low)}, {high}]"


def laws_table(one: DirectionResult) -> str:
    """The laws of a direction, each with its parameters or its status."""
    named: list[tuple[str, FitResult]] = [
        ("low data", one.law),
        ("all D_F", one.law_all_data),
        ("from scratch", one.scratch_law),
        ("fine-tuned", one.unified_law),
    ]
    if one.unified_law_given_scratch is not None:
        named.append(("fine-tuned", one.unified_law_given_scratch))
    rows = []
    for points, law in named:
        left_out = ", ".join(f"{count} {reason}" for reason, count in law.left_out.items())
        rows.append([law.equation, points, _params(law), str(law.points_used), left_out or "-", "; ".join(law.notes)])
    return markdown_table(["law", "fitted to", "parameters", "points", "left out", "notes"], rows, right=(3,))


def _params(law: FitResult) -> str:
    if law.status is not FitStatus.OK:
        return f"`{law.status.value}`: {law.reason}"
    found = []
    for name, value in law.params.items():
        interval = law.intervals.get(name)
        found.append(f"{name} {number(value) if interval is None else with_interval(interval)}")
    return ", ".join(found)


def ranking_text(one: DirectionRanking) -> str:
    """The order of directions with one common end, and the test of each pair."""
    head = markdown_text(f"{one.contender}, {one.common}")
    if not one.scores:
        return f"**{head}:** {markdown_line(one.statement)}."
    words = (
        f"**{head}:** {markdown_line(one.statement)} by the geometric mean of D_E/D_F over "
        f"{counted(one.num_cells, 'shared pair')} of N and D_F (`>`: told apart, `~`: not)."
    )
    if one.censored_cells:
        are = "is" if one.censored_cells == 1 else "are"
        words += f" {one.censored_cells} more {are} left out, since an interval of D_E leaves the data there."
    rows = [
        [
            f"{' → '.join(pair.first)} over {' → '.join(pair.second)}",
            with_interval(pair.ratio),
            p_text(pair.holm_p_value),
            "yes" if pair.told_apart else "no",
        ]
        for pair in one.pairs
    ]
    return f"{words}\n\n{markdown_table(['pair', 'ratio', 'p (Holm)', 'told apart'], rows, right=(1, 2))}"


def warnings_text(warnings: Sequence[str]) -> str:
    """A list of what must be kept in mind; empty without any."""
    return markdown_list(warnings)
