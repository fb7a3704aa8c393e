"""What is said of a question's answers, of its controls, and of multipliers along the ladder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archbench.report.words import known, number, p_text, with_interval
from archbench.results.controls import ControlOutcome, failed_controls
from archbench.results.fits import (
    Comparison,
    FitStatus,
    QuestionAnswer,
    RungMultiplier,
    RungTrend,
    Settlement,
    Trend,
)
from archbench.units import counted, human_count

if TYPE_CHECKING:
    from archbench.analysis.comparison.multiplier import Window

MARK = "(a control failed: see the first lines)"
"""Stands behind every verdict of a table whose controls did not come out as they must."""


def answer_words(found: QuestionAnswer, cost_name: str, fixed: "Window | None" = None) -> str:
    """`Better by a margin of 1.1 at 3e12 executed FLOPs? Inconclusive (...): ...`; cost_name: unit of the axis.

    fixed: the losses that the question fixes.
    """
    asked = f"Better by a margin of {number(found.margin)}{_where(found, cost_name, fixed)}?"
    said = found.answer.value.capitalize()
    if found.status is not FitStatus.OK or found.bounds is None or found.multiplier is None:
        return f"{asked} {said} (`{found.status.value}`: {found.reason})."
    if not known(found.multiplier):
        return f"{asked} {said} (nothing tells the scatter: seeds at each size would)."
    low, high = found.bounds
    bounds = f"one-sided 95 % bounds of the multiplier {number(low)} and {number(high)}"
    if found.cost is not None:
        bounds = f"multiplier {number(found.multiplier.value)}, one-sided 95 % bounds {number(low)} and {number(high)}"
    settled = f": {settlement_words(found.settlement, cost_name)}" if found.settlement is not None else ""
    return f"{asked} {said} ({bounds}){settled}."


def _where(found: QuestionAnswer, cost_name: str, fixed: "Window | None") -> str:
    if found.cost is not None:
        return f" at {number(found.cost)} {cost_name}"
    window = found.window_nats or ((fixed.high_nats, fixed.low_nats) if fixed is not None else None)
    if window is None:
        return ""
    high, low = window
    cut = " (cut at the line of pairs)" if fixed is not None and high < fixed.high_nats else ""
    return f" at {number(high, 4)} to {number(low, 4)} nats{cut}"


def settlement_words(found: Settlement, cost_name: str) -> str:
    """What would settle an answer, at the multiplier seen."""
    if found.seeds is not None:
        doubt = f", {found.reason}" if found.reason else ""
        return (
            f"at the multiplier seen about {counted(found.seeds, 'seed')} at every size would settle it, "
            f"{human_count(found.further_cost or 0.0)} {cost_name} more{doubt}"
        )
    if found.further_cost is None:
        return f"nothing within a hundred times the runs would settle it: {found.reason}"
    more = f"{human_count(found.further_cost)} {cost_name} more"
    return f"no number of seeds up to 100 would settle it ({found.reason}); further sizes may, for about {more}"


def control_lines(outcomes: Sequence[ControlOutcome]) -> list[str]:
    """A line on each control, those that failed first."""
    ranked = sorted(outcomes, key=lambda one: (one.passed is not False, one.passed is not None))
    return [_control_words(one) for one in ranked]


def _control_words(one: ControlOutcome) -> str:
    figure = ""
    if one.multiplier is not None:
        told = f", p {p_text(one.p_value)}" if one.p_value is not None else ""
        figure = f" (multiplier over {one.baseline} {with_interval(one.multiplier)}{told})"
    outcome = {True: "passed", False: "FAILED", None: "is not judged"}[one.passed]
    return f"Control {one.control} {outcome}: {one.reason}{figure}."


def marked(text: str, outcomes: Sequence[ControlOutcome]) -> str:
    """`text` with the mark that a control failed, where one did."""
    return f"{text} {MARK}" if failed_controls(outcomes) else text


def rung_words(pair: Comparison) -> str:
    """`Size by size the multiplier is 1.8 at 41k, 2.1 at 163k parameters: it grows with cost (...)`; may be empty."""
    read = [rung for rung in pair.rungs if not rung.extrapolated]
    if len(read) < 2:
        return ""
    each = ", ".join(f"{number(rung.multiplier.value)} at {human_count(rung.non_embedding_params)}" for rung in read)
    return f"Size by size the multiplier is {each} parameters: {trend_words(pair.rung_trend)}."


def trend_words(trend: RungTrend | None) -> str:
    """Whether multipliers go anywhere along the ladder, with the slope of ln m over ln C."""
    if trend is None:
        return "too few sizes for a trend"
    what = {Trend.GROWS: "it grows with cost", Trend.FALLS: "it falls with cost", Trend.NOT_SHOWN: "no trend is shown"}
    p_value = f", p {p_text(trend.p_value)}" if trend.p_value is not None else ""
    return f"{what[trend.trend]} (slope {with_interval(trend.slope, 2)}{p_value})"


def exponent_words(pair: Comparison) -> str:
    """Whether both may share one exponent, and so what a multiplier is; empty where no test says so."""
    if pair.one_exponent is None:
        return ""
    if not pair.one_exponent:
        return "Their exponents differ, so the multiplier changes with scale."
    if pair.own_floors_nats is not None:
        return "One exponent serves both, above floors of their own: the multiplier still changes with scale."
    return "One exponent may serve both: the multiplier may be one number at every scale."


def rung_cell(rung: RungMultiplier) -> str:
    """The multiplier of a rung in a table; marked where the baseline does not reach its loss."""
    return f"{with_interval(rung.multiplier)}{' (extrapolated)' if rung.extrapolated else ''}"
