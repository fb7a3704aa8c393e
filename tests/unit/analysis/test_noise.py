import numpy as np
import pytest

from archbench.analysis.frontier.curves import CurveSet, MeanCurve
from archbench.analysis.frontier.noise import (
    POOLING_LEVEL,
    SeedNoise,
    SizeNoise,
    estimate_noise,
    homogeneity_p_value,
    noise_of,
    trend_p_value,
)
from archbench.results.runs import CostAxis


def contender(name: str, *finals: tuple[float, ...]) -> CurveSet:
    curves = tuple(
        MeanCurve(
            size_index=place,
            non_embedding_params=1000 * 2**place,
            planned_tokens=1000,
            run_ids=tuple(str(seed) for seed in range(len(losses))),
            cost=np.array([6e6 * 2.0**place]),
            loss_nats=np.array([np.mean(losses)]),
            tokens=np.array([1000]),
            finished=np.array([True]),
            final_losses_nats=np.array(losses),
        )
        for place, losses in enumerate(finals)
    )
    return CurveSet(name, CostAxis.KAPLAN, curves)


def test_equal_noise_is_called_unequal_at_the_level_of_the_test_with_two_degrees_of_freedom() -> None:
    generator = np.random.default_rng(3)
    refused = trended = 0
    for _ in range(500):
        squares = generator.chisquare(2, 4)
        refused += homogeneity_p_value([(float(np.sqrt(one / 2)), 2) for one in squares]) < POOLING_LEVEL
        trended += trend_p_value(squares.tolist(), [2] * 4) < POOLING_LEVEL
    # 500 samples: 20 % has a standard error of 1.8 %; three of them are allowed.
    assert abs(refused / 500 - POOLING_LEVEL) < 0.054
    assert abs(trended / 500 - POOLING_LEVEL) < 0.054


def test_noise_that_grows_or_shrinks_is_kept_size_by_size() -> None:
    spread = [0.001, 0.003, 0.01, 0.03]
    finals = [(4.0 - 2 * s, 4.0, 4.0 + 2 * s) for s in spread]
    for ordered in (finals, finals[::-1]):
        noise = estimate_noise(contender("a", *ordered).curves)
        assert noise is not None
        assert "size by size" in noise.source
        assert max(noise.at(0).std_log, noise.at(3).std_log) > 10 * min(noise.at(0).std_log, noise.at(3).std_log)


def test_noise_that_is_alike_is_pooled() -> None:
    noise = estimate_noise(contender("a", *[(4.0 - s, 4.0, 4.0 + s) for s in (0.02, 0.019, 0.021, 0.02)]).curves)
    assert noise is not None
    assert noise.by_size == {}
    assert noise.degrees_of_freedom == 8


def test_a_size_of_one_seed_beside_noise_that_changes_has_no_less_than_the_pooled_one() -> None:
    finals = [(4.0 - 2 * s, 4.0, 4.0 + 2 * s) for s in (0.03, 0.01, 0.001, 0.0001)]
    noise = estimate_noise(contender("a", *finals, (3.0,)).curves)
    assert noise is not None
    assert noise.at(4).std_log == noise.std_log


def test_contenders_are_pooled_only_if_their_noise_is_alike() -> None:
    bare = contender("bare", (4.0,), (3.0,))
    quiet = contender("quiet", (4.0, 4.01, 4.02), (3.0, 3.01, 3.02))
    alike = contender("alike", (4.0, 4.011, 4.02), (3.0, 3.011, 3.02))
    loud = contender("loud", (4.0, 4.5, 5.0), (3.0, 3.5, 4.0))
    pooled = noise_of(bare, [bare, quiet, alike])
    assert pooled is not None
    assert pooled.degrees_of_freedom == 8
    noisiest = noise_of(bare, [bare, quiet, loud])
    assert noisiest is not None
    assert noisiest.degrees_of_freedom == 4
    assert "loud, the noisiest" in noisiest.source


def test_errors_of_unequal_sizes_have_satterthwaites_degrees_of_freedom() -> None:
    noise = SeedNoise(0.02, 4, "its own seeds", 1.0, {0: SizeNoise(0.01, 2), 1: SizeNoise(0.03, 2)})
    error, freedom = noise.error((0, 1), np.array([1.0, -1.0]), np.array([3.0, 3.0]))
    assert error == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 3))
    assert freedom == pytest.approx((0.01**2 + 0.03**2) ** 2 / (0.01**4 / 2 + 0.03**4 / 2))


def test_seeds_of_equal_losses_tell_nothing_of_noise() -> None:
    assert estimate_noise(contender("a", (4.0, 4.0), (3.0, 3.0)).curves) is None
    once, twice = contender("a", (4.0, 4.1)), contender("a", (4.0, 4.1, 4.1))
    assert estimate_noise(twice.curves) == estimate_noise(once.curves)


def test_noise_of_nothing_is_homogeneous() -> None:
    assert homogeneity_p_value([(0.0, 2), (0.0, 2)]) == 1.0
    assert homogeneity_p_value([(0.0, 2), (0.1, 2)]) == 0.0
