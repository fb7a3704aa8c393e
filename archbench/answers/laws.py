"""What `fit` answers: the law of each architecture in a table, with its audit and back-test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archbench.analysis.fitting.audit import AuditRow, audit_law, ordering_of
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.forecast import BacktestRow, back_test
from archbench.analysis.fitting.outliers import flag_outliers
from archbench.analysis.fitting.selection import LawRow
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.catalogue import law_named
from archbench.analysis.tables.run_table import RunTable
from archbench.answers.law_fits import asked_law, chosen_law, fit_table
from archbench.answers.outputs.analysis import AuditVariant, FitOutput, FitRow
from archbench.answers.outputs.gate import gate_output
from archbench.answers.plain import fields_of
from archbench.answers.table_options import Table, load_tables, parse_floor
from archbench.errors import SpecError
from archbench.results.admission import Admission
from archbench.results.fits import FitResult

WITHOUT_FLAGGED = "without flagged runs"
N_OTHER = "N by the other convention"
N_TOTAL = "N: all parameters"
"""Rows of the audit that are added to those of `audit_law`."""


@dataclass(frozen=True, slots=True)
class FoundLaw:
    """The law of one architecture, with what is printed beside it."""

    arch: str
    fit: LawFit
    laws: tuple[LawRow, ...]
    """The laws side by side; empty where one was named."""
    why: str
    audit: tuple[AuditRow, ...]
    back_test: tuple[BacktestRow, ...]
    gate: Admission

    @property
    def result(self) -> FitResult:
        """The fit as figures."""
        return self.fit.result


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What of a fit is audited, and by which other columns."""

    audit: bool = True
    params_other: str | None = None
    compute_others: tuple[str, ...] = ()
    """`COL=NAME`: a column of cost, and what the audit calls it."""


def find_laws(table: Table, options: Mapping[str, Any], asked: AuditOptions) -> list[FoundLaw]:
    """The law of each architecture, in order of name.

    Raises SpecError for options that contradict the table or each other.
    """
    named, floor = asked_law(options), parse_floor(options["floor"])
    return [_found(runs, named, floor, table, options, asked) for runs in load_tables(table, options)]


def fit_output(source: str, found: Sequence[FoundLaw]) -> FitOutput:
    """`found` as JSON prints it."""
    return FitOutput(
        source,
        [
            FitRow(
                **fields_of(one.result),
                arch=one.arch,
                laws=list(one.laws),
                recommended=one.why,
                audit=[AuditVariant(**fields_of(row.result), variant=row.variant) for row in one.audit],
                back_test=list(one.back_test),
                gate=gate_output(one.gate),
            )
            for one in found
        ],
    )


def _found(
    runs: RunTable, law: Law | None, floor: Any, table: Table, options: Mapping[str, Any], asked: AuditOptions
) -> FoundLaw:
    laws: tuple[LawRow, ...] = ()
    why = ""
    if law is None:
        choice = chosen_law(runs, floor, options)
        laws, why = tuple(choice.rows), choice.reason
        law, floor = choice.law or law_named(choice.rows[0].law), choice.floor
    fitted = fit_table(law, runs, floor, options)
    runs, flagged = flag_outliers(fitted, runs)
    rows: tuple[AuditRow, ...] = ()
    windows: tuple[BacktestRow, ...] = ()
    if asked.audit and len(runs):
        others = _other_conventions(law, table, options, asked)
        alternatives = {label: of_arch[runs.arch] for label, of_arch in others.items() if runs.arch in of_arch}
        if flagged.any():
            alternatives[WITHOUT_FLAGGED] = runs.take(~flagged)
        rows = audit_law(
            law,
            runs,
            floor=floor,
            delta=options["delta"],
            log_residuals=options["residuals"] == "log",
            alternatives=alternatives,
        )
        rows = tuple(_with_convention(row, fitted.result.param_convention) for row in rows)
        if fitted.ok:
            windows = back_test(fitted, ordering_of(fitted), floor=floor, seed=options["random_seed"]).rows
    return FoundLaw(runs.arch, fitted, laws, why, rows, windows, runs.gate)


def _other_conventions(
    law: Law, table: Table, options: Mapping[str, Any], asked: AuditOptions
) -> dict[str, dict[str, RunTable]]:
    """Label -> architecture -> its runs with another column of N or of cost, each let in by the gate anew.

    Raises SpecError where the law has no such variable.
    """
    changes: dict[str, dict[str, str | None]] = {}
    if asked.params_other and "N" not in law.variables:
        raise SpecError(f"--params-other: {law.title} has no N")
    if asked.params_other:
        changes[N_OTHER] = {"params": asked.params_other, "params_active": None}
    if options["params_total"] and "N" in law.variables:
        changes[N_TOTAL] = {"params": options["params_total"], "params_active": None, "params_total": None}
    for given in asked.compute_others:
        column, separator, name = given.rpartition("=")
        if not (separator and column and name):
            raise SpecError(f"--compute-other: got {given!r}, expected COL=NAME, for example gpu_s=seconds")
        if "C" not in law.variables:
            raise SpecError(f"--compute-other: {law.title} has no C; it is read with --law 'L(C)'")
        changes[f"C: {name}"] = {"compute": column, "compute_unit": None}
    return {
        label: {runs.arch: runs for runs in load_tables(table, {**options, **change})}
        for label, change in changes.items()
    }


def _with_convention(row: AuditRow, convention: str) -> AuditRow:
    """`row` with what its N counts: that of the fit, unless the row is about another column."""
    other = {N_OTHER: "the other convention", N_TOTAL: "all parameters"}.get(row.variant, convention)
    return replace(row, result=replace(row.result, param_convention=other if convention else ""))
