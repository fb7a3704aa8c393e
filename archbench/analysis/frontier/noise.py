"""Run-to-run noise: how far two runs of one plan lie apart when only the seed differs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.frontier.curves import CurveSet, MeanCurve

ENOUGH_FREEDOM = 2
"""Degrees of freedom (seeds beyond the first, summed over sizes) from which a contender's own noise is used."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one run's final loss about the mean of its size, pooled over sizes with several seeds."""

    std_log: float
    """Of ln L: what shifts a run's whole learning curve."""
    std_nats: float
    degrees_of_freedom: int
    source: str
    """Whose seeds it comes from, in words."""


def estimate_noise(curves: Sequence[MeanCurve], source: str = "its own seeds") -> Noise | None:
    """The pooled noise of `curves`; None where no size has several seeds."""
    squares_log = squares = 0.0
    freedom = 0
    for curve in curves:
        final = curve.final_losses_nats
        if len(final) > 1:
            squares += float(np.sum((final - final.mean()) ** 2))
            squares_log += float(np.sum((np.log(final) - np.log(final).mean()) ** 2))
            freedom += len(final) - 1
    if not freedom:
        return None
    return Noise(float(np.sqrt(squares_log / freedom)), float(np.sqrt(squares / freedom)), freedom, source)


def noise_of(curves: CurveSet, peers: Sequence[CurveSet]) -> Noise | None:
    """The noise of a contender: from its own seeds if they are enough, otherwise from its peers' of the same track."""
    own = estimate_noise(curves.curves)
    if own is not None and own.degrees_of_freedom >= ENOUGH_FREEDOM:
        return own
    pooled = estimate_noise(
        [curve for peer in peers for curve in peer.curves], "the seeds of all contenders of its track"
    )
    return pooled if pooled is not None and (own is None or pooled.degrees_of_freedom > 1) else own
