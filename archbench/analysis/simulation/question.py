"""A question whose answer is known: how often each answer is given, and the power that a plan promises.

    python -m archbench.analysis.simulation.question [--studies 200] [--resamples 100] [--margin 1.1] [--seeds 1 2 3 5]

Each study draws finished runs of A from a law and of X from the same law at k times the compute, on equal ladders, and
is asked whether X is better than A by more than the margin. Columns: share of studies that answer *better*, *not
better* and *inconclusive*, of these those without a figure, and the power that `archbench plan` gives for k (where k is
above the margin) by the law's mean slope on the ladder.

Legend: k true multiplier.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.multiplier import headline_multiplier
from archbench.analysis.comparison.power import Assumed, PlannedCell, lower_bound
from archbench.analysis.comparison.question import verdict_of
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.simulation.multiplier import DESIGNS, LAWS, Cell, simulate
from archbench.results.fits import Answer, FitStatus

FACTORS = (1.0, 1.1, 1.3, 1.5)
_LAW = "chinchilla"


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the studies of one row."""

    better: float
    not_better: float
    inconclusive: float
    refused: float
    """Those without a figure to answer by; they are inconclusive."""


def run_question(cell: Cell, margin: float, studies: int, resamples: int, seed: int = 0) -> Shares:
    """The answers of `studies` studies."""
    answers: Counter[Answer] = Counter()
    refused = 0
    for number in range(studies):
        generator = np.random.default_rng((seed, number))
        reading = read_frontiers(simulate(cell, generator), num_resamples=resamples, generator=generator)
        found = headline_multiplier(reading)
        usable = found.status is FitStatus.OK
        refused += not usable
        answers[verdict_of(found.interval_90 if usable else None, margin)] += 1
    share = {answer: answers[answer] / studies for answer in Answer}
    return Shares(share[Answer.BETTER], share[Answer.NOT_BETTER], share[Answer.INCONCLUSIVE], refused / studies)


def planned_power(cell: Cell, margin: float) -> float | None:
    """The power that a plan of that ladder promises for k; None where k is not above the margin."""
    if cell.factor <= margin:
        return None
    ladder = cell.design.baseline
    costs = np.array([6.0 * params * tokens for params, tokens in ladder])
    losses = np.array([float(LAWS[cell.law](np.array(params), np.array(tokens))) for params, tokens in ladder])
    exponent = -float(np.polyfit(np.log(costs), np.log(losses), 1)[0])
    cells = [
        PlannedCell(index, params, tokens, float(cost), cell.seeds)
        for index, ((params, tokens), cost) in enumerate(zip(ladder, costs, strict=True))
    ]
    assumed = Assumed(exponent, float(losses[-1]), cell.noise * float(losses[-1]))
    bound = lower_bound((cells, cells), assumed)
    return bound.power(float(np.log(cell.factor / margin))) if bound is not None else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--margin", type=float, default=1.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--noise", type=float, default=0.01, help="standard deviation of ln L between seeds")
    options = parser.parse_args(arguments)
    print("| k | seeds | better | not better | inconclusive | of these without a figure | power by the plan |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for factor in FACTORS:
        for seeds in options.seeds:
            cell = Cell(DESIGNS[0], _LAW, factor, seeds, options.noise)
            out = run_question(cell, options.margin, options.studies, options.resamples)
            power = planned_power(cell, options.margin)
            shares = (out.better, out.not_better, out.inconclusive, out.refused, power)
            cells = " | ".join("-" if one is None else f"{100 * one:.1f} %" for one in shares)
            print(f"| {factor:g} | {seeds} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
