"""What is stored twice is held against itself: nats per token and bits per byte of one evaluation set."""

import math
from collections.abc import Sequence
from statistics import median

_ROUNDING = 1e-9
"""Relative difference up to which two figures are the same."""


def near(one: float, other: float) -> bool:
    """Whether two figures differ by no more than rounding."""
    return math.isclose(one, other, rel_tol=_ROUNDING)


def belied_point(losses_nats: Sequence[float], bits_per_byte: Sequence[float | None]) -> int | None:
    """The first point of a curve whose loss and bits per byte belie each other; None where none does.

    Both are of one evaluation set, so that their quotient is the same at every point. Columns of one length.
    """
    factors = {
        index: bits / loss
        for index, (loss, bits) in enumerate(zip(losses_nats, bits_per_byte, strict=True))
        if bits and loss > 0.0
    }
    usual = median(factors.values()) if factors else 1.0
    return next((index for index, factor in factors.items() if not near(factor, usual)), None)
