"""The points of a fit: checked, in logarithms, with what was left out and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Law
from archbench.results.fits import FitStatus

SAME = 9
"""Two values are one size when their logarithms agree to this many decimals."""
LEAST_RANGE = 2.0
"""An exponent is not read from a variable that spans less than this factor."""


@dataclass(frozen=True, slots=True)
class Points:
    """Observations that may enter a fit."""

    logs: Array
    """Logarithms of the law's variables less `centre`, [V, n]."""
    observed: Array
    """Logarithm of the response, [n]."""
    centre: Array
    """[V]."""
    weights: Array
    """[n]."""
    clusters: np.ndarray
    """Index of each point's run, [n]."""
    kept: np.ndarray
    """Which of the given points these are, bool."""
    left_out: Mapping[str, int]

    @property
    def num_clusters(self) -> int:
        """Number of runs."""
        return len(np.unique(self.clusters))

    def cells(self) -> np.ndarray:
        """What counts as one observation of the law, [n] from 0: runs that differ in the seed alone, or a whole curve.

        Seeds of a cell lie above or below the law together where it does not fit there.
        """
        codes = np.unique(self.clusters, return_inverse=True)[1]
        if int(codes.max()) + 1 < len(codes):
            return np.asarray(codes)
        return np.asarray(np.unique(np.round(self.logs, SAME), axis=1, return_inverse=True)[1]).ravel()

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return int(self.cells().max()) + 1 if len(self.observed) else 0

    def runs(self) -> np.ndarray:
        """Number of each point's run, [n], from 0: in order of where runs lie, so that no draw hangs on rows' order."""
        _, codes, counts = np.unique(self.clusters, return_inverse=True, return_counts=True)
        places = np.stack([*(self.logs + self.centre[:, None]), self.observed])
        means = np.stack([np.bincount(codes, values) / counts for values in places])
        rank = np.empty(len(counts), dtype=np.intp)
        rank[np.lexsort(np.round(means, SAME)[::-1])] = np.arange(len(counts))
        return np.asarray(rank[codes])

    def subset(self, chosen: np.ndarray) -> "Points":
        """The points where `chosen` is true, about the same centre."""
        return Points(
            self.logs[:, chosen],
            self.observed[chosen],
            self.centre,
            self.weights[chosen],
            self.clusters[chosen],
            self.kept,
            self.left_out,
        )


def clean_points(
    law: Law,
    variables: Mapping[str, ArrayLike],
    response: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: Sequence[object] | np.ndarray | None = None,
) -> Points:
    """Points whose every value is finite and positive, in logarithms; the others are counted by reason.

    Raises ValueError where a variable of the law is missing or lengths differ.
    """
    y = np.atleast_1d(np.asarray(response, dtype=float))
    missing = [name for name in law.variables if name not in variables]
    if missing:
        raise ValueError(f"{law.title} needs {', '.join(missing)}")
    columns = np.stack([np.atleast_1d(np.asarray(variables[name], dtype=float)) for name in law.variables])
    if columns.shape[1:] != y.shape:
        raise ValueError(f"{law.title}: variables and {law.response} differ in length: {columns.shape} and {y.shape}")
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    kept, left_out = np.ones(len(y), dtype=bool), {}
    reasons = {
        "not_finite": ~(np.isfinite(columns).all(axis=0) & np.isfinite(y) & np.isfinite(w)),
        "variable_not_positive": (columns <= 0).any(axis=0),
        "response_not_positive": y <= 0,
        "zero_weight": w <= 0,
    }
    for reason, hit in reasons.items():
        if fresh := int((kept & hit).sum()):
            left_out[reason] = fresh
        kept &= ~hit
    logs = np.log(columns[:, kept])
    centre = logs.mean(axis=1) if kept.any() else np.zeros(len(columns))
    labels = np.arange(len(y)) if clusters is None else label_codes(clusters)
    return Points(logs - centre[:, None], np.log(y[kept]), centre, w[kept], labels[kept], kept, left_out)


def label_codes(labels: ArrayLike | Sequence[object]) -> np.ndarray:
    """Labels as integers from 0, in order of their text."""
    return np.unique([str(label) for label in np.asarray(labels, dtype=object).ravel()], return_inverse=True)[1]


def design_problem(law: Law, points: Points, *, free_floor: bool) -> tuple[FitStatus, str] | None:
    """Why these points cannot identify the law, whatever their noise; None where they may."""
    n, needed = len(points.observed), law.num_params - (law.floor is not None and not free_floor)
    if not n:
        return FitStatus.INVALID_DATA, "no point has finite, positive values"
    if n < needed:
        return FitStatus.TOO_FEW_POINTS, f"{n} points for {needed} parameters"
    if len(np.unique(np.round(points.logs, SAME), axis=1).T) < needed:
        return FitStatus.TOO_FEW_POINTS, f"fewer distinct points than the {needed} parameters"
    for names in law.exponents.values():
        for name in names:
            values = points.logs[law.variables.index(name)]
            levels, span = len(np.unique(np.round(values, SAME))), float(np.exp(values.max() - values.min()))
            least = 3 if len(law.amplitudes) > 1 or free_floor else 2
            if levels < least:
                status = FitStatus.TOO_FEW_SIZES if name == "N" else FitStatus.TOO_FEW_POINTS
                return status, f"{levels} distinct values of {name}, its exponent needs {least}"
            if span < LEAST_RANGE and name != "L":
                return (
                    FitStatus.NOT_IDENTIFIABLE,
                    f"{name} spans a factor {span:.2f} only, its exponent needs {LEAST_RANGE:g}",
                )
    if len(law.amplitudes) > 1 and len(points.logs) == 2:
        correlation = float(np.asarray(np.corrcoef(points.logs))[0, 1])
        if abs(correlation) > 0.9999:
            first, second = law.variables
            return FitStatus.NOT_IDENTIFIABLE, f"{first} and {second} rise together: their terms cannot be told apart"
    return None
