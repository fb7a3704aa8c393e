"""How often ladders are called tiered, by simulation: `python -m archbench.analysis.simulation.tiers [--studies 1000]`.

Each row repeats made-up ladders that follow a law exactly, every run's ln L moved by normal noise. Where every size
gains what the law says, at most 5 % may be called tiered (6.4 % is what 1,000 studies can tell from 5 %). The other
columns say how often a true tier is found: one size that gains nothing over the one before it, those behind it on the
law again; and a ladder that stops at its third size.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.noise import estimate_noise
from archbench.analysis.frontier.tiers import find_tiers
from archbench.results.fits import GainOutcome
from archbench.results.runs import CostAxis

PROMISE = 0.064
"""The largest share of ladders without a tier that 1,000 studies do not tell from 5 %."""
_TOKENS_PER_PARAM = 20.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A law of one ladder: N -> (D, L)."""

    smallest: float
    """N of the smallest size."""
    tokens: Callable[[Floats], Floats]
    loss_nats: Callable[[Floats, Floats], Floats]


def _proportional(params: Floats) -> Floats:
    return _TOKENS_PER_PARAM * params


def _hoffmann(params: Floats, tokens: Floats) -> Floats:
    return np.asarray(1.8172 + 482.01 * params**-0.3478 + 2085.43 * tokens**-0.3658)


def _power(params: Floats, tokens: Floats) -> Floats:
    return np.asarray((3.1e8 * 8.64e19 / (6.0 * params * tokens)) ** 0.050)


SHAPES = {
    "power law, alpha_C 0.05": Shape(1e6, _proportional, _power),
    "E + A/N^a + B/D^b from 10M": Shape(1e7, _proportional, _hoffmann),
    "the same from 1B": Shape(1e9, _proportional, _hoffmann),
    "the same at 1B tokens": Shape(1e7, lambda params: np.full_like(params, 1e9), _hoffmann),
}
"""Published constants: Kaplan et al. 2020, eq 1.3; Hoffmann et al. 2022 as fitted again by Besiroglu et al. 2024."""

NOISES: dict[str, Callable[[int], Floats]] = {
    "0.3 %": lambda count: np.full(count, 0.003),
    "1 %": lambda count: np.full(count, 0.01),
    "0.3 to 1.2 %, growing": lambda count: np.geomspace(0.003, 0.012, count),
}


@dataclass(frozen=True, slots=True)
class Design:
    """One made-up ladder."""

    shape: str
    spacing: float
    """Factor of N from size to size."""
    sizes: int
    seeds: int
    noise: str


def designs() -> list[Design]:
    """Every combination that the table has a row for."""
    return [Design(*one) for one in product(SHAPES, (1.5, 2.0, 4.0), (4, 5, 6), (1, 3), NOISES)]


def every_size_gains(log_loss: Floats) -> Floats:
    """The law as it is."""
    return log_loss


def one_size_gains_nothing(log_loss: Floats) -> Floats:
    """The last size but one is as good as the one before it."""
    changed = log_loss.copy()
    changed[-2] = changed[-3]
    return changed


def stops_at_the_third(log_loss: Floats) -> Floats:
    """All sizes behind the third are as good as it."""
    changed = log_loss.copy()
    changed[3:] = changed[2]
    return changed


def simulate(design: Design, truth: Callable[[Floats], Floats], studies: int, seed: int = 0) -> list[set[int]]:
    """For each made-up study the places on the ladder, from 0, that are said not to gain."""
    shape = SHAPES[design.shape]
    params = np.asarray(shape.smallest * design.spacing ** np.arange(design.sizes), dtype=np.float64)
    tokens = shape.tokens(params)
    expected = truth(np.log(shape.loss_nats(params, tokens)))
    scale = NOISES[design.noise](design.sizes)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(studies):
        runs = np.exp(expected[:, None] + scale[:, None] * generator.standard_normal((design.sizes, design.seeds)))
        curves = [_curve(place, params[place], tokens[place], losses) for place, losses in enumerate(runs)]
        gains = find_tiers(CurveSet("simulated", CostAxis.KAPLAN, tuple(curves)), estimate_noise(curves)).gains
        found.append({one.size_index for one in gains if one.outcome is GainOutcome.DOES_NOT_GAIN})
    return found


def _curve(place: int, params: float, tokens: float, losses: Floats) -> MeanCurve:
    return MeanCurve(
        size_index=place,
        non_embedding_params=int(params),
        planned_tokens=int(tokens),
        run_ids=tuple(f"{place}-{seed}" for seed in range(len(losses))),
        cost=np.array([6.0 * params * tokens]),
        loss_nats=np.array([losses.mean()]),
        tokens=np.array([tokens], dtype=np.int64),
        finished=np.array([True]),
        final_losses_nats=losses,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of studies."""

    design: Design
    called_tiered: float
    """Of ladders whose every size gains."""
    one_found: float
    """Of ladders with one size that gains nothing: that this size is found."""
    stop_found: float
    """Of ladders that stop at the third size: that the fourth is found."""

    @property
    def keeps(self) -> bool:
        """Whether ladders without a tier are called tiered as rarely as promised."""
        return self.called_tiered <= PROMISE


def row(design: Design, studies: int, studies_of_power: int) -> Row:
    """One row of the table."""
    called = simulate(design, every_size_gains, studies)
    one = simulate(design, one_size_gains_nothing, studies_of_power)
    stop = simulate(design, stops_at_the_third, studies_of_power)
    return Row(
        design,
        sum(map(bool, called)) / studies,
        sum(design.sizes - 2 in places for places in one) / studies_of_power,
        sum(3 in places for places in stop) / studies_of_power,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table of docs/tiers.md."""
    parser = argparse.ArgumentParser(description="How often ladders are called tiered, by simulation.")
    parser.add_argument("--studies", type=int, default=1000, help="Studies of ladders without a tier.")
    parser.add_argument("--power-studies", type=int, default=200, help="Studies of ladders with a tier.")
    chosen = parser.parse_args(arguments)
    print(
        "| ladder | factor of N | sizes | seeds | noise of ln L | called tiered (at most 6.4 %) | "
        "size without gain found | stop at the third found |"
    )
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    worst = 0.0
    for design in designs():
        one = row(design, chosen.studies, chosen.power_studies)
        worst = max(worst, one.called_tiered)
        shares = (one.called_tiered, one.one_found, one.stop_found)
        cells = (design.shape, f"{design.spacing:g}", design.sizes, design.seeds, design.noise)
        print("| " + " | ".join([*map(str, cells), *(f"{share:.1%}" for share in shares)]) + " |", flush=True)
    print(f"\nWorst row: {worst:.1%} called tiered, {'within' if worst <= PROMISE else 'beyond'} {PROMISE:.1%}.")


if __name__ == "__main__":
    main()
