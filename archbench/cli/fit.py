"""`archbench fit FILE`: any law on a table of anybody's runs, with intervals, audit and back-test."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli.common import PATH, json_option, print_json
from archbench.cli.fit_allocation import ALLOCATION, fit_allocation
from archbench.cli.law_fits import asked_law, chosen_law, fit_table
from archbench.cli.law_text import FoundLaw, print_found, print_laws
from archbench.cli.outputs import fields_of
from archbench.cli.run_tables import (
    load_tables,
    parse_floor,
    table_options,
)
from archbench.cli.usual_columns import require_loss, with_usual_columns
from archbench.errors import SpecError

if TYPE_CHECKING:
    from archbench.analysis.fitting.audit import AuditRow
    from archbench.analysis.fitting.forecast import BacktestRow
    from archbench.analysis.fitting.selection import LawRow
    from archbench.analysis.laws.base import Law
    from archbench.analysis.tables.run_table import RunTable

WITHOUT_FLAGGED = "without flagged runs"
N_OTHER = "N by the other convention"
N_TOTAL = "N: all parameters"
"""Rows of the audit that the command adds."""


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
    options = with_usual_columns(file, options)
    require_loss(options)
    if options["law_name"] == ALLOCATION:
        if plot is not None:
            raise SpecError(f"--plot: draws a law; --law {ALLOCATION} is none, leave one of the two out")
        fit_allocation(file, options, as_json=as_json)
        return
    # Imported now: scipy and pandas are not loaded for `--help`.
    from archbench.analysis.fitting.audit import audit_law, ordering_of
    from archbench.analysis.fitting.forecast import back_test
    from archbench.analysis.fitting.outliers import flag_outliers
    from archbench.analysis.laws.catalogue import law_named
    from archbench.report.fit_figure import check_form, draw_fit, numbered

    if plot is not None:
        check_form(plot)
    named, asked_floor = asked_law(options), parse_floor(options["floor"])
    tables = load_tables(file, options)
    found = []
    for table in tables:
        law, floor, laws, why = named, asked_floor, list["LawRow"](), ""
        if law is None:
            choice = chosen_law(table, asked_floor, options)
            laws, why = list(choice.rows), choice.reason
            law, floor = choice.law or law_named(choice.rows[0].law), choice.floor
        fitted = fit_table(law, table, floor, options)
        table, flagged = flag_outliers(fitted, table)
        rows: tuple[AuditRow, ...] = ()
        windows: tuple[BacktestRow, ...] = ()
        if audit and len(table):
            others = _other_conventions(law, file, options, params_other, compute_others)
            alternatives = {label: of_arch[table.arch] for label, of_arch in others.items() if table.arch in of_arch}
            if flagged.any():
                alternatives[WITHOUT_FLAGGED] = table.take(~flagged)
            rows = audit_law(
                law,
                table,
                floor=floor,
                delta=options["delta"],
                log_residuals=options["residuals"] == "log",
                alternatives=alternatives,
            )
            rows = tuple(_with_convention(row, fitted.result.param_convention) for row in rows)
            if fitted.ok:
                windows = back_test(fitted, ordering_of(fitted), floor=floor, seed=options["random_seed"]).rows
        found.append(FoundLaw(table.arch, fitted.result, laws, why, rows, windows, table.gate))
        if plot is not None:
            path = numbered(plot, table.arch, len(tables))
            draw_fit(path, fitted, title=table.arch, loss_unit=table.gate.loss_unit)
    if as_json:
        _print_json(file, found)
        return
    for one in found:
        if one.laws:
            print_laws(one.arch, one.laws, one.why)
        print_found(one)


def _other_conventions(
    law: "Law", file: Path, options: dict[str, Any], params_other: str | None, compute_others: tuple[str, ...]
) -> dict[str, dict[str, "RunTable"]]:
    """Label -> architecture -> its runs with another column of N or of cost, each let in by the gate anew.

    Raises SpecError where the law has no such variable.
    """
    changes: dict[str, dict[str, str | None]] = {}
    if params_other and "N" not in law.variables:
        raise SpecError(f"--params-other: {law.title} has no N")
    if params_other:
        changes[N_OTHER] = {"params": params_other, "params_active": None}
    if options["params_total"] and "N" in law.variables:
        changes[N_TOTAL] = {"params": options["params_total"], "params_active": None, "params_total": None}
    for given in compute_others:
        column, separator, name = given.rpartition("=")
        if not (separator and column and name):
            raise SpecError(f"--compute-other: got {given!r}, expected COL=NAME, for example gpu_s=seconds")
        if "C" not in law.variables:
            raise SpecError(f"--compute-other: {law.title} has no C; it is read with --law 'L(C)'")
        changes[f"C: {name}"] = {"compute": column, "compute_unit": None}
    return {
        label: {table.arch: table for table in load_tables(file, options | change)} for label, change in changes.items()
    }


def _with_convention(row: "AuditRow", convention: str) -> "AuditRow":
    """`row` with what its N counts: that of the fit, unless the row is about another column."""
    other = {N_OTHER: "the other convention", N_TOTAL: "all parameters"}.get(row.variant, convention)
    return replace(row, result=replace(row.result, param_convention=other if convention else ""))


def _print_json(file: Path, found: list[FoundLaw]) -> None:
    from archbench.cli.outputs.analysis import AuditVariant, FitOutput, FitRow
    from archbench.cli.outputs.gate import gate_output

    print_json(
        FitOutput(
            str(file),
            [
                FitRow(
                    **fields_of(one.result),
                    arch=one.arch,
                    laws=one.laws,
                    recommended=one.why,
                    audit=[AuditVariant(**fields_of(row.result), variant=row.variant) for row in one.audit],
                    back_test=list(one.back_test),
                    gate=gate_output(one.gate),
                )
                for one in found
            ],
        )
    )
