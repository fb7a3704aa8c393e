"""What frontiers are read from: a joint law L(N,D), a law L(C) above a common floor, or the hull of finished runs.

Contenders that are compared are read in one form, the first that all of them allow, since two forms differ by more than
two contenders do. Each reading comes with resamples that hold run-to-run noise and lack of fit: the design stays, and
every cell is given new deviations, whose scale is drawn from its own sampling distribution (Student's t, for a law that
is linear in its parameters).

Legend: R resamples, n cells, N parameters, D tokens, C cost, L loss (nats), c(N) cost of a token.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy.stats import f as f_distribution

from archbench.analysis.fitting.bootstrap import refit
from archbench.analysis.fitting.common_floor import FlooredLines, fit_floored_lines
from archbench.analysis.fitting.fit import Floor, LawFit, fit_law
from archbench.analysis.fitting.residual_bootstrap import refit_to
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.results.runs import size_number

_LEVEL = 0.05
_ENOUGH_FOR_PAIRING = 4
"""Degrees of freedom from which on the correlation of shared seeds is used."""
_CHARGED = 0.9
"""Share of the degrees of freedom that a law with a floor keeps. It is not linear: by simulation, intervals that count
them in full hold the truth in 93.5 to 94.5 % of studies with one seed."""
_LEAST_CORNERS = 3
"""Runs on a hull below which its interval is unknown."""
_TABLE_POINTS = 256
_BEYOND = np.log(10.0)
"""How far, in ln C, a joint law is tabulated beyond the data."""


class Form(StrEnum):
    """What a frontier is read from."""

    JOINT_LAW = "joint law L(N,D)"
    COMMON_FLOOR = "law L(C) above a common floor"
    OWN_FLOORS = "law L(C), each above a floor of its own"
    NO_FLOOR = "law L(C) without floor"
    HULL = "hull of finished runs"
    LEARNING_CURVES = "envelope of learning curves"


class Frontier(Protocol):
    """ln L over ln C of one contender, for the data (first row) and R resamples; [1 + R, M] for M arguments."""

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """ln L at each log cost; infinite before the frontier begins."""
        ...

    def log_cost_at(self, log_loss: Floats) -> Floats:
        """ln C at each log loss; infinite where it is not reached."""
        ...


@dataclass(frozen=True)
class Reading:
    """The frontiers of several contenders in one form."""

    form: Form
    why: str
    """Why it is this form and no other, in words; what was left out."""
    names: tuple[str, ...]
    frontiers: tuple[Frontier, ...]
    spans: tuple[tuple[float, float], ...]
    """ln C of the cheapest and of the dearest run that each was read from."""
    freedom: float
    """Degrees of freedom of the residuals; 0 where nothing tells the scatter, and resamples are NaN."""
    exponents: Floats | None = None
    """[1 + R, contenders]: exponent of the excess loss against cost; None where the form has none."""
    floors: Floats | None = None
    """[1 + R]: the common floor in nats; None where there is none."""
    deviation: Floats | None = None
    """[R]: standard deviation of ln L of one further cell about its law; None where nothing tells it."""
    left_out: tuple["Reading", ...] = field(default=(), repr=False)
    """The same reading without one cell at a time, of the data alone; empty where too few would stay."""
    left_out_names: tuple[str, ...] = ()

    @property
    def num_resamples(self) -> int:
        """R."""
        return len(self.frontiers[0].log_cost_at(np.zeros(1))) - 1

    def reached(self, side: int) -> Floats:
        """ln L of one contender at the cheapest and the dearest run that it was read from, [1 + R, 2]."""
        return self.frontiers[side].log_loss_at(np.array(self.spans[side]))


def read_frontiers(
    group: Sequence[FinishedRuns],
    *,
    num_resamples: int,
    generator: np.random.Generator,
    form: Form | None = None,
    floor_nats: float | None = None,
) -> Reading:
    """The contenders of `group` in the first form that all of them allow, or in `form`.

    floor_nats: pins the common floor.
    The order is: a joint law where every one is a grid that identifies it; a law of cost above a common floor, which
    may be zero, where every one has three sizes or more whose loss falls; else the hull of finished runs.
    """
    names = tuple(one.contender for one in group)
    if form in (None, Form.JOINT_LAW):
        joint, refusal = _joint(group, names, num_resamples, generator)
        if joint is not None:
            return joint
        if form is Form.JOINT_LAW:
            raise ValueError(f"no joint law: {refusal}")
    else:
        refusal = ""
    if form is Form.OWN_FLOORS:
        return _side_by_side(
            [
                read_frontiers((one,), num_resamples=num_resamples, generator=generator, form=Form.COMMON_FLOOR)
                for one in group
            ]
        )
    kept = [one.on_frontier() for one in group]
    cells = [one for one, _ in kept]
    notes = "; ".join(
        [refusal, *(f"{name} {words}" for name, (_, words) in zip(names, kept, strict=True) if words)]
    ).strip("; ")
    if form is not Form.HULL and all(len(one) >= 3 and one.log_cost[-1] > one.log_cost[0] for one in cells):
        floor: Floor = "none" if form is Form.NO_FLOOR else "free" if floor_nats is None else floor_nats
        lines = _common_floor(cells, names, notes, floor, num_resamples, generator)
        if lines is not None:
            return lines
        notes = f"{notes}; the loss of one does not fall with cost".strip("; ")
    elif form is not Form.HULL:
        few = [one.contender for one in cells if len(one) < 3]
        notes = f"{notes}; fewer than three sizes of {' and '.join(few)}".strip("; ")
    return _hulls(cells, names, notes, num_resamples, generator)


def _side_by_side(readings: Sequence[Reading]) -> Reading:
    """Contenders that were each read alone, in one reading; hulls among them leave it without exponents."""
    exponents = [one.exponents for one in readings if one.exponents is not None]
    return Reading(
        form=Form.OWN_FLOORS,
        why="; ".join(one.why for one in readings if one.why),
        names=tuple(name for one in readings for name in one.names),
        frontiers=tuple(frontier for one in readings for frontier in one.frontiers),
        spans=tuple(span for one in readings for span in one.spans),
        freedom=min(one.freedom for one in readings),
        exponents=np.concatenate(exponents, axis=1) if len(exponents) == len(readings) else None,
    )


# --- L(C) above a common floor ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LineFrontier:
    """A law of cost."""

    lines: FlooredLines
    group: int

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """As `Frontier` has it."""
        return self.lines.log_loss_at(self.group, log_cost)

    def log_cost_at(self, log_loss: Floats) -> Floats:
        """As `Frontier` has it."""
        return self.lines.log_cost_at(self.group, log_loss)


def _common_floor(
    cells: Sequence[FinishedRuns],
    names: tuple[str, ...],
    why: str,
    floor: Floor,
    num_resamples: int,
    generator: np.random.Generator,
) -> Reading | None:
    log_cost = np.concatenate([one.log_cost for one in cells])
    log_loss = np.concatenate([one.log_loss for one in cells])
    group = np.repeat(np.arange(len(cells)), [len(one) for one in cells])
    free = len(log_cost) - 2 * len(cells) - (floor == "free")
    if free < 1 and floor == "free":
        floor, free = "none", free + 1
    if free < 1:
        return None
    first = fit_floored_lines(log_cost, log_loss[None, :], group, floor=floor)
    if (first.alpha[0] <= 2e-6).any():
        return None
    freedom = free * (_CHARGED if floor == "free" else 1.0)
    scatter = _Scatter.of(cells, group, _residuals(first, log_cost, log_loss, group), freedom)
    weights = scatter.weights()
    data = first
    if weights is not None:
        data = fit_floored_lines(log_cost, log_loss[None, :], group, weights=weights, floor=floor)
        scatter = _Scatter.of(cells, group, _residuals(data, log_cost, log_loss, group), freedom)
    law = _residuals(data, log_cost, log_loss, group) + log_loss
    deviations, spread = scatter.draw(num_resamples, generator)
    drawn = law + deviations
    lines = fit_floored_lines(log_cost, drawn, group, weights=weights, floor=floor, start=data)
    stacked = _stacked(data, lines)
    spans = tuple((float(one.log_cost[0]), float(one.log_cost[-1])) for one in cells)
    without, which_cell = _lines_without_each(cells, log_cost, log_loss, group, weights, data, names, spans, floor)
    return Reading(
        form=Form.NO_FLOOR if floor == "none" else Form.COMMON_FLOOR,
        why=why,
        names=names,
        frontiers=tuple(LineFrontier(stacked, number) for number in range(len(cells))),
        spans=spans,
        freedom=float(freedom),
        exponents=stacked.alpha,
        floors=stacked.floor_nats,
        deviation=spread,
        left_out=without,
        left_out_names=which_cell,
    )


def _stacked(data: FlooredLines, lines: FlooredLines) -> FlooredLines:
    return FlooredLines(
        np.concatenate([data.log_amplitude, lines.log_amplitude]),
        np.concatenate([data.alpha, lines.alpha]),
        np.concatenate([data.floor_nats, lines.floor_nats]),
        np.concatenate([data.objective, lines.objective]),
    )


def _residuals(lines: FlooredLines, log_cost: Floats, log_loss: Floats, group: np.ndarray) -> Floats:
    """ln of the law less ln L at each cell, [n]."""
    law = np.choose(group, [lines.log_loss_at(number, log_cost)[0] for number in range(int(group.max()) + 1)])
    return np.asarray(law - log_loss)


def _lines_without_each(
    cells: Sequence[FinishedRuns],
    log_cost: Floats,
    log_loss: Floats,
    group: np.ndarray,
    weights: Floats | None,
    data: FlooredLines,
    names: tuple[str, ...],
    spans: tuple[tuple[float, float], ...],
    floor: Floor,
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """The law without each cell in turn, of contenders that keep three."""
    counts = np.bincount(group)
    free = len(log_cost) - 2 * len(cells) - (floor == "free")
    dropped = [cell for cell in range(len(log_cost)) if counts[group[cell]] > 3] if free > 1 else []
    if not dropped:
        return (), ()
    base = np.ones(len(log_cost)) if weights is None else weights
    rows = np.repeat(base[None, :], len(dropped), axis=0)
    rows[np.arange(len(dropped)), dropped] = 0.0
    lines = fit_floored_lines(
        log_cost,
        np.repeat(log_loss[None, :], len(dropped), axis=0),
        group,
        weights=rows,
        floor=floor,
        start=data,
    )
    sizes = np.concatenate([one.size_index for one in cells])
    readings = tuple(
        Reading(
            Form.COMMON_FLOOR,
            "",
            names,
            tuple(LineFrontier(lines.take(row), number) for number in range(len(cells))),
            spans,
            0.0,
        )
        for row in range(len(dropped))
    )
    words = tuple(f"{names[int(group[cell])]} size {size_number(int(sizes[cell]))}" for cell in dropped)
    return readings, words


@dataclass(frozen=True, slots=True)
class _Scatter:
    """How far cells lie about their laws: lack of fit, common to the seeds of a cell, and noise between seeds.

    Each part is one number for all contenders unless a test says that it is not (F, at 5 %).
    """

    group: np.ndarray
    """[n]"""
    num_runs: Floats
    """[n]"""
    residual_variance: Floats
    """[G], of a cell's mean about the law."""
    residual_freedom: Floats
    """[G]"""
    seed_variance: Floats
    """[G]; 0 where no seeds show it."""
    seed_freedom: Floats
    """[G]"""
    shared: tuple[tuple[int, int, float], ...]
    """Cells of two contenders with the same size and seeds, and the correlation of their noise."""

    @staticmethod
    def of(cells: Sequence[FinishedRuns], group: np.ndarray, residual: Floats, free: float) -> "_Scatter":
        count = len(cells)
        members = group[None, :] == np.arange(count)[:, None]
        sizes = members.sum(axis=1)
        # Each law takes two of the degrees of freedom of its own cells, however few; the floor and what it is charged
        # are shared out in proportion to the rest.
        left = sizes - 2.0
        own_freedom = left * (free / left.sum())
        squares = np.array([float((residual[mine] ** 2).sum()) for mine in members])
        own_seeds = np.array([one.seed_variance for one in cells])
        seed_freedom = np.array([float(one.seed_freedom) for one in cells])
        pooled = float(squares.sum()) / free
        apart = count == 2 and _differ(squares / own_freedom, own_freedom)
        seeds = float((own_seeds * seed_freedom).sum() / max(seed_freedom.sum(), 1.0))
        seeds_apart = count == 2 and bool((seed_freedom > 0).all()) and _differ(own_seeds, seed_freedom)
        return _Scatter(
            group=group,
            num_runs=np.concatenate([one.num_runs for one in cells]).astype(float),
            residual_variance=squares / own_freedom if apart else np.full(count, pooled),
            residual_freedom=own_freedom if apart else np.full(count, float(free)),
            seed_variance=own_seeds if seeds_apart else np.full(count, seeds),
            seed_freedom=seed_freedom if seeds_apart else np.full(count, float(seed_freedom.sum())),
            shared=_shared_noise(cells),
        )

    def weights(self) -> Floats | None:
        """Inverse variances of the cells, mean 1; None where all are alike."""
        variance = self._variances(self.residual_variance[None, :], self.seed_variance[None, :])[0]
        if not (variance > 0).all() or variance.max() <= variance.min() * (1.0 + 1e-9):
            return None
        weights = 1.0 / variance
        return np.asarray(weights / weights.mean())

    def _variances(self, residual: Floats, seed: Floats) -> Floats:
        """Variance of each cell's mean, [R, n], from both variances [R, G]: lack of fit plus noise over seeds.

        The variance about the law holds the noise already; what it holds beyond is lack of fit.
        """
        per_cell = (1.0 / self.num_runs)[None, :]
        mean_share = np.array([per_cell[0, self.group == number].mean() for number in range(residual.shape[1])])
        lack = np.maximum(residual - seed * mean_share[None, :], 0.0)
        return np.asarray(lack[:, self.group] + seed[:, self.group] * per_cell)

    def draw(self, num_resamples: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """New deviations of each cell's mean from its law, [R, n], and the standard deviation of a further one, [R]."""
        residual = self._scaled(self.residual_variance, self.residual_freedom, num_resamples, generator)
        seed = self._scaled(self.seed_variance, self.seed_freedom, num_resamples, generator)
        total = self._variances(residual, seed)
        noise = seed[:, self.group] / self.num_runs[None, :]
        normal = generator.standard_normal((2, num_resamples, len(self.group)))
        for one, other, correlation in self.shared:
            rest = np.sqrt(1.0 - correlation**2)
            normal[0][:, other] = correlation * normal[0][:, one] + rest * normal[0][:, other]
        lack = np.maximum(total - noise, 0.0)
        deviations = np.sqrt(noise) * normal[0] + np.sqrt(lack) * normal[1]
        return deviations, np.sqrt(total.mean(axis=1))

    @staticmethod
    def _scaled(variance: Floats, freedom: Floats, num_resamples: int, generator: np.random.Generator) -> Floats:
        """Variances drawn from their sampling distributions, [R, G]; contenders of one variance share the draw."""
        shape = (num_resamples, len(variance))
        drawn = np.zeros(shape)
        same = bool((variance == variance[0]).all() and (freedom == freedom[0]).all())
        for number in range(len(variance)):
            if same and number:
                drawn[:, number] = drawn[:, 0]
            elif freedom[number] > 0:
                scale = freedom[number] / generator.chisquare(freedom[number], size=num_resamples)
                drawn[:, number] = variance[number] * scale
        return drawn


def _differ(variances: Floats, freedom: Floats) -> bool:
    """Whether two variances differ by an F test (two-sided, 5 %)."""
    if not (variances > 0).all() or (freedom < 1).any():
        return False
    tail = float(f_distribution.sf(variances[0] / variances[1], freedom[0], freedom[1]))
    return min(tail, 1.0 - tail) < _LEVEL / 2


def _shared_noise(cells: Sequence[FinishedRuns]) -> tuple[tuple[int, int, float], ...]:
    """Pairs of cells (numbered over all contenders) of one rung and the same seeds, and how their noise correlates.

    The correlation is taken one standard error (Fisher's z) low, so that a chance one does not narrow an interval.
    """
    if len(cells) != 2:
        return ()
    first, second = cells
    pairs, products, squares, freedom = [], 0.0, [0.0, 0.0], 0
    for one in range(len(first)):
        for other in np.flatnonzero(second.size_index == first.size_index[one]):
            same_budget = abs(first.log_tokens[one] - second.log_tokens[other]) < 1e-6
            if first.seeds[one] == second.seeds[other] and len(first.seeds[one]) > 1 and same_budget:
                a = first.losses[one] - first.losses[one].mean()
                b = second.losses[other] - second.losses[other].mean()
                products += float((a * b).sum())
                squares = [squares[0] + float((a * a).sum()), squares[1] + float((b * b).sum())]
                freedom += len(a) - 1
                pairs.append((one, len(first) + int(other)))
    if freedom < _ENOUGH_FOR_PAIRING or min(squares) <= 0.0:
        return ()
    estimate = np.clip(products / np.sqrt(squares[0] * squares[1]), -0.99, 0.99)
    low = float(np.tanh(np.arctanh(estimate) - 1.0 / np.sqrt(freedom - 1)))
    return tuple((one, other, low) for one, other in pairs) if low > 0 else ()


# --- joint laws ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TabulatedFrontier:
    """The least loss at each cost under a joint law, tabulated; falling, linear in ln C and ln L between."""

    log_cost: Floats
    """[points]"""
    log_loss: Floats
    """[1 + R, points]"""

    def log_loss_at(self, log_cost: Floats) -> Floats:
        return np.stack([np.interp(log_cost, self.log_cost, row, left=np.inf) for row in self.log_loss])

    def log_cost_at(self, log_loss: Floats) -> Floats:
        rows = [
            np.interp(-log_loss, -row, self.log_cost, right=np.inf) if np.isfinite(row).all() else _nothing(log_loss)
            for row in self.log_loss
        ]
        return np.stack(rows)


def _nothing(like: Floats) -> Floats:
    return np.full(len(like), np.nan)


def joint_fit(one: FinishedRuns) -> LawFit:
    """L(N,D) = E + A/N^alpha + B/D^beta fitted to the runs of `one`, by the defaults of every other fit of it."""
    return _JointRuns.of(one).fit()


@dataclass(frozen=True, slots=True)
class _JointRuns:
    """What a joint law is fitted to, as a key: cost axes and conventions ask for the fit of the same runs again."""

    name: str
    log_params: bytes
    log_tokens: bytes
    log_losses: bytes
    cells: bytes

    @staticmethod
    def of(one: FinishedRuns) -> "_JointRuns":
        # In order of size and tokens, whatever the order of cost is on one axis.
        order = np.lexsort((one.log_tokens, one.log_params))
        cells = np.repeat(np.arange(len(order)), one.num_runs[order])
        return _JointRuns(
            one.contender,
            one.log_params[order][cells].tobytes(),
            one.log_tokens[order][cells].tobytes(),
            np.concatenate([one.losses[cell] for cell in order]).tobytes(),
            cells.tobytes(),
        )

    def fit(self) -> LawFit:
        return _joint_fit(self)

    def draws(self, num_resamples: int) -> Floats:
        """theta of `num_resamples` refits, [R, 5]; NaN where nothing tells the scatter."""
        return _joint_draws(self, num_resamples)

    def left_out(self) -> Floats:
        """theta without each cell in turn, [cells, 5]."""
        return _joint_left_out(self)


@lru_cache(maxsize=64)
def _joint_fit(runs: _JointRuns) -> LawFit:
    params, tokens, losses = (np.frombuffer(one) for one in (runs.log_params, runs.log_tokens, runs.log_losses))
    cells = np.frombuffer(runs.cells, dtype=np.intp)
    return fit_law(Chinchilla(), {"N": np.exp(params), "D": np.exp(tokens)}, np.exp(losses), clusters=cells)


@lru_cache(maxsize=64)
def _joint_draws(runs: _JointRuns, num_resamples: int) -> Floats:
    fit = _joint_fit(runs)
    # By name and runs: two contenders are independent, and one is the same whoever it is compared with.
    generator = np.random.default_rng((zlib.crc32(runs.name.encode()), zlib.crc32(runs.log_losses)))
    drawn = _redrawn(fit, num_resamples, generator)
    if drawn is None:
        return np.full((num_resamples, fit.law.num_params), np.nan)
    return refit_to(fit, drawn).theta


def _redrawn(fit: LawFit, num_resamples: int, generator: np.random.Generator) -> Floats | None:
    """ln L of each run in each resample, [R, runs]: the law, a deviation of each cell and one of each run in it.

    Both are drawn anew, never made of the residuals: Huber's loss at a small delta passes through some runs exactly,
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
    return np.asarray(fit.points.observed + residual + of_cells[:, cells] + of_runs)


@lru_cache(maxsize=64)
def _joint_left_out(runs: _JointRuns) -> Floats:
    fit = _joint_fit(runs)
    clusters = np.unique(fit.points.clusters)
    return refit(fit, np.where(fit.points.clusters == clusters[:, None], 0.0, fit.points.weights)).theta


def _joint(
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
    frontiers, freedoms, gammas, spreads = [], [], [], []
    for one, fit in zip(group, fits, strict=True):
        both = np.concatenate([fit.theta[None, :], _JointRuns.of(one).draws(num_resamples)])
        frontiers.append(_tabulated(one, fit, both))
        gammas.append(both[:, 2] * both[:, 3] / (both[:, 2] + _cost_power(one) * both[:, 3]))
        freedoms.append(float(fit.points.num_clusters - fit.num_free))
        scale = np.sqrt(max(freedoms[-1], 1.0) / generator.chisquare(max(freedoms[-1], 1.0), size=num_resamples))
        spreads.append(fit.result.residual_std * scale)
    spans = tuple((float(one.log_cost[0]), float(one.log_cost[-1])) for one in group)
    exponents = np.stack(gammas, axis=1)
    without, words = _joint_without_each(group, names, fits, tuple(frontiers), spans)
    return (
        Reading(
            Form.JOINT_LAW,
            "",
            names,
            tuple(frontiers),
            spans,
            max(min(freedoms), 0.0),
            exponents=exponents,
            deviation=np.mean(spreads, axis=0),
            left_out=without,
            left_out_names=words,
        ),
        "",
    )


def _interpolates(fit: LawFit) -> bool:
    """Whether a joint law may be read between the runs that it was fitted to, be its exponents identified or not.

    Its parameters may trade against each other over a grid that is narrow, while the surface between the runs is known;
    the hull that would be read otherwise is a minimum over noise. Both terms must be there.
    """
    if fit.ok:
        return True
    exponents = fit.theta[list(fit.law.exponents)]
    lower, upper = fit.law.bounds()
    inside = (exponents > lower[list(fit.law.exponents)] + 1e-6) & (
        exponents < upper[list(fit.law.exponents)] * (1 - 1e-6)
    )
    return bool(np.isfinite(fit.theta).all() and inside.all() and fit.points.num_clusters > fit.num_free)


def _joint_without_each(
    group: Sequence[FinishedRuns],
    names: tuple[str, ...],
    fits: Sequence[LawFit],
    frontiers: tuple[Frontier, ...],
    spans: tuple[tuple[float, float], ...],
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    readings, words = [], []
    for side, (one, fit) in enumerate(zip(group, fits, strict=True)):
        clusters = np.unique(fit.points.clusters)
        if len(clusters) <= fit.num_free + 1:
            continue
        table = _tabulated(one, fit, _JointRuns.of(one).left_out())
        order = np.lexsort((one.log_tokens, one.log_params))
        others = [
            _TabulatedFrontier(f.log_cost, f.log_loss[:1]) for f in frontiers if isinstance(f, _TabulatedFrontier)
        ]
        for row, cell in enumerate(clusters):
            single: list[Frontier] = list(others)
            single[side] = _TabulatedFrontier(table.log_cost, table.log_loss[row : row + 1])
            readings.append(Reading(Form.JOINT_LAW, "", names, tuple(single), spans, 0.0))
            words.append(f"{one.contender} size {size_number(int(one.size_index[order[int(cell)]]))}")
    return tuple(readings), tuple(words)


def _tabulated(one: FinishedRuns, fit: LawFit, theta: Floats) -> _TabulatedFrontier:
    """The frontier of each law of `theta` [R, 5], N free within twice the sizes that were trained.

    c(N) is log-linear between rungs. On each stretch C = k·N^p·D, and the best N follows in closed form (Hoffmann et
    al. 2022, eq 4, with p = 1), cut at its ends; the best stretch is taken.
    """
    log_cost = np.linspace(one.log_cost[0] - _BEYOND, one.log_cost[-1] + _BEYOND, _TABLE_POINTS)
    centre = fit.points.centre
    log_a = (theta[:, 0] + theta[:, 2] * centre[0])[:, None]
    log_b = (theta[:, 1] + theta[:, 3] * centre[1])[:, None]
    alpha, beta, floor = theta[:, 2, None], theta[:, 3, None], np.exp(theta[:, 4, None])
    best = np.full((len(theta), len(log_cost)), np.inf)
    for low, high, level, power in _stretches(one):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(alpha) + log_a - np.log(power * beta) - log_b
            size = (ratio + beta * (log_cost[None, :] - level)) / (alpha + power * beta)
        size = np.clip(size, low, high)
        tokens = log_cost[None, :] - level - power * size
        with np.errstate(over="ignore"):
            loss = floor + np.exp(log_a - alpha * size) + np.exp(log_b - beta * tokens)
        best = np.fmin(best, loss)
    best[~np.isfinite(theta).all(axis=1)] = np.nan
    return _TabulatedFrontier(log_cost, np.minimum.accumulate(np.log(best), axis=1))


def _cost_power(one: FinishedRuns) -> float:
    """p of c(N) = k·N^p over all rungs."""
    if one.num_sizes < 2:
        return 1.0
    return max(float(np.polyfit(one.log_params, one.log_cost - one.log_tokens, 1)[0]), 1e-6)


def _stretches(one: FinishedRuns) -> list[tuple[float, float, float, float]]:
    """ln N from and to, ln k and p of c(N) = k·N^p between rungs; the outer stretches reach a factor 2 on."""
    sizes = np.unique(one.log_params)
    per_token = np.array([(one.log_cost - one.log_tokens)[one.log_params == size].mean() for size in sizes])
    if len(sizes) == 1:
        return [(float(sizes[0]), float(sizes[0]), float(per_token[0] - sizes[0]), 1.0)]
    stretches = []
    for number in range(len(sizes) - 1):
        power = float((per_token[number + 1] - per_token[number]) / (sizes[number + 1] - sizes[number]))
        power = max(power, 1e-6)
        level = float(per_token[number] - power * sizes[number])
        low = float(sizes[number]) - (np.log(2.0) if number == 0 else 0.0)
        high = float(sizes[number + 1]) + (np.log(2.0) if number == len(sizes) - 2 else 0.0)
        stretches.append((low, high, level, power))
    return stretches


# --- hulls -----------------------------------------------------------------------------------------------------------


def _hulls(
    cells: Sequence[FinishedRuns],
    names: tuple[str, ...],
    why: str,
    num_resamples: int,
    generator: np.random.Generator,
) -> Reading:
    """Finished runs joined by lines; the noise of seeds is all that their resamples hold.

    Where one has two runs or fewer on its hull nothing tells the scatter: a frontier bends, and the line between two
    distant runs lies above it by more than noise.
    """
    frontiers: list[Frontier] = []
    hulls = [
        one.take(one.log_loss < np.concatenate([[np.inf], np.minimum.accumulate(one.log_loss)[:-1]])) for one in cells
    ]
    chords = [hull.contender for hull in hulls if len(hull) < _LEAST_CORNERS]
    if chords:
        said = f"nothing tells how far below the line between its runs the frontier of {' and '.join(chords)} lies"
        why = f"{why}; {said}".strip("; ")
    for one, hull in zip(cells, hulls, strict=True):
        if one.seed_freedom and not chords:
            scale = one.seed_freedom / generator.chisquare(one.seed_freedom, size=(num_resamples, 1))
            spread = np.sqrt(one.seed_variance * scale / hull.num_runs[None, :])
        else:
            spread = np.full((num_resamples, 1), np.nan)
        drawn = hull.log_loss + spread * generator.standard_normal((num_resamples, len(hull)))
        losses = np.minimum.accumulate(np.concatenate([hull.log_loss[None, :], drawn]), axis=1)
        frontiers.append(_TabulatedFrontier(hull.log_cost, losses))
    spans = tuple((float(one.log_cost[0]), float(one.log_cost[-1])) for one in cells)
    freedom = 0.0 if chords else float(min((one.seed_freedom for one in cells), default=0))
    return Reading(Form.HULL, why, names, tuple(frontiers), spans, freedom)
