"""A comparison at the cost or the loss that somebody asks for, marked where it leaves the runs.

Legend: A the baseline, X the contender, C cost, L loss.
"""

import numpy as np

from archbench.analysis.comparison.compare import CROSSOVER_REACH, Contender, read_pair
from archbench.analysis.comparison.multiplier import loss_gap, multiplier_point
from archbench.analysis.frontier.reading import Form, Reading
from archbench.results.fits import ComparisonAt, FitStatus


def compare_at_cost(baseline: Contender, contender: Contender, cost: float) -> ComparisonAt:
    """Multiplier at the loss that the baseline has at `cost`, and the gap of both losses there.

    Refused beyond ten times the runs of either side, and beyond them at all where only a hull can be read.
    """
    reading = read_pair(baseline, contender)
    log_cost = float(np.log(cost))
    axis = baseline.result.cost_axis
    if refusal := reading.refusal(0, 1):
        return ComparisonAt(axis, cost, None, None, None, False, FitStatus.ON_PLATEAU, refusal)
    reason = _beyond(reading, log_cost)
    refused = _refusal(reading, log_cost, reason)
    log_loss = float(reading.frontiers[0].log_loss_at(np.array([log_cost]))[0, 0])
    if refused or not np.isfinite(log_loss):
        why = refused or f"{baseline.name} has no run as cheap as that"
        return ComparisonAt(axis, cost, None, None, None, bool(reason), FitStatus.EXTRAPOLATED, why)
    if on := _on_plateau(reading, log_loss):
        return ComparisonAt(axis, cost, float(np.exp(log_loss)), None, None, False, FitStatus.ON_PLATEAU, on)
    point = multiplier_point(reading, log_loss)
    gap, beyond = loss_gap(reading, log_cost)
    if not 0.0 < point.multiplier.value < np.inf:
        loss = float(np.exp(log_loss))
        never = f"{contender.name} never reaches {loss:.4g} nats by its law, the loss of {baseline.name} there"
        return ComparisonAt(axis, cost, loss, None, gap, bool(reason), FitStatus.NO_COMMON_RANGE, never)
    return ComparisonAt(
        axis, cost, float(np.exp(log_loss)), point.multiplier, gap, beyond or point.extrapolated, FitStatus.OK,
        reason or _beyond_loss(reading, log_loss) * point.extrapolated,
    )  # fmt: skip


def compare_at_loss(baseline: Contender, contender: Contender, loss_nats: float) -> ComparisonAt:
    """Multiplier at `loss_nats`; refused where a side needs more than ten times its runs, or never gets there."""
    reading = read_pair(baseline, contender)
    axis, log_loss = baseline.result.cost_axis, float(np.log(loss_nats))
    if on := reading.refusal(0, 1) or _on_plateau(reading, log_loss):
        return ComparisonAt(axis, None, loss_nats, None, None, False, FitStatus.ON_PLATEAU, on)
    costs = [float(frontier.log_cost_at(np.array([log_loss]))[0, 0]) for frontier in reading.frontiers]
    for side, log_cost in enumerate(costs):
        if not np.isfinite(log_cost):
            why = f"{reading.names[side]} never reaches {loss_nats:.4g} nats by its law"
            return ComparisonAt(axis, None, loss_nats, None, None, True, FitStatus.NO_COMMON_RANGE, why)
        low, high = reading.spans[side]
        if not low - _REACH <= log_cost <= high + _REACH:
            factor = float(np.exp(max(low - log_cost, log_cost - high)))
            why = f"{reading.names[side]} would be read {factor:.3g}x beyond its runs"
            return ComparisonAt(axis, None, loss_nats, None, None, True, FitStatus.EXTRAPOLATED, why)
    point = multiplier_point(reading, log_loss)
    reason = _beyond_loss(reading, log_loss) if point.extrapolated else ""
    return ComparisonAt(axis, None, loss_nats, point.multiplier, None, point.extrapolated, FitStatus.OK, reason)


_REACH = float(np.log(CROSSOVER_REACH))


def _on_plateau(reading: Reading, log_loss: float) -> str:
    """That a loss lies on or above the line of pairs; empty where it does not, or nobody knows."""
    ceiling = reading.ceiling(0, 1)
    if log_loss < ceiling:
        return ""
    return f"{float(np.exp(log_loss)):.4g} nats lie on or above the line of pairs, {float(np.exp(ceiling)):.4g} nats"


def _beyond(reading: Reading, log_cost: float) -> str:
    """Who is extrapolated at a cost, and by how much; empty where nobody is."""
    said = []
    for name, (low, high) in zip(reading.names, reading.spans, strict=True):
        if not low - 1e-9 <= log_cost <= high + 1e-9:
            said.append(f"{float(np.exp(max(low - log_cost, log_cost - high))):.3g}x beyond the runs of {name}")
    return " and ".join(said)


def _refusal(reading: Reading, log_cost: float, beyond: str) -> str:
    far = any(not low - _REACH <= log_cost <= high + _REACH for low, high in reading.spans)
    if far or (beyond and reading.form is Form.HULL):
        return f"{beyond}: nothing supports a figure there"
    return ""


def _beyond_loss(reading: Reading, log_loss: float) -> str:
    said = []
    for side, name in enumerate(reading.names):
        high, low = reading.reached(side)[0]
        if not low - 1e-9 <= log_loss <= high + 1e-9:
            said.append(f"the runs of {name} do not reach {float(np.exp(log_loss)):.4g} nats")
    return " and ".join(said)
