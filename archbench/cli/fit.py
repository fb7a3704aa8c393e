"""`archbench fit FILE`: any law on a table of anybody's runs, with intervals, audit and back-test."""

from pathlib import Path
from typing import Any

import click

from archbench.answers.table_options import ALLOCATION, no_law_to_draw, table_in
from archbench.answers.usual_columns import require_loss, with_usual_columns
from archbench.cli.common import PATH, json_option, note, print_json
from archbench.cli.fit_allocation import fit_allocation
from archbench.cli.law_text import print_found, print_laws
from archbench.cli.run_tables import table_options


@click.command()
@table_options
@click.option("--audit/--no-audit", default=True, show_default=True, help="Sensitivity table and back-test.")
@click.option(
    "--compute-other",
    "compute_others",
    multiple=True,
    metavar="COL=NAME",
    help="Another column of cost (or 6ND), and what the audit calls it; may be repeated.",
)
@click.option(
    "--params-other", metavar="COL", help="Column of N by the other convention; the audit shows what it changes."
)
@click.option("--plot", type=PATH, metavar="FILE", help="Draw points, law and residuals into FILE: .png or .svg.")
@json_option
def fit(
    file: Path,
    as_json: bool,
    plot: Path | None,
    audit: bool,
    compute_others: tuple[str, ...],
    params_other: str | None,
    **options: Any,
) -> None:
    """Fit a scaling law to a table of runs (CSV, JSONL, Parquet).

    Columns are mapped by flags; where none is given, usual names (params, tokens, flops, loss, ...) are taken and said;
    a column of loss is looked for by them in any case.
    Without --law the laws are put side by side and the one that foretells best (by its back-test) is fitted. Further:
    critical-batch, data-transferred, unified-transfer, and `allocation`, which gives how N and D grow with compute:
    learning-curve minimum, hull, isoFLOP parabolas and joint law. A result that should not be read has a status in
    place of its numbers.
    """
    if options["law_name"] == ALLOCATION and plot is not None:
        raise no_law_to_draw()
    table = table_in(file)
    options = with_usual_columns(table, options, note)
    require_loss(options)
    if options["law_name"] == ALLOCATION:
        fit_allocation(table, options, as_json=as_json)
        return
    # Imported now: scipy and pandas are not loaded for `--help`.
    from archbench.answers.laws import AuditOptions, find_laws, fit_output
    from archbench.report.fit_figure import check_form, draw_fit, numbered

    if plot is not None:
        check_form(plot)
    found = find_laws(table, options, AuditOptions(audit, params_other, compute_others))
    if plot is not None:
        for one in found:
            draw_fit(numbered(plot, one.arch, len(found)), one.fit, title=one.arch, loss_unit=one.gate.loss_unit)
    if as_json:
        print_json(fit_output(str(file), found))
        return
    for one in found:
        if one.laws:
            print_laws(one.arch, one.laws, one.why)
        print_found(one)
