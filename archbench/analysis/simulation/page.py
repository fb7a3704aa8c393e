"""A whole table of contenders whose truth is known: how often its tests err, and how often they find what is there.

    python -m archbench.analysis.simulation.page [--studies 1000] [--odd-studies 200] [--resamples 400]
        [--contenders 2 8 12]

Every study makes learning curves (not finished points alone), whose noise has a part that lasts a whole run and one
that is drawn anew at every evaluation, and grows along the ladder; they go through the code of scans. Of contenders
that are all alike: how often any is told apart from the baseline by multiplier or by exponent (Holm), how often any two
get different places, how often any frontier is called tiered, how often the back-test's interval holds the dearest run
and how many predictions lie too low. Of a table in which one contender has half the exponent: how often it is found.

Legend: N parameters, D tokens, C = 6·N·D, L loss.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.compare import Conclusion, Contender, CostConclusion, conclusion, cost_conclusion
from archbench.analysis.comparison.ranking import rank
from archbench.analysis.frontier.back_test import back_test_frontier, last_error
from archbench.analysis.frontier.curves import CurveSet, MeanCurve
from archbench.analysis.frontier.noise import noise_of
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_curves
from archbench.analysis.frontier.tiers import find_tiers
from archbench.results.runs import CostAxis

_SIZES = 1e4 * 2.0 ** np.arange(5)
_POINTS = 12
_TOKENS_PER_PARAM = 40.0


@dataclass(frozen=True, slots=True)
class Table:
    """What a made-up table is made of."""

    contenders: int
    seeds: int = 3
    noise: float = 0.005
    """Of ln L, of a whole run, at the smallest size."""
    growth: float = 2.0
    """Noise of the largest size over that of the smallest."""
    exponent: float = 0.05
    """Of the frontier against compute."""
    odd_exponent: float | None = None
    """That of the last contender, where it differs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of studies, but for `too_low`, a share of predictions."""

    multiplier_apart: float
    exponent_apart: float
    places_apart: float
    tiered: float
    back_test_covered: float
    too_low: float
    odd_found_by_exponent: float
    odd_found_by_multiplier: float


def make_contender(
    name: str, table: Table, exponent: float, generator: np.random.Generator, resamples: int
) -> Contender:
    """One contender's curves: ends on L = 4·(C/C_0)^-exponent, before them higher by what is left of the schedule."""
    curves = []
    cheapest = 6.0 * _SIZES[0] ** 2 * _TOKENS_PER_PARAM
    for index, size in enumerate(_SIZES):
        tokens = np.geomspace(0.1, 1.0, _POINTS) * _TOKENS_PER_PARAM * size
        cost = 6.0 * size * tokens
        scale = table.noise * table.growth ** (index / (len(_SIZES) - 1))
        level = 4.0 * (cost[-1] / cheapest) ** -exponent * (tokens / tokens[-1]) ** -(1.5 * exponent)
        lasting = scale * generator.standard_normal((table.seeds, 1))
        passing = 0.5 * scale * generator.standard_normal((table.seeds, _POINTS))
        runs = level * np.exp(lasting + passing)
        curves.append(
            MeanCurve(
                size_index=index,
                non_embedding_params=int(size),
                planned_tokens=int(tokens[-1]),
                run_ids=tuple(f"{name}-{index}-{seed}" for seed in range(table.seeds)),
                cost=cost,
                loss_nats=runs.mean(axis=0),
                tokens=tokens.astype(np.int64),
                finished=np.arange(_POINTS) == _POINTS - 1,
                final_losses_nats=runs[:, -1],
                seeds=tuple(range(table.seeds)),
            )
        )
    curve_set = CurveSet(name, CostAxis.KAPLAN, tuple(curves))
    noise = noise_of(curve_set, [curve_set])
    settings = StudyOptions(floor="none", num_resamples=resamples)
    return fit_curves("causal", curve_set, noise, settings, seed=int(generator.integers(2**32)))


def simulate_table(table: Table, generator: np.random.Generator, resamples: int) -> list[Contender]:
    """The contenders of one study; the first is the baseline."""
    exponents = [table.exponent] * table.contenders
    if table.odd_exponent is not None:
        exponents[-1] = table.odd_exponent
    return [
        make_contender(f"c{number}", table, exponent, generator, resamples) for number, exponent in enumerate(exponents)
    ]


def run_table(table: Table, studies: int, resamples: int, seed: int = 0) -> Outcome:
    """The outcome of `studies` studies."""
    counts = dict.fromkeys(("multiplier", "exponent", "places", "tiered", "odd_exponent", "odd_multiplier"), 0)
    covered: list[bool] = []
    errors: list[float] = []
    for number in range(studies):
        generator = np.random.default_rng((seed, number))
        ones = simulate_table(table, generator, resamples)
        pairs = compare_all(ones, "c0", num_resamples=resamples)
        exponents = [conclusion(pair) in (Conclusion.STEEPER, Conclusion.FLATTER) for pair in pairs]
        costs = [cost_conclusion(pair) in (CostConclusion.LESS, CostConclusion.MORE) for pair in pairs]
        counts["exponent"] += any(exponents)
        counts["multiplier"] += any(costs)
        counts["odd_exponent"] += conclusion(pairs[-1]) is Conclusion.FLATTER
        counts["odd_multiplier"] += costs[-1]
        counts["places"] += len(set(rank(ones, "c0").places.values())) > 1
        counts["tiered"] += any(
            len(tier.size_indices) > 1 for one in ones for tier in find_tiers(one.curves, one.noise).tiers
        )
        row = last_error(back_test_frontier(ones[0], floors=("free",), num_resamples=resamples))
        if row is not None and row.predicted is not None:
            errors.append(row.error)
            if row.covered is not None:
                covered.append(row.covered)
    share = {name: count / studies for name, count in counts.items()}
    return Outcome(
        multiplier_apart=share["multiplier"],
        exponent_apart=share["exponent"],
        places_apart=share["places"],
        tiered=share["tiered"],
        back_test_covered=float(np.mean(covered)) if covered else float("nan"),
        too_low=float(np.mean(np.array(errors) < 0)) if errors else float("nan"),
        odd_found_by_exponent=share["odd_exponent"],
        odd_found_by_multiplier=share["odd_multiplier"],
    )


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--odd-studies", type=int, default=200, help="of tables with one that differs")
    parser.add_argument("--contenders", type=int, nargs="+", default=[2, 8, 12])
    options = parser.parse_args(arguments)
    print("All alike:\n")
    print("| contenders | seeds | any multiplier told apart | any exponent | any two places | any tiered "
          "| back-test covers | predictions too low |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for seeds in (1, 3):
        for count in options.contenders:
            out = run_table(Table(count, seeds), options.studies, options.resamples)
            shares = (out.multiplier_apart, out.exponent_apart, out.places_apart, out.tiered, out.back_test_covered,
                      out.too_low)  # fmt: skip
            print(f"| {count} | {seeds} | " + " | ".join(_percent(one) for one in shares) + " |", flush=True)
    print("\nOne of them with half the exponent:\n")
    print("| contenders | seeds | found by exponent | by multiplier |\n| --- | --- | --- | --- |")
    for seeds in (1, 3):
        for count in options.contenders:
            odd = Table(count, seeds, odd_exponent=0.025)
            out = run_table(odd, options.odd_studies, options.resamples)
            found = (out.odd_found_by_exponent, out.odd_found_by_multiplier)
            print(f"| {count} | {seeds} | " + " | ".join(_percent(one) for one in found) + " |", flush=True)


if __name__ == "__main__":
    main()
