"""Studies of two contenders whose compute multiplier is known: how often intervals hold it, and how wide they are.

    python -m archbench.analysis.simulation.multiplier [--studies 1000] [--resamples 400] [--only WORD]

Each study draws finished runs of A from a law and of X from the same law at k times the compute, and reads the
multiplier as every command does. Columns: share of studies whose 95 % interval holds k (of those not refused), median
width of the interval as a factor, mean error of ln k, share told apart from 1, share refused.

Legend: N parameters, D tokens, C = 6·N·D, L loss, k true multiplier.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.multiplier import headline_multiplier
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.results.fits import FitStatus, HeadlineMultiplier
from archbench.results.runs import CostAxis

Surface = Callable[[Floats, Floats], Floats]


def chinchilla(params: Floats, tokens: Floats) -> Floats:
    """L(N,D) with exponents .34 and .28 above a floor of 1.7 nats: of the size that published fits have."""
    return np.asarray(1.7 + 400.0 * params**-0.34 + 410.0 * tokens**-0.28)


def small_models(params: Floats, tokens: Floats) -> Floats:
    """A law that bends early, as of models of some thousand parameters above a high floor."""
    return np.asarray(1.0 + 14.0 * params**-0.35 + 120.0 * tokens**-0.38)


def power_law(params: Floats, tokens: Floats) -> Floats:
    """L = (6·N·D/C_c)^-0.05: no floor, and one law for every split of compute."""
    return np.asarray(4.0 * (6.0 * params * tokens / 1e18) ** -0.05)


SCALES = {"small models": 1e-4}
"""Sizes of a law's runs over those of the designs."""
LAWS: dict[str, Surface] = {"chinchilla": chinchilla, "small models": small_models, "power law": power_law}


@dataclass(frozen=True, slots=True)
class Design:
    """Which runs each contender has: (N, D) pairs of A and of X."""

    name: str
    baseline: tuple[tuple[float, float], ...]
    contender: tuple[tuple[float, float], ...]
    grid: bool = False
    """Whether sizes are trained on several amounts of tokens, else on as many as their size gives."""


def _ladder(sizes: np.ndarray, per_param: float = 20.0) -> tuple[tuple[float, float], ...]:
    return tuple((float(size), float(per_param * size)) for size in sizes)


def _isoflop(budgets: np.ndarray, ratios: np.ndarray, centre: float = 0.1) -> tuple[tuple[float, float], ...]:
    middles = [(centre * np.sqrt(budget / 6.0), budget) for budget in budgets]
    return tuple(
        (float(middle * ratio), float(budget / (6.0 * middle * ratio)))
        for middle, budget in middles
        for ratio in ratios
    )


_SIX = 1e8 * 2.0 ** np.arange(6)
_GRID = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
_ALIKE = _isoflop(1e18 * 4.0 ** np.arange(4), _GRID)
_LAPTOP = tuple(
    (float(1e4 * size), float(1e4 * tokens * np.sqrt(size)))
    for size in (1.5e4, 3e4, 6e4, 1.2e5)
    for tokens in (3.5e3, 7e3, 1.4e4)
)
"""The sizes and tokens of `specs/gpt2.yaml`, over the scale of the law of small models."""
_BRANCHES = tuple((float(size), float(20 * size * part)) for size in _SIX[:4] for part in (0.5, 1.0, 2.0))

DESIGNS = (
    Design("ladders alike", _ladder(_SIX[:5]), _ladder(_SIX[:5])),
    Design("ladders shifted", _ladder(_SIX[:5]), _ladder(_SIX[:5] * 2.6)),
    Design("six sizes and three of them", _ladder(_SIX), _ladder(_SIX[[0, 2, 4]])),
    Design("six sizes and the last three", _ladder(_SIX), _ladder(_SIX[3:])),
    Design("isoFLOP grids", _ALIKE, _ALIKE, grid=True),
    Design(
        "isoFLOP grids shifted",
        _ALIKE,
        _isoflop(3e18 * 4.0 ** np.arange(3), _GRID[1:], 0.14),
        grid=True,
    ),
    Design("branches of a trunk", _BRANCHES, _BRANCHES, grid=True),
)
LAPTOP = Design("branches of the laptop protocol", _LAPTOP, _LAPTOP, grid=True)


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table."""

    design: Design
    law: str
    factor: float
    seeds: int
    noise: float
    """Standard deviation of ln L at the cheapest run."""
    growth: float = 1.0
    """Noise of the dearest run over that of the cheapest."""
    shared: float = 0.0
    """Correlation of the noise of equal seeds at equal cells."""
    trunk: float = 0.0
    """Correlation of the noise of runs of one size and seed, as of branches of one training."""
    floor_gap: float = 0.0
    """How much higher X's irreducible loss is, in nats; its multiplier then falls with scale."""


def cells() -> Iterator[Cell]:
    """All rows."""
    for design in DESIGNS:
        for factor in (1.0, 1.3, 2.5):
            for seeds in (1, 3):
                yield Cell(design, "chinchilla", factor, seeds, 0.01)
    ladders = DESIGNS[0]
    for seeds in (1, 3):
        yield Cell(ladders, "chinchilla", 17.0, seeds, 0.003)
        for law, noise in (("small models", 0.01), ("power law", 0.003)):
            yield Cell(ladders, law, 1.3, seeds, noise)
            yield Cell(DESIGNS[1], law, 1.3, seeds, noise)
        for growth in (3.0, 1 / 3.0):
            yield Cell(ladders, "chinchilla", 1.3, seeds, 0.006, growth)
    yield Cell(ladders, "chinchilla", 1.3, 3, 0.01, shared=0.6)
    for design in (DESIGNS[-1], DESIGNS[-2]):
        for seeds in (1, 3):
            yield Cell(design, "chinchilla", 1.3, seeds, 0.005, trunk=0.8)
    for factor in (1.0, 2.5):
        yield Cell(LAPTOP, "small models", factor, 1, 0.012, trunk=0.6)
    for noise in (0.003, 0.01):
        for seeds in (1, 3):
            yield Cell(DESIGNS[0], "chinchilla", 1.3, seeds, noise, floor_gap=0.2)


def simulate(cell: Cell, generator: np.random.Generator) -> tuple[FinishedRuns, FinishedRuns]:
    """Runs of A and of X."""
    surface = LAWS[cell.law]
    sides = []
    common = generator.standard_normal((len(cell.design.baseline), cell.seeds))
    for name, runs, factor in (("A", cell.design.baseline, 1.0), ("X", cell.design.contender, cell.factor)):
        params, tokens = np.array(runs).T * SCALES.get(cell.law, 1.0)
        cost = 6.0 * params * tokens
        # The same law at `factor` times the compute: more tokens on a grid, along the ladder on a ladder.
        grid = cell.design.grid
        loss = surface(params, tokens * factor) if grid else surface(params * factor**0.5, tokens * factor**0.5)
        loss = loss + cell.floor_gap * (name == "X")
        scale = cell.noise * cell.growth ** (np.log(cost / cost.min()) / max(np.log(cost.max() / cost.min()), 1e-9))
        own = generator.standard_normal((len(runs), cell.seeds))
        if cell.shared:
            own = np.sqrt(cell.shared) * common + np.sqrt(1 - cell.shared) * own
        order = np.argsort(cost, kind="stable")
        sizes = np.unique(params, return_inverse=True)[1]
        if cell.trunk:
            of_trunks = generator.standard_normal((int(sizes.max()) + 1, cell.seeds))[sizes]
            own = np.sqrt(cell.trunk) * of_trunks + np.sqrt(1 - cell.trunk) * own
        drawn = np.log(loss)[:, None] + scale[:, None] * own
        sides.append(
            FinishedRuns(
                name,
                CostAxis.KAPLAN,
                sizes[order],
                np.log(params[order]),
                np.log(tokens[order]),
                np.log(cost[order]),
                tuple(drawn[place] for place in order),
                tuple(tuple(range(cell.seeds)) for _ in order),
            )
        )
    return sides[0], sides[1]


def log_truth(cell: Cell, window_nats: tuple[float, float]) -> float:
    """Mean over the window of the true ln m: ln k, or less by what a higher floor costs X along its ladder."""
    if not cell.floor_gap:
        return float(np.log(cell.factor))
    size = np.geomspace(1e5, 1e13, 20_001) * SCALES.get(cell.law, 1.0)
    loss = np.log(LAWS[cell.law](size, 20.0 * size))
    higher = np.log(LAWS[cell.law](size, 20.0 * size) + cell.floor_gap)
    high, low = np.log(window_nats)
    wanted = np.linspace(high, low, 17)
    # Both ladders have D = 20·N, on which compute is proportional to the square of the size.
    at, at_higher = (np.interp(-wanted, -one, 2.0 * np.log(size)) for one in (loss, higher))
    return float(np.log(cell.factor) + np.mean(at - at_higher))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the studies of one cell gave."""

    coverage: float
    width: float
    bias: float
    told_apart: float
    refused: float
    forms: tuple[tuple[str, int], ...]


def run_cell(cell: Cell, studies: int, resamples: int, seed: int = 0) -> Outcome:
    """The outcome of `studies` studies."""
    found: list[HeadlineMultiplier] = []
    for number in range(studies):
        generator = np.random.default_rng((seed, number))
        sides = simulate(cell, generator)
        reading = read_frontiers(sides, num_resamples=resamples, generator=generator)
        found.append(headline_multiplier(reading))
    readable = [one for one in found if one.status is FitStatus.OK and one.multiplier is not None]
    pairs = [
        (one.multiplier, log_truth(cell, one.window_nats)) for one in readable if one.multiplier and one.window_nats
    ]
    intervals = [interval for interval, _ in pairs]
    widths = [np.log(one.high / one.low) for one in intervals if one.low > 0]
    return Outcome(
        coverage=float(np.mean([one.covers(np.exp(truth)) for one, truth in pairs])) if pairs else float("nan"),
        width=float(np.exp(np.median(widths))) if widths else float("nan"),
        bias=float(np.mean([np.log(one.value) - truth for one, truth in pairs])) if pairs else float("nan"),
        told_apart=float(np.mean([not one.covers(1.0) for one in intervals])) if intervals else float("nan"),
        refused=1.0 - len(readable) / studies,
        forms=tuple(Counter(one.form for one in found).most_common()),
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--only", default="", help="rows whose design or law has this word")
    options = parser.parse_args()
    print("| design | law | k | seeds | noise | holds k | width | error of ln k | told apart | refused | read from |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for cell in cells():
        if options.only not in f"{cell.design.name} {cell.law}":
            continue
        out = run_cell(cell, options.studies, options.resamples)
        noise = f"{100 * cell.noise:g} %" + (f", x{cell.growth:.2g} along the ladder" if cell.growth != 1 else "")
        noise += f", {cell.shared:g} shared" if cell.shared else ""
        noise += f", {cell.trunk:g} of it by trunk" if cell.trunk else ""
        noise += f"; floor of X {cell.floor_gap:g} nats higher" if cell.floor_gap else ""
        print(
            f"| {cell.design.name} | {cell.law} | {cell.factor:g} | {cell.seeds} | {noise} "
            f"| {100 * out.coverage:.1f} % | {out.width:.2f}x | {out.bias:+.3f} | {100 * out.told_apart:.1f} % "
            f"| {100 * out.refused:.1f} % | {'; '.join(form for form, _ in out.forms)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
