"""What the studies of Kaplan et al. 2020 return: one value for each contender of a study. Frozen values.

Legend: N parameters without embeddings, D tokens, B batch (tokens), S optimiser steps, E = B·S tokens, C compute,
L validation loss (nats per predicted token), B_crit critical batch (tokens).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import CostAxis


@dataclass(frozen=True, slots=True)
class StudyPoint:
    """One run, or one evaluation of a run, as the law of its study sees it."""

    run_id: str
    non_embedding_params: int
    batch_tokens: int
    seed: int
    steps: float
    tokens: float
    """Seen up to this point."""
    unique_tokens: int
    """Different tokens that the run had to learn from: its subset of the training text."""
    kaplan_flops: float
    """6·N·D."""
    exact_flops: float
    """Executed."""
    loss_nats: float
    finished: bool
    """Whether the schedule had ended there; if not, the point is mid-schedule."""
    steps_min: float | None = None
    """S_min: the steps that a batch far above critical would have taken; None where B_crit is not known."""
    kaplan_flops_min: float | None = None
    """C_min: the compute that a batch far below critical would have taken."""


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


@dataclass(frozen=True, slots=True)
class StudyComparison:
    """One figure of a contender against a baseline's in the same study."""

    baseline: str
    contender: str
    quantity: str
    """`B_crit at equal loss`, `alpha_N`, ..."""
    at: str
    """Where it is compared, in words; empty for an exponent."""
    ratio: Interval
    """Contender's over baseline's."""
    p_value: float
    """Of a ratio of one, two-sided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOfContender:
    """What every study says of itself."""

    kind: str
    study: str
    """Its name in the spec."""
    contender: str
    track: str
    runs_used: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> runs (or points, where the reason says so) left out."""
    notes: tuple[str, ...] = ()
    """What a reader must know: conventions, approximations, where intervals come from."""
    comparisons: tuple[StudyComparison, ...] = ()
    """Against the study's other contenders of the same track."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeStudy(StudyOfContender):
    """L(N): loss at the end of training against size, each size with as many tokens as it was given."""

    kind: str = "size_scan"
    points: tuple[StudyPoint, ...]
    law: FitResult
    law_with_floor: FitResult

    @property
    def tokens_ratio(self) -> float:
        """Tokens of the largest size over those of the smallest; 1 without any."""
        ranked = sorted(self.points, key=lambda point: point.non_embedding_params)
        return ranked[-1].tokens / ranked[0].tokens if ranked else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStudy(StudyOfContender):
    """L(D): lowest loss against the different tokens there are to learn from, on the largest model that was tried."""

    kind: str = "data_scan"
    non_embedding_params: int
    points: tuple[StudyPoint, ...]
    law: FitResult
    law_with_floor: FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class GridStudy(StudyOfContender):
    """L(N,D): loss against size and data, and when a model has too little data for its size."""

    kind: str = "grid"
    points: tuple[StudyPoint, ...]
    law: FitResult
    """Kaplan et al. 2020, eq 1.5."""
    law_with_floor: FitResult
    """L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, eq 2), beside it."""
    overfitting_exponent: Interval | None
    """D must grow as N to this power to keep overfitting at one level: alpha_N/alpha_D."""
    overfitting_factor: Interval | None
    """k of D = k·N^exponent at which the loss is `overfitting_level` above that of infinite data."""
    overfitting_level: float = 0.02
    """Kaplan et al. 2020, section 4.2: about the spread between seeds there."""


@dataclass(frozen=True, slots=True)
class IsoflopBudget:
    """The parabola of loss in ln N at one budget."""

    flops: float
    """On the study's cost axis."""
    status: FitStatus
    reason: str
    points: tuple[StudyPoint, ...]
    best_params: float | None
    best_tokens: float | None
    loss_nats: float | None
    curvature: tuple[float, float, float] | None
    """Coefficients of (ln N)², ln N and 1."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Exponents of N and D against compute by one approach."""

    approach: str
    status: FitStatus
    reason: str
    points: int
    params_exponent: Interval | None
    tokens_exponent: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoflopStudy(StudyOfContender):
    """Best N and D at each budget; the parabolas' bias is named, the joint law stands beside them."""

    kind: str = "isoflop"
    cost_axis: CostAxis
    budgets: tuple[IsoflopBudget, ...]
    allocations: tuple[Allocation, ...]


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


StudyResult = SizeStudy | DataStudy | GridStudy | IsoflopStudy | BatchStudy | NoiseScaleStudy | LearningCurveStudy
