"""Runs whose residual is far outside the others': flagged, never left out, so that a reader can see the law without."""

from dataclasses import replace

import numpy as np

from archbench.analysis.fitting.bootstrap import leave_one_run_out
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.run_table import RunTable
from archbench.results.admission import Suspicion

_DEVIATIONS = 5.0
"""Robust standard deviations: of 245 runs with normal residuals one is flagged in 7,000 tables."""
_LEAST_SPREAD = 1e-4
"""Of ln L. Runs on an exact law differ by rounding only, and none of them is an outlier."""
_MOST_ALONE = 60
"""Runs up to which each is judged by the fit to all others."""
_MORE_RUNS = 5
"""Runs beyond the number of parameters that say what is usual."""


def flag_outliers(fit: LawFit, table: RunTable) -> tuple[RunTable, np.ndarray]:
    """`table` with the suspicion in its gate, and which of its points are of flagged runs.

    A run's residual is the median over its points, freed of its own pull on the fit where runs are few. It is flagged
    where it lies more than five robust standard deviations (1.4826 times the median absolute deviation) from the
    median.
    """
    flagged = np.zeros(len(table), dtype=bool)
    runs = np.unique(fit.points.clusters)
    if not fit.ok or len(runs) < fit.num_free + _MORE_RUNS:
        return table, flagged
    residuals = _by_run(fit, runs)
    centred = residuals - np.median(residuals)
    spread = max(1.4826 * float(np.median(np.abs(centred))), _LEAST_SPREAD)
    chosen = runs[np.abs(centred) > _DEVIATIONS * spread]
    if not len(chosen):
        return table, flagged
    flagged[np.flatnonzero(fit.points.kept)[np.isin(fit.points.clusters, chosen)]] = True
    largest = centred[int(np.argmax(np.abs(centred)))]
    most = f"{'up to ' if len(chosen) > 1 else ''}{abs(largest):.2g}"
    words = (
        f"outlier of {fit.result.law}: off by {most} in ln {fit.law.response}, "
        f"more than {_DEVIATIONS:g} robust standard deviations ({spread:.2g}); the audit of `archbench fit` has a line "
        "without"
    )
    rows = table.rows if table.rows is not None else np.arange(1, len(table) + 1)
    curves = len(runs) < len(fit.points.clusters)
    names = tuple(dict.fromkeys(str(name) for name in table.clusters[flagged])) if curves else ()
    one = Suspicion("outlier", tuple(int(row) for row in rows[flagged]), names, words)
    gate = replace(table.gate, suspicions=(*table.gate.suspicions, one))
    return replace(table, gate=gate), flagged


def _by_run(fit: LawFit, runs: np.ndarray) -> Array:
    """Median of each run's observations less predictions, in logarithms, [runs].

    Where runs are few, the geometric mean of the residual from the fit to all and from the fit to all others: a run at
    the edge of the data pulls the first towards itself and throws the second far, by the same factor 1 - h (Cook and
    Weisberg 1982, section 2.2).
    """
    codes = fit.points.clusters
    own = fit.points.observed - fit.design().value(fit.theta[None, :])[0]
    inside = np.array([np.median(own[codes == run]) for run in runs])
    if len(runs) > _MOST_ALONE:
        return inside
    theta = leave_one_run_out(fit).theta
    theta = np.where(np.isfinite(theta), theta, fit.theta[None, :])
    residual = fit.points.observed[None, :] - fit.design().value(theta)
    alone = np.array([np.median(residual[number, codes == run]) for number, run in enumerate(runs)])
    return np.asarray(np.sign(alone) * np.sqrt(np.abs(inside * alone)))
