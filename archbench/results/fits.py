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
    NO_COMMON_RANGE = "no_common_range"
    """Two frontiers have no loss in common."""
    EXTRAPOLATED = "extrapolated"
    """The figure would rest on losses or costs beyond the runs."""
    HANGS_ON_ONE_RUN = "hangs_on_one_run"
    """Without one of the runs the figure lies outside its own interval."""
    ON_PLATEAU = "on_plateau"
    """The losses lie on or above the line of pairs: no more is learnt there than which token follows which."""


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
    """Whether at each of its points a smaller size was better for less, by more than the noise."""
    reason: str
    """Why it is dominated, in words; empty otherwise."""
    status: FitStatus = FitStatus.OK
    """`on_plateau` where its finished runs end there; `ok` otherwise, and where their lines are not known."""


class GainOutcome(StrEnum):
    """What a size is worth beside the best smaller one, both at their final costs."""

    GAINS = "gains"
    DOES_NOT_GAIN = "does_not_gain"
    NOT_RESOLVED = "not_resolved"


@dataclass(frozen=True, slots=True)
class SizeGain:
    """One size of a ladder against the best smaller one, both at their final costs."""

    size_index: int
    rival_index: int
    """The smaller size with the lowest loss."""
    outcome: GainOutcome
    gain_nats: float
    """Loss of the smaller one minus its own."""
    interval: Interval | None
    """Of the gain, whose ends are one-sided 95 % bounds; None where noise is unknown."""
    expected_nats: float | None
    """The gain that the ladder's law expects for that spacing, fitted without this size; None without such a law."""
    p_gains: float | None
    """Holm-corrected: of no gain. None where noise is unknown."""
    p_does_not_gain: float | None
    """Holm-corrected: of half the expected gain or more. None where noise is unknown, or no law expects anything."""
    seeds_to_settle: int | None = None
    """Seeds that would settle what is not resolved, at the gain seen; None where it is resolved or no number would."""
    seeds_at_every_size: bool = False
    """Whether they are needed at every size; at this one otherwise."""
    cause: str = ""
    """What the curves say about why it does not gain; empty where they say nothing."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Neighbouring sizes of which each larger one does not gain over the best smaller one; a single size otherwise."""

    size_indices: tuple[int, ...]
    p_values: Mapping[int, float]
    """Holm-corrected p-value of each larger size: that it gains half of what the ladder's law expects, or more."""


@dataclass(frozen=True, slots=True)
class FrontierResult:
    """One contender's compute-efficient frontier on one cost axis, with its laws."""

    contender: str
    cost_axis: CostAxis
    points: tuple[FrontierPoint, ...]
    sizes: tuple[SizeLeadership, ...]
    tiers: tuple[Tier, ...]
    noise_std_nats: float | None
    """Run-to-run standard deviation of the final loss, from that of its logarithm; None without seeds."""
    law: FitResult
    """L(C) = (C_c/C)^alpha_C of the finished runs."""
    law_with_floor: FitResult | None
    """L(C) = E + (C_c/C)^alpha_C of the finished runs; None where it was not asked for."""
    learning_law: FitResult | None = None
    """L(C) = (C_c/C)^alpha_C of the envelope of learning curves: a slope of learning, not of scaling. None without
    points in mid-schedule."""
    joint_law: FitResult | None = None
    """L(N,D) of the finished runs; None where they are a ladder, one budget a size."""
    warnings: tuple[str, ...] = ()
    gains: tuple[SizeGain, ...] = ()
    """Each size of the ladder but the smallest; empty where the sizes are no ladder."""
    ladder_note: str = ""
    """Why its sizes, or some of them, are no ladder, or what stands in for unknown noise; empty otherwise."""
    plateau_note: str = ""
    """Which of its sizes end on the plateau, and what is not read for it; empty where none does, or nobody knows."""

    @property
    def laws_of_finished_runs(self) -> tuple[FitResult, ...]:
        """L(C) without a floor, and with one where it was asked for."""
        return (self.law,) if self.law_with_floor is None else (self.law, self.law_with_floor)

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
class HeadlineMultiplier:
    """The compute multiplier of X over baseline A as one figure: its geometric mean over a window of losses."""

    multiplier: Interval | None
    """None where the window is reached by nobody."""
    interval_90: Interval | None
    """Its ends are the one-sided 95 % bounds."""
    p_value: float | None
    """Two-sided p of a multiplier of 1; below 0.05 exactly where the interval leaves 1 out."""
    at: tuple[MultiplierPoint, ...]
    """At both ends of the window, and at the end of the common range."""
    window_nats: tuple[float, float] | None
    """The losses averaged over, the higher first."""
    trend: Interval | None
    """The multiplier at the window's low loss over that at its high one: above 1 it grows with scale."""
    status: FitStatus
    reason: str
    form: str
    """What both frontiers were read from."""
    why: str
    """Why in this form, and what was left out."""
    holm_p_value: float | None = None
    """Corrected over the comparisons with the baseline on this axis (Holm 1979)."""


class Answer(StrEnum):
    """Whether a contender is better than the baseline by more than a margin."""

    BETTER = "better"
    """The one-sided 95 % lower bound of its multiplier is above the margin."""
    NOT_BETTER = "not better"
    """The one-sided 95 % upper bound is below the margin."""
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What would settle an inconclusive answer, or tell two apart, at the multiplier seen."""

    seeds: int | None
    """Seeds at every size of both; None where no number up to 100 would."""
    further_cost: float | None
    """What those seeds cost beyond what is spent, in the axis's unit; without seeds, what further sizes would cost at
    the present spacing of runs. None where nothing within 100 times the present cost would."""
    reason: str
    """Why seeds do not settle it, or what the number rests on; may be empty."""


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """The answer for one contender on one cost axis."""

    answer: Answer
    margin: float
    multiplier: Interval | None
    """At the place that is asked for, with its 95 % interval."""
    bounds: tuple[float, float] | None
    """One-sided 95 % bounds of the multiplier, lower and upper."""
    window_nats: tuple[float, float] | None
    """The losses that it is asked at, the higher first; None where it is asked at a cost."""
    cost: float | None
    """The cost that it is asked at; None where it is asked at losses."""
    status: FitStatus
    reason: str
    """Why there is no figure to answer by; empty where there is."""
    settlement: Settlement | None = None
    """None where it is settled, or no figure says how far it is from that."""


class Trend(StrEnum):
    """How a multiplier goes along the ladder."""

    GROWS = "grows"
    FALLS = "falls"
    NOT_SHOWN = "no trend shown"


@dataclass(frozen=True, slots=True)
class RungMultiplier:
    """The compute multiplier at one size of the contender: the baseline's cost at its loss, over its own cost."""

    size_index: int
    non_embedding_params: int
    cost: float
    """Of one run of the contender."""
    loss_nats: float
    """Mean over its seeds at the end."""
    multiplier: Interval
    extrapolated: bool
    """Whether the baseline's runs do not reach that loss; such a rung enters no trend."""


@dataclass(frozen=True, slots=True)
class RungTrend:
    """The slope of ln multiplier over ln cost along the rungs."""

    slope: Interval
    p_value: float | None
    """Two-sided, of no slope."""
    trend: Trend
    num_rungs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contender X against baseline A on one cost axis."""

    baseline: str
    contender: str
    cost_axis: CostAxis
    comparable_loss: bool
    """False across tracks: only exponents may be put side by side then."""
    alpha_difference: Interval | None
    """alpha_X - alpha_A of finished runs, above the common floor; above 0, X scales better."""
    p_value: float | None
    holm_p_value: float | None
    """Corrected over the comparisons with the baseline on this axis (Holm 1979)."""
    within_margin: bool | None
    """Whether the exponents differ by at most 5 % (the 2021 study's margin of uncertainty)."""
    multipliers: tuple[MultiplierPoint, ...]
    """Over the losses that both reach, from high to low."""
    crossover_cost: Interval | None
    crossover_note: str
    status: FitStatus
    form: str = ""
    """What both frontiers were read from."""
    floor_nats: float | None = None
    """The common floor, 0 where the runs show none; None where the form has none."""
    own_floors_nats: tuple[float, ...] | None = None
    """Floors of baseline and contender, where the runs contradict a common one."""
    headline: HeadlineMultiplier | None = None
    """None where losses do not compare."""
    notes: tuple[str, ...] = field(default=())
    answer: QuestionAnswer | None = None
    """To the question of the spec; None where it asks none, or asks on another axis."""
    rungs: tuple[RungMultiplier, ...] = ()
    """The multiplier at each size of the contender, smallest first; empty where losses do not compare."""
    rung_trend: RungTrend | None = None
    """None with fewer than three rungs at losses that both reach."""
    one_exponent: bool | None = None
    """Whether both may share one exponent (Holm, at 5 %); None where no exponents compare or are resolved."""
    settlement: Settlement | None = None
    """What would tell their costs apart, at the multiplier seen; None where they are, or no figure says how far that
    is."""


@dataclass(frozen=True, slots=True)
class ComparisonAt:
    """X against baseline A at one cost or one loss that somebody asks for."""

    cost_axis: CostAxis
    cost: float | None
    """What was asked for, in the axis's unit; None where a loss was."""
    loss_nats: float | None
    """What was asked for, or the baseline's loss at that cost."""
    multiplier: Interval | None
    loss_gap_nats: Interval | None
    """Loss of X less that of A at the cost; None where a loss was asked for."""
    extrapolated: bool
    status: FitStatus
    reason: str
    """Why there is no figure, or what is extrapolated."""
