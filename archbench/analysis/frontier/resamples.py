"""Resamples of a frontier: the envelope and the laws of what other runs of the same plan would have given.

A resample draws runs, not points, since the points of one curve are not independent. Where seeds show the run-to-run
noise, each run's curve is shifted as a whole by a draw of that noise (whose scale is drawn too, from its sampling
distribution), since two or three seeds at a size are too few to be drawn from again. Where they do not, whole sizes
are drawn with replacement. Either way the envelope is taken anew and the law refitted, for all resamples at once.

Legend: R resamples, K curves, P measured points, M losses asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.envelope import Envelope, lower_envelope
from archbench.analysis.frontier.noise import SeedNoise

ENOUGH_SIZES = 5
"""Sizes from which on an interval may come from drawing sizes with replacement."""
_TIE = 1e-12
_CHUNK = 20_000_000
"""Array elements that one pass over the resamples may hold."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What happened to each curve in each resample."""

    log_shift: Floats
    """[R, K], added to the log loss of the whole curve."""
    counts: Floats
    """[R, K]: how often the curve was drawn; 0 leaves it out."""
    method: str

    @property
    def num_resamples(self) -> int:
        """R."""
        return len(self.log_shift)

    def first(self, count: int) -> "Draws":
        """The first resamples, at most `count`."""
        return Draws(self.log_shift[:count], self.counts[:count], self.method)


def no_draw(num_curves: int) -> Draws:
    """The data themselves, as one resample."""
    return Draws(np.zeros((1, num_curves)), np.ones((1, num_curves)), "as measured")


def draw(
    curves: Sequence[MeanCurve], noise: SeedNoise | None, num_resamples: int, generator: np.random.Generator
) -> Draws:
    """`num_resamples` resamples of the runs behind `curves`."""
    count = len(curves)
    if noise is not None:
        freedom = noise.degrees_of_freedom
        scale = noise.std_log * np.sqrt(freedom / generator.chisquare(freedom, size=(num_resamples, 1)))
        runs = np.array([curve.num_runs for curve in curves], dtype=float)
        shift = scale * generator.standard_normal((num_resamples, count)) / np.sqrt(runs)
        return Draws(shift, np.ones_like(shift), "cluster-bootstrap-run-noise")
    sizes = np.array([curve.size_index for curve in curves])
    distinct, where = np.unique(sizes, return_inverse=True)
    if len(distinct) < ENOUGH_SIZES:
        # Too few sizes to draw from: what the next run would give is not known, and no interval pretends to.
        return Draws(np.full((num_resamples, count), np.nan), np.ones((num_resamples, count)), "unknown-one-seed")
    times = _size_counts(len(distinct), num_resamples, generator)[:, where]
    return Draws(np.zeros_like(times), times, "cluster-bootstrap-sizes")


def _size_counts(num_sizes: int, num_resamples: int, generator: np.random.Generator) -> Floats:
    """How often each size is drawn, [R, sizes]; a draw of fewer than three different sizes is drawn again."""
    share = np.full(num_sizes, 1.0 / num_sizes)
    counts = generator.multinomial(num_sizes, share, size=num_resamples).astype(float)
    needed = min(3, num_sizes)
    while (few := (counts > 0).sum(axis=1) < needed).any():
        counts[few] = generator.multinomial(num_sizes, share, size=int(few.sum()))
    return counts


@dataclass(frozen=True, slots=True)
class CurveStack:
    """A contender's curves laid out so that the envelopes of many resamples are taken at once."""

    curves: tuple[MeanCurve, ...]
    steps: tuple[Envelope, ...]
    """Each curve by itself, as its running minimum."""
    log_cost: Floats
    """[P], all curves' points one behind the other."""
    log_loss: Floats
    """[P]."""
    curve: NDArray[np.intp]
    """[P]: which curve each point belongs to."""
    log_loss_by_curve: Floats
    """[K, P]: log loss that each curve had achieved at each point's cost; infinite before its first point."""
    progress: NDArray[np.bool_]
    """[P]: whether the point is better than all before it on its curve."""

    @staticmethod
    def of(curves: CurveSet) -> "CurveStack":
        """Lays out `curves`, which must hold a point at least."""
        pairs = [(np.log(curve.cost), np.log(curve.loss_nats)) for curve in curves.curves]
        steps = tuple(lower_envelope([pair]) for pair in pairs)
        log_cost = np.concatenate([x for x, _ in pairs])
        progress = np.concatenate([y < np.concatenate([[np.inf], np.minimum.accumulate(y)[:-1]]) for _, y in pairs])
        return CurveStack(
            curves=curves.curves,
            steps=steps,
            log_cost=log_cost,
            log_loss=np.concatenate([y for _, y in pairs]),
            curve=np.repeat(np.arange(len(pairs)), [len(x) for x, _ in pairs]),
            log_loss_by_curve=np.stack([step.value(log_cost) for step in steps]),
            progress=progress,
        )

    def weights(self, draws: Draws) -> Floats:
        """How often each point is on the envelope, [R, P]: 0 off it, else how often its curve was drawn."""
        columns = np.flatnonzero(self._within_reach(draws))
        near = self._near_rivals(draws)[:, columns]
        per_pass = max(1, _CHUNK // max(1, len(columns)))
        weights = np.zeros((draws.num_resamples, len(self.log_cost)))
        for start in range(0, draws.num_resamples, per_pass):
            rows = slice(start, start + per_pass)
            weights[rows, columns] = self._weights(draws.log_shift[rows], draws.counts[rows], columns, near)
        return weights

    def _within_reach(self, draws: Draws) -> NDArray[np.bool_]:
        """[P]: which points may be on the envelope of some resample; most are too far above it for any shift."""
        if (draws.counts == 0).any():
            return self.progress
        rivals = np.where(self.curve == np.arange(len(self.log_loss_by_curve))[:, None], np.inf, self.log_loss_by_curve)
        lowest_shift, highest_shift = draws.log_shift.min(axis=0), draws.log_shift.max(axis=0)
        reached = (rivals + highest_shift[:, None]).min(axis=0)
        return np.asarray(self.progress & (self.log_loss + lowest_shift[self.curve] <= reached + _TIE))

    def _near_rivals(self, draws: Draws) -> NDArray[np.bool_]:
        """[K, P]: which curves may be the lowest rival of each point in some resample.

        A curve is no rival of its own points, nor of any where it has not begun. Where every curve is in every
        resample, none whose lowest position lies above another's highest can become the lowest.
        """
        rivals = np.where(self.curve == np.arange(len(self.log_loss_by_curve))[:, None], np.inf, self.log_loss_by_curve)
        if (draws.counts == 0).any():
            return np.isfinite(rivals)
        lowest_shift, highest_shift = draws.log_shift.min(axis=0)[:, None], draws.log_shift.max(axis=0)[:, None]
        reached = (rivals + highest_shift).min(axis=0)
        return np.asarray(np.isfinite(rivals) & (rivals + lowest_shift <= reached))

    def _weights(self, shift: Floats, times: Floats, columns: NDArray[np.intp], near: NDArray[np.bool_]) -> Floats:
        # Points by resamples here, so that picking a rival's points picks whole rows of memory.
        curve = self.curve[columns]
        best = np.full((len(columns), len(shift)), np.inf)
        for number, rival in enumerate(self.log_loss_by_curve[:, columns]):
            open_to = np.flatnonzero(near[number])
            if not len(open_to):
                continue
            place = np.where(times[:, number] > 0, shift[:, number], np.inf)
            best[open_to] = np.minimum(best[open_to], rival[open_to, None] + place[None, :])
        own = np.ascontiguousarray(shift.T)[curve]
        own += (self.log_loss[columns] - _TIE)[:, None]
        return np.asarray((own <= best).T * times[:, curve])

    def losses(self, draws: Draws) -> Floats:
        """Log loss of each point in each resample, [R, P]."""
        return self.log_loss + draws.log_shift[:, self.curve]

    def loss_at(self, draws: Draws, log_cost: Floats) -> Floats:
        """Log loss of each resample's envelope at each log cost, [R, M]; infinite before its first point."""
        lowest = np.full((draws.num_resamples, len(log_cost)), np.inf)
        for number, step in enumerate(self.steps):
            moved = draws.log_shift[:, number, None] + step.value(log_cost)[None, :]
            np.minimum(lowest, np.where(draws.counts[:, number, None] > 0, moved, np.inf), out=lowest)
        return lowest


@dataclass(frozen=True, slots=True)
class EnvelopeSample:
    """The points that are on the envelope of any resample."""

    log_cost: Floats
    """[P]"""
    log_loss: Floats
    """[R, P]"""
    weights: Floats
    """[R, P]"""

    @staticmethod
    def of(stack: CurveStack, draws: Draws) -> "EnvelopeSample":
        """Those of `stack` under `draws`."""
        weights = stack.weights(draws)
        ever = weights.any(axis=0)
        return EnvelopeSample(stack.log_cost[ever], stack.losses(draws)[:, ever], weights[:, ever])
