"""The compute multiplier of a contender over a baseline, and the loss gap at a cost, from two frontiers read alike.

Legend: A the baseline, X the contender, C cost, L loss (nats), m = C_A/C_X at equal loss, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.reading import Reading
from archbench.analysis.significance import exp_of, p_value_of, spread_interval
from archbench.results.fits import FitStatus, HeadlineMultiplier, Interval, MultiplierPoint

ALLOWED_EXTRAPOLATION = 0.05
"""Share of resamples that may leave a side's data before a headline is refused."""
WIDEST = 100.0
"""A factor between the ends of an interval from which on it says nothing."""
_WINDOW_POINTS = 17
_CURVE_POINTS = 15
_TOLERANCE = 1e-6
_FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class Window:
    """A range of losses in nats, the higher first, over which a multiplier is averaged."""

    high_nats: float
    low_nats: float

    def logs(self, count: int) -> Floats:
        """ln L at `count` points from high to low."""
        return np.linspace(np.log(self.high_nats), np.log(self.low_nats), count)


def asked_window(spec: Mapping[str, Any]) -> Window | None:
    """The window that the question of a spec (as plain data) fixes; None where it fixes none."""
    place = (spec.get("question") or {}).get("at")
    return Window(float(place[0]), float(place[1])) if isinstance(place, Sequence) else None


def below_plateau(window: Window, ceiling: float) -> Window | None:
    """What of `window` lies below the line of pairs, whose ln is `ceiling`; None where nothing does."""
    high = min(window.high_nats, float(np.exp(ceiling)))
    return Window(high, window.low_nats) if high > window.low_nats else None


def log_multipliers(reading: Reading, log_losses: Floats, baseline: int = 0, contender: int = 1) -> Floats:
    """ln m at each log loss, [1 + R, M]: the data first."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            reading.frontiers[baseline].log_cost_at(log_losses) - reading.frontiers[contender].log_cost_at(log_losses)
        )


def common_range(reading: Reading, baseline: int = 0, contender: int = 1) -> tuple[float, float] | None:
    """ln L of the highest and lowest loss that both reach within the costs of their runs, below the line of pairs.

    None where there is none.
    """
    ends = [reading.reached(side)[0] for side in (baseline, contender)]
    high, low = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)
    high = min(high, reading.ceiling(baseline, contender))
    return (high, low) if high > low + _FLAT else None


def _nothing_in_common(reading: Reading, baseline: int, contender: int) -> str:
    """Why two have no range of losses in common."""
    sides = (baseline, contender)
    single = [reading.names[side] for side in sides if reading.spans[side][0] == reading.spans[side][1]]
    if single:
        return f"fewer than two runs on the frontier of {' and '.join(dict.fromkeys(single))}"
    ends = {reading.names[side]: reading.reached(side)[0] for side in sides}
    flat = [name for name, (high, low) in ends.items() if not high > low + _FLAT]
    if flat:
        return f"the loss of {' and '.join(dict.fromkeys(flat))} does not fall with cost"
    return "they reach no loss in common"


def middle_half(reading: Reading, baseline: int = 0, contender: int = 1) -> Window | None:
    """The middle half of the common range of ln L, or the part of it that the resamples of both reach as well.

    Where there is no such part it is the middle half, which is then refused.
    """
    both = common_range(reading, baseline, contender)
    if both is None:
        return None
    quarter = (both[0] - both[1]) / 4
    high, low = both[0] - quarter, both[1] + quarter
    for side in (baseline, contender):
        drawn = reading.reached(side)[1:]
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        if reading.freedom > 0 and len(drawn):
            tail = ALLOWED_EXTRAPOLATION / 2
            high = min(high, float(np.quantile(drawn[:, 0], tail, method="inverted_cdf")))
            low = max(low, float(np.quantile(drawn[:, 1], 1 - tail, method="inverted_cdf")))
    if not high > low + _FLAT:
        high, low = both[0] - quarter, both[1] + quarter
    return Window(float(np.exp(high)), float(np.exp(low)))


def mean_log_multiplier(reading: Reading, window: Window, baseline: int = 0, contender: int = 1) -> Interval:
    """Mean of ln m over `window`, with its 95 % interval; NaN where one of them never reaches it."""
    mean = log_multipliers(reading, window.logs(_WINDOW_POINTS), baseline, contender).mean(axis=1)
    return spread_interval(float(mean[0]), mean[1:], reading.freedom)


def headline_multiplier(
    reading: Reading, window: Window | None = None, *, baseline: int = 0, contender: int = 1
) -> HeadlineMultiplier:
    """The geometric mean of m over `window`, else over the middle half of the losses that both reach.

    What of a window lies above the line of pairs is cut off. Its status refuses it on the plateau, where there is no
    such loss, where more than 5 % of the resamples leave a side's data, where one cell carries it (without that cell it
    lies outside its interval), or where its interval says nothing.
    """
    form = reading.form.value
    if refusal := reading.refusal(baseline, contender):
        return _no_headline(reading, FitStatus.ON_PLATEAU, refusal)
    ceiling = reading.ceiling(baseline, contender)
    if window is not None and below_plateau(window, ceiling) is None:
        return _no_headline(
            reading,
            FitStatus.ON_PLATEAU,
            f"the losses of the window lie on or above the line of pairs ({np.exp(ceiling):.3g} nats)",
        )
    chosen = below_plateau(window, ceiling) if window is not None else middle_half(reading, baseline, contender)
    if chosen is None:
        return _no_headline(reading, FitStatus.NO_COMMON_RANGE, _nothing_in_common(reading, baseline, contender))
    grid = chosen.logs(_WINDOW_POINTS)
    logs = log_multipliers(reading, grid, baseline, contender)
    mean = logs.mean(axis=1)
    value = float(mean[0])
    interval = spread_interval(value, mean[1:], reading.freedom)
    ninety = spread_interval(value, mean[1:], reading.freedom, 0.90)
    status, reason = _headline_status(reading, chosen, interval, grid, baseline, contender)
    return HeadlineMultiplier(
        multiplier=exp_of(interval) if np.isfinite(value) else None,
        interval_90=exp_of(ninety) if np.isfinite(value) else None,
        p_value=p_value_of(interval, reading.freedom),
        at=tuple(
            multiplier_point(reading, float(loss), baseline, contender)
            for loss in _shown_losses(reading, chosen, baseline, contender)
        ),
        window_nats=(chosen.high_nats, chosen.low_nats),
        trend=_window_trend(reading, chosen, baseline, contender),
        status=status,
        reason=reason,
        form=form,
        why=reading.why,
    )


def _no_headline(reading: Reading, status: FitStatus, reason: str) -> HeadlineMultiplier:
    return HeadlineMultiplier(None, None, None, (), None, None, status, reason, reading.form.value, reading.why)


def _shown_losses(reading: Reading, window: Window, baseline: int, contender: int) -> list[float]:
    """ln L at which the multiplier stands beside the headline: both ends of the window, and the end of the range."""
    both = common_range(reading, baseline, contender)
    ends = [float(np.log(window.high_nats)), float(np.log(window.low_nats))]
    return [*ends, both[1]] if both is not None else ends


def _headline_status(
    reading: Reading, window: Window, interval: Interval, grid: Floats, baseline: int, contender: int
) -> tuple[FitStatus, str]:
    if not np.isfinite(interval.value):
        return FitStatus.NO_COMMON_RANGE, "one of them never reaches the losses of the window"
    ends = {reading.names[side]: reading.reached(side) for side in (baseline, contender)}
    beyond = {
        name: (one[:, 0] < grid[0] - _TOLERANCE) | (one[:, 1] > grid[-1] + _TOLERANCE) for name, one in ends.items()
    }
    for name, outside in beyond.items():
        if outside[0]:
            return FitStatus.EXTRAPOLATED, f"the runs of {name} do not cover the losses of the window"
    for name, outside in beyond.items():
        known = np.isfinite(ends[name][1:]).all(axis=1)
        share = float(outside[1:][known].mean()) if known.any() else 0.0
        if share > ALLOWED_EXTRAPOLATION:
            return FitStatus.EXTRAPOLATED, f"{share:.0%} of resamples extrapolate {name} beyond its runs"
    if not np.isfinite(interval.high - interval.low):
        return FitStatus.OK, ""
    if interval.high - interval.low > np.log(WIDEST):
        return FitStatus.NOT_IDENTIFIABLE, f"its interval is wider than a factor of {WIDEST:g}"
    for name, without in reading.without_each():
        moved = float(log_multipliers(without, grid, baseline, contender)[0].mean())
        if moved < interval.low - _TOLERANCE or moved > interval.high + _TOLERANCE:
            ratio = float(np.exp(moved))
            return FitStatus.HANGS_ON_ONE_RUN, f"without {name} it is {ratio:.3g}, outside its interval"
    return FitStatus.OK, ""


def _window_trend(reading: Reading, window: Window, baseline: int, contender: int) -> Interval | None:
    """The multiplier at the low end of the window over that at its high end: above 1 it grows with scale."""
    logs = log_multipliers(reading, window.logs(2), baseline, contender)
    with np.errstate(invalid="ignore"):
        change = logs[:, 1] - logs[:, 0]
    if not np.isfinite(change[0]):
        return None
    return exp_of(spread_interval(float(change[0]), change[1:], reading.freedom))


def multiplier_point(reading: Reading, log_loss: float, baseline: int = 0, contender: int = 1) -> MultiplierPoint:
    """m at one loss, marked where a side's runs do not reach it."""
    logs = log_multipliers(reading, np.array([log_loss]), baseline, contender)[:, 0]
    beyond = False
    for side in (baseline, contender):
        high, low = reading.reached(side)[0]
        beyond |= not low - _TOLERANCE <= log_loss <= high + _TOLERANCE
    return MultiplierPoint(
        loss_nats=float(np.exp(log_loss)),
        multiplier=exp_of(spread_interval(float(logs[0]), logs[1:], reading.freedom)),
        interval_90=exp_of(spread_interval(float(logs[0]), logs[1:], reading.freedom, 0.90)),
        extrapolated=beyond,
    )


def multiplier_curve(reading: Reading, baseline: int = 0, contender: int = 1) -> tuple[MultiplierPoint, ...]:
    """m over the losses that both reach, from high to low."""
    both = None if reading.refusal(baseline, contender) else common_range(reading, baseline, contender)
    if both is None:
        return ()
    return tuple(
        multiplier_point(reading, float(loss), baseline, contender) for loss in np.linspace(*both, _CURVE_POINTS)
    )


def loss_gap(reading: Reading, log_cost: float, baseline: int = 0, contender: int = 1) -> tuple[Interval, bool]:
    """Loss of X less that of A at one cost, in nats, and whether a side's runs do not reach that cost."""
    at = np.array([log_cost])
    gap = (
        np.exp(reading.frontiers[contender].log_loss_at(at))[:, 0]
        - np.exp(reading.frontiers[baseline].log_loss_at(at))[:, 0]
    )
    spans = [reading.spans[side] for side in (baseline, contender)]
    beyond = not all(low - _TOLERANCE <= log_cost <= high + _TOLERANCE for low, high in spans)
    return spread_interval(float(gap[0]), gap[1:], reading.freedom), beyond
