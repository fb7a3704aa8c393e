"""What learning curves at one batch return.

Legend: N parameters without embeddings, B batch (tokens), S optimiser steps, C compute (FLOPs), L validation loss.
"""

from dataclasses import dataclass

from archbench.results.fits import FitResult, Interval
from archbench.results.studies import StudyOfContender, StudyPoint


@dataclass(frozen=True, slots=True)
class AllocationCheck:
    """1/alpha_C = 1/alpha_N + 1/alpha_B + 1/alpha_S (Kaplan et al. 2020, eq 6.4) held against the measured exponent."""

    predicted_alpha_c: Interval
    """From alpha_N, alpha_B and alpha_S."""
    measured_alpha_c: Interval | None
    """Of L(C_min) through the compute-efficient points; None where that law was refused."""
    params_exponent: Interval
    """N ~ C^(alpha_C/alpha_N)."""
    batch_exponent: Interval
    """B ~ C^(alpha_C/alpha_B)."""
    steps_exponent: Interval
    """S ~ C^(alpha_C/alpha_S)."""

    @property
    def consistent(self) -> bool | None:
        """Whether the two intervals of alpha_C overlap; None where one of them is missing."""
        if self.measured_alpha_c is None:
            return None
        one, other = self.predicted_alpha_c, self.measured_alpha_c
        return one.low <= other.high and other.low <= one.high


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurveStudy(StudyOfContender):
    """L(N,S) on constant batch, steps corrected to S_min by B_crit(L), and the best use of compute that follows."""

    kind: str = "learning_curves"
    points: tuple[StudyPoint, ...]
    critical_batch: FitResult | None
    """The B_crit(L) that corrected the steps."""
    critical_batch_source: str
    """Where it comes from, in words."""
    law: FitResult
    """Kaplan et al. 2020, eq 1.6."""
    naive_compute_law: FitResult
    """L(C) through the compute-efficient points, C as spent."""
    compute_law: FitResult
    """L(C_min)."""
    allocation: AllocationCheck | None = None
