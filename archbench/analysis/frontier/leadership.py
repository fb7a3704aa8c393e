"""What each size contributes to a frontier: where it leads, and whether a smaller size dominates it."""

import numpy as np
from scipy.special import stdtrit

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.envelope import led_intervals, lower_envelope
from archbench.analysis.frontier.noise import SeedNoise
from archbench.analysis.frontier.plateau import ends_on_plateau
from archbench.analysis.frontier.resamples import CurveStack
from archbench.results.fits import FitStatus, SizeLeadership
from archbench.results.runs import size_number
from archbench.units import human_count

_LEVEL = 0.05
_CHEAPER = np.log(0.95)
"""ln of the share of a cost from which down another counts as cheaper: runs of one budget differ by rounding."""
_STILL_FALLING = 0.02
"""Share of the loss that a last doubling of tokens takes off, from which on more tokens would plainly help."""


def leaderships(curves: CurveSet, stack: CurveStack, noise: SeedNoise | None) -> tuple[SizeLeadership, ...]:
    """For each size, smallest first, where it leads, and whether a smaller size dominates it.

    A size is dominated if at every point of its curves some cheaper point of a smaller size is better by more than the
    noise: the standard error of the difference times Student's quantile at 5 %, divided by the number of sizes compared
    (Bonferroni). Where noise is unknown bare figures decide.
    """
    envelope = lower_envelope([(np.log(curve.cost), np.log(curve.loss_nats)) for curve in curves.curves])
    last = np.array([np.log(curve.cost[-1]) for curve in curves.curves])
    led = led_intervals(envelope, len(curves.curves), last)
    sizes = sorted({curve.size_index for curve in curves.curves}, key=lambda size: _params(curves, size))
    results = []
    for size in sizes:
        mine = [number for number, curve in enumerate(curves.curves) if curve.size_index == size]
        spans = [span for number in mine if (span := led[number]) is not None]
        better = [_dominating(stack, number, noise, len(sizes) - 1) for number in mine]
        dominated = all(rival is not None for rival in better)
        results.append(
            SizeLeadership(
                size_index=size,
                non_embedding_params=_params(curves, size),
                lead_from_cost=float(np.exp(min(low for low, _ in spans))) if spans else None,
                lead_to_cost=float(np.exp(max(high for _, high in spans))) if spans else None,
                dominated=dominated,
                reason=_reason(stack, mine[-1], better[-1]) if better[-1] is not None and dominated else "",
                status=FitStatus.ON_PLATEAU if ends_on_plateau(curves, size) else FitStatus.OK,
            )
        )
    return tuple(results)


def _params(curves: CurveSet, size: int) -> int:
    return min(curve.non_embedding_params for curve in curves.curves if curve.size_index == size)


def _dominating(stack: CurveStack, number: int, noise: SeedNoise | None, comparisons: int) -> int | None:
    """The curve of a smaller size that reached this one's last loss for less; None if some point is not dominated."""
    own = stack.curves[number]
    smaller = [
        other
        for other, curve in enumerate(stack.curves)
        if curve.non_embedding_params < own.non_embedding_params and curve.size_index != own.size_index
    ]
    if not smaller:
        return None
    at = np.log(own.cost) + _CHEAPER
    reached = np.stack(
        [stack.steps[other].value(at) + _margin(own, stack.curves[other], noise, comparisons) for other in smaller]
    )
    if (reached.min(axis=0) > np.log(own.loss_nats)).any():
        return None
    return smaller[int(np.argmin(reached[:, -1]))]


def _margin(one: MeanCurve, other: MeanCurve, noise: SeedNoise | None, comparisons: int) -> float:
    if noise is None:
        return 0.0
    runs = np.array([one.num_runs, other.num_runs], dtype=float)
    error, freedom = noise.error((one.size_index, other.size_index), np.array([1.0, -1.0]), runs)
    return error * -float(stdtrit(freedom, _LEVEL / comparisons))


def _reason(stack: CurveStack, number: int, rival: int) -> str:
    """Which smaller size does as well for less, and what speaks for which cause."""
    curve, other = stack.curves[number], stack.curves[rival]
    log_cost = stack.steps[rival].first_cost_at(np.array([np.log(curve.loss_nats[-1])]))[0]
    text = (
        f"size {size_number(other.size_index)} (N {human_count(other.non_embedding_params)}) is as good as its final "
        f"{curve.final_loss_nats:.4g} nats at {100 * float(np.exp(log_cost)) / float(curve.cost[-1]):.0f} % of its cost"
    )
    return f"{text}; {cause}" if (cause := cause_of(curve, other)) else text


def cause_of(curve: MeanCurve, other: MeanCurve) -> str:
    """What the curves say about why the larger size `curve` does not pay off; empty where they say nothing."""
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
