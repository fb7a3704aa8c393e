"""Trials of peak learning rates, and what follows from their losses: who goes on, which rate is chosen, which is best.

Plain arithmetic on values, the same for who plans the next trials and for who reports them. What is decided is a
function of the losses alone: neither the order of the trials nor the clock enters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

TRIAL = "trial"
"""Role of a run that helps to choose a learning rate."""
RUNG_LABEL = "rung"
"""Label of a trial: its rung, from 1."""
CHECK_LABEL = "check"
"""Label of a trial that checks an extrapolated rate: its rate over the law's."""


class Edge(StrEnum):
    """The end of its grid on which a rate lies."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class HalvingRung:
    """One rung of successive halving."""

    count: int
    """Rates that are tried."""
    fraction: float
    """Share of the full token budget that each trial trains on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate and how it ended."""

    rate: float
    loss_nats: float | None
    """Validation loss at the end; None if the run diverged."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The minimum of the parabola in log rate through the best trial and its two neighbours."""

    rate: float
    loss_nats: float


def halving(trials: int, rungs: int, eta: int) -> tuple[HalvingRung, ...]:
    """Counts and token shares of each rung: 1/eta of the rates (rounded up) go on to eta times the tokens."""
    counts = [trials]
    for _ in range(rungs - 1):
        counts.append(max(1, -(-counts[-1] // eta)))
    return tuple(HalvingRung(count, float(eta) ** (rung + 1 - rungs)) for rung, count in enumerate(counts))


def rate_grid(centre: float, span: float, trials: int) -> tuple[float, ...]:
    """`trials` rates from centre/span to centre·span, evenly spaced in log; an odd number holds `centre` to the bit."""
    return tuple(centre * span ** (2.0 * number / (trials - 1) - 1.0) for number in range(trials))


def by_merit(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """`trials`, best first: lowest loss, the lower rate on a tie; diverged ones last, the lowest rate first."""
    return tuple(sorted(trials, key=lambda one: (math.inf if one.loss_nats is None else one.loss_nats, one.rate)))


def survivors(trials: Sequence[Trial], count: int) -> tuple[float, ...]:
    """Rates of the best `count` trials, rising.

    A diverged trial goes on only where too few others are left: every architecture has the same number of trials.
    """
    return tuple(sorted(one.rate for one in by_merit(trials)[:count]))


def edge_of(rate: float, grid: Sequence[float]) -> Edge | None:
    """Whether `rate` is the lowest or highest of `grid`, so that a better one may lie outside."""
    if rate <= min(grid):
        return Edge.LOW
    return Edge.HIGH if rate >= max(grid) else None


def optimum(trials: Sequence[Trial]) -> Optimum | None:
    """The minimum of the parabola through the best trial and its neighbours in rate; None where it has not both.

    The best of three has the lowest loss, so the parabola opens upwards and its minimum lies between the outer two.
    """
    finished = sorted((one.rate, one.loss_nats) for one in trials if one.loss_nats is not None)
    if len(finished) < 3:
        return None
    best = min(range(len(finished)), key=lambda index: finished[index][1])
    if best in (0, len(finished) - 1):
        return None
    (x0, y0), (x1, y1), (x2, y2) = ((math.log(rate), loss) for rate, loss in finished[best - 1 : best + 2])
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = (right - left) / (x2 - x0)
    if curvature <= 0.0:
        return None  # three equal losses
    at = 0.5 * (x0 + x1) - 0.5 * left / curvature
    return Optimum(math.exp(at), y0 + (at - x0) * (left + curvature * (at - x1)))


def rate_law(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Coefficient and exponent of rate = coefficient · N^exponent through two pairs (N, rate)."""
    (n1, rate1), (n2, rate2) = first, second
    exponent = math.log(rate2 / rate1) / math.log(n2 / n1)
    return rate1 / n1**exponent, exponent
