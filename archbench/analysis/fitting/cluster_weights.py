"""Resampling of runs, as weights: how often each run was drawn is the weight of all its points."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.points import label_codes
from archbench.analysis.fitting.power_sum import Array


def cluster_weights(
    clusters: ArrayLike, num_resamples: int, generator: np.random.Generator, strata: Sequence[object] | None = None
) -> Array:
    """How often each point enters each resample, [R, n]: clusters drawn with replacement, inside strata if given."""
    codes = label_codes(clusters)
    groups = np.zeros(len(codes), dtype=int) if strata is None else label_codes(strata)
    counts = np.zeros((num_resamples, int(codes.max()) + 1))
    for group in np.unique(groups):
        members = np.unique(codes[groups == group])
        drawn = generator.multinomial(len(members), np.full(len(members), 1.0 / len(members)), size=num_resamples)
        counts[:, members] += drawn
    return counts[:, codes]
