"""Run-to-run noise: how far two runs of one plan lie apart when only the seed differs.

One model for tiers, dominated sizes and intervals: ln L of a run is normal about the mean of its size. Its standard
deviation is pooled over sizes unless it plainly changes along the ladder, and over contenders unless theirs differ.
Both tests are of normal samples, and their null distributions are drawn for the very degrees of freedom at hand, so
that they hold with two seeds at a size, where tables for large samples do not.

Legend: s² variance of ln L within a size, f its degrees of freedom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve

ENOUGH_FREEDOM = 2
"""Degrees of freedom (seeds beyond the first, summed over sizes) from which a contender's own noise is used."""
POOLING_LEVEL = 0.2
"""Level of the tests that precede pooling. Liberal, since pooling what differs costs more than not pooling."""
_TREND_SIZES = 3
"""Sizes with seeds that a trend takes: two say nothing about the sizes that have none."""
_NULL_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class SizeNoise:
    """The noise of one size, where it is not that of all."""

    std_log: float
    degrees_of_freedom: int


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """Standard deviation of ln L of one run about the mean of its size: what shifts a run's whole learning curve."""

    std_log: float
    """Pooled over sizes."""
    degrees_of_freedom: int
    source: str
    """Whose seeds it comes from, in words."""
    loss_nats: float = 1.0
    """Geometric mean of the losses that it was seen at."""
    by_size: Mapping[int, SizeNoise] = field(default_factory=dict)
    """Size index -> its own noise; empty unless noise changes along the ladder."""

    @property
    def std_nats(self) -> float:
        """The same in nats, at the losses that it was seen at."""
        return self.std_log * self.loss_nats

    def at(self, size_index: int) -> SizeNoise:
        """The noise of one size."""
        return self.by_size.get(size_index, SizeNoise(self.std_log, self.degrees_of_freedom))

    def error(self, sizes: Sequence[int], coefficients: Floats, runs: Floats) -> tuple[float, float]:
        """Standard error of a linear combination of mean log losses of `sizes`, and its degrees of freedom.

        Degrees of freedom by Satterthwaite (1946) where sizes have noise of their own.
        """
        if not self.by_size:
            return self.std_log * float(np.sqrt(np.sum(coefficients**2 / runs))), float(self.degrees_of_freedom)
        each = [self.at(size) for size in sizes]
        variances = coefficients**2 / runs * np.array([one.std_log for one in each]) ** 2
        total = float(variances.sum())
        parts = float(np.sum(variances**2 / np.array([one.degrees_of_freedom for one in each])))
        return float(np.sqrt(total)), total**2 / parts if parts > 0 else float(self.degrees_of_freedom)


def estimate_noise(curves: Sequence[MeanCurve], source: str = "its own seeds") -> SeedNoise | None:
    """The noise of `curves`, pooled over sizes unless it changes along the ladder; None without a size of two seeds."""
    squares: dict[int, float] = {}
    freedom: dict[int, int] = {}
    logs: list[float] = []
    for curve in curves:
        final = np.unique(np.log(curve.final_losses_nats))  # one run given twice tells nothing of noise
        if len(final) > 1:
            size = curve.size_index
            squares[size] = squares.get(size, 0.0) + float(np.sum((final - final.mean()) ** 2))
            freedom[size] = freedom.get(size, 0) + len(final) - 1
            logs.extend(final)
    if not freedom:
        return None
    total = sum(freedom.values())
    pooled = SizeNoise(float(np.sqrt(sum(squares.values()) / total)), total)
    loss = float(np.exp(np.mean(logs)))
    order = sorted(freedom)
    trend = trend_p_value([squares[size] for size in order], [freedom[size] for size in order])
    if len(order) < _TREND_SIZES or trend >= POOLING_LEVEL:
        return SeedNoise(pooled.std_log, total, source, loss)
    own = {size: SizeNoise(float(np.sqrt(squares[size] / freedom[size])), freedom[size]) for size in order}
    by_size = {size: own.get(size) or _borrowed(size, own, pooled) for size in {one.size_index for one in curves}}
    return SeedNoise(pooled.std_log, total, f"{source}, size by size since it changes along the ladder", loss, by_size)


def _borrowed(size: int, own: Mapping[int, SizeNoise], pooled: SizeNoise) -> SizeNoise:
    """For a size of one seed: the larger of the pooled noise and that of the nearest size with seeds."""
    nearest = own[min(own, key=lambda other: abs(other - size))]
    return max(nearest, pooled, key=lambda one: one.std_log)


def noise_of(curves: CurveSet, peers: Sequence[CurveSet]) -> SeedNoise | None:
    """The noise of a contender: from its own seeds if they are enough, otherwise from its peers' of the same track.

    Peers are pooled if a test does not find their noise to differ; otherwise the noisiest stands in.
    """
    own = estimate_noise(curves.curves)
    if own is not None and own.degrees_of_freedom >= ENOUGH_FREEDOM:
        return own
    known = [(peer, noise) for peer in peers if (noise := estimate_noise(peer.curves)) is not None]
    if not known:
        return own
    if homogeneity_p_value([(one.std_log, one.degrees_of_freedom) for _, one in known]) >= POOLING_LEVEL:
        pooled = estimate_noise(
            [curve for peer, _ in known for curve in peer.curves], "the seeds of all contenders of its track"
        )
        return pooled if pooled is not None and (own is None or pooled.degrees_of_freedom > 1) else own
    if own is not None:
        return own
    noisiest, noise = max(known, key=lambda pair: pair[1].std_log)
    source = f"the seeds of {noisiest.contender}, the noisiest of its track: contenders differ too much to be pooled"
    return SeedNoise(noise.std_log, noise.degrees_of_freedom, source, noise.loss_nats)


def homogeneity_p_value(samples: Sequence[tuple[float, int]]) -> float:
    """Bartlett's (1937) statistic of (standard deviation, degrees of freedom) against its null drawn for those degrees.

    1 where there is nothing to compare.
    """
    std = np.array([one for one, _ in samples])
    freedom = np.array([count for _, count in samples])
    if len(samples) < 2 or not std.any():
        return 1.0
    if not std.all():
        return 0.0
    statistic = _bartlett(std[None, :] ** 2, freedom)[0]
    null = _bartlett_null(tuple(freedom.tolist()))
    return float((1 + np.sum(null >= statistic)) / (1 + len(null)))


def trend_p_value(squares: Sequence[float], freedom: Sequence[int]) -> float:
    """Two-sided p-value of noise that does not change along the ladder.

    The statistic is the mean rank of the sizes, weighted by their sums of squares: it lies high where the larger sizes
    are the noisier. `squares` and `freedom` are those of each size with seeds, smallest first. 1 where all is zero.
    """
    total = float(sum(squares))
    if len(squares) < 2 or total <= 0:
        return 1.0
    statistic = float(np.dot(np.arange(len(squares)), squares)) / total
    null = _trend_null(tuple(freedom))
    above, below = np.sum(null >= statistic), np.sum(null <= statistic)
    return float(min(1.0, 2 * (1 + min(above, below)) / (1 + len(null))))


def _bartlett(variances: Floats, freedom: Floats) -> Floats:
    """[R] from [R, groups]; without Bartlett's factor, which the null shares."""
    pooled = variances @ freedom / freedom.sum()
    return np.asarray(freedom.sum() * np.log(pooled) - np.log(variances) @ freedom)


@lru_cache(maxsize=256)
def _bartlett_null(freedom: tuple[int, ...]) -> Floats:
    counts = np.array(freedom)
    return _bartlett(np.random.default_rng(0).chisquare(counts, (_NULL_DRAWS, len(counts))) / counts, counts)


@lru_cache(maxsize=256)
def _trend_null(freedom: tuple[int, ...]) -> Floats:
    squares = np.random.default_rng(0).chisquare(np.array(freedom), (_NULL_DRAWS, len(freedom)))
    return np.asarray(squares @ np.arange(len(freedom)) / squares.sum(axis=1))
