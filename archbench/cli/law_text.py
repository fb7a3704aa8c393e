"""A fitted law as text: the laws beside it, its parameters, its audit and its back-test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archbench.cli.common import table_console
from archbench.cli.terminal import echo

if TYPE_CHECKING:
    from archbench.analysis.fitting.audit import AuditRow
    from archbench.analysis.fitting.forecast import BacktestRow
    from archbench.analysis.fitting.selection import LawRow
    from archbench.results.admission import Admission
    from archbench.results.fits import FitResult, Interval


@dataclass(frozen=True, slots=True)
class FoundLaw:
    """The law of one architecture, with what is printed beside it."""

    arch: str
    result: "FitResult"
    laws: "list[LawRow]"
    why: str
    audit: "tuple[AuditRow, ...]"
    back_test: "tuple[BacktestRow, ...]"
    gate: "Admission"


def print_laws(arch: str, laws: "Sequence[LawRow]", why: str) -> None:
    """The laws side by side, and the one that is recommended."""
    from rich.table import Table

    title = f"{arch}: laws side by side" if arch else "laws side by side"
    table = Table("law", "floor", "free", "back-test error", "windows", "AICc", "status", box=None, title=title)
    for row in laws:
        error = f"{row.back_test_error:.2%}" if row.windows else "-"
        aicc = f"{row.aicc:.1f}" if math.isfinite(row.aicc) else "-"
        status = "recommended" if row.recommended else row.status.value + (f": {row.reason}" if row.reason else "")
        table.add_row(row.law, row.floor, str(row.num_params), error, str(row.windows or "-"), aicc, status)
    table_console().print_whole(table)
    chosen = next((row for row in laws if row.recommended), None)
    head = f"recommended: {chosen.law}, floor {chosen.floor}: " if chosen else ""
    echo(f"{head}{why}")


def print_found(one: FoundLaw) -> None:
    """All that `archbench fit` says of one architecture's law."""
    from rich.table import Table

    result, rows, windows = one.result, one.audit, one.back_test
    title = f"{one.arch}: {result.law}" if one.arch else result.law
    echo(f"{title}  {result.equation}")
    named = one.gate.left_out_counts()
    further = ", ".join(f"{count} {reason}" for reason, count in result.left_out.items() if reason not in named)
    convention = f", N {result.param_convention}" if result.param_convention else ""
    echo(f"status {result.status.value}{': ' + result.reason if result.reason else ''}")
    left = f", left out: {further}" if further else ""
    echo(f"{result.points_used} points{left}; floor {result.floor}{convention}")
    reached = f"{result.objective_value:.8g}" if math.isfinite(result.objective_value) else "not reached"
    echo(f"{result.objective}: {reached}")
    for line in (*one.gate.lines(), *(f"note: {said}" for said in result.notes)):
        echo(line)
    console = table_console()
    if result.status.value == "ok":
        method = next((one.method for one in result.intervals.values()), "")
        table = Table("parameter", "value", f"95 % {method}".strip(), box=None, header_style="bold")
        for name, value in result.params.items():
            interval = result.intervals.get(name)
            table.add_row(name, f"{value:.5g}", _ends(interval) if interval else "-")
        console.print_whole(table)
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row.result.params))
        table = Table("variant", "status", *names, box=None, header_style="bold", title="sensitivity")
        for row in rows:
            readable = row.result.status.value == "ok"
            cells = [f"{row.result.params[n]:.4g}" if readable and n in row.result.params else "-" for n in names]
            table.add_row(row.variant, row.result.status.value, *cells)
        console.print_whole(table)
    if windows:
        table = Table("held out", "predicted", "95 %", "actual", "error", "covered", box=None, title="back-test")
        for window in windows:
            inside = window.predicted
            table.add_row(
                _span(window),
                f"{inside.value:.4g}" if inside else window.status.value,
                _ends(inside) if inside else "-",
                f"{window.actual:.4g}",
                f"{window.error:+.2%}" if inside else "-",
                {True: "yes", False: "no", None: window.reason or "-"}[window.covered],
            )
        console.print_whole(table)
    echo("")


def _ends(interval: "Interval") -> str:
    """Both ends; one that the data do not bound is called open."""
    if math.isnan(interval.low):
        return "none"
    low, high = (f"{end:.4g}" if math.isfinite(end) else "open" for end in (interval.low, interval.high))
    return f"{low} to {high}"


def _span(window: "BacktestRow") -> str:
    low, high = math.exp(window.held_out), math.exp(window.held_to)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
