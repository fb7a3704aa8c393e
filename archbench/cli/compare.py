"""`archbench compare A B`: exponents, multiplier and crossover of two contenders in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import json_option, note, print_json, runs_option, table_console, wrapped
from archbench.cli.terminal import echo

if TYPE_CHECKING:
    from archbench.results.fits import Comparison
    from archbench.results.runs import RunRecord


@click.command()
@click.argument("a", metavar="A", shell_complete=complete.contenders)
@click.argument("b", metavar="B", shell_complete=complete.contenders)
@runs_option
@click.option(
    "--scan", metavar="NAME", shell_complete=complete.scans, help="The scan to take both from, where several have them."
)
@click.option("--at-cost", type=float, metavar="C", help="Multiplier and loss gap at a cost of yours too.")
@click.option("--at-loss", type=float, metavar="L", help="Multiplier at a loss of yours too (nats per token).")
@click.option(
    "--window",
    nargs=2,
    type=float,
    metavar="HIGH LOW",
    help="Losses (nats) to average the multiplier over; the middle half of those that both reach if left out.",
)
@json_option
def compare(
    a: str,
    b: str,
    runs_dir: Path,
    scan: str | None,
    at_cost: float | None,
    at_loss: float | None,
    window: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Compare two architectures in the store.

    A is the baseline: a multiplier above 1 says that B needs less. Both are names of contenders, of one scan or of
    two scans on the same text. The multiplier is read from finished runs, as every report reads it.
    """
    # Imported now: the analysis is not loaded for `--help`.
    from archbench.answers.comparison_words import lines_below, place_lines, verdict_lines
    from archbench.answers.comparisons import compare_output, compare_sides, places_of
    from archbench.answers.stored_sides import stored_pair
    from archbench.runs.store import RunStore

    asked = places_of(window, at_cost, at_loss)
    found = compare_sides(stored_pair(RunStore(runs_dir), a, b, scan, note), asked)
    if as_json:
        print_json(compare_output(found))
        return
    for line in verdict_lines(found):
        echo(wrapped(line))
    if found.comparisons:
        echo("")
        _print_table(found.comparisons, found.sides.records)
    for line in lines_below(found):
        echo(wrapped(line))
    if found.places:
        echo("")
        for line in place_lines(found):
            echo(wrapped(line))


def _print_table(comparisons: Sequence["Comparison"], records: "Sequence[RunRecord]") -> None:
    from rich.table import Table

    from archbench.report.labels import labels_of
    from archbench.report.words import crossover_text, multiplier_text, p_text, window_text, with_interval

    labels = labels_of(records)
    table = Table(box=None, pad_edge=False, header_style="bold")
    losses = f"over losses ({labels.nats})"
    for header in ("cost axis", "multiplier (95 %)", "p", losses, "alpha B - alpha A", "p", "crossover"):
        table.add_column(header)
    for pair in comparisons:
        found = pair.headline
        table.add_row(
            labels.axis_names[pair.cost_axis],
            multiplier_text(found).strip("`"),
            p_text(found.p_value if found is not None else None),
            window_text(found, unit=False) if found is not None else "-",
            with_interval(pair.alpha_difference) if pair.alpha_difference else "-",
            p_text(pair.p_value),
            crossover_text(pair, labels.axis_names),
        )
    table_console().print_whole(table)
