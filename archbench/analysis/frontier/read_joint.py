"""Frontiers read from joint laws L(N,D): the least loss over N at each cost c(N)·D, between the runs.

Legend: R resamples, N parameters, D tokens, C cost, L loss (nats), c(N) cost of a token.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from archbench.analysis.fitting.bootstrap import refit
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.residual_bootstrap import refit_to
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.reading import Form, Frontier, Reading, TabulatedFrontier, spans_of
from archbench.analysis.frontier.trunks import TrunkNoise, own_deviations, trunk_noise
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.results.runs import size_number

_TABLE_POINTS = 256
_BEYOND = np.log(10.0)
"""How far, in ln C, a joint law is tabulated beyond the data."""
_ROUNDING = 1e-9
"""Of ln N and ln D."""


def joint_fit(one: FinishedRuns) -> LawFit:
    """L(N,D) = E + A/N^alpha + B/D^beta fitted to the runs of `one`, by the defaults of every other fit of it."""
    return _joint_fit(_JointRuns.of(one))


@dataclass(frozen=True, slots=True)
class _JointRuns:
    """What a joint law is fitted to, as a key: cost axes and conventions ask for the fit of the same runs again."""

    name: str
    log_params: bytes
    log_tokens: bytes
    log_losses: bytes
    cells: bytes
    trunks: bytes
    """Size and seed of each run: what branches of one training have in common."""

    @staticmethod
    def of(one: FinishedRuns) -> "_JointRuns":
        order = _by_size(one)
        cells = np.repeat(np.arange(len(order)), one.num_runs[order])
        seeds = np.concatenate([one.seeds[cell] for cell in order])
        trunks = np.unique(np.stack([one.size_index[order][cells], seeds]), axis=1, return_inverse=True)[1]
        return _JointRuns(
            one.contender,
            one.log_params[order][cells].tobytes(),
            one.log_tokens[order][cells].tobytes(),
            np.concatenate([one.losses[cell] for cell in order]).tobytes(),
            cells.tobytes(),
            trunks.astype(np.intp).ravel().tobytes(),
        )


def _by_size(one: FinishedRuns) -> np.ndarray:
    """The cells in order of size and tokens, whatever their order of cost on one axis."""
    return np.lexsort((one.log_tokens, one.log_params))


@lru_cache(maxsize=64)
def _joint_fit(runs: _JointRuns) -> LawFit:
    params, tokens, losses = (np.frombuffer(one) for one in (runs.log_params, runs.log_tokens, runs.log_losses))
    cells = np.frombuffer(runs.cells, dtype=np.intp)
    return fit_law(Chinchilla(), {"N": np.exp(params), "D": np.exp(tokens)}, np.exp(losses), clusters=cells)


@lru_cache(maxsize=64)
def _draws(runs: _JointRuns, shared: TrunkNoise, num_resamples: int) -> Floats:
    """theta of `num_resamples` refits, [R, 5]; NaN where nothing tells the scatter."""
    fit = _joint_fit(runs)
    # By name and runs: two contenders are independent, and one is the same whoever it is compared with.
    generator = np.random.default_rng((zlib.crc32(runs.name.encode()), zlib.crc32(runs.log_losses)))
    drawn = _redrawn(fit, np.frombuffer(runs.trunks, dtype=np.intp), shared, num_resamples, generator)
    if drawn is None:
        return np.full((num_resamples, fit.law.num_params), np.nan)
    return refit_to(fit, drawn).theta


def _redrawn(
    fit: LawFit, trunks: np.ndarray, shared: TrunkNoise, num_resamples: int, generator: np.random.Generator
) -> Floats | None:
    """ln L of each run in each resample, [R, runs]: the law, a deviation of each cell and one of each run in it.

    Where branches of a trunk deviate together, each trunk has a deviation besides.
    All are drawn anew, never made of the residuals: Huber's loss at a small delta passes through some runs exactly,
    and multiples of a residual of 0 would hold every refit there. None where no more cells than parameters leave no
    scatter.
    """
    cells = fit.points.clusters
    count = int(cells.max()) + 1
    freedom = count - fit.num_free
    if freedom < 1:
        return None
    runs = np.bincount(cells, minlength=count)
    residual = fit.residuals()
    law = fit.points.observed + residual
    of_trunks = np.zeros((num_resamples, len(cells)))
    if shared.variance:
        residual = own_deviations(fit, trunks)
        scale = np.sqrt(shared.variance * shared.freedom / generator.chisquare(shared.freedom, size=num_resamples))
        of_trunks = (scale[:, None] * generator.standard_normal((num_resamples, int(trunks.max()) + 1)))[:, trunks]
    means = np.bincount(cells, residual, minlength=count) / runs
    about_mean = residual - means[cells]
    seed_freedom = float((runs - 1).sum())
    scale = freedom / generator.chisquare(freedom, size=num_resamples)
    cell_variance = float((means**2).sum()) / freedom * scale
    seed_variance = np.zeros(num_resamples)
    if seed_freedom:
        seed_variance = float((about_mean**2).sum()) / generator.chisquare(seed_freedom, size=num_resamples)
    # The variance of a cell's mean holds its share of the noise between runs.
    lack = np.maximum(cell_variance - seed_variance * float((1.0 / runs).mean()), 0.0)
    of_cells = np.sqrt(lack)[:, None] * generator.standard_normal((num_resamples, count))
    of_runs = np.sqrt(seed_variance)[:, None] * generator.standard_normal((num_resamples, len(cells)))
    return np.asarray(law + of_cells[:, cells] + of_runs + of_trunks)


@lru_cache(maxsize=64)
def _left_out(runs: _JointRuns) -> Floats:
    """theta without each cell in turn, [cells, 5]."""
    fit = _joint_fit(runs)
    clusters = np.unique(fit.points.clusters)
    return refit(fit, np.where(fit.points.clusters == clusters[:, None], 0.0, fit.points.weights)).theta


def joint_reading(
    group: Sequence[FinishedRuns], names: tuple[str, ...], num_resamples: int, generator: np.random.Generator
) -> tuple[Reading | None, str]:
    """The joint laws of all, or None and why not."""
    for one in group:
        if not one.is_grid:
            return None, f"the runs of {one.contender} are a ladder, one budget a size"
    fits = []
    for one in group:
        fit = joint_fit(one)
        if not _interpolates(fit):
            return None, f"L(N,D) of {one.contender} was refused ({fit.result.status.value}: {fit.result.reason})"
        fits.append(fit)
    keys = [_JointRuns.of(one) for one in group]
    shared = trunk_noise([(fit, np.frombuffer(key.trunks, dtype=np.intp)) for fit, key in zip(fits, keys, strict=True)])
    laws = [
        np.concatenate([fit.theta[None, :], _draws(key, shared, num_resamples)])
        for key, fit in zip(keys, fits, strict=True)
    ]
    frontiers = tuple(_tabulated(one, fit, law) for one, fit, law in zip(group, fits, laws, strict=True))
    freedom = float(min(fit.points.num_clusters - fit.num_free for fit in fits))
    scale = np.sqrt(freedom / generator.chisquare(freedom, size=num_resamples))
    reading = Reading(
        Form.JOINT_LAW,
        "",
        names,
        frontiers,
        spans_of(group),
        freedom,
        # Of laws whose exponents trade against each other no exponent is read.
        exponents=_exponents(group, laws) if all(fit.ok for fit in fits) else None,
        deviation=np.mean([fit.result.residual_std for fit in fits]) * scale,
        without_each=partial(_without_each, group, names, fits, frontiers),
    )
    return reading, ""


def _exponents(group: Sequence[FinishedRuns], laws: Sequence[Floats]) -> Floats:
    """alpha·beta/(alpha + p·beta) of each law [1 + R, contenders]: exponent of the excess loss where N is best."""
    with np.errstate(invalid="ignore"):  # a resample without either term has none
        columns = [
            law[:, 2] * law[:, 3] / (law[:, 2] + _cost_power(one) * law[:, 3])
            for one, law in zip(group, laws, strict=True)
        ]
    return np.stack(columns, axis=1)


def _interpolates(fit: LawFit) -> bool:
    """Whether a joint law may be read between the runs that it was fitted to, be its exponents identified or not.

    Its parameters may trade against each other over a grid that is narrow, while the surface between the runs is known;
    the hull that would be read otherwise is a minimum over noise. Both terms must be there.
    """
    if not np.isfinite(fit.theta).all() or fit.points.num_clusters <= fit.num_free:
        return False
    places = list(fit.law.exponents)
    lower, upper = (bound[places] for bound in fit.law.bounds())
    exponents = fit.theta[places]
    return fit.ok or bool(((exponents > lower + 1e-6) & (exponents < upper * (1 - 1e-6))).all())


def _without_each(
    group: Sequence[FinishedRuns],
    names: tuple[str, ...],
    fits: Sequence[LawFit],
    frontiers: Sequence[TabulatedFrontier],
) -> Iterator[tuple[str, Reading]]:
    """The joint laws without each cell in turn, of contenders whose law keeps a degree of freedom."""
    whole = [TabulatedFrontier(one.log_cost, one.log_loss[:1]) for one in frontiers]
    for side, (one, fit) in enumerate(zip(group, fits, strict=True)):
        cells = np.unique(fit.points.clusters)
        if len(cells) <= fit.num_free + 1:
            continue
        table = _tabulated(one, fit, _left_out(_JointRuns.of(one)))
        order = _by_size(one)
        for row, cell in enumerate(cells):
            single: list[Frontier] = list(whole)
            single[side] = TabulatedFrontier(table.log_cost, table.log_loss[row : row + 1])
            words = f"{one.contender} size {size_number(int(one.size_index[order[int(cell)]]))}"
            yield words, Reading(Form.JOINT_LAW, "", names, tuple(single), spans_of(group), 0.0)


def _tabulated(one: FinishedRuns, fit: LawFit, theta: Floats) -> TabulatedFrontier:
    """The frontier of each law of `theta` [R, 5], N and D between those that were trained.

    c(N) is log-linear between rungs, and so are the least and most tokens of a size. On each stretch C = k·N^p·D, and
    the best N follows in closed form (Hoffmann et al. 2022, eq 4, with p = 1), cut at the ends of what was trained; the
    best stretch is taken. Costs below and above all runs are those of the runs next to them.
    """
    log_cost = np.linspace(one.log_cost[0] - _BEYOND, one.log_cost[-1] + _BEYOND, _TABLE_POINTS)
    centre = fit.points.centre
    log_a = (theta[:, 0] + theta[:, 2] * centre[0])[:, None]
    log_b = (theta[:, 1] + theta[:, 3] * centre[1])[:, None]
    alpha, beta, floor = theta[:, 2, None], theta[:, 3, None], np.exp(theta[:, 4, None])
    stretches = _stretches(one)
    beyond = np.min([stretch.beyond(log_cost) for stretch in stretches], axis=0)
    best = np.full((len(theta), len(log_cost)), np.inf)
    for stretch in stretches:
        lowest, highest = stretch.sizes(log_cost, beyond)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(alpha) + log_a - np.log(stretch.power * beta) - log_b
            size = (ratio + beta * (log_cost[None, :] - stretch.level)) / (alpha + stretch.power * beta)
        size = np.clip(size, lowest, highest)
        tokens = log_cost[None, :] - stretch.level - stretch.power * size
        with np.errstate(over="ignore"):
            loss = floor + np.exp(log_a - alpha * size) + np.exp(log_b - beta * tokens)
        best = np.fmin(best, np.where(lowest <= highest, loss, np.inf))
    best[~np.isfinite(theta).all(axis=1)] = np.nan
    return TabulatedFrontier(log_cost, np.minimum.accumulate(np.log(best), axis=1))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Between two neighbouring sizes: C = k·N^p·D, and how many tokens were trained there."""

    low: float
    """ln N of the smaller size."""
    high: float
    level: float
    """ln k."""
    power: float
    """p."""
    least: tuple[float, float]
    """ln of the least tokens, at ln N = 0 and by ln N."""
    most: tuple[float, float]

    def beyond(self, log_cost: Floats) -> Floats:
        """How far, in ln D, the nearest point of the stretch lies outside of what was trained, at each cost."""
        return np.asarray(np.min([self._outside(log_cost, end) for end in (self.low, self.high)], axis=0))

    def sizes(self, log_cost: Floats, beyond: Floats) -> tuple[Floats, Floats]:
        """ln N from and to, at each cost, of what lies at most `beyond` outside; from above to where nothing does."""
        low, high = np.full(len(log_cost), self.low), np.full(len(log_cost), self.high)
        for (level, slope), way in ((self.most, 1.0), (self.least, -1.0)):
            # way·(D - bound) <= beyond, where D - bound = rest - pace·ln N.
            rest, pace = way * (log_cost - self.level - level) - beyond - _ROUNDING, way * (self.power + slope)
            if abs(pace) < _ROUNDING:
                low = np.where(rest > 0, np.inf, low)
            elif pace > 0:
                low = np.maximum(low, rest / pace)
            else:
                high = np.minimum(high, rest / pace)
        return low, high

    def _outside(self, log_cost: Floats, size: float) -> Floats:
        tokens = log_cost - self.level - self.power * size
        most, least = (level + slope * size for level, slope in (self.most, self.least))
        return np.maximum(np.maximum(tokens - most, least - tokens), 0.0)


def _cost_power(one: FinishedRuns) -> float:
    """p of c(N) = k·N^p over all rungs."""
    if one.num_sizes < 2:
        return 1.0
    return max(float(np.polyfit(one.log_params, one.log_cost - one.log_tokens, 1)[0]), 1e-6)


def _stretches(one: FinishedRuns) -> list[_Stretch]:
    """The stretches between the sizes of `one`; of one size alone the size itself."""
    sizes = np.unique(one.log_params)
    runs = [one.log_params == size for size in sizes]
    per_token = np.array([(one.log_cost - one.log_tokens)[those].mean() for those in runs])
    least, most = (np.array([pick(one.log_tokens[those]) for those in runs]) for pick in (np.min, np.max))
    if len(sizes) == 1:
        only = float(sizes[0])
        return [_Stretch(only, only, float(per_token[0] - only), 1.0, (float(least[0]), 0.0), (float(most[0]), 0.0))]
    return [
        _Stretch(
            float(sizes[at]),
            float(sizes[at + 1]),
            *_line(sizes, per_token, at, least_slope=1e-6),
            _line(sizes, least, at),
            _line(sizes, most, at),
        )
        for at in range(len(sizes) - 1)
    ]


def _line(sizes: Floats, values: Floats, at: int, *, least_slope: float = -np.inf) -> tuple[float, float]:
    """Value at ln N = 0, and slope, of the line from size `at` to the next."""
    slope = max(float((values[at + 1] - values[at]) / (sizes[at + 1] - sizes[at])), least_slope)
    return float(values[at] - slope * sizes[at]), slope
