"""The lines that figures of frontiers draw: an envelope on a fine grid of costs, its law, and the law's band."""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.resampled_laws import loss_band
from archbench.contracts.report import Cell, DataTable, ScanResults
from archbench.report.columns import data_table
from archbench.report.contenders import contenders_by_axis
from archbench.results.fits import FitStatus

GRID = 200
"""Costs at which an envelope is drawn."""


@dataclass(frozen=True, slots=True)
class LawLine:
    """A law where the frontier has points."""

    cost: Floats
    """[points]"""
    loss_nats: Floats
    low: Floats | None
    """Lower edge of the 95 % band; None where no resample gives one."""
    high: Floats | None


def envelope_line(one: Contender) -> tuple[Floats, Floats]:
    """Costs and losses (nats) of the envelope, from its first point to the end of the longest run.

    Of runs without learning curves it joins those that no cheaper one beats, and ends with the last of them: a run that
    ends between two others would not have had the loss of the cheaper one.
    """
    if not one.curves.has_curves:
        costs, losses = np.log([(point.cost, point.loss_nats) for point in one.result.points]).T
        cost = np.unique(np.concatenate([np.linspace(costs[0], costs[-1], GRID), costs]))
        return np.exp(cost), np.exp(np.interp(cost, costs, losses))
    spent = max(float(curve.cost[-1]) for curve in one.curves.curves)
    cost = np.geomspace(one.result.points[0].cost, spent, GRID)
    losses = np.min([step.value(np.log(cost)) for step in one.curve_stack.steps], axis=0)
    return cost, np.exp(losses)


def law_line(one: Contender, cost: Floats) -> LawLine | None:
    """The law without floor at those of `cost` that the frontier reaches; None where it may not be read."""
    law = one.result.law
    if law.status is not FitStatus.OK:
        return None
    cost = cost[cost <= one.result.points[-1].cost * 1.001]
    log_cost = np.log(cost)
    low, high = loss_band(one.power_laws, log_cost) or (None, None)
    return LawLine(cost, np.exp(law.params["ln_A"] - law.params["alpha_C"] * log_cost), low, high)


def envelopes_table(results: ScanResults) -> DataTable:
    """Every contender's envelope on every axis, its law and the law's band beside it."""
    header = ("contender", "cost_axis", "cost", "loss_nats", "law_loss_nats", "law_loss_nats_low", "law_loss_nats_high")
    rows = [
        (one.name, axis.value, *cells)
        for axis, contenders in contenders_by_axis(results).items()
        for one in contenders
        for cells in _rows(one)
    ]
    return data_table("envelopes", "One contender's envelope at one cost, its law beside it.", header, rows)


def _rows(one: Contender) -> list[tuple[Cell, ...]]:
    cost, loss = envelope_line(one)
    law = law_line(one, cost)
    rows: list[tuple[Cell, ...]] = []
    for index, (at, value) in enumerate(zip(cost, loss, strict=True)):
        there: tuple[Cell, ...] = (None, None, None)
        if law is not None and index < len(law.cost):
            ends = (None, None) if law.low is None or law.high is None else (law.low[index], law.high[index])
            there = (law.loss_nats[index], *ends)
        rows.append((at, value, *there))
    return rows
