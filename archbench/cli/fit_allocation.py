"""`archbench fit FILE --law allocation`: how N and D grow with compute, by each approach of the field."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archbench.cli.common import print_json, table_console
from archbench.cli.terminal import echo

if TYPE_CHECKING:
    from archbench.answers.allocations import Allocation
    from archbench.answers.table_options import Table as RunsTable


def fit_allocation(runs: "RunsTable", options: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints the exponents of each architecture. Raises SpecError where a column is not named."""
    from archbench.answers.allocations import allocation_output, find_allocations

    found = find_allocations(runs, options)
    if as_json:
        print_json(allocation_output(runs.source, found, options))
        return
    for one in found:
        _print(one, options)


def _print(one: "Allocation", options: Mapping[str, Any]) -> None:
    from rich.table import Table

    from archbench.answers.allocations import allocation_head, approach_notes

    for line in allocation_head(one, options):
        echo(line)
    table = Table("approach", "points", "a (95 %)", "b (95 %)", "status", box=None, header_style="bold")
    for row in one.rows:
        status = row.status.value + (f": {row.reason}" if row.reason else "")
        table.add_row(row.approach, str(row.points), _cell(row.of_params), _cell(row.of_tokens), status)
    table_console().print_whole(table)
    for line in approach_notes(one):
        echo(line)


def _cell(interval: Any) -> str:
    if interval is None:
        return "-"
    known = interval.low == interval.low
    ends = f" ({interval.low:.3f} to {interval.high:.3f})" if known else " (no interval: few resamples give a trend)"
    return f"{interval.value:.4f}{ends}"
