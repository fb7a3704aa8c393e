"""A learning curve read backwards: after how many steps a run reached a loss.

Legend: S optimiser steps, L validation loss (nats per predicted token).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are used: half a second, which other commands need not wait
from numpy.typing import ArrayLike

from archbench.analysis.fitting.power_sum import Array
from archbench.results.runs import CurvePoint, RunRecord


@dataclass(frozen=True, slots=True)
class Descent:
    """The falling part of a learning curve: its running minimum, points that do not improve on it left out."""

    log_steps: Array
    """[n], rising."""
    log_loss: Array
    """[n], falling strictly."""
    last_step: float
    """Where the run ended."""

    @property
    def lowest_loss(self) -> float:
        """The best loss that the run reached."""
        return float(np.exp(self.log_loss[-1]))

    def log_steps_at(self, loss_nats: ArrayLike) -> Array:
        """ln S at each loss; NaN where the run was above it to its end, or below it from its first point on.

        Monotone cubic interpolation in logarithms (Fritsch and Carlson 1980): no wiggle between two evaluations, and
        none of a straight line's bias on a curve that bends.
        """
        wanted = np.log(np.atleast_1d(np.asarray(loss_nats, dtype=float)))
        if len(self.log_loss) < 2:
            return np.full(wanted.shape, np.nan)
        curve = scipy.interpolate.PchipInterpolator(-self.log_loss, self.log_steps, extrapolate=False)
        return np.asarray(curve(-wanted))


def descent(run: RunRecord) -> Descent:
    """The falling part of `run`'s curve; points inside warm-up and without a positive finite loss are left out."""
    points = [point for point in run.curve if _counts(point)]
    log_loss = np.log([point.validation_loss_nats for point in points]) if points else np.empty(0)
    falls = log_loss < np.concatenate([[np.inf], np.minimum.accumulate(log_loss)[:-1]]) if points else np.empty(0, bool)
    log_steps = np.log([float(point.step) for point in points]) if points else np.empty(0)
    last = float(run.curve[-1].step) if run.curve else 0.0
    return Descent(log_steps[falls], log_loss[falls], last)


def common_targets(curves: Sequence[Descent], *, count: int, at_least: int) -> Array:
    """Losses, evenly spaced in ln L, that every run started above and that `at_least` runs of `curves` reached.

    Empty where there is no such loss. The highest one lies a little below the start, since the first interval of a
    curve is interpolated worst; the lowest one is reached by `at_least` runs exactly, the others are censored there.
    """
    usable = [curve for curve in curves if len(curve.log_loss) > 1]
    if len(usable) < at_least:
        return np.empty(0)
    highest = min(float(curve.log_loss[min(1, len(curve.log_loss) - 1)]) for curve in usable)
    lowest = sorted(float(curve.log_loss[-1]) for curve in usable)[at_least - 1]
    if not lowest < highest:
        return np.empty(0)
    # Exactly at a run's last loss rounding would decide whether it was reached.
    return np.asarray(np.exp(np.linspace(highest, lowest + 1e-9, count)))


def _counts(point: CurvePoint) -> bool:
    return point.step > 0 and not point.in_warmup and 0.0 < point.validation_loss_nats < np.inf
