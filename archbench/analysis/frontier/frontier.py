"""The compute-efficient frontier of one contender: its points, and what each size contributes to it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import t as student_t

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.envelope import Envelope, led_intervals, lower_envelope
from archbench.analysis.frontier.noise import Noise
from archbench.analysis.frontier.resamples import Frontiers, no_draw
from archbench.results.fits import FrontierPoint, PointKind, SizeLeadership
from archbench.results.runs import size_number
from archbench.units import human_count

_MARGIN_LEVEL = 0.05
_STILL_FALLING = 0.02
"""Share of the loss that a last doubling of tokens takes off, from which on more tokens would plainly help."""


def frontier_points(frontiers: Frontiers) -> tuple[FrontierPoint, ...]:
    """The measured points on the lower envelope, in rising order of cost."""
    on = np.flatnonzero(frontiers.weights(no_draw(len(frontiers.curves)))[0])
    first = np.searchsorted(frontiers.curve, np.arange(len(frontiers.curves)))
    points = []
    for index in on[np.argsort(frontiers.log_cost[on], kind="stable")]:
        curve = frontiers.curves[frontiers.curve[index]]
        own = index - first[frontiers.curve[index]]
        points.append(
            FrontierPoint(
                cost=float(curve.cost[own]),
                loss_nats=float(curve.loss_nats[own]),
                run_id=curve.run_ids[0],
                size_index=curve.size_index,
                non_embedding_params=curve.non_embedding_params,
                tokens=int(curve.tokens[own]),
                kind=PointKind.FINISHED if curve.finished[own] else PointKind.MID_SCHEDULE,
            )
        )
    return tuple(points)


@dataclass(frozen=True, slots=True)
class _Lead:
    """The best moment of one size against all others."""

    gain_log: float
    """ln of (best other loss / own loss) where that is largest; negative if it never leads."""
    rival: int | None
    """The curve that comes nearest there, or None before any other curve has begun."""


def leaderships(curves: CurveSet, frontiers: Frontiers, noise: Noise | None) -> tuple[SizeLeadership, ...]:
    """For each size, smallest first, where it leads, and whether others dominate it.

    A size is dominated if at no point of its curves it is better than every other size by more than the noise: one
    standard error of the difference times the one-sided 95 % quantile; by anything at all where noise is unknown.
    """
    envelope = lower_envelope([(np.log(curve.cost), np.log(curve.loss_nats)) for curve in curves.curves])
    last = np.array([np.log(curve.cost[-1]) for curve in curves.curves])
    led = led_intervals(envelope, len(curves.curves), last)
    results = []
    for size in sorted({curve.size_index for curve in curves.curves}, key=lambda size: _params(curves, size)):
        mine = [number for number, curve in enumerate(curves.curves) if curve.size_index == size]
        spans = [span for number in mine if (span := led[number]) is not None]
        best = max(
            ((number, _best_lead(frontiers, number, mine)) for number in mine), key=lambda pair: pair[1].gain_log
        )
        margin = 0.0 if best[1].rival is None else _margin(curves.curves[best[0]], curves.curves[best[1].rival], noise)
        dominated = best[1].gain_log <= margin
        results.append(
            SizeLeadership(
                size_index=size,
                non_embedding_params=_params(curves, size),
                lead_from_cost=float(np.exp(min(low for low, _ in spans))) if spans else None,
                lead_to_cost=float(np.exp(max(high for _, high in spans))) if spans else None,
                dominated=dominated,
                reason=_reason(curves, frontiers, envelope, mine, best[1], margin) if dominated else "",
            )
        )
    return tuple(results)


def _params(curves: CurveSet, size: int) -> int:
    return min(curve.non_embedding_params for curve in curves.curves if curve.size_index == size)


def _best_lead(frontiers: Frontiers, number: int, own: list[int]) -> _Lead:
    mine = frontiers.curve == number
    others = [other for other in range(len(frontiers.curves)) if other not in own]
    if not others:
        return _Lead(np.inf, None)
    rivals = frontiers.rivals[others][:, mine]
    gain = rivals.min(axis=0) - frontiers.log_loss[mine]
    at = int(np.argmax(gain))
    rival = others[int(np.argmin(rivals[:, at]))] if np.isfinite(gain[at]) else None
    return _Lead(float(gain[at]), rival)


def _margin(one: MeanCurve, other: MeanCurve, noise: Noise | None) -> float:
    if noise is None:
        return 0.0
    error = noise.std_log * np.sqrt(1.0 / one.num_runs + 1.0 / other.num_runs)
    return float(error * _quantile(noise.degrees_of_freedom))


@lru_cache
def _quantile(degrees_of_freedom: int) -> float:
    return float(student_t.isf(_MARGIN_LEVEL, degrees_of_freedom))


def _reason(
    curves: CurveSet, frontiers: Frontiers, envelope: Envelope, mine: list[int], lead: _Lead, margin: float
) -> str:
    """Why the size is dominated: which size does as well for less, and what speaks for which cause."""
    curve = curves.curves[mine[-1]]
    final = curve.final_loss_nats
    words = "never leads" if lead.gain_log <= 0 else "leads by no more than the noise"
    level = np.log(final) + margin
    first = envelope.first_owner_at(level)
    # Whoever is first of all is first of the others too, unless it is the size itself.
    rivals = [number for number in range(len(curves.curves)) if number not in mine] if first in mine else [first]
    cheaper = []
    for number in rivals:
        cost = float(np.exp(frontiers.steps[number].first_cost_at(np.array([level]))[0]))
        if cost < curve.cost[-1]:
            cheaper.append((cost, curves.curves[number]))
    if not cheaper:
        return words
    cost, other = min(cheaper, key=lambda pair: pair[0])
    share = cost / float(curve.cost[-1])
    text = (
        f"{words}: size {size_number(other.size_index)} (N {human_count(other.non_embedding_params)}) is as good as "
        f"its final {final:.4g} nats at {100 * share:.0f} % of its cost"
    )
    return f"{text}; {cause}" if (cause := _cause(curve, other)) else text


def _cause(curve: MeanCurve, other: MeanCurve) -> str:
    """What the curves say about why the larger size does not pay off; empty where they say nothing."""
    if curve.non_embedding_params <= other.non_embedding_params:
        return ""
    per_param = float(curve.tokens[-1]) / curve.non_embedding_params
    falling = _fall_per_doubling(curve.tokens.astype(float), curve.loss_nats)
    shared = np.minimum(curve.tokens[-1], other.tokens[-1]).astype(float)
    if shared >= max(curve.tokens[0], other.tokens[0]):
        here = np.interp(np.log(shared), np.log(curve.tokens), curve.loss_nats)
        there = np.interp(np.log(shared), np.log(other.tokens), other.loss_nats)
        if here >= there:
            return (
                f"at the same {human_count(float(shared))} tokens it is no better than size "
                f"{size_number(other.size_index)}, which "
                "too few tokens do not explain: look at its learning rate, else at the architecture"
            )
    if falling >= _STILL_FALLING:
        return (
            f"it is better per token and its loss still fell by {100 * falling:.1f} % over its last doubling of tokens "
            f"({per_param:.3g} tokens per parameter): too few tokens for its size"
        )
    return ""


def _fall_per_doubling(tokens: Floats, loss: Floats) -> float:
    """Share of the loss that the last doubling of tokens took off; by its rate where less than a doubling is known."""
    first = max(float(tokens[0]), float(tokens[-1]) / 2)
    if first >= tokens[-1]:
        return 0.0
    before = float(np.interp(np.log(first), np.log(tokens), loss))
    return (before - float(loss[-1])) / before * float(np.log(2) / np.log(tokens[-1] / first))
