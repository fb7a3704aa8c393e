"""A part of very many points on which a fit is resampled: neighbours on a curve say the same, and few runs are enough.

Long curves give points at even ranks. Of very many runs some are drawn, and each resample of them holds as many runs as
there are in all (the bag of little bootstraps, Kleiner et al. 2014), so that the spread is that of all runs.
"""

from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.points import Points

MANY = 2000
"""Points from which on a part is taken."""
_PART = 500


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the points."""

    points: Points
    index: np.ndarray
    """Which points these are."""
    runs: int
    """How many there were."""


def thinned(points: Points) -> Part | None:
    """About 500 of the points, each weighing as much as those that it stands for; None where there are few."""
    if len(points.observed) <= MANY:
        return None
    codes = points.runs()
    runs = int(codes.max()) + 1
    generator = np.random.default_rng(0)
    kept_runs = np.sort(generator.permutation(runs)[:_PART])
    each = max(1, _PART // len(kept_runs))
    chosen, weights = list[np.ndarray](), list[float]()
    order = np.argsort(codes, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    for run in kept_runs:
        rows = rows_of[run]
        # The last variable is the one that grows along a curve: tokens, steps or compute.
        ordered = rows[np.argsort(points.logs[-1, rows], kind="stable")]
        picked = ordered[np.unique(np.linspace(0, len(ordered) - 1, min(each, len(ordered))).round().astype(int))]
        chosen.append(picked)
        weights += [len(ordered) / len(picked)] * len(picked)
    index = np.concatenate(chosen)
    part = points.subset(index)
    return Part(replace(part, weights=part.weights * np.array(weights)), index, runs)
