"""A fitted law as text: the laws beside it, its parameters, its audit and its back-test."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from archbench.cli.common import table_console
from archbench.cli.terminal import echo

if TYPE_CHECKING:
    from archbench.analysis.fitting.selection import LawRow
    from archbench.answers.laws import FoundLaw


def print_laws(arch: str, laws: "Sequence[LawRow]", why: str) -> None:
    """The laws side by side, and the one that is recommended."""
    from rich.table import Table

    from archbench.answers.law_words import recommendation

    title = f"{arch}: laws side by side" if arch else "laws side by side"
    table = Table("law", "floor", "free", "back-test error", "windows", "AICc", "status", box=None, title=title)
    for row in laws:
        error = f"{row.back_test_error:.2%}" if row.windows else "-"
        aicc = f"{row.aicc:.1f}" if math.isfinite(row.aicc) else "-"
        status = "recommended" if row.recommended else row.status.value + (f": {row.reason}" if row.reason else "")
        table.add_row(row.law, row.floor, str(row.num_params), error, str(row.windows or "-"), aicc, status)
    table_console().print_whole(table)
    echo(recommendation(laws, why))


def print_found(one: "FoundLaw") -> None:
    """All that `archbench fit` says of one architecture's law."""
    from rich.table import Table

    from archbench.answers.law_words import ends, law_lines, span

    result, rows, windows = one.result, one.audit, one.back_test
    for line in law_lines(one):
        echo(line)
    console = table_console()
    if result.status.value == "ok":
        method = next((one.method for one in result.intervals.values()), "")
        table = Table("parameter", "value", f"95 % {method}".strip(), box=None, header_style="bold")
        for name, value in result.params.items():
            interval = result.intervals.get(name)
            table.add_row(name, f"{value:.5g}", ends(interval) if interval else "-")
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
                span(window),
                f"{inside.value:.4g}" if inside else window.status.value,
                ends(inside) if inside else "-",
                f"{window.actual:.4g}",
                f"{window.error:+.2%}" if inside else "-",
                {True: "yes", False: "no", None: window.reason or "-"}[window.covered],
            )
        console.print_whole(table)
    echo("")
