"""Figures as text: values with their intervals, or the status where there is no figure to read."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from archbench.report.plotting import AXIS_NAMES
from archbench.results.fits import (
    Comparison,
    FitResult,
    FitStatus,
    FrontierResult,
    GainOutcome,
    HeadlineMultiplier,
    Interval,
    SizeGain,
)
from archbench.results.runs import CostAxis, size_number
from archbench.units import counted

_LEAST_P = 1e-4
_MOST_RANGES = 3


def with_interval(interval: Interval | None, digits: int = 3) -> str:
    """`1.41 [1.12, 1.93]`; a dash without an interval."""
    if interval is None:
        return "-"
    if not known(interval):
        return f"{number(interval.value, digits)} (interval unknown)"
    return f"{number(interval.value, digits)} [{number(interval.low, digits)}, {number(interval.high, digits)}]"


def known(interval: Interval) -> bool:
    """Whether the data gave an interval: an infinite one stands for none."""
    return math.isfinite(interval.low) or math.isfinite(interval.high)


def number(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant ones, plain up to 1e5."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if math.isnan(value):
        return "-"
    if value != 0 and not 1e-4 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}"


def p_text(p_value: float | None) -> str:
    """A p-value with two digits; below 0.0001 the bound alone, since no run tells more; a dash without one."""
    if p_value is None:
        return "-"
    return "<0.0001" if p_value < _LEAST_P else number(p_value, 2)


def alpha_text(fit: FitResult | None) -> str:
    """The exponent with its interval, or the fit's status; a dash without a fit."""
    if fit is None:
        return "-"
    if fit.status is not FitStatus.OK:
        return f"`{fit.status.value}`"
    found = fit.intervals.get("alpha_C")
    return with_interval(found) if found is not None else number(fit.params["alpha_C"])


def law_words(fit: FitResult, exponents: Sequence[str]) -> str:
    """`has alpha 0.3 [0.2, 0.4] and ...` of those of `exponents` that the law has; or that it was refused, and why."""
    if fit.status is not FitStatus.OK:
        return f"was refused (`{fit.status.value}`: {fit.reason})"
    found = [
        f"{name} {with_interval(fit.intervals[name]) if name in fit.intervals else number(fit.params[name])}"
        for name in exponents
        if name in fit.params
    ]
    return f"has {' and '.join(found)}"


def size_ranges(numbers: Sequence[int]) -> str:
    """`size 4`, `sizes 2-5, 9`, or `31 sizes from 2 to 39` where more than three ranges would be listed."""
    listed = number_ranges(numbers)
    if listed.count(",") >= _MOST_RANGES:
        return f"{len(numbers)} sizes from {min(numbers)} to {max(numbers)}"
    return f"{'sizes' if len(numbers) > 1 else 'size'} {listed}"


def number_ranges(numbers: Sequence[int]) -> str:
    """Neighbours joined: `2-5, 9`."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda placed: placed[1] - placed[0])
    ends = [[value for _, value in run] for _, run in runs]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in ends)


def tiers_text(frontier: FrontierResult) -> str:
    """`none`, or the groups of sizes that form a tier, `2-4`; then the sizes that are not resolved."""
    if not frontier.gains:
        return FitStatus.ON_PLATEAU.value if frontier.plateau_note else "no ladder"
    groups = [
        f"{size_number(tier.size_indices[0])}-{size_number(tier.size_indices[-1])}"
        for tier in frontier.tiers
        if len(tier.size_indices) > 1
    ]
    unresolved = [size_number(one.size_index) for one in unresolved_gains(frontier)]
    parts = [", ".join(groups)] if groups else []
    if unresolved:
        parts.append(f"not resolved: {number_ranges(unresolved)}")
    return "; ".join(parts) or "none"


def unresolved_gains(frontier: FrontierResult) -> list[SizeGain]:
    """The sizes of which the design cannot say whether they gain over the smaller ones."""
    return [one for one in frontier.gains if one.outcome is GainOutcome.NOT_RESOLVED]


def gain_text(one: SizeGain, unit: str = "nats") -> str:
    """`size 4 gains 0.03 nats over size 3`, or that it does not, or that this is not resolved and what would tell."""
    size, rival = size_number(one.size_index), size_number(one.rival_index)
    seen = with_interval(one.interval, 2) if one.interval is not None else number(one.gain_nats, 2)
    if one.outcome is GainOutcome.GAINS:
        return f"size {size} gains {seen} {unit} over size {rival}"
    if one.outcome is GainOutcome.DOES_NOT_GAIN:
        expected = "" if one.expected_nats is None else f" where its law expects {number(one.expected_nats, 2)}"
        return f"size {size} does not gain over size {rival} ({seen} {unit}{expected})"
    if one.interval is None:
        bare = "does not fall" if one.gain_nats <= 0 else f"falls by {seen} {unit}"
        return f"size {size} is not resolved (its loss {bare} from size {rival} in bare figures; noise is unknown)"
    return f"size {size} is not resolved ({seen} {unit} over size {rival}): {_settled_by(one)}"


def _settled_by(one: SizeGain) -> str:
    if one.seeds_to_settle is None:
        return "no number of seeds up to 100 would settle it at the gain seen"
    where = "every size" if one.seeds_at_every_size else f"size {size_number(one.size_index)}"
    return f"{counted(one.seeds_to_settle, 'seed')} at {where} would settle it"


def crossover_text(comparison: Comparison, names: Mapping[CostAxis, str] = AXIS_NAMES) -> str:
    """Where the two frontiers cross, with its unit in words; why there is nothing to say otherwise."""
    if comparison.crossover_cost is None:
        return comparison.crossover_note
    return f"{with_interval(comparison.crossover_cost)} {names[comparison.cost_axis]}"


def multiplier_text(headline: HeadlineMultiplier | None) -> str:
    """The headline multiplier with its interval, or its status; a dash where losses do not compare."""
    if headline is None:
        return "-"
    if headline.status is not FitStatus.OK or headline.multiplier is None:
        return f"`{headline.status.value}`"
    return with_interval(headline.multiplier)


def window_text(headline: HeadlineMultiplier, factor: float | None = None, *, unit: bool = True) -> str:
    """The losses over which a headline is averaged: `2.83 to 2.61 nats per token`, in bits per byte by `factor`."""
    if headline.window_nats is None:
        return "-"
    high, low = headline.window_nats
    ends = f"{number(high * (factor or 1.0), 4)} to {number(low * (factor or 1.0), 4)}"
    return f"{ends} {loss_unit(factor)}" if unit else ends


def loss_unit(factor: float | None) -> str:
    """What a loss is told in, where `factor` makes bits per byte of nats, or nothing does."""
    return "bits per byte" if factor else "nats per token"
