"""What `forecast` says in sentences.

Legend: N parameters, D tokens, C compute.
"""

from collections.abc import Iterator, Sequence

from archbench.analysis.fitting.forecast import Forecast
from archbench.analysis.planning.scan_forecast import ScanForecast
from archbench.answers.asked_points import Point, size_and_tokens
from archbench.answers.outputs.analysis import BudgetRow, ForecastRow
from archbench.report.labels import Labels
from archbench.results.fits import FitResult, Interval

NOTHING = 1.5
"""An interval of a loss that spans this factor could hold anything."""
_KNOWN = 100.0
"""N and D whose intervals span more are not known."""


def gate_lines(one: ForecastRow) -> Iterator[str]:
    """What the gate says; stands above the laws side by side."""
    return (f"{_head(one)}{line}" for line in one.gate.lines)


def forecast_lines(one: ForecastRow) -> Iterator[str]:
    """What the law of a table expects of each budget and at each point."""
    head = _head(one)
    if one.fit is None or one.fit.status.value != "ok":
        status = f"{one.fit.status.value}: {one.fit.reason}" if one.fit else one.reason
        yield f"{head}no forecast: {status}"
        return
    yield f"{head}by {one.fit.law}, floor {one.fit.floor}, {one.fit.points_used} points"
    yield from (f"{head}note: {line}" for line in one.fit.notes)
    for row in one.budgets:
        line = f"{head}{row.flops:.3g} FLOPs: loss {_loss(row.loss)}"
        for letter, interval in (("N", row.params), ("D", row.tokens)):
            if interval is not None:
                line += f", {letter} {_span(interval, '.3g')}"
        yield line + _beyond(row)
    for point in one.at:
        yield f"{head}{_words_of(point)}{_beyond(point)}"


def scan_forecast_lines(one: ScanForecast, points: Sequence[Point], labels: Labels) -> Iterator[str]:
    """What the laws of a contender expect of each budget and at each point."""
    floor = f", floor {one.frontier.floor}"
    yield f"{one.contender}: {_read(one.frontier.law + floor, one.frontier, one.frontier_points)}"
    yield f"{one.contender}: {_read(one.joint.law, one.joint, one.joint_points)}"
    for row in one.budgets:
        parts = []
        if row.loss:
            by = "L(N,D)" if row.loss is row.joint_loss else "L(C)"
            parts.append(f"loss {_loss(row.loss.loss)} {labels.nats} by {by}{_beyond(row.loss)}")
        if row.params and row.tokens:
            parts.append(f"N {_span(row.params, '.3g')}, D {_span(row.tokens, '.3g')}")
            if row.joint_loss is not None and row.joint_loss is not row.loss:
                parts.append(f"there {row.joint_loss.loss.value:.4g} {labels.nats} by L(N,D){_beyond(row.joint_loss)}")
        words = ", ".join(parts) or "no forecast"
        yield f"{one.contender}: {row.flops:.3g} {labels.axis_names[one.cost_axis]}: {words}"
    for point in one.at:
        yield f"{one.contender}: {_words_of(point)} {labels.nats} by L(N,D){_beyond(point)}"
    if not one.at:
        for size, tokens in map(size_and_tokens, points):
            yield f"{one.contender}: N {size:.3g}, D {tokens:.3g}: no forecast: L(N,D) may not be read"


def _head(one: ForecastRow) -> str:
    return f"{one.arch}: " if one.arch else ""


def _read(law: str, result: FitResult, points: str) -> str:
    if result.status.value == "ok":
        return f"{law}, on {points}"
    return f"{law}: {result.status.value}: {result.reason}"


def _words_of(point: Forecast) -> str:
    place = ", ".join(f"{letter} {value:.3g}" for letter, value in point.at.items())
    return f"{place}: loss {_loss(point.loss)}"


def _beyond(one: Forecast | BudgetRow) -> str:
    """Which of N, D and C lie outside the data, and by how much; empty inside."""
    words = [
        f"{letter} {factor:.3g}x the largest" if factor > 1 else f"{letter} {factor:.3g}x the smallest"
        for letter, factor in one.beyond.items()
        if not 0.99 < factor < 1.01
    ]
    if not words:
        return ""
    return f"  [{'far ' if one.far else ''}beyond the data: {', '.join(words)}]"


def _loss(interval: Interval) -> str:
    """A loss with its interval; an interval that says nothing is called so."""
    words = _span(interval, ".4g")
    if interval.high >= NOTHING * interval.low:
        words += f" [an interval of a factor {interval.high / interval.low:.3g} says nothing]"
    return words


def _span(interval: Interval, digits: str) -> str:
    low, high = interval.low, interval.high
    if low != low:
        return f"{interval.value:{digits}} (interval unknown)"
    if high > _KNOWN * low:
        return f"{interval.value:{digits}} (not known within a factor of {_KNOWN:g})"
    return f"{interval.value:{digits}} ({low:{digits}} to {high:{digits}})"
