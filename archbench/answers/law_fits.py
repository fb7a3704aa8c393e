"""What `fit` and `forecast` make of one table: the law that is fitted to it, and the laws that it could have been."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archbench.answers.table_options import empty_reason, stated_params, unstated
from archbench.errors import SpecError
from archbench.results.fits import FitStatus

if TYPE_CHECKING:
    from archbench.analysis.fitting.fit import LawFit
    from archbench.analysis.fitting.selection import Choice
    from archbench.analysis.laws.base import Law
    from archbench.analysis.tables.run_table import RunTable


BEST = "best"
"""In place of a law's name: the one that foretells best."""


def asked_law(options: Mapping[str, Any]) -> "Law | None":
    """The law that `--law` names; None for the one that foretells best. Raises SpecError where there is none such."""
    from archbench.analysis.laws.catalogue import law_named

    name = options["law_name"] or BEST
    return None if name == BEST else law_named(name)


def fit_table(law: Any, table: Any, floor: Any, options: Mapping[str, Any]) -> "LawFit":
    """The fit of one table, with intervals where it may be read."""
    from archbench.analysis.fitting.bootstrap import bca_intervals, bootstrap_law
    from archbench.analysis.fitting.fit import fit_law
    from archbench.analysis.fitting.profile_likelihood import profile_intervals
    from archbench.analysis.frontier.compute_law import report_intervals
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
    if options["interval"] == "auto":
        drawing = {"num_resamples": options["resamples"], "seed": options["random_seed"]}
        found = report_intervals(fitted, table.arch, floor, **drawing)
        if found is not None:
            return fitted.with_intervals(found, notes)
    samples = bootstrap_law(fitted, num_resamples=options["resamples"], seed=options["random_seed"])
    if fitted.points.num_clusters < 10:
        notes = (*notes, f"{fitted.points.num_clusters} runs: a bootstrap of so few covers less than it says")
    if options["interval"] == "bca":
        return fitted.with_intervals(bca_intervals(fitted, samples), notes)
    intervals = percentile_intervals(fitted.result.params, samples.params())
    return fitted.with_intervals(intervals, (*notes, *refused(fitted.result.params, intervals)))


def chosen_law(table: "RunTable", floor: Any, options: Mapping[str, Any]) -> "Choice":
    """The laws of a table side by side. Raises SpecError where it has no variable that any law knows."""
    from archbench.analysis.fitting.selection import choose_law

    choice = choose_law(table, floor=floor, delta=options["delta"], log_residuals=options["residuals"] == "log")
    if not choice.rows:
        raise SpecError("no law: a loss alone says nothing; name columns by --params, --tokens, --compute or --step")
    return choice
