"""How likely a planned scan is to call a contender better that is, and what would make it likely enough.

Finished runs of a baseline and of a contender that is equal to it are made up on the planned ladders, from a power law
and the noise between seeds, and read as every comparison reads them. The lower bound of the multiplier of one that is
truly f·margin better lies f·margin times as high, so that one set of studies answers for every factor; it moves away
from the multiplier as the noise does, and as one over the root of the number of seeds.

Legend: N parameters, D tokens, C cost, L loss (nats), f true multiplier over the margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.multiplier import Window, log_multipliers
from archbench.analysis.fitting.common_floor import fit_floored_lines
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import MIN_SIZES, FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Form
from archbench.analysis.significance import spread_interval
from archbench.results.runs import CostAxis

FACTORS = (1.2, 1.3, 1.5)
"""Over the margin: what a contender may truly be."""
ENOUGH = 0.8
"""The power that is aimed at."""
MOST_SEEDS = 1000
NUM_ESTIMATES = 200
NUM_READINGS = 24
NUM_RESAMPLES = 60
_POINTS = 9


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One size of a contender, as planned."""

    size_index: int
    num_params: float
    tokens: float
    cost: float
    """Of one run."""
    seeds: int


@dataclass(frozen=True, slots=True)
class Assumed:
    """What the studies are made of."""

    exponent: float
    """Of loss against cost."""
    loss_nats: float
    """At the baseline's dearest run."""
    seed_std_nats: float
    """Standard deviation between seeds there."""


@dataclass(frozen=True, slots=True)
class Power:
    """How often a contender that is `factor` times the baseline is called better."""

    factor: float
    """True multiplier: f·margin."""
    power: float
    seeds: int | None
    """At every size of both for a power of 80 %; None where none up to 1,000 are enough."""
    cost: float | None
    """Of all runs of both with so many seeds."""


@dataclass(frozen=True, slots=True)
class LowerBound:
    """Of equal contenders: ln of the one-sided 95 % lower bound of their multiplier."""

    logs: Floats
    """[studies], rising."""

    def scaled(self, ratio: float) -> "LowerBound":
        """The bound under `ratio` times the noise."""
        return LowerBound(self.logs * ratio)

    def power(self, log_factor: float) -> float:
        """Chance that the bound of a multiplier so far above the margin is above it."""
        return float(np.mean(self.logs > -log_factor))

    @property
    def needed(self) -> float:
        """ln f that is found with a power of 80 %."""
        return -float(np.quantile(self.logs, 1.0 - ENOUGH))


def power_of(
    sides: tuple[Sequence[PlannedCell], Sequence[PlannedCell]], margin: float, bound: LowerBound
) -> list[Power]:
    """The power at each of `FACTORS` times the margin, by the bound of the same ladders under the same noise."""
    cells = [cell for side in sides for cell in side]
    present = 1.0 / float(np.mean([1.0 / cell.seeds for cell in cells]))
    a_seed = sum(cell.cost for cell in cells)
    found = []
    for factor in FACTORS:
        seeds = int(np.ceil(present * (bound.needed / np.log(factor)) ** 2 - 1e-9))
        seeds = max(seeds, 1)
        enough = seeds <= MOST_SEEDS
        found.append(
            Power(
                factor=factor * margin,
                power=bound.power(float(np.log(factor))),
                seeds=seeds if enough else None,
                cost=seeds * a_seed if enough else None,
            )
        )
    return found


def lower_bound(
    sides: tuple[Sequence[PlannedCell], Sequence[PlannedCell]],
    assumed: Assumed,
    *,
    place: Window | float | None = None,
    seed: int = 0,
) -> LowerBound | None:
    """The bound of two equal ladders; None where they have fewer than three sizes, or `place` lies beyond their runs.

    place: losses or a cost at which it is read; the middle half of the losses that both reach without. How far
    estimates scatter is told by many fits, how far a bound lies below its estimate by some whole readings.
    """
    generator = np.random.default_rng(seed)
    grid = _grid(sides, assumed, place)
    if grid is None or min(len(side) for side in sides) < MIN_SIZES:
        return None
    end = max(cell.cost for cell in sides[0])
    ladders = [_Ladder.of(name, side, end, assumed) for name, side in zip("AX", sides, strict=True)]
    drawn = np.concatenate([one.means(NUM_ESTIMATES, generator) for one in ladders], axis=1)
    group = np.repeat([0, 1], [len(side) for side in sides])
    lines = fit_floored_lines(np.concatenate([one.log_cost for one in ladders]), drawn, group, floor="free")
    estimates = (lines.log_cost_at(0, grid) - lines.log_cost_at(1, grid)).mean(axis=1)
    estimates = estimates[np.isfinite(estimates)]
    below = []
    for _ in range(NUM_READINGS):
        runs = [one.runs(generator) for one in ladders]
        reading = read_frontiers(
            runs, num_resamples=NUM_RESAMPLES, generator=generator, form=Form.COMMON_FLOOR if _laws(runs) else None
        )
        logs = log_multipliers(reading, grid).mean(axis=1)
        bound = spread_interval(float(logs[0]), logs[1:], reading.freedom, 0.90)
        if np.isfinite(bound.low):
            below.append(bound.value - bound.low)
    if len(estimates) < NUM_ESTIMATES / 2 or len(below) < NUM_READINGS / 2:
        return None
    # How far a bound lies below an estimate does not hang on the estimate: every pair of them is a study.
    return LowerBound(np.sort((estimates[:, None] - np.array(below)[None, :]).ravel()))


def _laws(runs: Sequence[FinishedRuns]) -> bool:
    """Whether a law can be read from what is left of each ladder on its frontier."""
    return all(len(one.on_frontier()[0]) >= MIN_SIZES for one in runs)


def _grid(
    sides: tuple[Sequence[PlannedCell], Sequence[PlannedCell]], assumed: Assumed, place: Window | float | None
) -> Floats | None:
    """ln L at which the multiplier is read; None where that lies beyond what the law gives at the planned costs."""
    costs = [np.log([cell.cost for cell in side]) for side in sides]
    end = float(costs[0].max())

    def law(log_cost: float) -> float:
        return float(np.log(assumed.loss_nats)) - assumed.exponent * (log_cost - end)

    high, low = law(max(float(one.min()) for one in costs)), law(min(float(one.max()) for one in costs))
    if place is None:
        quarter = (high - low) / 4
        return np.linspace(high - quarter, low + quarter, _POINTS) if high > low else None
    grid = np.array([law(float(np.log(place)))]) if isinstance(place, float) else place.logs(_POINTS)
    return grid if high >= grid[0] and grid[-1] >= low else None


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Finished runs of one contender on the assumed law."""

    name: str
    cells: Sequence[PlannedCell]
    """Cheapest first."""
    log_cost: Floats
    law: Floats
    """ln L."""
    noise: float
    """Standard deviation of ln L between seeds."""

    @staticmethod
    def of(name: str, side: Sequence[PlannedCell], end: float, assumed: Assumed) -> "_Ladder":
        ranked = sorted(side, key=lambda cell: cell.cost)
        log_cost = np.log([cell.cost for cell in ranked])
        law = np.log(assumed.loss_nats) - assumed.exponent * (log_cost - np.log(end))
        return _Ladder(name, ranked, log_cost, law, assumed.seed_std_nats / assumed.loss_nats)

    def means(self, studies: int, generator: np.random.Generator) -> Floats:
        """[studies, n]: mean ln L over the seeds of each size."""
        scale = self.noise / np.sqrt([cell.seeds for cell in self.cells])
        return np.asarray(self.law + scale * generator.standard_normal((studies, len(self.law))))

    def runs(self, generator: np.random.Generator) -> FinishedRuns:
        """One study."""
        return FinishedRuns(
            contender=self.name,
            axis=CostAxis.EXACT,
            size_index=np.array([cell.size_index for cell in self.cells], dtype=np.intp),
            log_params=np.log([cell.num_params for cell in self.cells]),
            log_tokens=np.log([cell.tokens for cell in self.cells]),
            log_cost=self.log_cost,
            losses=tuple(
                value + self.noise * generator.standard_normal(cell.seeds)
                for value, cell in zip(self.law, self.cells, strict=True)
            ),
            seeds=tuple(tuple(range(cell.seeds)) for cell in self.cells),
        )
