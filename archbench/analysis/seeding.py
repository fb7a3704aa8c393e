"""Random numbers by contender: what is drawn for one does not hang on who else is in the scan or table."""

import zlib

import numpy as np


def contender_seed(seed: int, contender: str) -> int:
    """A seed for each pair of `seed` and contender."""
    return (seed << 32) + zlib.crc32(contender.encode())


def contender_generator(seed: int, contender: str) -> np.random.Generator:
    """The generator of that seed."""
    return np.random.default_rng(contender_seed(seed, contender))
