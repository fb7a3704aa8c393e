"""The lower envelope of learning curves, in O(n log n).

Each curve is what its run had achieved at a cost: the running minimum of its losses, linear in log cost and log loss
between two measured points, undefined before the first and constant behind the last (a model that is trained stays
trained). Curves are merged pairwise; a merge is a handful of array operations over both curves' pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ON_ENVELOPE = 1e-12
"""A point belongs to the envelope if its log loss is within this of it: rounding of one interpolation."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A piecewise linear function of log cost; all arrays are [pieces], from left to right, without gaps.

    The last piece is constant and ends at infinity.
    """

    start: Floats
    """Log cost at which the piece begins."""
    end: Floats
    start_value: Floats
    """Log loss."""
    end_value: Floats
    owner: Ints
    """Which curve the piece belongs to."""
    piece: Ints
    """Number of the piece within its curve."""

    def value(self, log_cost: Floats) -> Floats:
        """Log loss at `log_cost`; infinity before the first piece."""
        index = np.searchsorted(self.start, log_cost, side="right") - 1
        found = _at(self, np.maximum(index, 0), log_cost)
        return np.asarray(np.where(index < 0, np.inf, found))

    def first_cost_at(self, log_loss: Floats) -> Floats:
        """Lowest log cost at which the envelope is at or below `log_loss`; infinity where it never is."""
        # Piece ends fall from left to right, so their negatives are sorted.
        index = np.searchsorted(-self.end_value, -log_loss, side="left")
        reached = index < len(self.end_value)
        at = np.minimum(index, len(self.end_value) - 1)
        high, low = self.start_value[at], self.end_value[at]
        # Behind a jump the loss is already below at the piece's start.
        share = np.clip((high - log_loss) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        width = np.where(np.isfinite(self.end[at]), self.end[at] - self.start[at], 0.0)
        return np.where(reached, self.start[at] + share * width, np.inf)


def lower_envelope(curves: Sequence[tuple[Floats, Floats]]) -> Envelope:
    """The lower envelope of `curves`, each (log cost, log loss) in any order; ties go to the curve named first.

    Raises ValueError without any point, or for a value that is not finite.
    """
    envelopes = [_from_curve(number, x, y) for number, (x, y) in enumerate(curves) if len(x)]
    if not envelopes:
        raise ValueError("an envelope needs at least one point")
    while len(envelopes) > 1:
        merged = [_merge(one, other) for one, other in zip(envelopes[0::2], envelopes[1::2], strict=False)]
        envelopes = merged + ([envelopes[-1]] if len(envelopes) % 2 else [])
    return envelopes[0]


def on_envelope(envelope: Envelope, number: int, log_cost: Floats, log_loss: Floats) -> NDArray[np.bool_]:
    """Which points of curve `number`, in rising order of cost, lie on the envelope and are its curve's own progress."""
    index = np.searchsorted(envelope.start, log_cost, side="right") - 1
    owned = (envelope.owner[index] == number) | (envelope.owner[np.maximum(index - 1, 0)] == number)
    before = np.concatenate([[np.inf], np.minimum.accumulate(log_loss)[:-1]])
    progress = log_loss < before
    on: NDArray[np.bool_] = owned & progress & (log_loss <= _at(envelope, index, log_cost) + _ON_ENVELOPE)
    return on


def led_intervals(envelope: Envelope, num_curves: int, last_log_cost: Floats) -> list[tuple[float, float] | None]:
    """For each curve the log costs from and to which it leads, within its own measured range; None if it never does.

    A curve may lose the lead in between; the interval spans from its first to its last lead.
    """
    intervals: list[tuple[float, float] | None] = []
    for number in range(num_curves):
        mine = envelope.owner == number
        starts, ends = envelope.start[mine], np.minimum(envelope.end[mine], last_log_cost[number])
        inside = starts <= last_log_cost[number]
        intervals.append((float(starts[inside].min()), float(ends[inside].max())) if inside.any() else None)
    return intervals


def _from_curve(number: int, log_cost: Floats, log_loss: Floats) -> Envelope:
    if not (np.isfinite(log_cost).all() and np.isfinite(log_loss).all()):
        raise ValueError("costs and losses must be positive and finite")
    order = np.lexsort((log_loss, log_cost)) if np.any(np.diff(log_cost) <= 0) else np.arange(len(log_cost))
    x, y = log_cost[order], np.minimum.accumulate(log_loss[order])
    first = np.concatenate([[True], np.diff(x) > 0])
    x, y = x[first], y[first]
    return Envelope(
        start=x,
        end=np.append(x[1:], np.inf),
        start_value=y,
        end_value=np.append(y[1:], y[-1]),
        owner=np.full(len(x), number, dtype=np.int64),
        piece=np.arange(len(x), dtype=np.int64),
    )


def _at(envelope: Envelope, index: Ints | NDArray[np.intp], log_cost: Floats) -> Floats:
    """Value on piece `index` at `log_cost`, exact at both ends."""
    start, end = envelope.start[index], envelope.end[index]
    low, high = envelope.start_value[index], envelope.end_value[index]
    share = np.where(np.isfinite(end), (log_cost - start) / np.where(np.isfinite(end), end - start, 1.0), 0.0)
    return np.asarray(np.where(share >= 1.0, high, low + share * (high - low)))


def _merge(one: Envelope, other: Envelope) -> Envelope:
    """The pointwise minimum of two envelopes; `one` wins ties."""
    start = _union(one.start, other.start)
    end = np.append(start[1:], np.inf)
    a, b = _restricted(one, start, end), _restricted(other, start, end)
    # On each interval both are linear: one lies below throughout, or they cross once inside it.
    begins, ends = a.left - b.left, a.right - b.right
    with np.errstate(invalid="ignore"):
        crosses = ((begins > 0) & (ends < 0)) | ((begins < 0) & (ends > 0))
        share = np.where(crosses, begins / np.where(crosses, begins - ends, 1.0), 0.0)
    a_first = (begins < 0) | ((begins == 0) & (ends <= 0)) | np.isposinf(b.left)
    a_first &= ~np.isposinf(a.left)
    a_last = np.where(crosses, ~a_first, a_first)
    width = np.where(np.isfinite(end), end - start, 0.0)
    middle = np.where(crosses, start + share * width, end)
    with np.errstate(invalid="ignore"):
        crossing = np.where(crosses, a.left + share * (a.right - a.left), np.where(a_first, a.right, b.right))
    halves = [
        (start, middle, np.where(a_first, a.left, b.left), crossing, a_first, np.ones_like(crosses)),
        (middle, end, crossing, np.where(a_last, a.right, b.right), a_last, crosses),
    ]
    columns = []
    for left, right, left_value, right_value, is_a, keep in halves:
        owner = np.where(is_a, one.owner[a.index], other.owner[b.index])
        piece = np.where(is_a, one.piece[a.index], other.piece[b.index])
        columns.append((left, right, left_value, right_value, owner, piece, keep))
    interleaved = [np.stack(pair, axis=1).ravel() for pair in zip(*columns, strict=True)]
    keep = interleaved[-1].astype(bool)
    return _joined(*(column[keep] for column in interleaved[:-1]))


@dataclass(frozen=True, slots=True)
class _Restricted:
    index: NDArray[np.intp]
    left: Floats
    right: Floats


def _restricted(envelope: Envelope, start: Floats, end: Floats) -> _Restricted:
    """Values of `envelope` at both ends of each interval, taken on the piece that covers it."""
    index = np.searchsorted(envelope.start, start, side="right") - 1
    covered = index >= 0
    index = np.maximum(index, 0)
    left = np.where(covered, _at(envelope, index, start), np.inf)
    right = np.where(covered, _at(envelope, index, np.where(np.isfinite(end), end, start)), np.inf)
    return _Restricted(index, left, right)


def _union(one: Floats, other: Floats) -> Floats:
    both = np.concatenate([one, other])
    both.sort(kind="stable")  # two sorted runs: the stable sort merges them in one pass
    return both[np.concatenate([[True], np.diff(both) > 0])]


def _joined(start: Floats, end: Floats, start_value: Floats, end_value: Floats, owner: Ints, piece: Ints) -> Envelope:
    """Joins neighbours that belong to the same piece of the same curve."""
    new = np.concatenate([[True], (np.diff(owner) != 0) | (np.diff(piece) != 0)])
    last = np.append(np.flatnonzero(new)[1:] - 1, len(new) - 1)
    return Envelope(start[new], end[last], start_value[new], end_value[last], owner[new], piece[new])
