"""The compute multiplier comes back where it is known: by design, by law, by factor, with noise and without."""

from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.comparison.compare import _crossover
from archbench.analysis.comparison.multiplier import Window, headline_multiplier, log_multipliers
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.simulation.multiplier import DESIGNS, Cell, run_cell, simulate
from archbench.results.fits import FitStatus, HeadlineMultiplier
from archbench.results.runs import CostAxis

FACTORS = (1.0, 1.3, 2.5)
EXACT = 1e-9


def read(cell: Cell, seed: int = 0, resamples: int = 200) -> tuple[Reading, HeadlineMultiplier]:
    generator = np.random.default_rng(seed)
    reading = read_frontiers(simulate(cell, generator), num_resamples=resamples, generator=generator)
    return reading, headline_multiplier(reading)


def ladder(name: str, costs: list[float], losses: list[float], seeds: int = 1) -> FinishedRuns:
    count = len(costs)
    return FinishedRuns(
        name,
        CostAxis.KAPLAN,
        np.arange(count),
        np.log([(cost / 120.0) ** 0.5 for cost in costs]),
        np.log([20.0 * (cost / 120.0) ** 0.5 for cost in costs]),
        np.log(costs),
        tuple(np.full(seeds, np.log(loss)) for loss in losses),
        tuple(tuple(range(seeds)) for _ in costs),
    )


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
@pytest.mark.parametrize("factor", FACTORS)
def test_factor_comes_back_without_noise(design, factor: float) -> None:
    law = "chinchilla" if "grid" in design.name or "trunk" in design.name else "power law"
    _, found = read(Cell(design, law, factor, 1, 0.0), resamples=20)
    assert found.status is FitStatus.OK
    assert found.multiplier is not None
    # Joint laws are read off a table of 256 costs, linear between: an error of the order of 1e-4.
    assert found.multiplier.value == pytest.approx(factor, rel=1e-3 if law == "chinchilla" else 1e-6)


def test_a_factor_of_17_on_ladders_that_still_share_losses_comes_back() -> None:
    _, found = read(Cell(DESIGNS[0], "power law", 17.0, 3, 0.001))
    assert found.status is FitStatus.OK
    assert found.multiplier is not None
    assert found.multiplier.covers(17.0)
    assert found.multiplier.low > 10.0


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("design", DESIGNS[:3], ids=lambda design: design.name)
def test_intervals_hold_the_factor_and_equal_laws_are_rarely_told_apart(design, seeds: int) -> None:
    out = run_cell(Cell(design, "chinchilla", 1.0, seeds, 0.01), studies=60, resamples=150)
    # 60 studies of a true 95 %: fewer than 51 holding it has a probability below 1e-3.
    assert out.coverage >= 51 / 60
    assert out.told_apart <= 9 / 60
    assert abs(out.bias) < 0.06
    assert out.width < 3.0


def test_one_law_on_other_costs_is_neither_steeper_nor_cheaper() -> None:
    costs = [1e18 * 4.0**step for step in range(6)]

    def law(cost: float) -> float:
        return float(1.7 + 2.0 * (cost / 1e18) ** -0.15)

    full = ladder("full", costs, [law(cost) for cost in costs])
    part = ladder("part", costs[1::2], [law(cost) for cost in costs[1::2]])
    reading = read_frontiers((full, part), num_resamples=200, generator=np.random.default_rng(0))
    found = headline_multiplier(reading)
    assert found.multiplier is not None
    assert found.multiplier.value == pytest.approx(1.0, abs=1e-6)
    assert reading.exponents is not None
    assert reading.exponents[0, 0] == pytest.approx(reading.exponents[0, 1], rel=1e-5)


def test_a_run_whose_size_failed_is_left_off_the_frontier_and_named() -> None:
    costs = [1e18 * 4.0**step for step in range(6)]
    good = ladder("good", costs, [4.0 * 0.93**step for step in range(6)])
    bad = ladder("bad", costs, [4.0, 3.72, 3.46, 3.22, 3.6, 3.9])
    found = headline_multiplier(read_frontiers((good, bad), num_resamples=100, generator=np.random.default_rng(0)))
    assert "size 5, 6" in found.why
    assert found.multiplier is not None
    assert found.multiplier.value == pytest.approx(1.0, abs=0.01)
    assert found.window_nats is not None
    assert min(found.window_nats) >= 3.22, "nothing is read at losses that it never reached"


def test_no_common_loss_is_a_status_and_no_number() -> None:
    costs = [1e18 * 4.0**step for step in range(4)]
    one = ladder("one", costs, [4.0, 3.8, 3.6, 3.4])
    other = ladder("other", costs, [3.0, 2.8, 2.6, 2.4])
    found = headline_multiplier(read_frontiers((one, other), num_resamples=50, generator=np.random.default_rng(0)))
    assert found.status is FitStatus.NO_COMMON_RANGE
    assert found.multiplier is None


def test_a_headline_that_one_run_carries_is_refused() -> None:
    costs = [1e18 * 4.0**step for step in range(5)]
    losses = [4.0 * 0.93**step * (1 + 0.002 * (-1) ** step) for step in range(5)]
    pair = (ladder("A", costs, losses), ladder("X", costs, [0.97 * loss for loss in losses]))
    reading = read_frontiers(pair, num_resamples=300, generator=np.random.default_rng(0))
    assert headline_multiplier(reading).status is FitStatus.OK
    twice = (pair[0], ladder("X", costs, [0.90 * loss for loss in losses]))
    other = read_frontiers(twice, num_resamples=10, generator=np.random.default_rng(0))
    found = headline_multiplier(replace(reading, without_each=lambda: [("X size 5", other)]))
    assert found.status is FitStatus.HANGS_ON_ONE_RUN
    assert "without X size 5" in found.reason


def test_window_outside_the_runs_is_extrapolated_and_says_whose() -> None:
    costs = [1e18 * 4.0**step for step in range(5)]
    losses = [4.0 * 0.93**step for step in range(5)]
    pair = (ladder("A", costs, losses), ladder("X", costs, [0.98 * loss for loss in losses]))
    reading = read_frontiers(pair, num_resamples=50, generator=np.random.default_rng(0))
    found = headline_multiplier(reading, Window(2.9, 2.0))
    assert found.status is FitStatus.EXTRAPOLATED
    assert "do not cover" in found.reason


def test_equal_windows_give_equal_digits() -> None:
    cell = Cell(DESIGNS[0], "chinchilla", 1.3, 3, 0.01)
    first, found = read(cell)
    again, _ = read(cell)
    assert found.window_nats is not None
    assert headline_multiplier(again, Window(*found.window_nats)) == headline_multiplier(first)


def test_shared_seeds_narrow_the_interval() -> None:
    cell = Cell(DESIGNS[0], "chinchilla", 1.0, 3, 0.01, shared=0.9)
    alone = replace(cell, shared=0.0)
    paired = [read(cell, seed)[1].multiplier for seed in range(12)]
    single = [read(alone, seed)[1].multiplier for seed in range(12)]

    def width(found) -> float:
        return float(np.median([np.log(one.high / one.low) for one in found if one is not None]))

    assert width(paired) < width(single)


def test_hull_is_read_where_no_law_can_be_and_says_why() -> None:
    one = ladder("one", [1e18, 4e18], [4.0, 3.6])
    other = ladder("other", [1e18, 4e18, 16e18], [4.1, 3.7, 3.3])
    reading = read_frontiers((one, other), num_resamples=50, generator=np.random.default_rng(0))
    assert reading.form is Form.HULL
    assert "fewer than three sizes of one" in reading.why
    middle = log_multipliers(reading, np.log([3.8]))[0, 0]
    # Between two runs a hull is a line in ln C and ln L.
    expected = np.interp(-np.log(3.8), [-np.log(4.0), -np.log(3.6)], np.log([1e18, 4e18])) - np.interp(
        -np.log(3.8), [-np.log(4.1), -np.log(3.7)], np.log([1e18, 4e18])
    )
    assert middle == pytest.approx(expected, abs=EXACT)


def test_hulls_do_not_cross_beyond_the_runs_of_either() -> None:
    # The cheaper of the two ends at 1e19; the other's dearer runs say nothing of where the first would be by then.
    reading = hulls([3.4, 3.0], [3.6, 3.2, 2.9, 2.7])
    found, note = _crossover(reading)
    assert found is None
    assert note == "none among the runs, beyond which hulls say nothing"


def test_hulls_that_cross_among_their_runs_are_found_to() -> None:
    found, note = _crossover(hulls([3.4, 2.6, 2.5], [3.2, 2.8, 2.7, 2.6]))
    assert not note
    assert found is not None
    decades = np.log(3.4 / 3.2) / (np.log(3.4 / 2.6) - np.log(3.2 / 2.8))  # both are lines in ln C and ln L
    assert found.value == pytest.approx(1e18 * 10**decades, rel=1e-3)


def test_hulls_of_two_runs_cross_at_no_established_cost() -> None:
    found, note = _crossover(hulls([3.4, 2.6], [3.2, 2.8]))
    assert found is None
    assert note == "not established: nothing tells the scatter"


def hulls(first: list[float], second: list[float]) -> Reading:
    costs = [1e18 * 10.0**step for step in range(4)]
    pair = []
    for name, losses in (("one", first), ("other", second)):
        runs = ladder(name, costs[: len(losses)], losses)
        seeds = tuple(own + np.array([-0.001, 0.0, 0.001]) for own in runs.losses)
        pair.append(replace(runs, losses=seeds, seeds=((0, 1, 2),) * len(losses)))
    return read_frontiers(pair, num_resamples=200, generator=np.random.default_rng(0), form=Form.HULL)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([3.0, 3.0, 3.0, 3.0], "the loss of one does not fall with cost"),
        ([3.0, 3.1, 3.2, 3.3], "fewer than two runs on the frontier of one"),  # the dearer sizes failed
    ],
)
def test_a_loss_that_does_not_fall_is_the_reason_that_is_given(losses: list[float], reason: str) -> None:
    costs = [1e18 * 4.0**step for step in range(4)]
    pair = (ladder("one", costs, losses), ladder("other", costs, [3.2, 3.0, 2.8, 2.6]))
    found = headline_multiplier(read_frontiers(pair, num_resamples=20, generator=np.random.default_rng(0)))
    assert found.status is FitStatus.NO_COMMON_RANGE
    assert found.reason == reason


@pytest.mark.parametrize("counts", [(3, 40), (40, 3)])
def test_three_sizes_beside_forty_have_an_interval_that_holds_the_factor(counts: tuple[int, int]) -> None:
    # Three cells keep one degree of freedom beside their own law: their small residuals are no small scatter.
    held = 0
    for study in range(80):
        generator = np.random.default_rng(study)
        pair = []
        for name, count, factor in (("A", counts[0], 1.0), ("X", counts[1], 1.3)):
            costs = np.geomspace(1e18, 1e21, count)
            losses = (1.7 + 1.9 * (factor * costs / 1e18) ** -0.15) * np.exp(0.003 * generator.standard_normal(count))
            pair.append(ladder(name, costs.tolist(), losses.tolist()))
        found = headline_multiplier(read_frontiers(pair, num_resamples=100, generator=generator)).multiplier
        held += found is not None and found.covers(1.3)
    # Of a true 95 %, fewer than 68 of 80 studies have a probability below 1e-3.
    assert held >= 68


def test_two_sizes_on_the_law_of_six_are_not_told_apart_from_them() -> None:
    # The line between two runs 63x apart lies above the law by far more than the noise of seeds.
    costs = np.geomspace(1e18, 1e21, 6)

    def with_seeds(name: str, chosen: np.ndarray) -> FinishedRuns:
        runs = ladder(name, chosen.tolist(), (1.7 + 1.9 * (chosen / 1e18) ** -0.15).tolist())
        noise = np.array([-0.003, 0.0, 0.003])
        return replace(runs, losses=tuple(own + noise for own in runs.losses), seeds=((0, 1, 2),) * len(chosen))

    pair = (with_seeds("two", costs[[1, 4]]), with_seeds("six", costs))
    found = headline_multiplier(read_frontiers(pair, num_resamples=100, generator=np.random.default_rng(0)))
    assert found.form == Form.HULL.value
    assert found.multiplier is not None
    assert found.multiplier.value > 1.1
    assert found.p_value is None
    assert not np.isfinite(found.multiplier.high)
    assert "the frontier of two lies" in found.why


def test_one_size_is_no_loss_that_does_not_fall() -> None:
    pair = (ladder("one", [1e18], [3.0]), ladder("other", [1e18, 4e18, 16e18], [3.2, 3.0, 2.8]))
    found = headline_multiplier(read_frontiers(pair, num_resamples=20, generator=np.random.default_rng(0)))
    assert found.status is FitStatus.NO_COMMON_RANGE
    assert found.reason == "fewer than two runs on the frontier of one"
