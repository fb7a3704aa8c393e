"""`archbench fit FILE`: any law on a table of anybody's runs, with intervals, audit and back-test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli.common import PATH, json_option, print_json, table_console
from archbench.cli.fit_allocation import ALLOCATION, fit_allocation
from archbench.cli.outputs import fields_of
from archbench.cli.run_tables import (
    empty_reason,
    load_tables,
    parse_floor,
    stated_params,
    table_options,
    unstated,
)
from archbench.cli.terminal import echo
from archbench.cli.usual_columns import require_loss, with_usual_columns
from archbench.errors import SpecError
from archbench.results.fits import FitStatus

if TYPE_CHECKING:
    from archbench.analysis.fitting.audit import AuditRow
    from archbench.analysis.fitting.fit import LawFit
    from archbench.analysis.fitting.forecast import BacktestRow
    from archbench.analysis.fitting.selection import Choice, LawRow
    from archbench.analysis.laws.base import Law
    from archbench.analysis.tables.read import RunTable
    from archbench.results.admission import Admission
    from archbench.results.fits import FitResult, Interval

BEST = "best"
"""In place of a law's name: the one that foretells best."""
WITHOUT_FLAGGED = "without flagged runs"
N_OTHER = "N by the other convention"
N_TOTAL = "N: all parameters"
"""Rows of the audit that the command adds."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The law of one architecture, with what is printed beside it."""

    arch: str
    result: "FitResult"
    laws: "list[LawRow]"
    why: str
    audit: "tuple[AuditRow, ...]"
    back_test: "tuple[BacktestRow, ...]"
    gate: "Admission"


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
    name, asked_floor = options["law_name"] or BEST, parse_floor(options["floor"])
    named = None if name == BEST else law_named(name)
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
        found.append(_Found(table.arch, fitted.result, laws, why, rows, windows, table.gate))
        if plot is not None:
            draw_fit(numbered(plot, table.arch, len(tables)), fitted, title=table.arch)
    if as_json:
        _print_json(file, found)
        return
    for one in found:
        if one.laws:
            print_laws(one.arch, one.laws, one.why)
        _print(one)


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


def fit_table(law: Any, table: Any, floor: Any, options: dict[str, Any]) -> "LawFit":
    """The fit of one table, with intervals where it may be read."""
    from archbench.analysis.fitting.bootstrap import bca_intervals, bootstrap_law
    from archbench.analysis.fitting.fit import fit_law
    from archbench.analysis.fitting.profile_likelihood import profile_intervals
    from archbench.analysis.intervals import percentile_intervals, refused

    variables, response = table.inputs(law)
    fitted = fit_law(
        law,
        variables,
        response,
        floor=floor,
        delta=options["delta"],
        log_residuals=options["residuals"] == "log",
        clusters=table.clusters,
        param_convention=stated_params(options) if "N" in law.variables else "",
    )
    counts = table.gate.left_out_counts()
    fitted = replace(fitted, result=replace(fitted.result, left_out={**counts, **fitted.result.left_out}))
    if reason := empty_reason(table):
        fitted = fitted.refused(FitStatus.INVALID_DATA, reason)
    notes = unstated(options)
    if not fitted.ok or not options["resamples"]:
        return fitted.with_intervals({}, notes)
    if options["interval"] == "profile":
        intervals = profile_intervals(fitted)
        return fitted.with_intervals(intervals, (*notes, "a profile bounds exponents and the floor, not scales"))
    samples = bootstrap_law(fitted, num_resamples=options["resamples"], seed=options["random_seed"])
    if fitted.points.num_clusters < 10:
        notes = (*notes, f"{fitted.points.num_clusters} runs: a bootstrap of so few covers less than it says")
    if options["interval"] == "bca":
        return fitted.with_intervals(bca_intervals(fitted, samples), notes)
    intervals = percentile_intervals(fitted.result.params, samples.params())
    return fitted.with_intervals(intervals, (*notes, *refused(fitted.result.params, intervals)))


def chosen_law(table: "RunTable", floor: Any, options: dict[str, Any]) -> "Choice":
    """The laws of a table side by side. Raises SpecError where it has no variable that any law knows."""
    from archbench.analysis.fitting.selection import choose_law

    choice = choose_law(table, floor=floor, delta=options["delta"], log_residuals=options["residuals"] == "log")
    if not choice.rows:
        raise SpecError("no law: a loss alone says nothing; name columns by --params, --tokens, --compute or --step")
    return choice


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


def _ends(interval: "Interval") -> str:
    """Both ends; one that the data do not bound is called open."""
    if math.isnan(interval.low):
        return "none"
    low, high = (f"{end:.4g}" if math.isfinite(end) else "open" for end in (interval.low, interval.high))
    return f"{low} to {high}"


def _span(window: "BacktestRow") -> str:
    low, high = math.exp(window.held_out), math.exp(window.held_to)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _print_json(file: Path, found: list[_Found]) -> None:
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


def _print(one: _Found) -> None:
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
