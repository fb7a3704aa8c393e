"""Randomness by hashing: numbers that are a function of what they are for, drawn for whole arrays at once.

A generator object per row would cost more than the batch itself; a hash of (seed, step, row, position) costs a few
array operations and needs no state.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words that looks random."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def hash_words(*parts: ArrayLike) -> NDArray[np.uint64]:
    """64-bit words that depend on all `parts` (integers from 0 on, or arrays of them), broadcast against each other.

    The order of the parts counts. The result has at least one axis.
    """
    words = np.zeros(1, dtype=np.uint64)
    for part in parts:
        words = mix(words ^ mix(np.atleast_1d(part).astype(np.uint64)))
    return words


def below(words: NDArray[np.uint64], limit: ArrayLike) -> NDArray[np.int64]:
    """Integers in [0, limit) out of random words; the bias is below limit / 2**32."""
    high = words >> np.uint64(32)
    return ((high * np.asarray(limit).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def permuted(indices: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Where a permutation of [0, size), chosen by `key`, sends `indices`: O(1) in `size`, in time and memory.

    A Feistel network on the smallest power of two that holds `size`, walked until the value falls inside
    (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    bits = max(2, int(size - 1).bit_length())
    low_bits, high_bits = np.uint64(bits // 2), np.uint64(bits - bits // 2)
    round_keys = _round_keys(key)
    values = indices.astype(np.uint64)
    outside = np.arange(values.size)
    while outside.size:
        walked = _feistel(values[outside], high_bits, low_bits, round_keys)
        values[outside] = walked
        outside = outside[walked >= np.uint64(size)]
    return values.astype(np.int64)


_ROUNDS = 6
"""Even, so that halves of unequal width end where they began; four are the least for a random-looking permutation."""


@lru_cache(maxsize=8)
def _round_keys(key: int) -> NDArray[np.uint64]:
    return hash_words(key, np.arange(_ROUNDS))


def _feistel(
    values: NDArray[np.uint64], high_bits: np.uint64, low_bits: np.uint64, round_keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    one = np.uint64(1)
    high, low = values >> low_bits, values & ((one << low_bits) - one)
    high_mask, low_mask = (one << high_bits) - one, (one << low_bits) - one
    for even_key, odd_key in zip(round_keys[::2], round_keys[1::2], strict=True):
        high = high ^ (mix(low ^ even_key) & high_mask)
        low = low ^ (mix(high ^ odd_key) & low_mask)
    return (high << low_bits) | low
