"""The low-data regime: D_F of at most 10 % of the data with which training from scratch gets within 1 % of its limit.

Hernandez et al. 2021 (arXiv 2102.01293) call data low at 10 % or less of the amount with which a model from scratch
reaches 99 % of the performance that infinite data would give. Performance is read as 1/L here, so that amount is
D_99(N) with L(N, D_99) = L(N, infinity)/0.99. L(N, infinity) comes from Kaplan's joint L(N,D); where runs do not
identify that, from L(D) with a floor, size by size.

Legend: N parameters, D tokens, L loss; alpha_N, alpha_D, N_c, D_c of L(N,D); E floor of L(D).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import DataLaw
from archbench.studies.transfer.cells import Cell
from archbench.studies.transfer.weighted_fit import fit_cells

SHARE_OF_LIMIT = 0.99
SHARE_OF_DATA = 0.1


@dataclass(frozen=True, slots=True)
class Regime:
    """Where data are low, by size."""

    limit_loss_nats: Mapping[int, float]
    """L(N, infinity)."""
    low_data_tokens: Mapping[int, float]
    """The largest D_F of the regime."""
    law: str
    """What it comes from, or why it is not known."""


def scratch_law(scratch: Mapping[int, Sequence[Cell]]) -> LawFit:
    """Kaplan's L(N,D) by least squares on ln L of the cells from scratch."""
    return fit_cells(KaplanSizeData(), [cell for curve in scratch.values() for cell in curve], tokens="D")


def low_data_regime(scratch: Mapping[int, Sequence[Cell]], joint: LawFit) -> Regime:
    """The regime of each size, by `joint` where it may be read, else by a floor for each size."""
    if joint.ok:
        return _by_joint_law(scratch, joint)
    limits, ends = {}, {}
    for size, curve in scratch.items():
        tokens, loss = [cell.tokens for cell in curve], np.exp([cell.log_loss for cell in curve])
        fit = fit_law(DataLaw(), {"D": tokens}, loss, floor="free", delta=LEAST_SQUARES)
        if fit.ok:
            p = fit.result.params
            limits[size] = p["E"]
            excess = p["E"] * (1.0 / SHARE_OF_LIMIT - 1.0)
            ends[size] = SHARE_OF_DATA * p["D_c"] / excess ** (1.0 / p["alpha_D"])
    if ends:
        return Regime(limits, ends, f"L(D) with a floor, size by size: {len(ends)} of {len(scratch)} sizes identify it")
    reason = f"{joint.result.status.value}: {joint.result.reason}" if joint.result.reason else joint.result.status.value
    return Regime({}, {}, f"not known: L(N,D) from scratch is {reason}, and no size alone identifies a floor")


def _by_joint_law(scratch: Mapping[int, Sequence[Cell]], joint: LawFit) -> Regime:
    p = joint.result.params
    limits, ends = {}, {}
    for size, curve in scratch.items():
        N = curve[0].non_embedding_params
        limits[size] = float((p["N_c"] / N) ** p["alpha_N"])
        bracket = (p["N_c"] / N) ** (p["alpha_N"] / p["alpha_D"])
        ends[size] = float(SHARE_OF_DATA * p["D_c"] / bracket / (SHARE_OF_LIMIT ** (-1.0 / p["alpha_D"]) - 1.0))
    return Regime(limits, ends, "L(N,D) from scratch (Kaplan et al. 2020, eq 1.5)")
