"""The answer to the question of a spec: is a contender better than the baseline by more than a margin?

Everything that prints an answer calls `answered`, or `verdict_of` where it has the bounds.

Legend: C cost, L loss (nats), m multiplier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import chdtri, fdtrc

from archbench.analysis.comparison.at import compare_at_cost
from archbench.analysis.comparison.compare import Contender
from archbench.analysis.comparison.multiplier import Window, asked_window, multiplier_point
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.reading import Reading
from archbench.results.fits import (
    Answer,
    Comparison,
    FitStatus,
    HeadlineMultiplier,
    Interval,
    QuestionAnswer,
    Settlement,
)
from archbench.results.runs import CostAxis

MOST_SEEDS = 100
"""No more seeds at a size are advised."""
MOST_COST = 100.0
"""No more than this many times the present cost is advised."""
_LEVEL = 0.05
_AXES = {
    "exact_flops": CostAxis.EXACT,
    "kaplan_flops": CostAxis.KAPLAN,
    "device_seconds": CostAxis.DEVICE_SECONDS,
    "processor_seconds": CostAxis.PROCESSOR_SECONDS,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a spec asks."""

    margin: float
    window: Window | None = None
    """The losses that it is asked at; the headline's own without."""
    cost: float | None = None
    """The cost that it is asked at, on `axis`."""
    axis: CostAxis | None = None
    """None: on every axis."""


def asked_question(spec: Mapping[str, Any]) -> Question | None:
    """The question of a spec (as plain data); None where it asks none."""
    section = spec.get("question")
    if not section:
        return None
    margin, place = float(section.get("margin", 1.0)), section.get("at")
    if isinstance(place, Mapping):
        return Question(margin, cost=float(place["cost"]), axis=_AXES[str(place.get("axis", "exact_flops"))])
    if isinstance(place, int | float):
        return Question(margin, cost=float(place), axis=CostAxis.EXACT)
    return Question(margin, window=asked_window(spec))


def verdict_of(bounds: Interval | None, margin: float) -> Answer:
    """The answer by a 90 % interval of the multiplier, whose ends are one-sided 95 % bounds."""
    if bounds is None:
        return Answer.INCONCLUSIVE
    if bounds.low > margin:
        return Answer.BETTER
    return Answer.NOT_BETTER if bounds.high < margin else Answer.INCONCLUSIVE


def answered(question: Question, pair: Comparison, reading: Reading, sides: tuple[Contender, Contender]) -> Comparison:
    """`pair` with the answer to `question`, if it is asked on that axis and the losses compare.

    sides: baseline and contender, and `reading` what `pair` was read from.
    """
    if not pair.comparable_loss or question.axis not in (None, pair.cost_axis):
        return pair
    return replace(pair, answer=answer_of(question, pair.headline, reading, sides))


def answer_of(
    question: Question, headline: HeadlineMultiplier | None, reading: Reading, sides: tuple[Contender, Contender]
) -> QuestionAnswer:
    """The answer for one contender: by its headline, or by its multiplier at the cost that is asked for."""
    found = _at_cost(question.cost, reading, sides) if question.cost is not None else _by_headline(headline)
    usable = found.status is FitStatus.OK and found.bounds is not None
    answer = verdict_of(found.bounds if usable else None, question.margin)
    settlement = None
    if usable and answer is Answer.INCONCLUSIVE and found.bounds is not None:
        settlement = settlement_of(found.bounds, question.margin, reading, sides)
    return QuestionAnswer(
        answer=answer,
        margin=question.margin,
        multiplier=found.multiplier,
        bounds=(found.bounds.low, found.bounds.high) if found.bounds is not None else None,
        window_nats=found.window_nats,
        cost=question.cost,
        status=found.status,
        reason=found.reason,
        settlement=settlement,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What an answer rests on."""

    multiplier: Interval | None
    bounds: Interval | None
    window_nats: tuple[float, float] | None
    status: FitStatus
    reason: str


def _by_headline(found: HeadlineMultiplier | None) -> _Found:
    if found is None:
        return _Found(None, None, None, FitStatus.NO_COMMON_RANGE, "there is no multiplier")
    return _Found(found.multiplier, found.interval_90, found.window_nats, found.status, found.reason)


def _at_cost(cost: float, reading: Reading, sides: tuple[Contender, Contender]) -> _Found:
    place = compare_at_cost(*sides, cost)
    if place.status is not FitStatus.OK or place.loss_nats is None:
        return _Found(None, None, None, place.status, place.reason)
    point = multiplier_point(reading, float(np.log(place.loss_nats)))
    status = FitStatus.EXTRAPOLATED if place.extrapolated else FitStatus.OK
    return _Found(point.multiplier, point.interval_90, None, status, place.reason)


def told_apart_by(pair: Comparison, reading: Reading, sides: tuple[Contender, Contender]) -> Comparison:
    """`pair` with what would tell the costs of its sides apart, where its multiplier can be read.

    sides: baseline and contender, and `reading` what `pair` was read from.
    """
    found = pair.headline
    if found is None or found.status is not FitStatus.OK or found.multiplier is None:
        return pair
    if not found.multiplier.low < found.multiplier.high:
        return pair  # without scatter nothing is left to settle
    return replace(pair, settlement=settlement_of(found.multiplier, 1.0, reading, sides))


def settlement_of(
    bounds: Interval, margin: float, reading: Reading, sides: tuple[Contender, Contender]
) -> Settlement | None:
    """What would bring the nearer bound of the multiplier to the margin, if the multiplier stays where it is.

    The variance of ln m is that of cells about their laws: noise over seeds, which falls with their number, and lack of
    fit, which further sizes alone bring down. None where nothing tells the scatter.
    """
    distance = abs(float(np.log(bounds.value / margin)))
    end = bounds.low if bounds.value > margin else bounds.high
    if not 0.0 < end < np.inf:
        return None
    width = abs(float(np.log(bounds.value / end)))
    if width == 0.0:
        return None
    cells = [one.finished for one in sides]
    runs = np.concatenate([one.num_runs for one in cells])
    spent = sum(float((np.exp(one.log_cost) * one.num_runs).sum()) for one in cells)
    a_seed = sum(float(np.exp(one.log_cost).sum()) for one in cells)
    known = _noise_share(reading, cells)
    share = 1.0 if known is None else known
    needed = (distance / width) ** 2
    left = needed - (1.0 - share)
    exact = share / float(np.mean(1.0 / runs)) / left if left > 0.0 else np.inf
    if exact <= MOST_SEEDS:
        seeds = max(int(np.ceil(exact)), int(runs.min()) + 1)
        doubt = (
            "" if known is not None else "if the scatter is noise between seeds, of which one seed a size tells nothing"
        )
        return Settlement(seeds, max(a_seed * seeds - spent, 0.0), doubt)
    if needed * MOST_COST < 1.0:
        return Settlement(None, None, "the multiplier seen lies on the margin")
    why = "most of the scatter is lack of fit, which no seed brings down" if left <= 0.0 else "too close to the margin"
    return Settlement(None, spent * (1.0 / needed - 1.0), why)


def _noise_share(reading: Reading, sides: Sequence[FinishedRuns]) -> float | None:
    """Share of noise between seeds in the variance of a cell's mean about its law; None where it is not known.

    All of it, unless an F test at 5 % finds the cells farther from their laws than seeds from each other.
    """
    freedom = sum(one.seed_freedom for one in sides)
    if not freedom or reading.deviation is None:
        return None
    seed_variance = sum(one.seed_variance * one.seed_freedom for one in sides) / freedom
    noise = seed_variance * float(np.mean(1.0 / np.concatenate([one.num_runs for one in sides])))
    # Resamples hold a scale that is drawn: the median of residual variance times freedom over chi-square.
    total = float(np.median(reading.deviation)) ** 2 * float(chdtri(reading.freedom, 0.5)) / reading.freedom
    if total <= noise or float(fdtrc(reading.freedom, freedom, total / noise)) >= _LEVEL:
        return 1.0
    return noise / total
