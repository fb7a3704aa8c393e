"""Resampling of runs, as weights: how often each run was drawn is the weight of all its points."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.points import label_codes
from archbench.analysis.fitting.power_sum import Array


def cluster_weights(
    clusters: ArrayLike,
    num_resamples: int,
    generator: np.random.Generator,
    strata: Sequence[object] | None = None,
    *,
    drawn: int | None = None,
) -> Array:
    """How often each point enters each resample, [R, n]: clusters drawn with replacement, inside strata if given.

    drawn: how many clusters a resample holds, where these are a part of them; as many as there are otherwise.
    """
    codes = label_codes(clusters)
    groups = np.zeros(len(codes), dtype=int) if strata is None else label_codes(strata)
    counts = np.zeros((num_resamples, int(codes.max()) + 1))
    for group in np.unique(groups):
        members = np.unique(codes[groups == group])
        shares = np.full(len(members), 1.0 / len(members))
        counts[:, members] += generator.multinomial(drawn or len(members), shares, size=num_resamples)
    return counts[:, codes]
