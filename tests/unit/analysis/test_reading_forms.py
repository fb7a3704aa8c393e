"""What frontiers are read from where contenders do not share what they mostly share: a floor, independent runs."""

import numpy as np
import pytest

from archbench.analysis.comparison.compare import is_resolved
from archbench.analysis.comparison.multiplier import headline_multiplier, log_multipliers
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.read_joint import joint_fit
from archbench.analysis.frontier.reading import Form, TabulatedFrontier
from archbench.analysis.frontier.trunks import NONE, TrunkNoise, trunk_noise
from archbench.analysis.simulation.multiplier import DESIGNS, LAPTOP, LAWS, Cell, Design, simulate
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis

BRANCHES = DESIGNS[-1]


def ladder(name: str, floor: float, seed: int, *, sizes: int = 8, one_size: bool = False) -> FinishedRuns:
    cost = np.geomspace(1.2e16, 4.8e20, sizes)
    noise = 0.002 * np.random.default_rng(seed).standard_normal(sizes)
    loss = np.log(floor + 0.9 * (cost / 1e19) ** -0.15) + noise
    return FinishedRuns(
        contender=name,
        axis=CostAxis.KAPLAN,
        size_index=np.zeros(sizes, dtype=int) if one_size else np.arange(sizes),
        log_params=np.full(sizes, 17.0) if one_size else 0.5 * np.log(cost),
        log_tokens=np.log(cost) - 17.0 if one_size else 0.5 * np.log(cost),
        log_cost=np.log(cost),
        losses=tuple(np.array([one]) for one in loss),
        seeds=tuple((0,) for _ in cost),
    )


def test_floors_that_the_runs_contradict_are_each_ones_own() -> None:
    pair = ladder("a", 1.7, 1), ladder("b", 2.0, 2)
    reading = read_frontiers(pair, num_resamples=100, generator=np.random.default_rng(0))
    assert reading.form is Form.OWN_FLOORS
    assert "contradict a common floor" in reading.why
    assert reading.own_floors == pytest.approx((1.7, 2.0), abs=0.05)
    turned = reading.turned()
    assert turned.own_floors == pytest.approx((2.0, 1.7), abs=0.05)
    assert turned.names == ("b", "a")


def test_a_factor_above_floors_of_their_own_may_hang_on_one_run_too() -> None:
    pair = ladder("a", 1.7, 1), ladder("b", 2.0, 2)
    reading = read_frontiers(pair, num_resamples=50, generator=np.random.default_rng(0))
    without = dict(reading.without_each())
    assert set(without) == {f"{name} size {size}" for name in "ab" for size in range(1, 9)}
    at = np.log([3.0])
    moved, whole = (float(log_multipliers(one, at)[0, 0]) for one in (without["a size 1"], reading))
    assert moved != whole
    assert moved == pytest.approx(whole, abs=0.2)


def test_floors_that_agree_are_one() -> None:
    forms = [
        read_frontiers(
            (ladder("a", 1.7, seed), ladder("b", 1.7, seed + 50)), num_resamples=10, generator=np.random.default_rng(0)
        ).form
        for seed in range(10)
    ]
    # Contradicted in one study of twenty: three of ten have a probability of 1 %.
    assert forms.count(Form.COMMON_FLOOR) >= 7


def test_runs_of_one_size_have_the_floor_of_that_size() -> None:
    pair = ladder("a", 1.7, 1, one_size=True), ladder("b", 1.7, 2, one_size=True)
    reading = read_frontiers(pair, num_resamples=50, generator=np.random.default_rng(0))
    assert reading.form is Form.OWN_FLOORS
    assert "are of one size" in reading.why


def trunk_noise_of(pair: tuple[FinishedRuns, FinishedRuns]) -> TrunkNoise:
    fits = [joint_fit(one) for one in pair]
    return trunk_noise([(fit, np.unique(np.round(fit.points.logs[0], 6), return_inverse=True)[1]) for fit in fits])


def test_noise_that_branches_share_is_seen_and_widens_the_interval() -> None:
    """Nine tenths of the variance are the trunk's: taken for independent, intervals held the truth in a third."""
    held, seen = 0, 0
    for number in range(6):
        generator = np.random.default_rng((11, number))
        pair = simulate(Cell(BRANCHES, "chinchilla", 1.3, 1, 0.005, trunk=0.95), generator)
        found = headline_multiplier(read_frontiers(pair, num_resamples=100, generator=generator))
        held += found.status is not FitStatus.OK or (found.multiplier is not None and found.multiplier.covers(1.3))
        seen += trunk_noise_of(pair).variance > 0
    assert held >= 5
    assert seen >= 4


def test_independent_runs_have_no_trunk() -> None:
    found = [
        trunk_noise_of(simulate(Cell(BRANCHES, "chinchilla", 1.3, 1, 0.005), np.random.default_rng((12, number))))
        for number in range(6)
    ]
    assert sum(one == NONE for one in found) >= 4


def test_the_window_is_narrowed_to_what_resamples_reach() -> None:
    """Six sizes beside the last three at 2.5 times the compute: the middle half was refused in half of the studies."""
    six = next(one for one in DESIGNS if one.name == "six sizes and the last three")
    statuses = []
    for number in range(20):
        generator = np.random.default_rng((0, number))
        pair = simulate(Cell(six, "chinchilla", 2.5, 1, 0.01), generator)
        statuses.append(headline_multiplier(read_frontiers(pair, num_resamples=100, generator=generator)).status)
    assert statuses.count(FitStatus.OK) >= 15


@pytest.mark.parametrize(
    ("low", "high", "resolved"), [(-0.3, -0.1, True), (-1.9, -0.05, False), (-np.inf, np.inf, False)]
)
def test_a_difference_beyond_any_exponents_is_not_resolved(low: float, high: float, resolved: bool) -> None:
    assert is_resolved(Interval(-0.2, low, high)) is resolved


def _frontier_of(design: Design) -> tuple[FinishedRuns, TabulatedFrontier]:
    """The runs of a design without noise, and the frontier that its joint law gives."""
    cell = Cell(design, "small models", 1.0, 1, 1e-6)
    one, other = simulate(cell, np.random.default_rng(0))
    reading = read_frontiers((one, other), num_resamples=10, generator=np.random.default_rng(0), form=Form.JOINT_LAW)
    frontier = reading.frontiers[0]
    assert isinstance(frontier, TabulatedFrontier)
    return one, frontier


def test_a_joint_law_is_read_between_the_runs_and_not_where_nothing_was_trained() -> None:
    # Tokens rise with the square root of the size: what costs most and least is one run, and the law's best size for
    # the dearest cost, a quarter of that with four times the tokens, was never trained.
    runs, frontier = _frontier_of(LAPTOP)
    for end in (0, -1):
        reached = frontier.log_loss_at(runs.log_cost[[end]])[0, 0]
        assert reached == pytest.approx(runs.log_loss[end], abs=2e-3)
    assert (frontier.log_loss_at(runs.log_cost)[0] <= runs.log_loss + 2e-3).all()
    cost = 1.4e4 * 1.5e4**1.5 * 6.0
    size = np.geomspace(1.5e4, 1.2e5, 2000)
    tokens = cost / 6.0 / size
    trained = (tokens >= 3.5e3 * np.sqrt(size)) & (tokens <= 1.4e4 * np.sqrt(size) * 1.001)
    best = np.log(LAWS["small models"](size, tokens)[trained].min())
    assert frontier.log_loss_at(np.log([cost]))[0, 0] == pytest.approx(best, abs=2e-3)


def test_between_the_budgets_of_an_isoflop_grid_the_best_size_is_free() -> None:
    grid = next(one for one in DESIGNS if one.name == "isoFLOP grids")
    runs, frontier = _frontier_of(grid)
    law = LAWS["small models"]
    middle = (runs.log_cost[0] + runs.log_cost[-1]) / 2
    sizes = np.geomspace(np.exp(runs.log_params.min()), np.exp(runs.log_params.max()), 2000)
    best = float(np.log(law(sizes, np.exp(middle) / 6.0 / sizes)).min())
    assert frontier.log_loss_at(np.array([middle]))[0, 0] == pytest.approx(best, abs=3e-3)
