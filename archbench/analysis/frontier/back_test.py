"""What the cheaper runs of a frontier would have said of the next one, held against the loss that came out.

An expanding window over the frontier's runs in order of cost. Each window is read as the whole is (a joint law, a law
above a floor) and asked for the loss at the cost of the next run; the interval holds the resamples' spread and the
deviation of one further run. An interval that spans a factor of 1.5 or more could cover anything: such a row is no
test, and says so.

Legend: C cost, L loss, E floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.fitting.forecast import BacktestRow
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Form, Reading
from archbench.analysis.significance import spread_interval
from archbench.results.fits import FitStatus, Interval

MIN_RUNS = 3
MAX_WINDOWS = 6
"""Windows kept, those with the most runs: with many runs the first ones say little of the next."""
NO_TEST = 1.5
"""Factor between the ends of an interval from which on it could cover anything."""
_NEXT = 0.05
"""Runs within 5 % of the cost that is asked for belong to the next window."""


@dataclass(frozen=True, slots=True)
class FrontierBacktestRow(BacktestRow):
    """One window of one contender; `held_out` is the cost at which the loss is predicted."""

    contender: str
    sizes_fitted: int
    size_index: int
    """The size whose end is predicted."""
    floor: str
    """`none` or `free`: the law that predicts."""


def back_test_frontier(
    one: Contender,
    *,
    floors: Sequence[Literal["none", "free"]] = ("free", "none"),
    seed: int = 0,
    num_resamples: int = 400,
) -> tuple[FrontierBacktestRow, ...]:
    """Windows of rising cost, by a law with each of `floors` in turn; empty below 4 runs on the frontier.

    A window that no law can be read from gives a row with its status and no prediction. Empty on the plateau.
    """
    if one.finished.refusal:
        return ()
    targets, _ = one.finished.on_frontier()
    numbers = range(max(MIN_RUNS, len(targets) - MAX_WINDOWS), len(targets))
    rows = [
        _window_row(one, targets, number, floor, np.random.default_rng((seed, number)), num_resamples)
        for floor in floors
        for number in numbers
    ]
    # Where runs are too few for a floor both laws are the one without, which counts once.
    distinct = {(row.held_out, row.floor): row for row in reversed(rows)}
    return tuple(row for row in rows if distinct[row.held_out, row.floor] is row)


def last_error(rows: Sequence[FrontierBacktestRow]) -> FrontierBacktestRow | None:
    """The row that predicts the dearest run, by the law with a floor where there is one; None without any window."""
    return max(rows, key=lambda row: (row.held_out, row.floor == "free"), default=None)


def _window_row(
    one: Contender,
    targets: FinishedRuns,
    number: int,
    floor: Literal["none", "free"],
    generator: np.random.Generator,
    num_resamples: int,
) -> FrontierBacktestRow:
    log_cost, actual = float(targets.log_cost[number]), float(np.exp(targets.log_loss[number]))
    window = one.finished.take(one.finished.log_cost < log_cost - _NEXT)
    reading = read_frontiers(
        (window,), num_resamples=num_resamples, generator=generator, form=Form.NO_FLOOR if floor == "none" else None
    )
    predicted, status, reason = None, FitStatus.OK, ""
    if reading.form is Form.HULL:
        status, reason = FitStatus.NOT_IDENTIFIABLE, f"no law can be read from the cheaper runs: {reading.why}"
    else:
        predicted = _predicted_loss(reading, log_cost, generator)
    covered: bool | None = None
    if predicted is not None and np.isfinite(predicted.high):
        covered = predicted.covers(actual)
        if predicted.high > NO_TEST * predicted.low:
            covered, status = None, FitStatus.NOT_IDENTIFIABLE
            reason = f"no test: its interval spans a factor of {predicted.high / predicted.low:.3g}"
    return FrontierBacktestRow(
        held_out=float(np.exp(log_cost)),
        held_to=float(np.exp(log_cost)),
        points_fitted=len(window),
        status=status,
        reason=reason,
        predicted=predicted,
        actual=actual,
        error=predicted.value / actual - 1.0 if predicted is not None else float("nan"),
        covered=covered,
        contender=one.name,
        sizes_fitted=window.num_sizes,
        size_index=int(targets.size_index[number]),
        floor="none" if reading.form is Form.NO_FLOOR else floor,
    )


def _predicted_loss(reading: Reading, log_cost: float, generator: np.random.Generator) -> Interval:
    """The loss of one further run at `log_cost`."""
    logs = reading.frontiers[0].log_loss_at(np.array([log_cost]))[:, 0]
    samples = logs[1:]
    if reading.deviation is not None:
        samples = samples + reading.deviation * generator.standard_normal(len(samples))
    found = spread_interval(float(logs[0]), samples, reading.freedom)
    low, high = (float(np.exp(min(end, 700.0))) if np.isfinite(end) else end for end in (found.low, found.high))
    return Interval(float(np.exp(found.value)), low, high, found.level, found.method)
