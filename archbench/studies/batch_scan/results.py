"""What batch scans and gradient noise return.

Legend: B batch (tokens), S optimiser steps, E = B·S tokens, L validation loss (nats per predicted token), B_crit
critical batch (tokens).
"""

from dataclasses import dataclass

from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.studies import StudyComparison, StudyOfContender


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """One run of a batch scan at one target loss."""

    run_id: str
    batch_tokens: int
    seed: int
    steps: float | None
    """S at which the run reached the target, by monotone interpolation; None: not reached, the point is censored."""
    steps_spent: float
    """Steps that the run took in all: the lower bound of S where it is censored."""

    @property
    def tokens(self) -> float | None:
        """E = B·S."""
        return None if self.steps is None else self.steps * self.batch_tokens


@dataclass(frozen=True, slots=True)
class BatchTradeOff:
    """(S/S_min - 1)(E/E_min - 1) = 1 at one target loss of one size (McCandlish et al. 2018, eq 2.7)."""

    non_embedding_params: int
    loss_nats: float
    status: FitStatus
    reason: str
    points: tuple[BatchPoint, ...]
    """Every run of the size, censored ones too."""
    steps_min: Interval | None = None
    tokens_min: Interval | None = None
    critical_batch_tokens: Interval | None = None
    """E_min/S_min."""
    residual_std: float = float("nan")
    """Standard deviation of ln S about the hyperbola."""

    @property
    def censored(self) -> int:
        """Runs that did not reach the target."""
        return sum(point.steps is None for point in self.points)


@dataclass(frozen=True, slots=True)
class NoiseScaleWindow:
    """B_simple = tr Sigma/|G|² over neighbouring measurements of one run; both averaged before the ratio is taken."""

    run_id: str
    non_embedding_params: int
    batch_tokens: int
    tokens: float
    """Mean number of tokens seen."""
    loss_nats: float
    """Validation loss there, by interpolation of the run's curve."""
    gradient_squared: float
    """Mean unbiased estimate of |G|²."""
    trace_covariance: float
    """Mean unbiased estimate of tr Sigma, per token."""
    measurements: int
    status: FitStatus
    reason: str
    noise_scale_tokens: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStudy(StudyOfContender):
    """B_crit: what a larger batch saves in steps and costs in tokens, at several losses."""

    kind: str = "batch_scan"
    trade_offs: tuple[BatchTradeOff, ...]
    law: FitResult
    """B_crit = B_star/L^(1/alpha_B) over the targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScaleStudy(StudyOfContender):
    """Gradient noise scale of every run that measured it."""

    kind: str = "noise_scale"
    windows: tuple[NoiseScaleWindow, ...]
    law: FitResult
    """B_simple = B_star/L^(1/alpha_B) over the windows."""
    agreement: StudyComparison | None = None
    """Noise scale over B_crit of the contender's batch scan, at the losses that both cover."""
