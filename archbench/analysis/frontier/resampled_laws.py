"""Laws of every resample: the values, and the line through the points of each at once.

Legend: R resamples, P points, M costs asked for, alpha exponent, A amplitude, E floor.
"""

from dataclasses import dataclass

import numpy as np

from archbench.analysis.frontier.curves import Floats
from archbench.analysis.intervals import percentile_ends


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """L = E + A·C^-alpha for each resample; NaN where a resample identifies none. All arrays are [R]."""

    alpha: Floats
    log_amplitude: Floats
    floor_nats: Floats

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """Log loss of each law at each log cost, [R, M]."""
        power = self.log_amplitude[:, None] - self.alpha[:, None] * log_cost[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.logaddexp(power, np.log(self.floor_nats)[:, None]))


def loss_band(laws: PowerLaws | None, log_cost: Floats) -> tuple[Floats, Floats] | None:
    """Ends of the 95 % interval of the loss (nats) at each log cost, [M] each; None where no resample gives one."""
    if laws is None:
        return None
    low, high = percentile_ends(laws.log_loss_at(log_cost))
    return None if np.isnan(low).any() else (np.exp(low), np.exp(high))


def fit_lines(log_cost: Floats, log_loss: Floats, weights: Floats) -> PowerLaws:
    """Least squares of ln L = ln A - alpha·ln C for each row of `weights` and `log_loss` [R, P]; NaN below 3 points."""
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x = weights @ log_cost / total
        mean_y = (weights * log_loss).sum(axis=1) / total
        x = log_cost[None, :] - mean_x[:, None]
        slope = (weights * x * (log_loss - mean_y[:, None])).sum(axis=1) / (weights * x * x).sum(axis=1)
    alpha = np.where((weights > 0).sum(axis=1) >= 3, -slope, np.nan)
    return PowerLaws(alpha, mean_y + alpha * mean_x, np.zeros(len(alpha)))
