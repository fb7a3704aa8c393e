"""The table of single changes finds a factor that is put in."""

import numpy as np
import pytest
from one_change_table import Change, changed, rows, tokens_for

from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

BUDGETS = (5_000_000, 10_000_000, 20_000_000)
ALPHA, NOISE = 0.11, 0.004
WORTH = (("gpt2", 1.0), ("change", 1.5))


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
    studies = (changed(curves(1.0, 2 * study), curves(factor, 2 * study + 1), 1.0) for study in range(200))
    found = [one for one in studies if one is not None]
    assert len(found) == 200
    assert np.exp(np.mean(np.log([one.multiplier for one in found]))) == pytest.approx(factor, rel=0.02)
    covered = np.mean([one.low <= factor <= one.high for one in found])
    assert 0.90 <= covered <= 0.99, covered


def worth(factor: float, cost_ratio: float = 1.0) -> Change:
    found = changed(curves(1.0, 0), curves(factor, 1), cost_ratio)
    assert found is not None
    return found


def test_costs_per_token_count() -> None:
    half, alone = worth(1.0, 0.5), worth(1.0)
    assert half.multiplier == pytest.approx(alone.multiplier / 2)


def test_a_change_is_read_where_the_baseline_has_been_and_marked_where_it_has_not() -> None:
    assert (worth(1.5).tokens, worth(1.5).extrapolated) == (BUDGETS[1], False)
    assert (worth(0.7).tokens, worth(0.7).extrapolated) == (BUDGETS[2], False)
    assert (worth(9.0).tokens, worth(9.0).extrapolated) == (BUDGETS[0], True)
    assert (worth(0.1).tokens, worth(0.1).extrapolated) == (BUDGETS[2], True)


def test_a_scan_under_way_gives_what_it_has() -> None:
    begun = {seed: dict(list(curve.items())[: 2 - seed]) for seed, curve in curves(1.0, 1, 2).items()}
    found = changed(curves(1.0, 0), begun, 1.0)
    assert found is not None
    assert (found.num_seeds, found.tokens) == (2, BUDGETS[0])
    assert changed(curves(1.0, 0), {0: begun[0]}, 1.0) is None
    assert changed(curves(1.0, 0), {}, 1.0) is None
    apart = {0: {BUDGETS[0]: 2.5}, 1: {BUDGETS[1]: 2.5}}
    assert changed(curves(1.0, 0), apart, 1.0) is None


def test_a_curve_is_read_between_its_points() -> None:
    curve = {100: 4.0, 400: 2.0}
    assert tokens_for(curve, 4.0) == pytest.approx(100)
    assert tokens_for(curve, 2.0) == pytest.approx(400)
    assert tokens_for(curve, np.sqrt(8.0)) == pytest.approx(200)
    assert tokens_for(curve, 1.0) == pytest.approx(1600)


def test_a_table_of_made_up_runs() -> None:
    """A change that is as if it had seen 1.5 times the tokens; nothing but tokens moves the loss of one size."""
    laws = {name: SyntheticLaw(A=0.0, B=30.0 * factor**-0.15, beta=0.15, noise_std=0.001) for name, factor in WORTH}
    budgets = [SyntheticScan(sizes=(10_000,), seeds=(3,), tokens=4096 * steps) for steps in (250, 500, 1000)]
    records = [
        record
        for name, law in laws.items()
        for number, plan in enumerate(budgets)
        for record in synthetic_records(name, law, plan, seed=number)
    ]
    (row,) = rows(records, "gpt2")
    name, difference, tokens, multiplier, seeds = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, tokens, seeds) == ("change", "2.0M", "3")
    assert float(multiplier.split()[0]) == pytest.approx(1.5, rel=0.03)
    assert float(difference) < 0
    with pytest.raises(ValueError, match="no finished run of nobody"):
        rows(records, "nobody")


def test_several_sizes_are_refused() -> None:
    plan = SyntheticScan(sizes=(10_000, 20_000), seeds=(2, 2))
    with pytest.raises(ValueError, match="several sizes"):
        rows(synthetic_records("gpt2", SyntheticLaw(), plan), "gpt2")
