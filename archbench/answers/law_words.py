"""What `fit` says of a law in sentences; tables stand beside them."""

import math
from collections.abc import Iterator, Sequence

from archbench.analysis.fitting.forecast import BacktestRow
from archbench.analysis.fitting.selection import LawRow
from archbench.answers.laws import FoundLaw
from archbench.results.fits import Interval


def recommendation(laws: Sequence[LawRow], why: str) -> str:
    """Which of the laws side by side is recommended, and why."""
    chosen = next((row for row in laws if row.recommended), None)
    head = f"recommended: {chosen.law}, floor {chosen.floor}: " if chosen else ""
    return f"{head}{why}"


def law_lines(one: FoundLaw) -> Iterator[str]:
    """The law, its status, what it was fitted to and how; then what the gate says, and notes."""
    result = one.result
    title = f"{one.arch}: {result.law}" if one.arch else result.law
    yield f"{title}  {result.equation}"
    named = one.gate.left_out_counts()
    further = ", ".join(f"{count} {reason}" for reason, count in result.left_out.items() if reason not in named)
    convention = f", N {result.param_convention}" if result.param_convention else ""
    yield f"status {result.status.value}{': ' + result.reason if result.reason else ''}"
    left = f", left out: {further}" if further else ""
    yield f"{result.points_used} points{left}; floor {result.floor}{convention}"
    reached = f"{result.objective_value:.8g}" if math.isfinite(result.objective_value) else "not reached"
    yield f"{result.objective}: {reached}"
    yield from one.gate.lines()
    yield from (f"note: {said}" for said in result.notes)


def ends(interval: Interval) -> str:
    """Both ends; one that the data do not bound is called open."""
    if math.isnan(interval.low):
        return "none"
    low, high = (f"{end:.4g}" if math.isfinite(end) else "open" for end in (interval.low, interval.high))
    return f"{low} to {high}"


def span(window: BacktestRow) -> str:
    """What was held out: one size or cost, or from which to which."""
    low, high = math.exp(window.held_out), math.exp(window.held_to)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
