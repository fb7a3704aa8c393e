"""`archbench fit FILE`: any law on a table of anybody's runs, with intervals, audit and back-test."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli.common import json_option, print_json, table_console
from archbench.cli.fit_allocation import ALLOCATION, fit_allocation
from archbench.cli.outputs import fields_of
from archbench.cli.run_tables import load_tables, parse_floor, table_options, unstated
from archbench.cli.terminal import echo
from archbench.errors import SpecError

if TYPE_CHECKING:
    from archbench.analysis.fitting.audit import AuditRow
    from archbench.analysis.fitting.fit import LawFit
    from archbench.analysis.fitting.forecast import BacktestRow
    from archbench.analysis.laws.base import Law
    from archbench.analysis.tables.read import RunTable
    from archbench.results.fits import FitResult

    _Found = tuple[str, FitResult, tuple[AuditRow, ...], tuple[BacktestRow, ...]]

_RESAMPLED_POINTS = 2_000_000
"""Resamples times points that a bootstrap takes seconds for."""


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
@json_option
def fit(
    file: Path,
    as_json: bool,
    audit: bool,
    compute_others: tuple[str, ...],
    params_other: str | None,
    **options: Any,
) -> None:
    """Fit a scaling law to a table of runs (CSV, JSONL, Parquet).

    Columns are mapped by flags. A result that should not be read has a status in place of its numbers. Law
    `allocation` gives how N and D grow with compute: learning-curve minimum, hull, isoFLOP parabolas and joint law.
    """
    if options["law_name"] == ALLOCATION:
        fit_allocation(file, options, as_json=as_json)
        return
    # Imported now: scipy and pandas are not loaded for `--help`.
    from archbench.analysis.fitting.audit import audit_law, ordering_of
    from archbench.analysis.fitting.forecast import back_test
    from archbench.analysis.laws.catalogue import law_named

    law, floor = law_named(options["law_name"]), parse_floor(options["floor"])
    tables = load_tables(file, options)
    others = _other_conventions(law, file, options, params_other, compute_others)
    found = []
    for number, table in enumerate(tables):
        fitted = fit_table(law, table, floor, options)
        rows: tuple[AuditRow, ...] = ()
        windows: tuple[BacktestRow, ...] = ()
        if audit:
            rows = audit_law(
                law,
                table,
                floor=floor,
                delta=options["delta"],
                log_residuals=options["residuals"] == "log",
                alternatives={label: other[number] for label, other in others.items()},
            )
            if fitted.ok:
                windows = back_test(fitted, ordering_of(fitted), floor=floor, seed=options["random_seed"])
        found.append((table.arch, fitted.result, rows, windows))
    if as_json:
        _print_json(file, found)
        return
    for one in found:
        _print(*one)


def _other_conventions(
    law: "Law", file: Path, options: dict[str, Any], params_other: str | None, compute_others: tuple[str, ...]
) -> dict[str, list["RunTable"]]:
    """Label -> the tables with another column of N or of cost. Raises SpecError where the law has no such variable."""
    changes: dict[str, dict[str, str | None]] = {}
    if params_other and "N" not in law.variables:
        raise SpecError(f"--params-other: {law.title} has no N")
    if params_other:
        changes["N by the other convention"] = {"params": params_other}
    for given in compute_others:
        column, separator, name = given.rpartition("=")
        if not (separator and column and name):
            raise SpecError(f"--compute-other: got {given!r}, expected COL=NAME, for example gpu_s=seconds")
        if "C" not in law.variables:
            raise SpecError(f"--compute-other: {law.title} has no C; it is read with --law 'L(C)'")
        changes[f"C: {name}"] = {"compute": column, "compute_unit": None}
    return {label: load_tables(file, options | change) for label, change in changes.items()}


def fit_table(law: Any, table: Any, floor: Any, options: dict[str, Any]) -> "LawFit":
    """The fit of one table, with intervals where it may be read."""
    from archbench.analysis.fitting.bootstrap import bca_intervals, bootstrap_law, percentile_intervals
    from archbench.analysis.fitting.fit import fit_law
    from archbench.analysis.fitting.profile_likelihood import profile_intervals

    variables, response = table.inputs(law)
    fitted = fit_law(
        law,
        variables,
        response,
        floor=floor,
        delta=options["delta"],
        log_residuals=options["residuals"] == "log",
        clusters=table.clusters,
        param_convention=(options["param_convention"] or "not stated") if "N" in law.variables else "",
    )
    notes = unstated(options)
    if not fitted.ok or not options["resamples"]:
        return fitted.with_intervals({}, notes)
    if options["interval"] == "profile":
        intervals = profile_intervals(fitted)
        return fitted.with_intervals(intervals, (*notes, "a profile bounds exponents and the floor, not scales"))
    resamples = min(options["resamples"], max(100, _RESAMPLED_POINTS // fitted.result.points_used))
    if resamples < options["resamples"]:
        notes = (*notes, f"{resamples} resamples, because the points are many")
    samples = bootstrap_law(fitted, num_resamples=resamples, seed=options["random_seed"])
    if fitted.points.num_clusters < 10:
        notes = (*notes, f"{fitted.points.num_clusters} runs: a bootstrap of so few covers less than it says")
    if options["interval"] == "bca":
        return fitted.with_intervals(bca_intervals(fitted, samples), notes)
    return fitted.with_intervals(percentile_intervals(fitted.result.params, samples.params()), notes)


def _span(window: "BacktestRow") -> str:
    low, high = math.exp(window.held_out), math.exp(window.held_to)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _print_json(file: Path, found: "list[_Found]") -> None:
    from archbench.cli.outputs.analysis import AuditVariant, FitOutput, FitRow

    print_json(
        FitOutput(
            str(file),
            [
                FitRow(
                    **fields_of(result),
                    arch=arch,
                    audit=[AuditVariant(**fields_of(row.result), variant=row.variant) for row in rows],
                    back_test=list(windows),
                )
                for arch, result, rows, windows in found
            ],
        )
    )


def _print(arch: str, result: "FitResult", rows: "tuple[AuditRow, ...]", windows: "tuple[BacktestRow, ...]") -> None:
    from rich.table import Table

    title = f"{arch}: {result.law}" if arch else result.law
    echo(f"{title}  {result.equation}")
    left = ", ".join(f"{count} {reason}" for reason, count in result.left_out.items()) or "none"
    convention = f", N {result.param_convention}" if result.param_convention else ""
    echo(f"status {result.status.value}{': ' + result.reason if result.reason else ''}")
    echo(f"{result.points_used} points, left out: {left}; floor {result.floor}{convention}")
    echo(f"{result.objective}: {result.objective_value:.8g}")
    for line in result.notes:
        echo(f"note: {line}")
    console = table_console()
    if result.status.value == "ok":
        method = next((one.method for one in result.intervals.values()), "")
        table = Table("parameter", "value", f"95 % {method}".strip(), box=None, header_style="bold")
        for name, value in result.params.items():
            interval = result.intervals.get(name)
            table.add_row(name, f"{value:.5g}", f"{interval.low:.4g} to {interval.high:.4g}" if interval else "-")
        console.print(table)
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row.result.params))
        table = Table("variant", "status", *names, box=None, header_style="bold", title="sensitivity")
        for row in rows:
            readable = row.result.status.value == "ok"
            cells = [f"{row.result.params[n]:.4g}" if readable and n in row.result.params else "-" for n in names]
            table.add_row(row.variant, row.result.status.value, *cells)
        console.print(table)
    if windows:
        table = Table("held out", "predicted", "95 %", "actual", "error", "covered", box=None, title="back-test")
        for window in windows:
            inside = window.predicted
            table.add_row(
                _span(window),
                f"{inside.value:.4g}" if inside else window.status.value,
                f"{inside.low:.4g} to {inside.high:.4g}" if inside else "-",
                f"{window.actual:.4g}",
                f"{window.error:+.2%}" if inside else "-",
                {True: "yes", False: "no", None: "-"}[window.covered],
            )
        console.print(table)
    echo("")
