"""Randomness by hashing: known answers, uniformity, and independence of its parts."""

import numpy as np
import pytest

from archbench.data.hashing import below, hash_words, mix, permuted


def test_mix_gives_the_published_sequence_of_splitmix64() -> None:
    # SplitMix64 from state 1234567: the test vector that its implementations share.
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = np.array([1234567], dtype=np.uint64) + np.arange(3, dtype=np.uint64) * golden
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_hashes_depend_on_every_part_and_on_their_order() -> None:
    words = {int(hash_words(*parts)[0]) for parts in [(1, 2, 3), (3, 2, 1), (1, 2), (1, 2, 4), (0, 1, 2, 3)]}
    assert len(words) == 5


def test_numbers_below_a_limit_are_uniform() -> None:
    counts = np.bincount(below(hash_words(7, np.arange(60_000)), 6), minlength=6)
    assert len(counts) == 6
    # Chi-squared with 5 degrees of freedom is above 25.7 once in 10,000 times.
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 25.7


@pytest.mark.parametrize("size", [5, 64, 1000])
def test_the_shuffle_sends_every_place_everywhere(size: int) -> None:
    keys = 2000
    places = np.array([permuted(np.arange(size), size, key) for key in range(keys)])
    # Means of 2,000 uniform draws: standard deviation at most 0.35 / sqrt(2,000) = 0.008; five of them.
    assert np.abs(places.mean(axis=0) / (size - 1) - 0.5).max() < 0.04
    neighbours = (np.abs(np.diff(places, axis=1)) == 1).mean()
    # In a random permutation two neighbours stay neighbours with probability 2 / size.
    assert neighbours == pytest.approx(2 / size, rel=0.1)
