"""Frontiers read from laws of cost above a floor that all contenders have in common.

Legend: R resamples, n cells of all contenders, C cost, L loss (nats).
"""

from collections.abc import Sequence

import numpy as np

from archbench.analysis.fitting.common_floor import FlooredLines, fit_floored_lines
from archbench.analysis.fitting.fit import Floor
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.reading import Form, LineFrontier, Reading, spans_of
from archbench.analysis.frontier.scatter import Scatter
from archbench.results.runs import size_number

_CHARGED = 0.9
"""Share of the degrees of freedom that a law with a floor keeps. It is not linear: by simulation, intervals that count
them in full hold the truth in 93.5 to 94.5 % of studies with one seed."""


def line_reading(
    cells: Sequence[FinishedRuns],
    names: tuple[str, ...],
    why: str,
    floor: Floor,
    num_resamples: int,
    generator: np.random.Generator,
) -> Reading | None:
    """The contenders by laws above a common floor; None where one's loss does not fall, or no scatter would be left.

    floor: `free` between 0 and the lowest loss, `none`, or a number of nats.
    """
    log_cost = np.concatenate([one.log_cost for one in cells])
    log_loss = np.concatenate([one.log_loss for one in cells])
    group = np.repeat(np.arange(len(cells)), [len(one) for one in cells])
    free = len(log_cost) - 2 * len(cells) - (floor == "free")
    if free < 1 and floor == "free":
        floor, free = "none", free + 1
    if free < 1:
        return None
    first = fit_floored_lines(log_cost, log_loss[None, :], group, floor=floor)
    if (first.alpha[0] <= 2e-6).any():
        return None
    freedom = free * (_CHARGED if floor == "free" else 1.0)
    scatter = Scatter.of(cells, group, _residuals(first, log_cost, log_loss, group), freedom)
    weights = scatter.weights()
    data = first
    if weights is not None:
        data = fit_floored_lines(log_cost, log_loss[None, :], group, weights=weights, floor=floor)
        scatter = Scatter.of(cells, group, _residuals(data, log_cost, log_loss, group), freedom)
    law = _residuals(data, log_cost, log_loss, group) + log_loss
    deviations, spread = scatter.draw(num_resamples, generator)
    drawn = law + deviations
    lines = fit_floored_lines(log_cost, drawn, group, weights=weights, floor=floor, start=data)
    stacked = _stacked(data, lines)
    spans = spans_of(cells)
    without, which_cell = _lines_without_each(cells, log_cost, log_loss, group, weights, data, names, spans, floor)
    return Reading(
        form=Form.NO_FLOOR if floor == "none" else Form.COMMON_FLOOR,
        why=why,
        names=names,
        frontiers=tuple(LineFrontier(stacked, number) for number in range(len(cells))),
        spans=spans,
        freedom=float(freedom),
        exponents=stacked.alpha,
        floors=stacked.floor_nats,
        deviation=spread,
        left_out=without,
        left_out_names=which_cell,
    )


def _stacked(data: FlooredLines, lines: FlooredLines) -> FlooredLines:
    return FlooredLines(
        np.concatenate([data.log_amplitude, lines.log_amplitude]),
        np.concatenate([data.alpha, lines.alpha]),
        np.concatenate([data.floor_nats, lines.floor_nats]),
        np.concatenate([data.objective, lines.objective]),
    )


def _residuals(lines: FlooredLines, log_cost: Floats, log_loss: Floats, group: np.ndarray) -> Floats:
    """ln of the law less ln L at each cell, [n]."""
    law = np.choose(group, [lines.log_loss_at(number, log_cost)[0] for number in range(int(group.max()) + 1)])
    return np.asarray(law - log_loss)


def _lines_without_each(
    cells: Sequence[FinishedRuns],
    log_cost: Floats,
    log_loss: Floats,
    group: np.ndarray,
    weights: Floats | None,
    data: FlooredLines,
    names: tuple[str, ...],
    spans: tuple[tuple[float, float], ...],
    floor: Floor,
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """The law without each cell in turn, of contenders that keep three."""
    counts = np.bincount(group)
    free = len(log_cost) - 2 * len(cells) - (floor == "free")
    dropped = [cell for cell in range(len(log_cost)) if counts[group[cell]] > 3] if free > 1 else []
    if not dropped:
        return (), ()
    base = np.ones(len(log_cost)) if weights is None else weights
    rows = np.repeat(base[None, :], len(dropped), axis=0)
    rows[np.arange(len(dropped)), dropped] = 0.0
    lines = fit_floored_lines(
        log_cost,
        np.repeat(log_loss[None, :], len(dropped), axis=0),
        group,
        weights=rows,
        floor=floor,
        start=data,
    )
    sizes = np.concatenate([one.size_index for one in cells])
    readings = tuple(
        Reading(
            Form.COMMON_FLOOR,
            "",
            names,
            tuple(LineFrontier(lines.take(row), number) for number in range(len(cells))),
            spans,
            0.0,
        )
        for row in range(len(dropped))
    )
    words = tuple(f"{names[int(group[cell])]} size {size_number(int(sizes[cell]))}" for cell in dropped)
    return readings, words
