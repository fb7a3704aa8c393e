"""`archbench.forecast`: what `archbench forecast` answers, of a frame or of a scan.

Legend: N parameters, D tokens, C compute, S steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from archbench.analysis.fitting.forecast import Forecast
from archbench.analysis.planning.scan_forecast import ScanForecast
from archbench.answers.asked_points import Asked, Point, asked_for
from archbench.answers.forecast_words import forecast_lines, gate_lines, scan_forecast_lines
from archbench.answers.forecasts import Drawing, scan_forecasts, table_forecasts
from archbench.answers.law_words import recommendation
from archbench.answers.outputs.analysis import BudgetRow, ForecastOutput, ForecastRow, ScanForecastOutput
from archbench.answers.plain import as_json
from archbench.answers.scan_runs import size_scan_of
from archbench.errors import SpecError, nearest
from archbench.notebook.inputs import Data, runs_in, table_for_a_law
from archbench.notebook.options import choice, options_of, refuse_meaning
from archbench.notebook.result import Result, interval_cells, shown
from archbench.notebook.runs import Runs
from archbench.report.forecast_figure import DrawnForecast, forecast_figure
from archbench.report.labels import Labels, labels_of
from archbench.report.plotting import LOSS_LABEL
from archbench.results.fits import Interval
from archbench.results.runs import CostAxis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AXES = ("exact", "kaplan")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Forecasts(Result):
    """What the law of each architecture in a table expects."""

    source: str
    rows: tuple[ForecastRow, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Of each architecture what the gate says, its law, and what that expects of each budget and at each point."""
        for one in self.rows:
            yield from gate_lines(one)
            if one.laws:
                yield recommendation(one.laws, one.reason)
            yield from forecast_lines(one)

    def told(self) -> tuple[str, ...]:
        """Columns that were taken by their usual names."""
        return self.notes

    def to_frame(self) -> pd.DataFrame:
        """A budget or point a row, with 95 % intervals of loss, N and D; a law that may not be read has one row."""
        return pd.DataFrame([cells for one in self.rows for cells in _table_cells(one)])

    def to_dict(self) -> dict[str, Any]:
        """What `archbench forecast --json` prints."""
        return as_json(ForecastOutput(self.source, list(self.rows)))

    def plot(self) -> "Figure":
        """Expected losses against compute. Raises SpecError where none is expected at a compute."""
        found = []
        for one in self.rows:
            found += [_mark(one.arch, row, budget=True) for row in one.budgets]
            found += [_mark(one.arch, point, budget=False) for point in one.at if _has_compute(point.at)]
        unit = self.rows[0].gate.loss_unit if self.rows else ""
        # Budgets are answered only where the unit of C is known; of a point by C alone it need not be.
        known = any(one.budget for one in found) or not any(point.at.keys() == {"C"} for point in self._points())
        xlabel = "compute C (FLOPs)" if known else "compute C, in the column's unit"
        return _drawn(found, self.source, xlabel, LOSS_LABEL if unit == "nats per token" else f"loss ({unit})")

    def _points(self) -> Iterator[Forecast]:
        return (point for one in self.rows for point in one.at)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ScanForecasts(Result):
    """What the laws of each contender of a scan expect."""

    scan: str
    rows: tuple[ScanForecast, ...]
    points: tuple[Point, ...]
    labels: Labels
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Of each contender its laws, and what they expect of each budget and at each point."""
        for one in self.rows:
            yield from scan_forecast_lines(one, self.points, self.labels)

    def told(self) -> tuple[str, ...]:
        """Runs that could not be read."""
        return self.notes

    def to_frame(self) -> pd.DataFrame:
        """A budget or point a row, with 95 % intervals of loss, N and D."""
        return pd.DataFrame([cells for one in self.rows for cells in _scan_cells(one)])

    def to_dict(self) -> dict[str, Any]:
        """What `archbench forecast --scan --json` prints."""
        return as_json(ScanForecastOutput(self.scan, list(self.rows)))

    def plot(self) -> "Figure":
        """Expected losses of budgets against compute. Raises SpecError where none is expected."""
        found = [
            DrawnForecast(one.contender, row.flops, row.loss.loss, row.loss.beyond_data > 1.0, budget=True)
            for one in self.rows
            for row in one.budgets
            if row.loss is not None
        ]
        axis = self.rows[0].cost_axis if self.rows else CostAxis.EXACT
        return _drawn(found, self.scan, self.labels.axis_labels[axis], self.labels.loss_label)


def forecast(
    data: Data,
    budget: float | Sequence[float] = (),
    *,
    at: str | Mapping[str, float] | Sequence[str | Mapping[str, float]] = (),
    contender: str | None = None,
    axis: str = "exact",
    law: str | None = None,
    params: str | None = None,
    tokens: str | None = None,
    compute: str | None = None,
    loss: str | None = None,
    arch: str | None = None,
    seed: str | None = None,
    step: str | None = None,
    run: str | None = None,
    critical_batch: str | None = None,
    finetune_tokens: str | None = None,
    transferred: str | None = None,
    params_active: str | None = None,
    params_total: str | None = None,
    compute_unit: str | None = None,
    param_convention: str | None = None,
    loss_unit: str | None = None,
    scale: Mapping[str, float] | None = None,
    log10: str | Sequence[str] = (),
    best_of: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    points: str = "all",
    floor: str | float = "free",
    delta: float | None = None,
    residuals: str = "log",
    resamples: int = 1000,
    interval: str = "auto",
    random_seed: int = 0,
) -> Forecasts | ScanForecasts:
    """The loss that each `budget` (FLOPs) buys, how to spend it, and the loss at points: as `archbench forecast`.

    data: a frame or table, whose columns are named as for `fit`, or a scan that was loaded of a store (then of one
    `contender`, or of all, on the `axis` exact or kaplan). at: points, as {"N": 1e9, "D": 2e10} or "N=1e9,D=2e10".
    Raises SpecError or StoreError, in one line, where the command would end with it.
    """
    options = options_of(locals())
    budgets = _numbers(budget)
    asked = asked_for(budgets, _places(at))
    choice("axis", axis, _AXES)
    runs = runs_in(data)
    notes: list[str] = []
    if runs.table is None:
        refuse_meaning(options, runs.source)
        return _of_scan(runs, contender, asked, CostAxis(axis), Drawing(options["resamples"], options["random_seed"]))
    if contender is not None:
        raise SpecError("--contender: is read with --scan only; --arch names the column of a table")
    table, options = table_for_a_law(runs, options, notes.append)
    return Forecasts(table.source, tuple(table_forecasts(table, options, asked)), tuple(notes))


def _of_scan(runs: Runs, contender: str | None, asked: Asked, axis: CostAxis, drawing: Drawing) -> ScanForecasts:
    scan, notes = runs.one_scan(), list(runs.notes)
    if runs.store is not None:
        names, records = size_scan_of(runs.store, scan.name, contender, notes.append)
    else:
        names, records = scan.contenders, scan.records
        if contender is not None and contender not in names:
            raise SpecError(f"--contender: {scan.name!r} has none called {contender!r}{nearest(contender, names)}")
        names = [contender] if contender is not None else names
    rows = tuple(scan_forecasts(records, names, asked, axis, drawing))
    return ScanForecasts(scan.name, rows, asked.points, labels_of(records), tuple(dict.fromkeys(notes)))


def _numbers(budget: float | Sequence[float]) -> list[float]:
    try:
        return [float(one) for one in np.atleast_1d(np.asarray(budget, dtype=float))]
    except (TypeError, ValueError):
        raise SpecError(f"--budget: got {budget!r}, expected a number of FLOPs or several, for example 1e21") from None


def _places(at: str | Mapping[str, float] | Sequence[str | Mapping[str, float]]) -> list[str]:
    """Points as the command's text."""
    several = [at] if isinstance(at, str | Mapping) else list(at)
    return [one if isinstance(one, str) else _place(one) for one in several]


def _place(at: Mapping[str, float]) -> str:
    return ",".join(f"{letter}={value}" for letter, value in at.items())


def _drawn(found: Sequence[DrawnForecast], source: str, xlabel: str, loss_label: str) -> "Figure":
    if not found:
        raise SpecError(f"{source}: no loss is expected at any compute, so that there is nothing to draw")
    return shown(forecast_figure(found, xlabel, loss_label))


def _mark(name: str, one: Forecast | BudgetRow, *, budget: bool) -> DrawnForecast:
    return DrawnForecast(name, _compute(one.at), one.loss, one.beyond_data > 1.0, budget)


def _has_compute(at: Mapping[str, float]) -> bool:
    return "C" in at or {"N", "D"} <= at.keys()


def _compute(at: Mapping[str, float]) -> float:
    return at["C"] if "C" in at else 6.0 * at["N"] * at["D"]


def _table_cells(one: ForecastRow) -> Iterator[Mapping[str, Any]]:
    head = {"arch": one.arch, "law": one.fit.law if one.fit else None}
    status = one.fit.status.value if one.fit else None
    tail = {"status": status, "reason": one.fit.reason if one.fit else one.reason}
    if not (one.budgets or one.at):
        yield {**head, **_loss_cells(None, None), **tail}
    for row in one.budgets:
        yield {**head, **_loss_cells(row.flops, row), **_split(row.params, row.tokens), **tail}
    for point in one.at:
        yield {**head, **_loss_cells(None, point), **tail}


def _scan_cells(one: ScanForecast) -> Iterator[Mapping[str, Any]]:
    head = {"contender": one.contender, "cost_axis": one.cost_axis.value}
    for row in one.budgets:
        yield {
            **head,
            "law": None if row.loss is None else "L(N,D)" if row.loss is row.joint_loss else "L(C)",
            **_loss_cells(row.flops, row.loss),
            **_split(row.params, row.tokens),
        }
    for point in one.at:
        yield {**head, "law": "L(N,D)", **_loss_cells(None, point)}


def _loss_cells(flops: float | None, one: Forecast | BudgetRow | None) -> dict[str, Any]:
    at = one.at if one is not None else {}
    return {
        "flops": flops,
        **{letter: at.get(letter) for letter in ("N", "D", "C", "S")},
        **interval_cells("loss", one.loss if one is not None else None),
        "beyond_data": one.beyond_data if one is not None else None,
        "far": one.far if one is not None else None,
    }


def _split(params: Interval | None, tokens: Interval | None) -> dict[str, Any]:
    """N and D that spend a budget best."""
    return {**interval_cells("params", params), **interval_cells("tokens", tokens)}
