"""Times the lower envelope of ten million points against plain ways of getting one, as ratios.

Same answer, plainly: every curve interpolated at every point's cost, O(curves · points). A poorer answer, plainly: a
loop over all points sorted by cost that keeps those below everything before, without the stretches between them. The
plain ways get a hundredth of the points, and are compared by time per point.

Run: `python benchmarks/bench_envelope.py [points]`.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from archbench.analysis.frontier.envelope import Floats, lower_envelope

Curves = list[tuple[Floats, Floats]]


def make_curves(num_points: int, num_curves: int, noise: float) -> Curves:
    """Learning curves of a size ladder: (log cost, log loss)."""
    generator = np.random.default_rng(0)
    curves = []
    for number in range(num_curves):
        size = 1e4 * 1.5 ** (number % 40) * (1 + 0.01 * (number // 40))
        tokens = np.sort(generator.uniform(np.log(1e5), np.log(1e9), num_points // num_curves))
        loss = np.log(12.0 / size**0.15 + 60.0 / np.exp(tokens) ** 0.25)
        curves.append((tokens + np.log(6.0 * size), loss + noise * generator.standard_normal(len(tokens))))
    return curves


def by_interpolation(curves: Curves) -> Floats:
    """The envelope's value at every point's cost."""
    at = np.sort(np.concatenate([x for x, _ in curves]))
    lowest = np.full(len(at), np.inf)
    for x, y in curves:
        np.minimum(lowest, np.interp(at, x, np.minimum.accumulate(y), left=np.inf), out=lowest)
    return lowest


def by_loop(curves: Curves) -> list[tuple[float, float]]:
    """The points below all cheaper ones."""
    kept: list[tuple[float, float]] = []
    best = float("inf")
    for cost, loss in sorted(pair for x, y in curves for pair in zip(x.tolist(), y.tolist(), strict=True)):
        if loss < best:
            best = loss
            kept.append((cost, loss))
    return kept


def _seconds(work: Callable[[Curves], object], curves: Curves) -> float:
    started = time.perf_counter()
    work(curves)
    return time.perf_counter() - started


def main(num_points: int) -> None:
    """Prints one line for each number of curves and each noise."""
    for num_curves in (5, 50, 1000):
        for noise in (0.0, 0.001):
            few = make_curves(num_points // 100, num_curves, noise)
            fast = _seconds(lower_envelope, make_curves(num_points, num_curves, noise))
            interpolation, loop = (100 * _seconds(work, few) for work in (by_interpolation, by_loop))
            print(
                f"{num_points:,} points, {num_curves:>4} curves, noise {noise:g}: {fast:5.1f} s; interpolating every "
                f"curve {interpolation / fast:6.1f} times as long, a loop over points {loop / fast:4.1f} times"
            )


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000)
