"""What each step from one architecture to another does, where neighbours differ in one thing. Frozen values."""

from dataclasses import dataclass
from enum import StrEnum

from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis


class Figure(StrEnum):
    """What a step is judged by."""

    ALPHA = "alpha"
    """Exponent of L(C) without floor: the difference after - before. Above 0 the loss falls faster."""
    MULTIPLIER = "multiplier"
    """Cost before over cost after at the stated loss. Above 1 the step saves."""
    SECONDS_PER_TOKEN = "seconds_per_token"
    """Time of a training step per token, before over after, at models of one rung. Above 1 the step saves."""


@dataclass(frozen=True, slots=True)
class StepEffect:
    """One figure of one step, on one cost axis."""

    step: int
    """Counted from 1; 0 for the whole way at once."""
    before: str
    after: str
    figure: Figure
    cost_axis: CostAxis | None
    """None for a figure that lies on none."""
    effect: Interval | None
    """None where `status` is not `ok`."""
    p_value: float | None
    """Of no effect: a difference of 0, a ratio of 1."""
    holm_p_value: float | None
    """Corrected over the steps, which share a figure and an axis; the whole way is not among them."""
    status: FitStatus
    reason: str = ""
    """Why it may not be read, or what to mind."""

    @property
    def neutral(self) -> float:
        """The value of no effect."""
        return 0.0 if self.figure is Figure.ALPHA else 1.0

    @property
    def told_apart(self) -> bool:
        """Whether before and after differ: p (Holm's; the whole way's own) is below 0.05 and the interval clear."""
        p_value = self.p_value if self.step == 0 else self.holm_p_value
        if self.effect is None or p_value is None:
            return False
        return p_value < 0.05 and not self.effect.covers(self.neutral)


@dataclass(frozen=True, slots=True)
class SizeSeconds:
    """Time per token of one contender's models of one rung."""

    contender: str
    size_index: int
    non_embedding_params: int
    runs: int
    seconds_per_token: float
    exact_flops_per_token: float


@dataclass(frozen=True, slots=True)
class StepSum:
    """All steps of one figure and axis together, held against the whole way at once."""

    figure: Figure
    cost_axis: CostAxis | None
    summed: float | None
    """Sum of differences, product of ratios; None where a step may not be read."""
    direct: float | None
    num_told_apart: int
    """Steps that are told apart from no effect."""
    num_steps: int

    @property
    def gap(self) -> float | None:
        """What the steps leave open: 0 up to rounding, since all of them are read off the same frontiers."""
        return None if self.summed is None or self.direct is None else self.summed - self.direct


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The way from one architecture to another, step by step."""

    contenders: tuple[str, ...]
    """In the order of the steps."""
    window_nats: tuple[float, float] | None
    """The losses over which multipliers are averaged, the higher first: the middle half of those that every contender
    reaches; None where there are none."""
    clock: str
    """What time per token was taken from: `processor`, `device`, or `none`."""
    effects: tuple[StepEffect, ...]
    """Every figure of every step, then those of the whole way."""
    sums: tuple[StepSum, ...]
    seconds: tuple[SizeSeconds, ...]
