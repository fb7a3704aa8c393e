"""What results of studies have in common. Frozen values.

Legend: N parameters without embeddings, D tokens, S optimiser steps, C compute, L validation loss (nats per predicted
token), B_crit critical batch (tokens).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from archbench.results.fits import Interval


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
    p_value: float | None
    """Of a ratio of one, two-sided; None where too few resamples have a ratio."""


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
