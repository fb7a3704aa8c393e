"""L_scratch(D) of one size as a monotone curve, and D_E read from it.

The curve is isotonic regression of ln L over D, then a monotone cubic (Fritsch and Carlson 1980) of ln D over ln L: a
power law is a straight line there, so on a power law D_E is exact. It is never extrapolated.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are used: half a second, which other commands need not wait

from archbench.analysis.fitting.power_sum import Array


@dataclass(frozen=True, slots=True)
class MonotoneCurve:
    """ln D as a falling function of ln L."""

    log_tokens: Array
    """[n], rising; the ends are the smallest and the largest D that were trained on."""
    log_loss: Array
    """[n], isotonic: never rises."""

    @staticmethod
    def through(log_tokens: Array, log_loss: Array, weights: Array) -> "MonotoneCurve":
        """The curve through points with rising `log_tokens`; losses that rise with D are pooled by `weights`."""
        if np.all(np.diff(log_loss) < 0):
            return MonotoneCurve(log_tokens, log_loss)
        pooled = scipy.optimize.isotonic_regression(log_loss, weights=weights, increasing=False).x
        return MonotoneCurve(log_tokens, np.asarray(pooled))

    def effective(self, log_loss: Array) -> Array:
        """ln D_E of each ln L: -inf where it is above the curve, inf where it is below."""
        target = np.asarray(log_loss, dtype=float)
        found = np.full(target.shape, np.nan)
        found[target > self.log_loss[0]] = -np.inf
        found[target < self.log_loss[-1]] = np.inf
        inside = np.isnan(found) & ~np.isnan(target)
        if inside.any():
            found[inside] = self._inverse(target[inside])
        return found

    def _inverse(self, log_loss: Array) -> Array:
        """A plateau of pooled points stands at the mean of their ln D: any D on it gives the same loss."""
        levels, block = np.unique(-self.log_loss, return_inverse=True)
        counts = np.bincount(block)
        tokens = np.bincount(block, weights=self.log_tokens) / counts
        if len(levels) == 1:
            return np.full(log_loss.shape, tokens[0])
        return np.asarray(scipy.interpolate.PchipInterpolator(levels, tokens)(-log_loss))


def inversions(log_loss: Array) -> int:
    """Neighbouring points of a curve at which more data gave a higher loss."""
    return int((np.diff(log_loss) > 0).sum())
