"""At which level a common floor is given up: coverage over made-up studies, as a Markdown table.

    python benchmarks/levels_of_a_floor.py [--studies 150] [--resamples 200]

Two ladders over four and a half decades of compute: A with L = 1.7 + 0.9·(C/1e19)^-0.15, X with a floor of 1.9 or 1.7
nats and 0.7·(C/1e19)^-0.18. At each level of the test of a common floor: how often the interval of the multiplier holds
the true mean over its window, and that of the difference of exponents the true 0.03.
"""

import argparse

import numpy as np

from archbench.analysis.comparison.multiplier import headline_multiplier
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.read_lines import p_of_one_floor
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.significance import spread_interval
from archbench.results.runs import CostAxis

LEVELS = (0.01, 0.05, 0.1)
ROWS = ((8, 0.003, 1.9), (8, 0.01, 1.9), (5, 0.003, 1.9), (5, 0.01, 1.9), (8, 0.003, 1.7), (5, 0.01, 1.7))
UNIT = 1e19


def ladder(name: str, cost: np.ndarray, loss: np.ndarray) -> FinishedRuns:
    """One run a size."""
    return FinishedRuns(
        contender=name,
        axis=CostAxis.KAPLAN,
        size_index=np.arange(len(cost)),
        log_params=np.log(cost),
        log_tokens=np.log(cost),
        log_cost=np.log(cost),
        losses=tuple(np.array([one]) for one in np.log(loss)),
        seeds=tuple((0,) for _ in cost),
    )


def holds(reading: Reading, floor: float) -> tuple[bool, bool]:
    """Whether the multiplier's interval holds the truth, and that of the difference of exponents."""
    found = headline_multiplier(reading)
    assert found.multiplier is not None
    assert found.window_nats is not None
    high, low = np.log(found.window_nats)
    loss = np.exp(np.linspace(high, low, 17))
    log_m = np.log((loss - floor) / 0.7) / 0.18 - np.log((loss - 1.7) / 0.9) / 0.15
    assert reading.exponents is not None
    difference = reading.exponents[:, 1] - reading.exponents[:, 0]
    interval = spread_interval(float(difference[0]), difference[1:], reading.freedom)
    return found.multiplier.covers(float(np.exp(log_m.mean()))), interval.covers(0.03)


def row(sizes: int, noise: float, floor: float, studies: int, resamples: int) -> str:
    """One row of the table."""
    cost = np.geomspace(1.2e16, 4.8e20, sizes)
    held: dict[float, list[tuple[bool, bool]]] = {level: [] for level in LEVELS}
    for number in range(studies):
        generator = np.random.default_rng((0, number))
        drawn = np.exp(noise * generator.standard_normal((2, sizes)))
        pair = (
            ladder("A", cost, (1.7 + 0.9 * (cost / UNIT) ** -0.15) * drawn[0]),
            ladder("X", cost, (floor + 0.7 * (cost / UNIT) ** -0.18) * drawn[1]),
        )
        by_form = {
            form: holds(read_frontiers(pair, num_resamples=resamples, generator=generator, form=form), floor)
            for form in (Form.COMMON_FLOOR, Form.OWN_FLOORS)
        }
        p_value = p_of_one_floor(pair)
        for level in LEVELS:
            given_up = p_value is not None and p_value < level
            held[level].append(by_form[Form.OWN_FLOORS if given_up else Form.COMMON_FLOOR])
    shares = [100 * np.mean([one[part] for one in held[level]]) for part in (0, 1) for level in LEVELS]
    return f"| {sizes} | {100 * noise:g} % | 1.7, {floor} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=150)
    parser.add_argument("--resamples", type=int, default=200)
    options = parser.parse_args()
    levels = [f"{100 * level:g} %" for level in LEVELS]
    print(f"| sizes | noise | floors (nats) | holds m, {' | '.join(levels)} | holds alpha, {' | '.join(levels)} |")
    print("| ---: | ---: | --- |" + " ---: |" * 6)
    for sizes, noise, floor in ROWS:
        print(row(sizes, noise, floor, options.studies, options.resamples), flush=True)


if __name__ == "__main__":
    main()
