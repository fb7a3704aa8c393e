"""Two contenders side by side: exponents, compute multiplier and crossover, each with an interval from resamples.

Legend: A the baseline, X the contender, C cost, L loss, alpha the exponent of L(C) without floor, R resamples.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from archbench.analysis.frontier.curves import CurveSet, Floats
from archbench.analysis.frontier.noise import Noise
from archbench.analysis.frontier.resampled_laws import PowerLaws
from archbench.analysis.frontier.resamples import Draws, Frontiers, no_draw
from archbench.results.fits import Comparison, FitStatus, FrontierResult, Interval, MultiplierPoint

MARGIN = 0.05
"""Exponents within 5 % of each other were called "within a margin of uncertainty" in 2021; kept as a column."""
CROSSOVER_REACH = 10.0
"""How far beyond the data, as a factor of cost, a crossover is looked for."""
_INSIDE, _BEYOND = 15, 4
_ONE_SEED = {
    "cluster-bootstrap-sizes": "its intervals come from resampling sizes and hold no seed noise",
    "unknown-one-seed": "its sizes are too few to resample, so that no interval is known",
}


class Conclusion(StrEnum):
    """What a comparison says about two exponents."""

    STEEPER = "steeper"
    """The contender's loss falls faster with cost than the baseline's."""
    FLATTER = "flatter"
    NOT_TOLD_APART = "not told apart"
    REFUSED = "refused"
    """No comparison: a law may not be read."""


def conclusion(comparison: Comparison, level: float = 0.05) -> Conclusion:
    """Which exponent is larger, if Holm's p-value is below `level` and the interval of the difference leaves out 0."""
    difference, p_value = comparison.alpha_difference, comparison.holm_p_value
    if difference is None:
        return Conclusion.REFUSED
    if p_value is None or p_value >= level or difference.covers(0.0):
        return Conclusion.NOT_TOLD_APART
    return Conclusion.STEEPER if difference.value > 0 else Conclusion.FLATTER


@dataclass(frozen=True, slots=True)
class Contender:
    """One contender on one cost axis, with its resamples."""

    track: str
    curves: CurveSet
    frontiers: Frontiers
    result: FrontierResult
    draws: Draws
    lines: PowerLaws
    """[R]: the law without floor of each resample."""
    noise: Noise | None
    """Run-to-run noise; None where no seeds show it."""
    floors: PowerLaws | None = None
    """[R]: the law with a free floor of each resample; None where it was not fitted, or may not be read."""

    @property
    def name(self) -> str:
        """The contender's name."""
        return self.result.contender

    @property
    def alpha(self) -> float:
        """Exponent of the law without floor."""
        return self.result.law.params["alpha_C"]


def interval(value: float, samples: Floats, level: float = 0.95, method: str = "bootstrap-percentile") -> Interval:
    """`value` with the percentile interval of those `samples` that are numbers; infinite where fewer than half are."""
    usable = samples[~np.isnan(samples)]
    if len(usable) < len(samples) / 2:
        return Interval(value, -np.inf, np.inf, level, method)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(value, float(low), float(high), level, method)


def centred_interval(value: float, samples: Floats, level: float = 0.95, method: str = "bootstrap") -> Interval:
    """`value` give or take half the width of the percentile interval.

    A minimum of noisy curves is biased, and resamples of it once more: percentiles are off by that bias, their width is
    not. Coverage of the exponent was measured with both.
    """
    around = interval(value, samples, level)
    half = (around.high - around.low) / 2.0  # infinite where the interval is not known
    return Interval(value, value - half, value + half, level, f"{method}-centred")


def compare_exponents(baseline: Contender, contender: Contender) -> Comparison:
    """As `compare`, without what hangs on costs at equal loss: of many pairs that takes most of the time."""
    pair = _compare(baseline, contender)
    return replace(pair, crossover_note="given against the scan's baseline only")


def compare(baseline: Contender, contender: Contender) -> Comparison:
    """`contender` against `baseline`; the p-value is not yet corrected for the other pairs."""
    pair = _compare(baseline, contender)
    if pair.status is not FitStatus.OK or not pair.comparable_loss:
        return pair
    crossover, note = _crossover(baseline, contender)
    return replace(pair, multipliers=_multipliers(baseline, contender), crossover_cost=crossover, crossover_note=note)


def _compare(baseline: Contender, contender: Contender) -> Comparison:
    comparable = baseline.track == contender.track
    notes = [
        f"{one.name}: one seed at each size; {_ONE_SEED[one.draws.method]}"
        for one in (baseline, contender)
        if one.draws.method in _ONE_SEED
    ]
    if not comparable:
        notes.append(f"losses of the tracks {baseline.track} and {contender.track} do not compare, exponents do")
    poor = next((one.result.law for one in (baseline, contender) if one.result.law.status is not FitStatus.OK), None)
    if poor is not None:
        return _refused(baseline, contender, comparable, poor.status, (*notes, poor.reason))
    difference = contender.alpha - baseline.alpha
    samples = contender.lines.alpha - baseline.lines.alpha
    return Comparison(
        baseline=baseline.name,
        contender=contender.name,
        cost_axis=baseline.result.cost_axis,
        comparable_loss=comparable,
        alpha_difference=interval(difference, samples, method=contender.draws.method),
        p_value=two_sided_p(samples),
        holm_p_value=None,
        within_margin=abs(difference) <= MARGIN * max(abs(baseline.alpha), abs(contender.alpha)),
        multipliers=(),
        crossover_cost=None,
        crossover_note="" if comparable else "losses do not compare",
        status=FitStatus.OK,
        notes=tuple(notes),
    )


def two_sided_p(samples: Floats) -> float | None:
    """Achieved significance of zero among `samples`: twice the smaller tail, each with one added observation.

    None where fewer than half of the samples are numbers.
    """
    usable = samples[~np.isnan(samples)]
    if len(usable) < len(samples) / 2:
        return None
    tail = min(int((usable <= 0).sum()), int((usable >= 0).sum()))
    return min(1.0, 2.0 * (tail + 1) / (len(usable) + 1))


def _refused(
    baseline: Contender, contender: Contender, comparable: bool, status: FitStatus, notes: tuple[str, ...]
) -> Comparison:
    return Comparison(
        baseline=baseline.name,
        contender=contender.name,
        cost_axis=baseline.result.cost_axis,
        comparable_loss=comparable,
        alpha_difference=None,
        p_value=None,
        holm_p_value=None,
        within_margin=None,
        multipliers=(),
        crossover_cost=None,
        crossover_note="no law to cross",
        status=status,
        notes=notes,
    )


def _multipliers(baseline: Contender, contender: Contender) -> tuple[MultiplierPoint, ...]:
    """The multiplier over the losses that both frontiers reach, and on to the lowest that either reaches.

    Inside, costs are read off the envelopes themselves, so that no law is assumed; outside, each envelope goes on as a
    power law with its own exponent, and the point is marked as extrapolated.
    """
    losses, extrapolated = _loss_grid(baseline, contender)
    values, samples = log_multipliers(baseline, contender, losses)
    method = contender.draws.method
    return tuple(
        MultiplierPoint(
            loss_nats=float(np.exp(loss)),
            multiplier=interval(float(np.exp(value)), np.exp(column), 0.95, method),
            interval_90=interval(float(np.exp(value)), np.exp(column), 0.90, method),
            extrapolated=bool(beyond),
        )
        for loss, beyond, value, column in zip(losses, extrapolated, values, samples.T, strict=True)
    )


def log_multipliers(baseline: Contender, contender: Contender, log_losses: Floats) -> tuple[Floats, Floats]:
    """ln C_A - ln C_X at each of `log_losses` [M], and its resamples [R, M].

    A contender's resamples are the same in every pair, so that differences over a chain of pairs add up in each.
    """
    samples = _log_cost(baseline, baseline.draws, baseline.lines.alpha, log_losses) - _log_cost(
        contender, contender.draws, contender.lines.alpha, log_losses
    )
    values = (
        _log_cost(baseline, no_draw(len(baseline.curves.curves)), np.array([baseline.alpha]), log_losses)
        - _log_cost(contender, no_draw(len(contender.curves.curves)), np.array([contender.alpha]), log_losses)
    )[0]
    return values, samples


def _log_cost(one: Contender, draws: Draws, alpha: Floats, log_loss: Floats) -> Floats:
    return one.frontiers.cost_at(draws, log_loss, alpha)


def _loss_grid(baseline: Contender, contender: Contender) -> tuple[Floats, np.ndarray]:
    """Log losses from high to low, and which of them lie outside what both reach."""
    spans = [np.log([point.loss_nats for point in one.result.points]) for one in (baseline, contender)]
    high, low = min(span[0] for span in spans), max(span[-1] for span in spans)
    lowest = min(span[-1] for span in spans)
    inside = np.linspace(high, low, _INSIDE) if high > low else np.empty(0)
    beyond = np.linspace(min(low, high), lowest, _BEYOND + 1)[1:] if lowest < min(low, high) else np.empty(0)
    return np.concatenate([inside, beyond]), np.repeat([False, True], [len(inside), len(beyond)])


def _crossover(baseline: Contender, contender: Contender) -> tuple[Interval | None, str]:
    """The cost at which the two laws without floor meet, if that is within ten times the data's range."""
    costs = [point.cost for one in (baseline, contender) for point in one.result.points]
    low, high = np.log(min(costs) / CROSSOVER_REACH), np.log(max(costs) * CROSSOVER_REACH)
    laws = [one.result.law.params for one in (baseline, contender)]
    point = _meeting(*(np.array([law[key]]) for law in laws for key in ("ln_A", "alpha_C")))[0]
    if not low <= point <= high:
        return None, f"none within {CROSSOVER_REACH:g}x of the data"
    samples = _meeting(
        baseline.lines.log_amplitude, baseline.lines.alpha, contender.lines.log_amplitude, contender.lines.alpha
    )
    share = float(np.mean((samples >= low) & (samples <= high)))
    # A resample without a meeting inside the reach tells only that the meeting may be anywhere outside.
    clipped = np.where(np.isfinite(samples), np.clip(samples, low, high), np.nan)
    found = interval(float(point), clipped, method=contender.draws.method)
    if not np.isfinite(found.low):
        return Interval(float(np.exp(point)), -np.inf, np.inf, found.level, found.method), "its interval is not known"
    note = ""
    if share < 0.95:
        outside = f"{100 * (1 - share):.0f} % of resamples have none within {CROSSOVER_REACH:g}x of the data"
        note = f"{outside}; the interval is cut there"
    value, low_end, high_end = (float(np.exp(end)) for end in (found.value, found.low, found.high))
    return Interval(value, low_end, high_end, found.level, found.method), note


def _meeting(a_amplitude: Floats, a_alpha: Floats, x_amplitude: Floats, x_alpha: Floats) -> Floats:
    """Log cost at which ln A - alpha·ln C is the same for both; infinite for equal exponents."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((x_amplitude - a_amplitude) / (x_alpha - a_alpha))
