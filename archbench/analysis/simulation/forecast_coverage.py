"""Coverage of forecasts, profiles and planned standard errors, by simulation.

    python -m archbench.analysis.simulation.forecast_coverage [--studies 1000] [--design grid]

Made-up ladders follow a law of Chinchilla's form; every run's log loss is shifted by noise, and one further run, at 1,
3 and 10 times the largest fitted compute, is made as well: its loss is what the 95 % interval has to cover. Besides:
how often a profile interval on learning curves holds the true exponent, and whether the standard error that
`archbench plan --next` begins with is the spread of its figure over studies.

Legend: N parameters, D tokens, C compute, L loss (nats).
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.audit import ordering_of
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.forecast import back_test, forecast, predictor, with_open_floor
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.profile_likelihood import profile_intervals
from archbench.analysis.intervals import middle_deviation
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.allocation import best_split, compute_exponent
from archbench.analysis.planning.next_run import standard_error

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
"""Epoch AI's refit of Hoffmann et al. 2022 (arXiv 2404.10102)."""
FACTORS = (1.0, 3.0, 10.0)
PROMISE = (0.936, 0.964)
_SHARES_OF_BEST = (0.35, 1.0, 2.8)
"""N of the runs of one budget, as multiples of the best one."""


@dataclass(frozen=True, slots=True)
class Design:
    """A made-up study."""

    name: str
    law: Law
    budgets: int = 6
    seeds: int = 1
    points: int = 1
    """Of one run's curve."""
    split: tuple[float, ...] = (1.0,)
    noise: float = 0.005
    within: float = 0.0

    def runs(self) -> tuple[Array, Array]:
        """N and D at the end of each run."""
        flops = np.geomspace(1e17, 1e20, self.budgets)
        sizes = np.array([[best_split(TRUTH, value)[0] * share for share in self.split] for value in flops]).ravel()
        ends = np.repeat(flops, len(self.split)) / 6.0 / sizes
        return np.repeat(sizes, self.seeds), np.repeat(ends, self.seeds)


LADDER = Design("ladder, L(C)", ComputeLaw())
GRID = Design("grid, L(N,D)", Chinchilla(), budgets=5, split=_SHARES_OF_BEST)
CURVES = Design("curves, L(N,D)", Chinchilla(), budgets=8, points=24, within=0.001)
DESIGNS = tuple(
    replace(one, seeds=seeds, name=f"{one.name}, {seeds} seed{'s' if seeds > 1 else ''}")
    for one in (LADDER, GRID, CURVES)
    for seeds in (1, 3)
)


def simulate(design: Design, generator: np.random.Generator) -> LawFit:
    """The fit of one made-up study."""
    size, end = design.runs()
    size, end = (np.repeat(value, design.points) for value in (size, end))
    codes = np.repeat(np.arange(len(size) // design.points), design.points)
    # A curve is read from a twentieth of its tokens on.
    tokens = end * np.tile(np.geomspace(0.05, 1.0, design.points) if design.points > 1 else 1.0, codes.max() + 1)
    shift = generator.normal(0.0, design.noise, codes.max() + 1)[codes]
    inside = generator.normal(0.0, design.within, len(size))
    loss = Chinchilla().predict(TRUTH, N=size, D=tokens) * np.exp(shift + inside)
    values = {"N": size, "D": tokens, "C": 6.0 * size * tokens}
    variables = {name: values[name] for name in design.law.variables}
    return fit_law(design.law, variables, loss, clusters=codes)


@dataclass(frozen=True, slots=True)
class Row:
    """What the forecasts of one design did."""

    design: Design
    factor: float
    read: int
    """Studies whose law could be read."""
    covered: float
    width: float
    """Median of upper over lower end, less 1."""
    bias: float
    """Median of predicted over expected, less 1."""

    @property
    def keeps(self) -> bool:
        """Whether it covers as a true 95 % does in 1,000 studies, within two standard errors."""
        return PROMISE[0] <= self.covered <= PROMISE[1]


def forecast_coverage(design: Design, *, studies: int, resamples: int = 200, seed: int = 0) -> list[Row]:
    """Coverage of the loss of one further run at each factor beyond the largest fitted compute."""
    generator = np.random.default_rng(seed)
    held: dict[float, list[tuple[bool, float, float]]] = {factor: [] for factor in FACTORS}
    for number in range(studies):
        fit = with_open_floor(simulate(design, generator))
        new = {factor: generator.normal(0.0, np.hypot(design.noise, design.within)) for factor in FACTORS}
        if not fit.ok:
            continue
        tested = back_test(fit, ordering_of(fit), floor="free", resamples=100, seed=number)
        ready = predictor(fit, num_resamples=resamples, seed=number, lack=tested.lack)
        for factor in FACTORS:
            flops = 1e20 * factor
            size, tokens = best_split(TRUTH, flops)
            values = {"N": size, "D": tokens, "C": flops}
            expected = float(Chinchilla().predict(TRUTH, N=size, D=tokens)[0])
            found = forecast(ready, **{name: values[name] for name in design.law.variables}).loss
            held[factor].append(
                (
                    found.covers(expected * float(np.exp(new[factor]))),
                    found.high / found.low - 1.0,
                    found.value / expected - 1.0,
                )
            )
    rows = []
    for factor, found_rows in held.items():
        covered, width, bias = np.array(found_rows, dtype=float).reshape(-1, 3).T
        rows.append(
            Row(design, factor, len(covered), *(float(x) for x in (covered.mean(), np.median(width), np.median(bias))))
        )
    return rows


def profile_coverage(design: Design, *, studies: int, seed: int = 0) -> tuple[int, dict[str, float]]:
    """Studies that could be read, and the share whose profile interval held each true exponent."""
    generator, read = np.random.default_rng(seed), 0
    hits: dict[str, int] = {}
    for _ in range(studies):
        fit = simulate(design, generator)
        if not fit.ok:
            continue
        read += 1
        for name, interval in profile_intervals(fit).items():
            hits[name] = hits.get(name, 0) + interval.covers(TRUTH[name])
    return read, {name: count / max(read, 1) for name, count in hits.items()}


def planned_errors(design: Design, *, studies: int, seed: int = 0) -> tuple[int, float, float]:
    """Studies that could be read, spread of the exponent of compute over them, and its median stated standard error."""
    generator = np.random.default_rng(seed)
    values, stated = [], []
    for _ in range(studies):
        fit = simulate(design, generator)
        if fit.ok:
            values.append(compute_exponent(fit.result.params))
            stated.append(standard_error(fit, compute_exponent))
    return len(values), middle_deviation(np.array(values)), float(np.median(stated))


def lines(designs: Sequence[Design], studies: int) -> Iterator[str]:
    """The tables in Markdown, line by line."""
    yield "| design | beyond | studies read | covered | 93.6-96.4 % | median width | median bias |"
    yield "| --- | ---: | ---: | ---: | --- | ---: | ---: |"
    for design in designs:
        for row in forecast_coverage(design, studies=studies):
            yield (
                f"| {design.name} | {row.factor:g}x | {row.read} | {row.covered:.1%} | {'yes' if row.keeps else 'no'} "
                f"| {row.width:.2%} | {row.bias:+.2%} |"
            )
    joint = [design for design in designs if design.law.name == "chinchilla"]
    yield from ("", "| design | studies read | profile of | covered |", "| --- | ---: | --- | ---: |")
    for design in joint:
        read, covered = profile_coverage(design, studies=studies)
        yield from (f"| {design.name} | {read} | {name} | {share:.1%} |" for name, share in sorted(covered.items()))
    yield from (
        "",
        "| design | studies read | spread of the exponent of compute | stated standard error (median) |",
        "| --- | ---: | ---: | ---: |",
    )
    for design in joint:
        read, spread, stated = planned_errors(design, studies=studies)
        yield f"| {design.name} | {read} | {spread:.2g} | {stated:.2g} |"


def main() -> None:
    """Prints the tables of docs/forecasts.md."""
    parser = argparse.ArgumentParser(description="Coverage of forecasts, profiles and planned standard errors.")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--design", default="", help="Only designs whose name holds this, for example curves.")
    chosen = parser.parse_args()
    for line in lines([one for one in DESIGNS if chosen.design in one.name], chosen.studies):
        print(line, flush=True)


if __name__ == "__main__":
    main()
