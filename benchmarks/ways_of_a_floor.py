"""Multipliers by four ways of choosing the floor of L(C), over made-up studies whose factor is 2.5: a Markdown table.

    python benchmarks/ways_of_a_floor.py [--studies 300] [--resamples 200]

The studies are those of `archbench.analysis.simulation.multiplier`. The ways: no floor; for each contender an F test at
5 % between a floor of its own and none; for each a floor of its own, bounded by 0 and its lowest loss; one such floor
for both, which is what comparisons use.
"""

import argparse
from collections.abc import Callable

import numpy as np

from archbench.analysis.comparison.multiplier import headline_multiplier
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers, side_by_side
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.simulation.multiplier import DESIGNS, Cell, simulate
from archbench.results.fits import FitStatus

FACTOR = 2.5
SHOWN = ("ladders alike", "six sizes and the last three")
Sides = tuple[FinishedRuns, FinishedRuns]


def by_form(form: Form) -> Callable[[Sides, int, np.random.Generator], Reading]:
    """Both in `form`."""
    return lambda sides, resamples, generator: read_frontiers(
        sides, num_resamples=resamples, generator=generator, form=form
    )


def by_test(sides: Sides, resamples: int, generator: np.random.Generator) -> Reading:
    """Each by itself, above a floor where an F test sees one in its runs."""
    readings = []
    for one in sides:
        cells, _ = one.on_frontier()
        runs = np.repeat(np.arange(len(cells)), cells.num_runs)
        cost, loss = np.exp(cells.log_cost[runs]), np.exp(np.concatenate(cells.losses))
        fit = fit_compute_law(cost, loss, floor="free", clusters=runs)
        form = Form.COMMON_FLOOR if fit.status is FitStatus.OK else Form.NO_FLOOR
        readings.append(read_frontiers((one,), num_resamples=resamples, generator=generator, form=form))
    return side_by_side(readings)


WAYS = {
    "no floor": by_form(Form.NO_FLOOR),
    "each its own, by a test": by_test,
    "each its own, bounded": by_form(Form.OWN_FLOORS),
    "one for both, bounded": by_form(Form.COMMON_FLOOR),
}


def row(cell: Cell, way: str, studies: int, resamples: int) -> str:
    """One row of the table."""
    found = []
    for number in range(studies):
        generator = np.random.default_rng((0, number))
        found.append(headline_multiplier(WAYS[way](simulate(cell, generator), resamples, generator)))
    read = [one.multiplier for one in found if one.status is FitStatus.OK and one.multiplier is not None]
    error = float(np.mean([np.log(one.value / FACTOR) for one in read]))
    covered = float(np.mean([one.covers(FACTOR) for one in read]))
    width = float(np.exp(np.median([np.log(one.high / one.low) for one in read if one.low > 0])))
    refused = 1.0 - len(read) / studies
    return (
        f"| {cell.design.name} | {cell.seeds} | {way} | {error:+.3f} | {100 * covered:.1f} % | {width:.2f}x "
        f"| {100 * refused:.1f} % |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args()
    print("| design | seeds | floor | error of ln k | holds k | width | refused |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for design in (one for one in DESIGNS if one.name in SHOWN):
        for seeds in (1, 3):
            for way in WAYS:
                cell = Cell(design, "chinchilla", FACTOR, seeds, 0.01)
                print(row(cell, way, options.studies, options.resamples), flush=True)


if __name__ == "__main__":
    main()
