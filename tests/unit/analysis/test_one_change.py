"""The table of single changes finds a factor that is put in."""

import numpy as np
import pytest
from one_change_table import changed, tokens_for

BUDGETS = (5_000_000, 10_000_000, 20_000_000)
ALPHA, NOISE = 0.11, 0.004


def curves(factor: float, seed: int, num_seeds: int = 3) -> dict[int, dict[int, float]]:
    """A power law of tokens, at which a contender is as if it had seen `factor` times as many."""
    generator = np.random.default_rng(seed)
    shared = np.random.default_rng(9).normal(0.0, 2 * NOISE, num_seeds)  # of the order of text, which both sides see
    return {
        one: {
            tokens: float(
                2.4 * (factor * tokens / BUDGETS[-1]) ** -ALPHA * np.exp(shared[one] + generator.normal(0.0, NOISE))
            )
            for tokens in BUDGETS
        }
        for one in range(num_seeds)
    }


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.3, 1.9])
def test_a_known_factor_is_found(factor: float) -> None:
    found = [changed(curves(1.0, 2 * study), curves(factor, 2 * study + 1), 1.0) for study in range(200)]
    assert np.exp(np.mean(np.log([one.multiplier for one in found]))) == pytest.approx(factor, rel=0.02)
    covered = np.mean([one.low <= factor <= one.high for one in found])
    assert 0.90 <= covered <= 0.99, covered


def test_costs_per_token_count() -> None:
    half = changed(curves(1.0, 0), curves(1.0, 1), 0.5)
    alone = changed(curves(1.0, 0), curves(1.0, 1), 1.0)
    assert half.multiplier == pytest.approx(alone.multiplier / 2)


def test_a_better_change_is_read_where_the_baseline_has_been() -> None:
    assert changed(curves(1.0, 0), curves(1.5, 1), 1.0).tokens == BUDGETS[1]
    assert changed(curves(1.0, 0), curves(0.7, 1), 1.0).tokens == BUDGETS[2]


def test_a_curve_is_read_between_its_points() -> None:
    curve = {100: 4.0, 400: 2.0}
    assert tokens_for(curve, 4.0) == pytest.approx(100)
    assert tokens_for(curve, 2.0) == pytest.approx(400)
    assert tokens_for(curve, np.sqrt(8.0)) == pytest.approx(200)
    assert tokens_for(curve, 1.0) == pytest.approx(1600)
