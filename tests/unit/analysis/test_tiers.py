import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.analysis.frontier.noise import Noise
from archbench.analysis.frontier.tiers import FinalLoss, design_warning, find_tiers, holm, smallest_visible_gain
from archbench.analysis.simulation.calibration import (
    Design,
    equal_architectures,
    equal_sizes,
    exponent_coverage,
    tier_power,
)

NOISE = Noise(std_log=0.01, std_nats=0.03, degrees_of_freedom=4, source="its own seeds")


def finals(*losses: float, seeds: tuple[int, ...] | None = None) -> list[FinalLoss]:
    return [FinalLoss(i, loss, seeds[i] if seeds else 1) for i, loss in enumerate(losses)]


def groups(sizes: list[FinalLoss], noise: Noise | None) -> list[tuple[int, ...]]:
    return [tier.size_indices for tier in find_tiers(sizes, noise)]


def test_sizes_that_improve_far_beyond_the_noise_are_tiers_by_themselves() -> None:
    assert groups(finals(5.0, 4.5, 4.0, 3.5), NOISE) == [(0,), (1,), (2,), (3,)]


def test_larger_sizes_that_do_not_beat_the_smallest_form_one_tier_with_it() -> None:
    assert groups(finals(5.0, 4.0, 4.01, 3.99, 3.0), NOISE) == [(0,), (1, 2, 3), (4,)]


def test_without_noise_only_sizes_that_are_not_even_better_form_a_tier() -> None:
    tiers = find_tiers(finals(5.0, 4.0, 4.01, 3.999), None)
    assert [tier.size_indices for tier in tiers] == [(0,), (1, 2), (3,)]
    assert all(not tier.p_values for tier in tiers)


def test_p_values_are_those_of_a_one_sided_t_test_with_holms_correction() -> None:
    (tier,) = find_tiers(finals(4.00, 3.98), NOISE)
    # t = 0.02 / (0.03 · sqrt 2) = 0.4714 with 4 degrees of freedom: p = 0.3309 by tables of Student's t
    assert tier.p_values[1] == pytest.approx(0.3309, abs=1e-4)


def test_holms_correction_follows_the_worked_example_of_the_method() -> None:
    assert holm({1: 0.01, 2: 0.04, 3: 0.03, 4: 0.005}) == pytest.approx({1: 0.03, 2: 0.06, 3: 0.06, 4: 0.02})


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=8))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(raw: dict[int, float]) -> None:
    corrected = holm(raw)
    assert all(raw[key] <= corrected[key] <= 1 for key in raw)
    ranked = sorted(raw, key=lambda key: raw[key])
    assert [corrected[key] for key in ranked] == sorted(corrected.values())


def test_a_design_with_one_seed_is_told_that_noise_is_unknown() -> None:
    warning = design_warning(finals(5.0, 4.5, 4.0), None)
    assert warning is not None
    assert "noise is unknown" in warning


def test_a_design_that_cannot_see_its_own_gains_is_told_which() -> None:
    warning = design_warning(finals(5.0, 4.99, 4.0), NOISE)
    assert warning is not None
    assert "sizes 1-2" in warning
    assert design_warning(finals(5.0, 4.0, 3.0), NOISE) is None


def test_more_seeds_make_smaller_gains_visible() -> None:
    one, three = finals(5.0, 4.0), finals(5.0, 4.0, seeds=(3, 3))
    assert smallest_visible_gain(three, NOISE) == pytest.approx(smallest_visible_gain(one, NOISE) / np.sqrt(3))


def test_equal_sizes_are_told_apart_in_at_most_five_percent_of_made_up_studies() -> None:
    # 4,000 studies: the standard error of 5 % is 0.34 %, three of them are allowed.
    assert equal_sizes(Design(), studies=4000) <= 0.05 + 3 * 0.0034


def test_the_power_of_the_tier_test_falls_with_the_gain() -> None:
    assert tier_power(Design(), 300, gain=1.0) > 0.95
    assert tier_power(Design(), 300, gain=0.05) < 0.2


def test_equal_architectures_are_told_apart_about_as_rarely_as_promised() -> None:
    # 60 studies: 5 % has a standard error of 2.8 %; three of them are allowed. The full table is in the docs.
    exponent, multiplier = equal_architectures(Design(num_resamples=300), studies=60)
    assert exponent <= 0.05 + 3 * 0.028
    assert multiplier <= 0.05 + 3 * 0.028


def test_intervals_of_the_exponent_cover_about_as_often_as_promised() -> None:
    # 60 studies of a design whose noise is well known: 95 % has a standard error of 2.8 %; three are allowed.
    assert exponent_coverage(Design(seeds=(5, 5, 5, 5, 5), num_resamples=300), studies=60) >= 0.95 - 3 * 0.028
