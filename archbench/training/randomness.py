"""Every random draw is a function of the run's seed and of the place where it is drawn, so no generator is stored."""

import hashlib
import random
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What numbers are drawn for. The values enter the seeds: they never change."""

    INITIALISATION = 0
    TRAINING = 1
    EVALUATION = 2
    AUDIT = 3


def derived_seed(seed: int, purpose: Purpose, *counters: int) -> int:
    """A seed in [0, 2^63) for one place of one run, independent of all others."""
    text = ",".join(map(str, (seed, int(purpose), *counters)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seed_generators(seed: int, purpose: Purpose, *counters: int) -> None:
    """Sets the global generators of torch (all devices), numpy and Python, which models draw from.

    Micro-batches of one step are given the same seed on purpose: a model that draws once per pass (the hash rotations
    of a Reformer) then draws the same whether the batch is cut or not, as the run's identity promises.
    """
    value = derived_seed(seed, purpose, *counters)
    # `torch.manual_seed` would note the call stack in every step, for devices that are not there.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(value)
    np.random.seed(value & 0xFFFFFFFF)
    random.seed(value)
