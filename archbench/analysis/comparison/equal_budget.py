"""The compute multiplier between two losses that were measured at one budget."""

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.power_sum import Array


def compute_multiplier(loss_baseline: ArrayLike, loss_contender: ArrayLike, *, alpha: float, floor: float) -> Array:
    """How much more compute the baseline needs for the contender's loss, with both measured at one budget.

    ((L_baseline - E)/(L_contender - E))^(1/alpha) under the baseline's law L = E + A·C^-alpha; NaN at or below E.
    """
    baseline, contender = (
        np.asarray(loss_baseline, dtype=float) - floor,
        np.asarray(loss_contender, dtype=float) - floor,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where((baseline > 0) & (contender > 0), (baseline / contender) ** (1.0 / alpha), np.nan))
