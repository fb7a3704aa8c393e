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

_MANY_POINTS = 200_000
"""Points from which on it pays to look first where each curve has no chance."""
_BUCKETS = 4096


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
    if len(envelopes) > 1 and sum(len(one.start) for one in envelopes) > _MANY_POINTS:
        envelopes = _thinned(envelopes)
    while len(envelopes) > 1:
        merged = [_merge(one, other) for one, other in zip(envelopes[0::2], envelopes[1::2], strict=False)]
        envelopes = merged + ([envelopes[-1]] if len(envelopes) % 2 else [])
    return envelopes[0]


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
    # Of points at one cost the last is the lowest; points inside a stretch without progress are no corners.
    corner = np.append(np.diff(x) > 0, True)
    x, y = x[corner], y[corner]
    corner = np.ones(len(x), dtype=bool)
    corner[1:-1] = (y[:-2] > y[1:-1]) | (y[1:-1] > y[2:])
    return _from_corners(number, x[corner], y[corner])


def _from_corners(number: int, x: Floats, y: Floats) -> Envelope:
    return Envelope(
        start=x,
        end=np.append(x[1:], np.inf),
        start_value=y,
        end_value=np.append(y[1:], y[-1]),
        owner=np.full(len(x), number, dtype=np.int64),
        piece=np.arange(len(x), dtype=np.int64),
    )


def _thinned(envelopes: list[Envelope]) -> list[Envelope]:
    """The curves without their corners in those stretches of cost in which another curve is lower throughout.

    None rises, so that over a stretch each lies between its values at both ends: a curve whose lowest value there is
    above some curve's highest one cannot touch the envelope, and a straight line stands for it.
    """
    edges = np.linspace(min(one.start[0] for one in envelopes), max(one.start[-1] for one in envelopes), _BUCKETS + 1)
    at_edges = [one.value(edges) for one in envelopes]
    highest = np.full(_BUCKETS, np.inf)
    for value in at_edges:
        np.minimum(highest, value[:-1], out=highest)
    thinned = []
    for one, value in zip(envelopes, at_edges, strict=True):
        open_ = np.append(value[1:] <= highest, True)
        counts = np.diff(np.searchsorted(one.start, edges), append=len(one.start))
        corners = np.repeat(open_, counts)
        # The line begins and ends at the edges between open and closed stretches.
        turns = np.flatnonzero((open_ != np.append(open_[0], open_[:-1])) & np.isfinite(value))
        x = np.concatenate([one.start[corners], edges[turns]])
        y = np.concatenate([one.start_value[corners], value[turns]])
        if len(x):
            order = np.argsort(x, kind="stable")
            x, y = x[order], y[order]
            first = np.append(True, np.diff(x) > 0)
            thinned.append(_from_corners(int(one.owner[0]), x[first], y[first]))
    return thinned


def _at(envelope: Envelope, index: Ints | NDArray[np.intp], log_cost: Floats) -> Floats:
    """Value on piece `index` at `log_cost`, exact at both ends."""
    start, end = envelope.start[index], envelope.end[index]
    low, high = envelope.start_value[index], envelope.end_value[index]
    # The last piece is constant and infinitely wide: its share is 0.
    share = (log_cost - start) / (end - start)
    return np.asarray(np.where(share >= 1.0, high, low + share * (high - low)))


def _merge(one: Envelope, other: Envelope) -> Envelope:
    """The pointwise minimum of two envelopes; `one` wins ties."""
    start, in_one, in_other = _union(one.start, other.start)
    a, b = _restricted(one, in_one, start), _restricted(other, in_other, start)
    # On each interval both are linear: one lies below throughout, or they cross once inside it.
    with np.errstate(invalid="ignore"):
        begins, ends = a.left - b.left, a.right - b.right
        # Before its first point a curve is infinite, and so is the difference; both are never infinite at once.
        a_first = (begins < 0) | ((begins == 0) & (ends <= 0))
        crosses = np.isfinite(begins) & (begins * ends < 0)
    owner = np.where(a_first, one.owner[a.index], other.owner[b.index])
    piece = np.where(a_first, one.piece[a.index], other.piece[b.index])
    left = np.where(a_first, a.left, b.left)
    right = np.where(a_first, a.right, b.right)
    end = np.append(start[1:], np.inf)
    at = np.flatnonzero(crosses)
    if not len(at):
        return _joined(start, end, left, right, owner, piece)
    share = begins[at] / (begins[at] - ends[at])
    middle = start[at] + share * (end[at] - start[at])
    value = a.left[at] + share * (a.right[at] - a.left[at])
    first = a_first[at]
    new_right = np.where(first, b.right[at], a.right[at])
    new_owner = np.where(first, other.owner[b.index[at]], one.owner[a.index[at]])
    new_piece = np.where(first, other.piece[b.index[at]], one.piece[a.index[at]])
    right[at], end[at] = value, middle
    return _joined(
        np.insert(start, at + 1, middle),
        np.insert(end, at + 1, np.append(start[1:], np.inf)[at]),
        np.insert(left, at + 1, value),
        np.insert(right, at + 1, new_right),
        np.insert(owner, at + 1, new_owner),
        np.insert(piece, at + 1, new_piece),
    )


@dataclass(frozen=True, slots=True)
class _Restricted:
    index: NDArray[np.intp]
    left: Floats
    right: Floats


def _restricted(envelope: Envelope, index: NDArray[np.intp], start: Floats) -> _Restricted:
    """Values of `envelope` at both ends of each interval, on the piece `index` that covers it; -1: not begun."""
    piece = np.maximum(index, 0)
    value = _at(envelope, piece, start)
    # A piece's own end is taken where the next interval lies on another piece: the envelope may jump there.
    right = np.append(value[1:], value[-1:])
    leaves = np.append(piece[1:] != piece[:-1], False)
    right[leaves] = envelope.end_value[piece[leaves]]
    before = int(np.searchsorted(index, 0))
    value[:before] = np.inf
    right[:before] = np.inf
    return _Restricted(piece, value, right)


def _union(one: Floats, other: Floats) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """All distinct starts, rising, and for each the piece of either envelope that covers it; -1 before the first."""
    both = np.concatenate([one, other])
    order = np.argsort(both, kind="stable")  # two sorted runs: the stable sort merges them in one pass
    both = both[order]
    of_one = np.cumsum(order < len(one))
    last = np.append(np.diff(both) > 0, True)
    counted = np.arange(1, len(both) + 1)
    return both[last], of_one[last] - 1, (counted - of_one)[last] - 1


def _joined(start: Floats, end: Floats, start_value: Floats, end_value: Floats, owner: Ints, piece: Ints) -> Envelope:
    """Joins neighbours that belong to the same piece of the same curve."""
    new = np.concatenate([[True], (np.diff(owner) != 0) | (np.diff(piece) != 0)])
    last = np.append(np.flatnonzero(new)[1:] - 1, len(new) - 1)
    return Envelope(start[new], end[last], start_value[new], end_value[last], owner[new], piece[new])
