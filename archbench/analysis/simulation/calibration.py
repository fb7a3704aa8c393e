"""Whether the figures keep their promises, by simulation: `python -m archbench.analysis.simulation.calibration`.

Each table row repeats a made-up study whose truth is known: equal architectures must be told apart at the nominal rate
only, and 95 % intervals must cover in 95 % of studies. Tiers have a simulation of their own, beside this one.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.comparison.compare import Contender, compare
from archbench.analysis.frontier.curves import CurveSet, MeanCurve
from archbench.analysis.frontier.scan import StudyOptions, study_curves
from archbench.results.runs import CostAxis

_SIZES = (10_000, 20_000, 40_000, 80_000, 160_000)
_POINTS = 20
_TOKENS = 4e6


@dataclass(frozen=True, slots=True)
class Design:
    """A made-up scan: L(N, D) = E + A/N^0.15 + B/D^0.25, every run's log loss shifted by noise."""

    seeds: tuple[int, ...] = (3, 3, 1, 1, 1)
    noise_std: float = 0.005
    floor_nats: float = 0.0
    num_resamples: int = 1000


def simulate(design: Design, generator: np.random.Generator) -> CurveSet:
    """The mean curves of one made-up scan."""
    curves = []
    tokens = np.geomspace(_TOKENS / 40, _TOKENS, _POINTS)
    for index, (size, num_seeds) in enumerate(zip(_SIZES, design.seeds, strict=True)):
        expected = design.floor_nats + 12.0 / size**0.15 + 60.0 / tokens**0.25
        runs = expected * np.exp(design.noise_std * generator.standard_normal((num_seeds, 1)))
        curves.append(
            MeanCurve(
                size_index=index,
                non_embedding_params=size,
                planned_tokens=int(_TOKENS),
                run_ids=tuple(f"{index}-{seed}" for seed in range(num_seeds)),
                cost=6.0 * size * tokens,
                loss_nats=runs.mean(axis=0),
                tokens=tokens.astype(np.int64),
                finished=np.arange(_POINTS) == _POINTS - 1,
                final_losses_nats=runs[:, -1],
            )
        )
    return CurveSet("simulated", CostAxis.KAPLAN, tuple(curves))


def _study(design: Design, generator: np.random.Generator) -> Contender:
    curves = simulate(design, generator)
    options = StudyOptions(num_resamples=design.num_resamples, floor="none")
    return study_curves("causal", curves, [curves], options, generator)


def equal_architectures(design: Design, studies: int, seed: int = 0) -> tuple[float, float]:
    """A/A: share of studies that tell two equal architectures apart by exponent (p < 0.05), and by multiplier.

    By multiplier: the 95 % interval at the middle of the common losses leaves out 1.
    """
    generator = np.random.default_rng(seed)
    exponent = multiplier = 0
    for _ in range(studies):
        pair = compare(_study(design, generator), _study(design, generator))
        exponent += pair.p_value is not None and pair.p_value < 0.05
        inside = [point for point in pair.multipliers if not point.extrapolated]
        multiplier += not inside[len(inside) // 2].multiplier.covers(1.0)
    return exponent / studies, multiplier / studies


def exponent_coverage(design: Design, studies: int, seed: int = 0) -> float:
    """Share of studies whose 95 % interval of alpha covers what the same design gives without noise."""
    generator = np.random.default_rng(seed)
    truth = _study(replace(design, noise_std=0.0), generator).result.law.params["alpha_C"]
    covered = 0
    for _ in range(studies):
        covered += _study(design, generator).result.law.intervals["alpha_C"].covers(truth)
    return covered / studies


_DESIGNS = {
    "3, 3, 1, 1, 1 seeds, noise 0.5 %": Design(),
    "3, 3, 1, 1, 1 seeds, noise 2 %": Design(noise_std=0.02),
    "3 seeds at each size, noise 0.5 %": Design(seeds=(3, 3, 3, 3, 3)),
    "2, 2, 1, 1, 1 seeds, noise 0.5 %": Design(seeds=(2, 2, 1, 1, 1)),
    "1 seed at each size, noise 0.5 %": Design(seeds=(1, 1, 1, 1, 1)),
}


def tables(studies: int) -> str:
    """The tables in Markdown, from `studies` made-up studies a row."""
    error = 100 * np.sqrt(0.05 * 0.95 / studies)
    lines = [
        f"{studies} made-up studies a row, 1,000 resamples each; five sizes. A nominal 5 % has a standard error of "
        f"{error:.1f} % here.",
        "",
        "| design | A/A by exponent (5 %) | A/A by multiplier (5 %) | coverage of alpha (95 %) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, design in _DESIGNS.items():
        exponent, multiplier = equal_architectures(design, studies)
        covered = exponent_coverage(design, studies)
        lines.append(f"| {name} | {100 * exponent:.1f} % | {100 * multiplier:.1f} % | {100 * covered:.1f} % |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Prints the tables; the one argument is the number of studies a row, 1000 if it is left out."""
    print(tables(int(arguments[0]) if arguments else 1000))


if __name__ == "__main__":
    main(sys.argv[1:])
