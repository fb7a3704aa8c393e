"""The power that a plan promises is the share of studies that call a better contender better."""

import numpy as np
import pytest

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.power import (
    Assumed,
    LowerBound,
    PlannedCell,
    lower_bound,
    power_of,
)


def ladder(seeds: int, sizes: int = 5) -> list[PlannedCell]:
    return [PlannedCell(index, 1e4 * 2**index, 4e5 * 2**index, 4.8e10 * 4**index, seeds) for index in range(sizes)]


def bound(seeds: int, std: float = 0.03) -> LowerBound:
    found = lower_bound((ladder(seeds), ladder(seeds)), Assumed(0.07, 4.0, std))
    assert found is not None
    return found


def test_the_bound_scales_with_the_noise_and_about_the_root_of_the_seeds() -> None:
    one, four = bound(1), bound(4)
    # The scatter of 24 readings and 200 estimates: a tenth or so.
    assert bound(1, 0.015).needed == pytest.approx(one.needed / 2, rel=0.05)
    assert one.scaled(0.5).needed == pytest.approx(one.needed / 2)
    # Where seeds show the noise, what is lack of fit is uncertain too, which costs some of the gain.
    assert 1.4 < one.needed / four.needed < 2.6


def test_seeds_for_enough_power_give_it() -> None:
    sides = (ladder(2), ladder(2))
    rows = power_of(sides, 1.1, bound(2, 0.06))
    assert [row.factor for row in rows] == pytest.approx([1.32, 1.43, 1.65])
    assert rows[0].power < rows[1].power < rows[2].power
    for row in rows:
        assert row.seeds is not None
        assert row.cost == pytest.approx(row.seeds * 2 * sum(cell.cost for cell in sides[0]))
    seeds = rows[0].seeds
    assert seeds is not None
    reached = bound(seeds, 0.06).power(float(np.log(1.2)))
    # Aimed at .8 by the root of the seeds; a whole number of seeds, and the scatter of the readings, lie between.
    assert 0.7 < reached < 0.95


def test_a_place_at_the_end_of_the_ladder_has_less_power_than_its_middle() -> None:
    sides, assumed = (ladder(3), ladder(3)), Assumed(0.07, 4.0, 0.03)
    middle, losses, end = (
        lower_bound(sides, assumed, place=place) for place in (None, Window(4.1, 4.0), 4.8e10 * 4**4 * 0.99)
    )
    assert middle is not None
    assert losses is not None
    assert end is not None
    assert middle.needed < losses.needed < end.needed


def test_nothing_is_promised_beyond_the_runs_or_of_two_sizes() -> None:
    sides, assumed = (ladder(3), ladder(3)), Assumed(0.07, 4.0, 0.03)
    assert lower_bound(sides, assumed, place=4.8e10 * 4**5) is None
    assert lower_bound(sides, assumed, place=Window(3.9, 3.5)) is None
    assert lower_bound((ladder(3, 2), ladder(3, 2)), assumed) is None
