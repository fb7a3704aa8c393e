"""What `forecast` answers: the loss that budgets buy and how to spend them, by a table's law or a scan's laws.

Legend: N parameters, D tokens, C compute, S steps, L loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.analysis.fitting.audit import ordering_of
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.forecast import Forecast, back_test, optimal_allocation, predictor, with_open_floor
from archbench.analysis.fitting.forecast import forecast as forecast_at
from archbench.analysis.fitting.outliers import flag_outliers
from archbench.analysis.laws.base import Law
from archbench.analysis.planning.scan_forecast import ScanForecast, forecast_scan
from archbench.analysis.tables.run_table import RunTable
from archbench.answers.asked_points import Asked, Point, size_and_tokens
from archbench.answers.law_fits import asked_law, chosen_law, fit_table
from archbench.answers.outputs.analysis import BudgetRow, ForecastRow
from archbench.answers.outputs.gate import gate_output
from archbench.answers.table_options import Table, load_tables, parse_floor
from archbench.errors import SpecError
from archbench.results.fits import Interval
from archbench.results.runs import CostAxis, RunRecord

LEAST_RESAMPLES = 100
"""Of the interval of a forecast."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How intervals are drawn."""

    resamples: int
    seed: int


def table_forecasts(table: Table, options: Mapping[str, Any], asked: Asked) -> list[ForecastRow]:
    """The forecasts of each architecture, in order of name. Raises SpecError where the law cannot answer."""
    law, floor = asked_law(options), parse_floor(options["floor"])
    if law is not None:
        _check_asked(law, asked, options)
    return [_of_runs(runs, law, floor, asked, options) for runs in load_tables(table, options)]


def scan_forecasts(
    records: Sequence[RunRecord], names: Sequence[str], asked: Asked, axis: CostAxis, drawing: Drawing
) -> list[ScanForecast]:
    """The forecasts of the contenders `names` of a size scan. Raises SpecError for a point that is not of N and D."""
    pairs = [size_and_tokens(point) for point in asked.points]
    resamples = max(drawing.resamples, LEAST_RESAMPLES)
    return [
        forecast_scan(records, name, asked.budgets, at=pairs, axis=axis, resamples=resamples, seed=drawing.seed)
        for name in names
    ]


def _check_asked(law: Law, asked: Asked, options: Mapping[str, Any]) -> None:
    """Raises SpecError where the law cannot answer what is asked."""
    if law.response != "L":
        raise SpecError(f"--law {law.name}: gives {law.response}, no loss; a loss is forecast by L(C), chinchilla, ...")
    if asked.budgets and law.variables not in (("C",), ("N", "D")):
        letters = ",".join(f"{letter}=.." for letter in law.variables)
        raise SpecError(f"--law {law.name}: has no C; ask for a point by --at {letters}, or take another law")
    unit_known = options["compute_unit"] in ("flops", "pf-days") or options["compute"] == "6ND"
    if law.variables == ("C",) and asked.budgets and not unit_known:
        raise SpecError("--compute-unit: say flops or pf-days, so that --budget can be compared with --compute")
    for point in asked.points:
        _values(law, point)


def _values(law: Law, point: Point) -> dict[str, float]:
    """The law's variables at a point; C is 6·N·D where N and D are given. Raises SpecError for one that lacks."""
    known = {"C": 6.0 * point["N"] * point["D"], **point} if {"N", "D"} <= point.keys() else point
    lacking = [letter for letter in law.variables if letter not in known]
    if lacking:
        given = ",".join(f"{letter}={value:g}" for letter, value in point.items())
        needed = ",".join(f"{letter}=.." for letter in law.variables)
        raise SpecError(f"--at {given}: {law.name} needs {' and '.join(lacking)}; say --at {needed}")
    return {letter: known[letter] for letter in law.variables}


def _of_runs(runs: RunTable, law: Law | None, floor: Any, asked: Asked, options: Mapping[str, Any]) -> ForecastRow:
    laws, reason = [], ""
    if law is None:
        choice = chosen_law(runs, floor, options)
        laws, reason = list(choice.rows), choice.reason
        if choice.law is None:
            return ForecastRow(runs.arch, laws, reason, None, [], [], gate_output(runs.gate))
        law, floor = choice.law, choice.floor
        _check_asked(law, asked, options)
    fitted = fit_table(law, runs, floor, options)
    runs, _ = flag_outliers(fitted, runs)
    gate = gate_output(runs.gate)
    fitted = with_open_floor(fitted)
    if not fitted.ok:
        return ForecastRow(runs.arch, laws, reason, fitted.result, [], [], gate)
    budgets, points = _read_off(fitted, floor, asked, Drawing(options["resamples"], options["random_seed"]))
    return ForecastRow(runs.arch, laws, reason, fitted.result, budgets, points, gate)


def _read_off(fitted: LawFit, floor: Any, asked: Asked, drawing: Drawing) -> tuple[list[BudgetRow], list[Forecast]]:
    lack = back_test(fitted, ordering_of(fitted), floor=floor, seed=drawing.seed).lack
    ready = predictor(fitted, num_resamples=max(drawing.resamples, LEAST_RESAMPLES), seed=drawing.seed, lack=lack)
    found = []
    for budget in asked.budgets:
        N: Interval | None = None
        D: Interval | None = None
        if fitted.law.variables == ("C",):
            one = forecast_at(ready, C=budget)
        else:
            N, D = optimal_allocation(ready, budget)
            one = forecast_at(ready, N=N.value, D=D.value)
        found.append(BudgetRow(budget, one.at, one.loss, one.beyond, one.beyond_data, one.far, N, D))
    return found, [forecast_at(ready, **_values(fitted.law, point)) for point in asked.points]
