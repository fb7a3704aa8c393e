"""Two contenders side by side: exponents, compute multiplier and crossover, each with an interval, from one reading.

Both are read in one form (`archbench.analysis.frontier.read`) from their finished runs, so that estimate,
difference, p-value and interval rest on the same resamples and one interval rule.

Legend: A the baseline, X the contender, C cost, L loss, alpha the exponent of L(C) above the common floor, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from archbench.analysis.comparison.multiplier import Window, headline_multiplier, multiplier_curve
from archbench.analysis.comparison.rungs import rung_multipliers
from archbench.analysis.frontier.curves import CurveSet, Floats
from archbench.analysis.frontier.finished import EqualRuns, FinishedRuns
from archbench.analysis.frontier.noise import SeedNoise
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.frontier.resampled_laws import PowerLaws
from archbench.analysis.frontier.resamples import CurveStack, Draws
from archbench.analysis.significance import p_value_of, spread_interval
from archbench.results.fits import Comparison, FitStatus, FrontierResult, Interval

MARGIN = 0.05
"""Exponents within 5 % of each other were called "within a margin of uncertainty" in 2021; kept as a column."""
CROSSOVER_REACH = 10.0
"""How far beyond the data, as a factor of cost, a crossover is looked for."""
NUM_RESAMPLES = 1000
_CROSSOVER_POINTS = 512
_SURE = 0.975
"""Share of resamples in which the same contender has to be ahead, on either side of a crossover."""
_READINGS = 256
"""The latest readings are remembered: those of a hundred pairs, of about 100 kB each."""
_NO_FLOOR = 1e-3


class CostConclusion(StrEnum):
    """What a comparison says about compute at equal loss."""

    LESS = "needs less"
    MORE = "needs more"
    NOT_TOLD_APART = "not told apart"
    REFUSED = "refused"
    """No figure: its status says why."""


def cost_conclusion(comparison: Comparison, level: float = 0.05) -> CostConclusion:
    """Whether the contender needs less of the baseline's cost or more, if Holm's p-value is below `level`."""
    headline = comparison.headline
    if headline is None or headline.status is not FitStatus.OK or headline.multiplier is None:
        return CostConclusion.REFUSED
    if headline.holm_p_value is None or headline.holm_p_value >= level:
        return CostConclusion.NOT_TOLD_APART
    return CostConclusion.LESS if headline.multiplier.value > 1.0 else CostConclusion.MORE


class Conclusion(StrEnum):
    """What a comparison says about two exponents."""

    STEEPER = "steeper"
    """The contender's loss falls faster with cost than the baseline's."""
    FLATTER = "flatter"
    NOT_TOLD_APART = "not told apart"
    REFUSED = "refused"
    """No comparison: a law may not be read."""


def is_resolved(difference: Interval) -> bool:
    """Whether the interval of a difference of exponents, each between 0 and 1, holds nothing but such differences."""
    return difference.low >= -1.0 and difference.high <= 1.0


def conclusion(comparison: Comparison, level: float = 0.05) -> Conclusion:
    """Which exponent is larger, if Holm's p-value is below `level`."""
    difference, p_value = comparison.alpha_difference, comparison.holm_p_value
    if difference is None or p_value is None or not is_resolved(difference):
        return Conclusion.REFUSED
    if p_value >= level:
        return Conclusion.NOT_TOLD_APART
    return Conclusion.STEEPER if difference.value > 0 else Conclusion.FLATTER


def may_share_exponent(comparison: Comparison) -> bool | None:
    """Whether the runs allow one exponent for both, by the corrected test of their difference; None without a test."""
    told = conclusion(comparison)
    return None if told is Conclusion.REFUSED else told is Conclusion.NOT_TOLD_APART


@dataclass(frozen=True, slots=True)
class Contender:
    """One contender on one cost axis, with its resamples."""

    track: str
    curves: CurveSet
    finished: FinishedRuns
    """What its laws, and comparisons with others, are read from."""
    curve_stack: CurveStack
    """Its learning curves: what figures draw."""
    result: FrontierResult
    draws: Draws
    """Resamples of the learning curves."""
    power_laws: PowerLaws | None
    """[R]: the law of its finished runs without floor, of each resample; None where it may not be read."""
    noise: SeedNoise | None
    """Run-to-run noise; None where no seeds show it."""
    floored_laws: PowerLaws | None = None
    """[R]: the law with a floor of each resample; None where it was not fitted, or may not be read."""

    @property
    def name(self) -> str:
        """The contender's name."""
        return self.result.contender

    @property
    def alpha(self) -> float:
        """Exponent of the law without floor."""
        return self.result.law.params["alpha_C"]


def compare(
    baseline: Contender,
    contender: Contender,
    *,
    window: Window | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """`contender` against `baseline`; the p-value is not yet corrected for the other comparisons.

    window: the losses over which the headline multiplier is averaged; the middle half of those that both reach if None.
    The result hangs on these two contenders and the arguments alone, whoever else is in the scan.
    """
    reading = read_pair(baseline, contender, seed=seed, num_resamples=num_resamples)
    pair = compare_by(reading, baseline, contender, window=window)
    if not pair.comparable_loss:
        return pair
    if reading.refusal(0, 1):
        return replace(pair, crossover_note="on the plateau")
    crossover, note = _crossover(reading)
    rungs, trend = rung_multipliers(reading, contender.finished, np.random.default_rng((seed, 1)))
    return replace(
        pair,
        multipliers=multiplier_curve(reading),
        crossover_cost=crossover,
        crossover_note=note,
        rungs=rungs,
        rung_trend=trend,
    )


def compare_by(
    reading: Reading, baseline: Contender, contender: Contender, *, window: Window | None = None
) -> Comparison:
    """As `compare`, by a reading of the two that is at hand, and with exponents and headline alone."""
    pair = _exponents(baseline, contender, reading)
    return replace(pair, headline=headline_multiplier(reading, window)) if pair.comparable_loss else pair


def read_pair(
    baseline: Contender,
    contender: Contender,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    form: Form | None = None,
    floor_nats: float | None = None,
) -> Reading:
    """Both frontiers in the form that `compare` reads them in, or in another. Raises ValueError where it has none.

    A study, its audit and its report ask for the same readings, and so do axes that hold the same numbers. The draws
    are the same in either order, so that intervals are equal whichever is the baseline.
    """
    turned = contender.name < baseline.name
    sides = [EqualRuns.of(one.finished) for one in (baseline, contender)]
    reading = _reading(sides[turned], sides[not turned], seed, num_resamples, form, floor_nats)
    return reading.turned() if turned else reading


@lru_cache(maxsize=_READINGS)
def _reading(
    first: EqualRuns, second: EqualRuns, seed: int, num_resamples: int, form: Form | None, floor_nats: float | None
) -> Reading:
    return read_frontiers(
        (first.runs, second.runs),
        num_resamples=num_resamples,
        generator=np.random.default_rng(seed),
        form=form,
        floor_nats=floor_nats,
    )


def _exponents(baseline: Contender, contender: Contender, reading: Reading) -> Comparison:
    comparable = baseline.track == contender.track
    notes = [reading.why] if reading.why else []
    notes += [f"{one.name}: {one.result.plateau_note}" for one in (baseline, contender) if one.result.plateau_note]
    refusal = reading.refusal(0, 1)
    if not comparable:
        notes.append(f"losses of the tracks {baseline.track} and {contender.track} do not compare, exponents do")
    difference, within = None, None
    if reading.exponents is not None and not refusal:
        both = reading.exponents
        samples = both[:, 1] - both[:, 0]
        difference = spread_interval(float(samples[0]), samples[1:], reading.freedom)
        within = bool(abs(difference.value) <= MARGIN * np.abs(both[0]).max())
    status = FitStatus.OK if difference is not None or comparable else FitStatus.TOO_FEW_SIZES
    status = FitStatus.ON_PLATEAU if refusal else status
    return Comparison(
        baseline=baseline.name,
        contender=contender.name,
        cost_axis=baseline.result.cost_axis,
        comparable_loss=comparable,
        alpha_difference=difference,
        p_value=None if difference is None else p_value_of(difference, reading.freedom),
        holm_p_value=None,
        within_margin=within,
        multipliers=(),
        crossover_cost=None,
        crossover_note="" if comparable else "losses do not compare",
        status=status,
        form=reading.form.value,
        floor_nats=_floor_of(reading, (baseline, contender)),
        own_floors_nats=reading.own_floors,
        notes=tuple(notes),
    )


def _floor_of(reading: Reading, pair: Sequence[Contender]) -> float | None:
    """The common floor in nats; 0 where it is a thousandth of the lowest loss or less, which is none."""
    if reading.floors is None:
        return None
    floor = float(reading.floors[0])
    lowest = float(np.exp(min(one.finished.log_loss.min() for one in pair)))
    return floor if floor > _NO_FLOOR * lowest else 0.0


def _crossover(reading: Reading) -> tuple[Interval | None, str]:
    """The cost at which the two frontiers meet, if that is within ten times the range of the runs.

    Hulls say nothing beyond their runs: they may meet at costs that both have.
    """
    if reading.form is Form.HULL:
        low, high = max(span[0] for span in reading.spans), min(span[1] for span in reading.spans)
        nothing = "none among the runs, beyond which hulls say nothing"
        if low >= high:
            return None, nothing
    else:
        low = min(span[0] for span in reading.spans) - np.log(CROSSOVER_REACH)
        high = max(span[1] for span in reading.spans) + np.log(CROSSOVER_REACH)
        nothing = f"none within {CROSSOVER_REACH:g}x of the data"
    grid = np.linspace(low, high, _CROSSOVER_POINTS)
    with np.errstate(invalid="ignore"):  # both are infinite before their first run
        gap = reading.frontiers[1].log_loss_at(grid) - reading.frontiers[0].log_loss_at(grid)
    meetings = _first_meetings(grid, gap)
    point = float(meetings[0])
    if not np.isfinite(point):
        return None, nothing
    if reading.freedom <= 0:
        return None, "not established: nothing tells the scatter"
    drawn = meetings[1:]
    share = float(np.isfinite(drawn).mean())
    if share < 0.95:
        return None, f"not established: {1 - share:.0%} of resamples have {nothing}"
    sides = np.sign(gap[1:, [0, -1]]) == np.sign(gap[0, [0, -1]])
    if (sides.mean(axis=0) < _SURE).any():
        return None, "not established: on one side of it the two are not told apart"
    found = spread_interval(point, drawn, reading.freedom)
    if not np.isfinite(found.low):
        return None, "not established: nothing tells the scatter"
    value, low_end, high_end = (float(np.exp(end)) for end in (found.value, found.low, found.high))
    return Interval(value, low_end, high_end, found.level, found.method), ""


def _first_meetings(grid: Floats, gap: Floats) -> Floats:
    """ln C at which the gap of each resample, [1 + R, points], first changes sign, [1 + R]; NaN where it does not."""
    before, after = gap[:, :-1], gap[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        turns = np.isfinite(before) & np.isfinite(after) & (before * after <= 0) & (before != after)
        row, at = np.arange(len(gap)), turns.argmax(axis=1)
        share = before[row, at] / (before[row, at] - after[row, at])
    return np.where(turns[row, at], grid[at] + (grid[at + 1] - grid[at]) * share, np.nan)


def compared_with(contenders: Sequence[Contender], baseline: str | None) -> list[tuple[Contender, Contender]]:
    """The pairs that are compared: everyone with the baseline, or every pair where there is none."""
    first = next((one for one in contenders if one.name == baseline), None)
    if first is not None:
        return [(first, other) for other in contenders if other is not first]
    return [(one, other) for index, one in enumerate(contenders) for other in contenders[index + 1 :]]
