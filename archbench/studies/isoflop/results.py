"""What a study of equal budgets returns.

Legend: N parameters without embeddings, D tokens, C compute (FLOPs).
"""

from dataclasses import dataclass

from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis
from archbench.results.studies import StudyOfContender, StudyPoint


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
