"""The compute multiplier at each size of a contender, and whether it goes anywhere along the ladder.

At a rung it is the cost that the baseline's frontier needs for the loss of the contender's finished runs of that size,
over the cost of one of these. No law of the contender enters it. Its samples hold what the baseline's law leaves open,
and how far one further cell lies about a law: noise over the seeds, and lack of fit at that loss.

Legend: A the baseline, X the contender, C cost, L loss (nats), m = C_A(L_X)/C_X, R resamples, n rungs.
"""

import numpy as np

from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.reading import Reading
from archbench.analysis.significance import exp_of, p_value_of, spread_interval
from archbench.results.fits import RungMultiplier, RungTrend, Trend

LEVEL = 0.05
MIN_RUNGS = 3
_STEP = 1e-3
"""Of ln L, for the slope of ln C_A."""
_TOLERANCE = 1e-6
_FLAT = 50.0
"""|ln m| of a resample beyond which its frontier is flat, and no cost belongs to a loss."""


def rung_multipliers(
    reading: Reading, contender: FinishedRuns, generator: np.random.Generator
) -> tuple[tuple[RungMultiplier, ...], RungTrend | None]:
    """m at each size of the second contender of `reading`, whose finished runs are `contender`, and their trend.

    Of a size with several budgets the one nearest to the contender's own frontier is taken. A rung whose loss the
    baseline does not reach among its runs is marked, and left out of the trend; there is none whose loss lies on or
    above the line of pairs of either side.
    """
    cells = _one_a_size(reading, contender.take(contender.log_loss < reading.ceiling(0, 1)))
    logs = _log_multipliers(reading, cells, generator)
    high, low = reading.reached(0)[0]
    beyond = (cells.log_loss > high + _TOLERANCE) | (cells.log_loss < low - _TOLERANCE)
    rungs = tuple(
        RungMultiplier(
            size_index=int(cells.size_index[rung]),
            non_embedding_params=round(float(np.exp(cells.log_params[rung]))),
            cost=float(np.exp(cells.log_cost[rung])),
            loss_nats=float(np.exp(cells.log_loss[rung])),
            multiplier=exp_of(spread_interval(float(logs[0, rung]), logs[1:, rung], reading.freedom)),
            extrapolated=bool(beyond[rung]),
        )
        for rung in range(len(cells))
        if np.isfinite(logs[0, rung])
    )
    usable = ~beyond & np.isfinite(logs[0])
    return rungs, _trend_of_rungs(cells.log_cost[usable], logs[:, usable], reading.freedom)


def _one_a_size(reading: Reading, contender: FinishedRuns) -> FinishedRuns:
    """The cell of each size that lies lowest against the contender's own frontier, smallest size first."""
    with np.errstate(invalid="ignore"):
        excess = contender.log_loss - reading.frontiers[1].log_loss_at(contender.log_cost)[0]
    best: dict[int, int] = {}
    for cell, size in enumerate(contender.size_index.tolist()):
        if size not in best or excess[cell] < excess[best[size]]:
            best[size] = cell
    return contender.take(np.array([best[size] for size in sorted(best)], dtype=np.intp))


def _log_multipliers(reading: Reading, cells: FinishedRuns, generator: np.random.Generator) -> Floats:
    """ln m, [1 + R, n]: the data first."""
    frontier = reading.frontiers[0]
    with np.errstate(invalid="ignore"):
        logs = frontier.log_cost_at(cells.log_loss) - cells.log_cost[None, :]
        ends = [frontier.log_cost_at(cells.log_loss + way * _STEP)[0] for way in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * _STEP)
    spread = _spread_of_rungs(reading, cells)
    moved = slope[None, :] * spread * generator.standard_normal((reading.num_resamples, len(cells)))
    logs[1:] += np.where(np.isfinite(slope)[None, :], moved, 0.0)
    return np.where(np.abs(logs) < _FLAT, logs, np.nan)


def _spread_of_rungs(reading: Reading, cells: FinishedRuns) -> Floats:
    """Standard deviation of the mean ln L of each cell, [R, n] or [1, n]; that of seeds alone where no law tells it."""
    if reading.deviation is not None:
        return np.repeat(reading.deviation[:, None], len(cells), axis=1)
    if not cells.seed_freedom:
        return np.full((1, len(cells)), np.nan)
    return np.sqrt(cells.seed_variance / cells.num_runs)[None, :]


def _trend_of_rungs(log_cost: Floats, logs: Floats, freedom: float) -> RungTrend | None:
    """The least-squares slope of ln m over ln C; None of fewer than three rungs."""
    if len(log_cost) < MIN_RUNGS or np.ptp(log_cost) <= 0.0:
        return None
    centred = log_cost - log_cost.mean()
    slopes = logs @ centred / float((centred**2).sum())
    slope = spread_interval(float(slopes[0]), slopes[1:], freedom)
    p_value = p_value_of(slope, freedom)
    trend = Trend.NOT_SHOWN
    if p_value is not None and p_value < LEVEL:
        trend = Trend.GROWS if slope.value > 0 else Trend.FALLS
    return RungTrend(slope, p_value, trend, len(log_cost))
