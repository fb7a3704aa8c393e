"""What a transfer study returns: effective data, its laws, frontiers, forgetting and the order of directions.

Legend: N parameters without embeddings, D tokens of the target that training from scratch uses, D_F tokens of the
target that fine-tuning uses, D_E effective data, D_T = D_E - D_F effective data transferred, L loss in nats per token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from archbench.results.fits import FitResult, Interval
from archbench.results.runs import CostAxis

PRETRAINING = "pretraining"
"""Role of a run on the source whose final weights others begin from; also the label that names it by its run id."""
SCRATCH = "scratch"
"""Role of a run on `unique_tokens` tokens of the target from fresh weights."""
FINETUNE = "finetune"
"""Role of a run on `unique_tokens` tokens of the target from pre-trained weights."""
SOURCE = "source"
"""Label: name of the text that was trained on first."""
TARGET = "target"
"""Label: name of the text whose loss is measured."""
RATE_FACTOR = "rate_factor"
"""Label of a run that is one of several trials of its cell: times the spec's peak rate. The best one is the result."""


class Censoring(StrEnum):
    """Where a fine-tuned loss lies outside what was trained from scratch, so that D_E is only known to be beyond."""

    NONE = "none"
    BELOW = "below"
    """Worse than the smallest D from scratch: D_E is less than that."""
    ABOVE = "above"
    """Better than the largest D from scratch: D_E is more than that."""


class Effect(StrEnum):
    """What pre-training does at one size and D_F, by the interval of D_E/D_F."""

    TRANSFER = "transfer"
    OSSIFICATION = "ossification"
    """D_T is negative: the same data from scratch gives a lower loss."""
    NOT_TOLD_APART = "not told apart"


@dataclass(frozen=True, slots=True)
class ScratchPoint:
    """Training from scratch on D tokens at one size, seeds averaged."""

    tokens: int
    loss_nats: float
    """Geometric mean over seeds of the best validation loss."""
    monotone_loss_nats: float
    """After isotonic regression of ln L over D: what D_E is read from."""
    num_runs: int


@dataclass(frozen=True, slots=True)
class ScratchCurve:
    """L_scratch(D) of one size on one target."""

    size_index: int
    non_embedding_params: int
    points: tuple[ScratchPoint, ...]
    """In rising order of tokens."""
    limit_loss_nats: float | None
    """What infinite data would give, by the law named in the direction; None where no law identifies it."""
    low_data_tokens: float | None
    """10 % of the data with which a loss of limit/0.99 is reached: the low-data regime ends here."""


@dataclass(frozen=True, slots=True)
class TransferCell:
    """Fine-tuning at one size on D_F tokens, seeds averaged.

    Ends of intervals that lie beyond the data from scratch are 0 or infinite. Where `censored` is not `none`, the
    values are bounds: D_E is less, or more, than its value.
    """

    size_index: int
    non_embedding_params: int
    finetune_tokens: int
    """D_F, unique."""
    loss_nats: float
    num_runs: int
    run_ids: tuple[str, ...]
    scratch_loss_nats: float | None
    """From scratch on the same tokens; None where there is no such run."""
    loss_ratio: Interval | None
    """L_scratch/L_F at the same tokens; above 1, pre-training helps. Never censored."""
    effective_tokens: Interval
    """D_E."""
    transferred_tokens: Interval
    """D_T."""
    fraction: Interval
    """D_F/D_E."""
    multiplier: Interval
    """D_E/D_F."""
    censored: Censoring
    effect: Effect
    low_data: bool | None
    """Whether D_F lies in the low-data regime; None where that regime is not known."""


@dataclass(frozen=True, slots=True)
class ForgettingPoint:
    """The loss on the source after fine-tuning, against that before."""

    size_index: int
    non_embedding_params: int
    finetune_tokens: int
    before_nats: float
    after_nats: float
    rise_nats: Interval
    """After minus before."""
    num_runs: int


class FrontierKind(StrEnum):
    """Whose compute a frontier counts."""

    SCRATCH = "from scratch"
    FINETUNE = "fine-tuning, pre-training not counted"
    FINETUNE_ALL = "fine-tuning, pre-training counted"


@dataclass(frozen=True, slots=True)
class CostPoint:
    """A point of a learning curve that no cheaper point of its kind beats."""

    cost: float
    loss_nats: float
    non_embedding_params: int
    run_id: str


@dataclass(frozen=True, slots=True)
class CostFrontier:
    """Lowest loss against cost over all sizes, with the same unique tokens of the target."""

    kind: FrontierKind
    cost_axis: CostAxis
    target_tokens: int
    points: tuple[CostPoint, ...]
    """In rising order of cost."""


@dataclass(frozen=True, slots=True)
class DirectionResult:
    """Everything about source -> target for one contender."""

    contender: str
    source: str
    target: str
    cells: tuple[TransferCell, ...]
    """By size, then D_F."""
    scratch: tuple[ScratchCurve, ...]
    """By size."""
    regime_law: str
    """The law that the low-data regime comes from, or why it is not known."""
    noise_std_log: float | None
    """Run-to-run standard deviation of ln L of single runs; None where nothing shows it."""
    noise_source: str
    law: FitResult
    """D_T = k·D_F^alpha·N^beta in the low-data regime."""
    law_all_data: FitResult
    """The same over every D_F, for comparison."""
    scratch_law: FitResult
    """L(N,D) from scratch (Kaplan et al. 2020, eq 1.5)."""
    unified_law: FitResult
    """L(N,D_F) of the fine-tuned models."""
    unified_law_given_scratch: FitResult | None
    """The same with `scratch_law` given, so that k, alpha and beta alone are fitted; None without that law."""
    mean_multiplier: Interval | None
    """Geometric mean of D_E/D_F over the cells whose interval lies within the data; None where there is none."""
    frontiers: tuple[CostFrontier, ...]
    forgetting: tuple[ForgettingPoint, ...]
    source_bytes_per_token: float | None = None
    target_bytes_per_token: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`source → target`."""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, slots=True)
class DirectionScore:
    """How much one direction helps, over the cells that it shares with those it is ranked with."""

    source: str
    target: str
    multiplier: Interval
    """Geometric mean of D_E/D_F over the shared cells."""


@dataclass(frozen=True, slots=True)
class DirectionPair:
    """Two directions compared on the cells that both have, paired by size and D_F."""

    first: tuple[str, str]
    """(source, target) of the one that helps more."""
    second: tuple[str, str]
    ratio: Interval
    """Geometric mean over the shared cells of the ratio of their multipliers; at least 1."""
    p_value: float | None
    holm_p_value: float | None
    num_cells: int
    told_apart: bool
    """Whether the interval leaves out 1 and Holm's p-value is below 0.05."""


@dataclass(frozen=True, slots=True)
class DirectionRanking:
    """Directions with one end in common, in order of how much they help."""

    contender: str
    common: str
    """`from en` or `to py`: the end that is the same."""
    num_cells: int
    """Pairs of size and D_F at which the intervals of D_E of all directions lie within the data from scratch."""
    censored_cells: int
    """Shared pairs that are left out since one of the intervals does not."""
    scores: tuple[DirectionScore, ...]
    """Most help first."""
    pairs: tuple[DirectionPair, ...]
    statement: str
    """`de > es > zh` where intervals tell all neighbours apart; `~` stands between those that are not."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """A transfer study."""

    study: str
    directions: tuple[DirectionResult, ...]
    rankings: tuple[DirectionRanking, ...]
    bytes_per_token: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
