"""L(C) of a frontier: the law of the catalogue by its own defaults, as every table of the same runs is fitted.

Its intervals come from the resamples that frontiers are compared by: every cell is given new deviations, of noise and
of lack of fit.

Legend: C cost (FLOPs or seconds), L loss (nats), alpha_C exponent, A amplitude of L = E + A·C^-alpha_C, E floor,
R resamples.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.fit import Floor, LawFit, fit_law
from archbench.analysis.fitting.points import SAME
from archbench.analysis.fitting.residual_bootstrap import with_residual_intervals
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read_lines import line_reading
from archbench.analysis.frontier.reading import LineFrontier
from archbench.analysis.frontier.resampled_laws import PowerLaws
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.seeding import contender_generator, contender_seed
from archbench.analysis.significance import spread_interval
from archbench.results.fits import FitResult, Interval
from archbench.results.runs import CostAxis

MIN_CELLS = 3
_MANY_RUNS = 500
"""Of one table, above which a bootstrap of the runs is cheaper, and as good."""


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


def resample_compute_law(
    cells: FinishedRuns, params: Mapping[str, float], floor: Floor, *, num_resamples: int, seed: int
) -> tuple[dict[str, Interval], PowerLaws | None]:
    """95 % intervals of a fitted L(C), and the law of each resample; neither where nothing tells the scatter.

    The draws hang on `seed` and the contender's name alone, whoever else is in the scan or table.
    """
    generator = contender_generator(seed, cells.contender)
    reading = line_reading((cells,), (cells.contender,), "", floor, num_resamples, generator)
    if reading is None:
        return {}, None
    frontier = reading.frontiers[0]
    assert isinstance(frontier, LineFrontier), "a law of cost is a line"
    lines = frontier.lines
    laws = PowerLaws(lines.alpha[1:, 0], lines.log_amplitude[1:, 0], lines.floor_nats[1:])
    drawn = {"alpha_C": laws.alpha, "C_c": np.exp(np.minimum(laws.log_amplitude / laws.alpha, 700.0))}
    if floor == "free":
        drawn["E"] = laws.floor_nats
    found = {
        name: spread_interval(params[name], values, reading.freedom) for name, values in drawn.items() if name in params
    }
    return found, laws


def report_intervals(
    fit: LawFit, contender: str, floor: Floor, *, num_resamples: int, seed: int
) -> dict[str, Interval] | None:
    """The 95 % intervals that reports give a law of one variable on these runs; None where they would give none.

    That is of learning curves, of weighted points, of a fit that is not least squares of ln L, and of very many runs.
    """
    points = fit.points
    plain = fit.log_residuals and np.isinf(fit.delta) and np.ptp(points.weights) == 0.0
    one_point_a_run = points.num_clusters == len(points.observed)
    if len(fit.law.variables) > 1 or not plain or not one_point_a_run or points.num_clusters > _MANY_RUNS:
        return None
    if fit.law.name != ComputeLaw.name:
        own, _ = with_residual_intervals(fit, num_resamples=num_resamples, seed=contender_seed(seed, contender))
        return dict(own.result.intervals)
    cells = _cells_of(fit, contender)
    return resample_compute_law(cells, fit.result.params, floor, num_resamples=num_resamples, seed=seed)[0]


def _cells_of(fit: LawFit, contender: str) -> FinishedRuns:
    """The runs that an L(C) was fitted to, in cells of one cost."""
    points = fit.points
    levels, cell = np.unique(np.round(points.logs[0], SAME), return_inverse=True)
    members = [np.flatnonzero(cell == number) for number in range(len(levels))]
    nothing = np.zeros(len(levels))
    return FinishedRuns(
        contender=contender,
        axis=fit.result.cost_axis or CostAxis.EXACT,
        size_index=np.arange(len(levels)),
        log_params=nothing,
        log_tokens=nothing,
        log_cost=np.array([points.logs[0, mine].mean() for mine in members]) + points.centre[0],
        losses=tuple(points.observed[mine] for mine in members),
        seeds=tuple(tuple(range(len(mine))) for mine in members),
    )
