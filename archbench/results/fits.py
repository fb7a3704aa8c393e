"""What an analysis returns: fits, frontiers, tiers and comparisons, each with its status. Frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from archbench.results.runs import CostAxis


class FitStatus(StrEnum):
    """Whether a figure may be read. Tables print the status instead of the figure unless it is `ok`."""

    OK = "ok"
    BOUND_HIT = "bound_hit"
    NOT_IDENTIFIABLE = "not_identifiable"
    TOO_FEW_POINTS = "too_few_points"
    TOO_FEW_SIZES = "too_few_sizes"
    NO_INTERIOR_MINIMUM = "no_interior_minimum"
    NOT_CONVERGED = "not_converged"
    INVALID_DATA = "invalid_data"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval at confidence `level`."""

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = "bootstrap-percentile"

    def covers(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class FitResult:
    """One law fitted to data, with all that a reader needs to judge it."""

    law: str
    equation: str
    status: FitStatus
    reason: str
    """Why the status is not `ok`; empty otherwise."""
    params: Mapping[str, float]
    intervals: Mapping[str, Interval]
    objective: str
    """What was minimised, for example `huber(delta=1e-3) on log residuals`."""
    objective_value: float
    points_used: int
    left_out: Mapping[str, int]
    """Reason -> number of points left out for it."""
    floor: str
    """`none`, `free` or `pinned=1.60`."""
    cost_axis: CostAxis | None
    param_convention: str
    """`non_embedding`, `total`, or empty where no N enters."""
    residual_std: float = float("nan")
    """Standard deviation of log residuals."""
    notes: tuple[str, ...] = ()


class PointKind(StrEnum):
    """Whether a frontier point's run had ended its schedule (Hoffmann et al. 2022)."""

    FINISHED = "finished"
    MID_SCHEDULE = "mid_schedule"


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One point of the lower envelope of loss against cost."""

    cost: float
    loss_nats: float
    run_id: str
    size_index: int
    non_embedding_params: int
    tokens: int
    kind: PointKind


@dataclass(frozen=True, slots=True)
class SizeLeadership:
    """Where one size of a ladder is the envelope, and whether a smaller size dominates it."""

    size_index: int
    non_embedding_params: int
    lead_from_cost: float | None
    lead_to_cost: float | None
    dominated: bool
    reason: str
    """Why it is dominated, in words; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Neighbouring sizes of which the larger ones do not beat the smallest one by more than the noise."""

    size_indices: tuple[int, ...]
    p_values: Mapping[int, float]
    """Holm-corrected one-sided p-value of each larger size against the smallest one."""


@dataclass(frozen=True, slots=True)
class FrontierResult:
    """One contender's compute-efficient frontier on one cost axis, with its laws."""

    contender: str
    cost_axis: CostAxis
    points: tuple[FrontierPoint, ...]
    sizes: tuple[SizeLeadership, ...]
    tiers: tuple[Tier, ...]
    noise_std_nats: float | None
    """Run-to-run standard deviation of the final loss, pooled over sizes with several seeds; None without such."""
    law: FitResult
    """L(C) = (C_c/C)^alpha_C."""
    law_with_floor: FitResult
    """L(C) = E + (C_c/C)^alpha_C."""
    warnings: tuple[str, ...] = ()

    @property
    def tiered(self) -> bool:
        """Whether any tier holds two sizes or more."""
        return any(len(tier.size_indices) > 1 for tier in self.tiers)


@dataclass(frozen=True, slots=True)
class MultiplierPoint:
    """Compute multiplier C_A(loss)/C_X(loss) of X over baseline A at one loss; above 1, X needs less."""

    loss_nats: float
    multiplier: Interval
    interval_90: Interval
    extrapolated: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contender X against baseline A on one cost axis."""

    baseline: str
    contender: str
    cost_axis: CostAxis
    comparable_loss: bool
    """False across tracks: only exponents may be put side by side then."""
    alpha_difference: Interval | None
    """alpha_X - alpha_A; above 0, X scales better."""
    p_value: float | None
    holm_p_value: float | None
    within_margin: bool | None
    """Whether the exponents differ by at most 5 % (the 2021 study's margin of uncertainty)."""
    multipliers: tuple[MultiplierPoint, ...]
    crossover_cost: Interval | None
    crossover_note: str
    status: FitStatus
    notes: tuple[str, ...] = field(default=())
