"""L(C) of a frontier: the law of the catalogue by its own defaults, as every table of the same runs is fitted.

Legend: C cost (FLOPs or seconds), L loss (nats), alpha_C exponent, A amplitude of L = E + A·C^-alpha_C, E floor.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.laws.single import ComputeLaw
from archbench.results.fits import FitResult
from archbench.results.runs import CostAxis


def fit_compute_law(
    cost: ArrayLike,
    loss: ArrayLike,
    *,
    floor: Literal["free", "none"],
    clusters: np.ndarray | None = None,
    cost_axis: CostAxis | None = None,
) -> FitResult:
    """L(C) fitted to points, with the status that says whether it may be read.

    clusters: the run of each point. Params: alpha_C, C_c (unit of cost), E (nats) and ln_A, which stays finite where
    C_c = A^(1/alpha_C) does not. Points that are not finite and positive are left out and counted. ValueError where
    lengths differ.
    """
    fit = fit_law(ComputeLaw(), {"C": cost}, loss, floor=floor, clusters=clusters, cost_axis=cost_axis)
    result = replace(fit.result, law="L(C) with floor" if floor == "free" else "L(C)")
    return replace(result, params={**result.params, "ln_A": log_amplitude(fit)}) if result.params else result


def log_amplitude(fit: LawFit) -> float:
    """ln A of a fitted L(C)."""
    return float(fit.theta[0] + fit.theta[1] * fit.points.centre[0])
