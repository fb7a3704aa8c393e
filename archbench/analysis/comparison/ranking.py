"""Places in a table of contenders, by tests: who needs less compute for equal loss than whom.

Every pair is read as a comparison reads it, over one window of losses for the whole table, and Holm's correction runs
over all pairs. A place is one plus the number of those that are significantly better: overlapping intervals are no
test. A contender whose multiplier cannot be read over that window is listed without a place, and so is one whose runs
end on the plateau.

Legend: C cost, L loss (nats).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.compare import Contender, read_pair
from archbench.analysis.comparison.multiplier import (
    Window,
    below_plateau,
    headline_multiplier,
    mean_log_multiplier,
)
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.tiers import holm
from archbench.analysis.significance import p_value_of, spread_interval
from archbench.results.fits import FitStatus, HeadlineMultiplier, Interval
from archbench.results.kept import Kept, anew

LEVEL = 0.05
NUM_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Ranking:
    """The places of one table."""

    reference: str
    """The contender that window and reference cost are taken from, and multipliers are over."""
    window: Window
    reference_cost: float
    """Of the reference's dearest run."""
    places: Mapping[str, int]
    """By name; those without one are missing."""
    unranked: Mapping[str, str]
    """Name -> why it has no place."""
    multipliers: Mapping[str, HeadlineMultiplier]
    """Over the reference, in the window; of everyone but the reference."""
    own_windows: Mapping[str, HeadlineMultiplier]
    """Over the reference, in the middle half of the losses that both cover; of those that do not cover the window."""


def table_window(reference: Contender) -> Window:
    """The middle half of ln L of the reference's finished runs: the same whoever else is in the table."""
    losses = reference.finished.log_loss
    high, low = float(losses.max()), float(losses.min())
    quarter = (high - low) / 4
    return Window(float(np.exp(high - quarter)), float(np.exp(low + quarter)))


def rank(contenders: Sequence[Contender], reference: str, window: Window | None = None, kept: Kept = anew) -> Ranking:
    """The places of `contenders`, which share a cost axis and a track, over the window of `reference` or another.

    kept: where what two contenders alone decide is kept; thousands of pairs are as they were when one more joins them.
    """
    by_name = {one.name: one for one in contenders}
    base = by_name[reference]
    multipliers: dict[str, HeadlineMultiplier] = {}
    own_windows: dict[str, HeadlineMultiplier] = {}
    unranked = {
        one.name: f"{FitStatus.ON_PLATEAU.value}: {one.finished.refusal}" for one in contenders if one.finished.refusal
    }
    chosen = window or table_window(base)
    ceilings = [one.finished.ceiling for one in contenders if one.name not in unranked]
    chosen = below_plateau(chosen, min(ceilings, default=float("inf"))) or chosen
    for name, one in by_name.items():
        if name == reference:
            continue
        multipliers[name] = found = _headline(base, one, chosen, kept)
        if found.status is not FitStatus.OK or found.multiplier is None:
            unranked[name] = f"{found.status.value}: {found.reason}"
        if found.status is FitStatus.EXTRAPOLATED:
            own = _headline(base, one, None, kept)
            if own.status is FitStatus.OK and own.multiplier is not None:
                own_windows[name] = own
    ranked = [one for one in contenders if one.name not in unranked]
    return Ranking(
        reference=reference,
        window=chosen,
        reference_cost=float(np.exp(base.finished.log_cost[-1])),
        places=_places(ranked, chosen, multipliers, reference, kept),
        unranked=unranked,
        multipliers=multipliers,
        own_windows=own_windows,
    )


def _headline(base: Contender, one: Contender, window: Window | None, kept: Kept) -> HeadlineMultiplier:
    """Over `window`, or without one over the middle half of the losses that both cover."""
    hangs_on = ("headline", *_pair_key(base, one, window))
    return kept(HeadlineMultiplier, hangs_on, lambda: headline_multiplier(read_pair(base, one), window))


def _test(one: Contender, other: Contender, window: Window, kept: Kept) -> tuple[float | None, float]:
    """p of equal costs of two contenders over `window`, and ln m of the other one."""

    def tested() -> tuple[float | None, float]:
        reading = read_pair(one, other, num_resamples=NUM_RESAMPLES)
        mean = mean_log_multiplier(reading, window)
        return p_value_of(mean, reading.freedom), mean.value

    return kept(tuple[float | None, float], ("test", *_pair_key(one, other, window), NUM_RESAMPLES), tested)


def _pair_key(one: Contender, other: Contender, window: Window | None) -> tuple[str | float, ...]:
    losses = () if window is None else (window.high_nats, window.low_nats)
    return one.finished.fingerprint, other.finished.fingerprint, *losses


def _places(
    ranked: Sequence[Contender],
    window: Window,
    multipliers: Mapping[str, HeadlineMultiplier],
    reference: str,
    kept: Kept,
) -> dict[str, int]:
    p_values: dict[tuple[str, str], float] = {}
    better: dict[tuple[str, str], bool] = {}
    for index, one in enumerate(ranked):
        for other in ranked[index + 1 :]:
            pair = (one.name, other.name)
            found = multipliers.get(other.name) if one.name == reference else None
            if found is not None and found.multiplier is not None:
                p_value, value = found.p_value, float(np.log(found.multiplier.value))
            else:
                p_value, value = _test(one, other, window, kept)
            if p_value is not None:
                p_values[pair] = p_value
                better[pair] = value > 0.0  # the other one needs less
    pairs = list(p_values)
    corrected = holm({number: p_values[pair] for number, pair in enumerate(pairs)})
    beaten_by = dict.fromkeys((one.name for one in ranked), 0)
    for number, pair in enumerate(pairs):
        if corrected[number] < LEVEL:
            beaten_by[pair[0] if better[pair] else pair[1]] += 1
    return {name: 1 + count for name, count in beaten_by.items()}


def loss_at(
    runs: FinishedRuns, cost: float, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0, kept: Kept = anew
) -> Interval | None:
    """Loss in nats of one contender's frontier at `cost`, by its own law; None where its runs do not reach that far."""
    log_cost = float(np.log(cost))
    if not runs.log_cost[0] - 1e-9 <= log_cost <= runs.log_cost[-1] + 1e-9:
        return None

    def read() -> Interval:
        reading = read_frontiers((runs,), num_resamples=num_resamples, generator=np.random.default_rng(seed))
        logs = reading.frontiers[0].log_loss_at(np.array([log_cost]))[:, 0]
        found = spread_interval(float(logs[0]), logs[1:], reading.freedom)
        ends = (found.value, found.low, found.high)
        value, low, high = (float(np.exp(end)) if np.isfinite(end) else end for end in ends)
        return Interval(value, low, high, found.level, found.method)

    return kept(Interval, ("loss", runs.fingerprint, log_cost, num_resamples, seed), read)
