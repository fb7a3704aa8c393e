"""What the controls of a question came to, and how far the normalised learning curves of a ladder agree.

Frozen values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from archbench.results.fits import Interval
from archbench.results.runs import CostAxis


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Whether a control came out as it must."""

    control: str
    """`baseline_again` or `shuffled_targets`."""
    passed: bool | None
    """None where it cannot be judged."""
    cost_axis: CostAxis
    multiplier: Interval | None
    """Of the control over the baseline, with its 95 % interval; None where none may be read."""
    p_value: float | None
    reason: str
    """What it came to, in words."""
    baseline: str = ""
    """The baseline of its scan, over which its multiplier is."""


def failed_controls(outcomes: Sequence[ControlOutcome]) -> list[str]:
    """The names of those that failed."""
    return [one.control for one in outcomes if one.passed is False]


@dataclass(frozen=True, slots=True)
class CollapseRung:
    """The normalised learning curve of one size against those of the others."""

    size_index: int
    non_embedding_params: int
    num_runs: int
    residual: float
    """Mean over the later part of training of ln(L/L_end), less what the other sizes make of it."""
    standard_error: float | None
    """Of the residual, by the scatter of seeds; None where no seeds tell it."""
    largest: float
    """The largest residual of ln(L/L_end) anywhere in that part, with its sign."""
    largest_at: float
    """Where that is, as a share of the run's compute."""
    flagged: bool
    """Whether it departs from the others by more than chance and tolerance."""


@dataclass(frozen=True, slots=True)
class Collapse:
    """How far the normalised learning curves of one contender's ladder fall on one curve."""

    contender: str
    rungs: tuple[CollapseRung, ...]
    """Smallest size first; empty where they cannot be held against each other."""
    from_share: float
    """Share of the run's compute from which on curves are held against each other."""
    std_of_a_run: float | None
    """Standard deviation between seeds of the mean that a residual is made of; None without seeds."""
    tolerance: float
    """Residual below which no size is flagged."""
    note: str = ""
    """Why there are no rungs; empty where there are."""

    @property
    def flagged(self) -> tuple[CollapseRung, ...]:
        """The sizes that depart from the others."""
        return tuple(rung for rung in self.rungs if rung.flagged)
