"""The studies of a spec as they are written: what each kind trains on the spec's ladder, and until when."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from archbench.contracts.schedule import EarlyStopping, ScheduleSection
from archbench.contracts.values import TAG_PREFIX, BatchTokens, Name, Rate, Section, Tokens, one_or_several, rising
from archbench.errors import nearest
from archbench.results.transfer import FINETUNE

MAX_CELLS = 64
"""Entries of any list of a study."""


def _rate_rule_form(value: Any) -> str:
    return f"{TAG_PREFIX}{'several' if isinstance(value, list | tuple) else 'rule'}"


RisingTokens = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_CELLS), AfterValidator(rising)]
Sizes = Annotated[list[FiniteFloat], Field(min_length=1, max_length=MAX_CELLS), AfterValidator(rising)]


class StudySection(Section):
    """What all kinds of studies have in common."""

    sizes: Sizes | None = None
    """Some of `scan.sizes`; all of them if none is named, but for `data_scan`, which then takes the largest."""
    contenders: Annotated[list[Name], Field(min_length=1, max_length=MAX_CELLS)] | None = None
    """Those that take part; all of the spec's if none is named."""
    seeds: PositiveInt = Field(1, le=100)
    """Runs of each cell of the study, alike but for their seed."""
    schedule: ScheduleSection | None = None
    """Of the study's runs, where it is not `training.schedule`."""


class TextStudySection(StudySection):
    """A study on one text."""

    text: Name | None = None
    """One of `data.texts`; the text in `data.dataset` if none is named."""


class RepeatedTextSettings(Section):
    """How long runs on a subset of the text may go on reading it."""

    max_epochs: PositiveFloat = Field(16.0, le=100_000.0)
    """A run ends when it has read its subset this often, if it was not stopped before."""
    min_tokens: Tokens | None = None
    """However small the subset, a run may see this many tokens."""
    early_stopping: EarlyStopping = EarlyStopping()

    def tokens_on(self, unique_tokens: float) -> float:
        """Tokens that a run on `unique_tokens` different ones may see."""
        return max(self.max_epochs * unique_tokens, self.min_tokens or 0.0)


class NoiseScaleSettings(Section):
    """Runs that measure their gradient noise although the spec's other runs do not."""

    noise_scale_every: NonNegativeInt | None = Field(None, le=1_000_000_000)
    """Steps between two measurements; `evaluation.noise_scale_every` if none is given."""


class DataScanStudy(TextStudySection, RepeatedTextSettings):
    """L(D): the loss of one size, or several, against the different tokens there are to learn from."""

    kind: Literal["data_scan"]
    unique_tokens: RisingTokens
    """The first so many tokens of the training text, so that smaller subsets lie inside larger ones."""


class GridStudy(TextStudySection, RepeatedTextSettings):
    """L(N,D): every size on every subset of the text."""

    kind: Literal["grid"]
    unique_tokens: RisingTokens
    """As in `data_scan`."""


class IsoflopStudy(TextStudySection):
    """Best size at each of several budgets of compute: every size with as many tokens as the budget allows."""

    kind: Literal["isoflop"]
    budgets: Annotated[
        list[Annotated[FiniteFloat, Field(gt=0.0)]],
        Field(min_length=1, max_length=MAX_CELLS),
        AfterValidator(rising),
    ]
    """Training FLOPs."""
    axis: Literal["kaplan", "exact"] = "kaplan"
    """Whether FLOPs are 6·N·D, or those that the architecture executes."""


class BatchScanStudy(TextStudySection, NoiseScaleSettings):
    """B_crit: what larger batches save in steps and cost in tokens."""

    kind: Literal["batch_scan"]
    batch_tokens: Annotated[list[BatchTokens], Field(min_length=2, max_length=MAX_CELLS), AfterValidator(rising)]
    """Tokens per optimiser step, each a multiple of the context."""
    tokens: Annotated[
        Annotated[Tokens, Tag(f"{TAG_PREFIX}one")]
        | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
        Discriminator(one_or_several),
    ]
    """Tokens that each run sees, or one number for each batch: larger batches need more to reach the same loss."""
    learning_rate: Annotated[
        Annotated[Literal["sqrt", "linear", "same"], Tag(f"{TAG_PREFIX}rule")]
        | Annotated[list[Rate], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
        Discriminator(_rate_rule_form),
    ] = "sqrt"
    """The spec's rate belongs to the spec's batch; at another one it is scaled by this power of the ratio (`sqrt`:
    Malladi et al. 2022 for Adam; `linear`: Goyal et al. 2017 for SGD), left as it is, or given, one a batch."""

    targets_nats: Annotated[list[PositiveFloat], Field(max_length=MAX_CELLS)] = Field(default_factory=list)
    """Losses at which batches are compared; chosen from what the runs reach if none is given."""

    @model_validator(mode="after")
    def _one_a_batch(self) -> "BatchScanStudy":
        for name in ("tokens", "learning_rate"):
            given = getattr(self, name)
            if isinstance(given, list) and len(given) != len(self.batch_tokens):
                raise ValueError(
                    f"{name} has {len(given)} entries for {len(self.batch_tokens)} batches; give one for each"
                )
        return self

    def tokens_at(self, index: int) -> float:
        """Tokens of the runs with batch `index`."""
        return self.tokens[index] if isinstance(self.tokens, list) else self.tokens


class LearningCurvesStudy(TextStudySection, NoiseScaleSettings):
    """L(N,S): learning curves of all sizes on one batch."""

    kind: Literal["learning_curves"]
    tokens: Tokens
    """Seen by each run."""
    batch_tokens: BatchTokens | None = None
    """The same for all sizes; `training.batch_tokens` if none is given."""


Texts = Annotated[
    Annotated[Name, Tag(f"{TAG_PREFIX}one")]
    | Annotated[list[Name], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
    Discriminator(one_or_several),
]


class DirectionSection(Section):
    """From which texts to which; of several on both sides every pair is meant."""

    source: Texts
    """Where models are pre-trained: a text of `data` by its name, or a list of them."""
    target: Texts
    """Where they are fine-tuned, and others trained from scratch."""

    def pairs(self) -> list[tuple[str, str]]:
        """(source, target) of every direction; a text is no source of itself."""
        return [(source, target) for source in _listed(self.source) for target in _listed(self.target)]


def _listed(names: str | list[str]) -> list[str]:
    return names if isinstance(names, list) else [names]


class TransferStudy(StudySection, RepeatedTextSettings):
    """What pre-training on one text is worth on another, in tokens of the other (Hernandez et al. 2021)."""

    kind: Literal["transfer"]
    directions: Annotated[list[DirectionSection], Field(min_length=1, max_length=MAX_CELLS)]
    pretraining_tokens: Tokens
    """Seen by each size on each source."""
    finetune_tokens: RisingTokens
    """D_F: subsets of the target on which pre-trained models go on."""
    scratch_tokens: RisingTokens
    """D: subsets of the target on which models are trained from fresh weights. They should reach beyond
    `finetune_tokens` on both sides, so that effective data can be read off."""
    rate_factors: Annotated[list[PositiveFloat], Field(min_length=1, max_length=16), AfterValidator(rising)] = Field(
        default_factory=lambda: [1.0]
    )
    """Times the spec's peak rate of the size: every cell, fine-tuned or from scratch, is tried at all of them, and the
    one of the lowest validation loss is its result."""
    finetune_rate_factors: (
        Annotated[list[PositiveFloat], Field(min_length=1, max_length=16), AfterValidator(rising)] | None
    ) = None
    """Of fine-tuned cells, where these are to be others: weights that know a text already take lower rates. As many as
    `rate_factors`, so that both sides are tuned alike."""
    forgetting: bool = True
    """Whether the loss on the source is measured after fine-tuning."""

    @model_validator(mode="after")
    def _equal_trials(self) -> "TransferStudy":
        if self.finetune_rate_factors and len(self.finetune_rate_factors) != len(self.rate_factors):
            raise ValueError(
                f"{len(self.finetune_rate_factors)} finetune_rate_factors and {len(self.rate_factors)} rate_factors; "
                "give as many of each, so that both sides are tuned alike"
            )
        return self

    def factors(self, role: str) -> list[float]:
        """The rates that a cell of `role` is tried at, as multiples of the spec's."""
        return (self.finetune_rate_factors if role == FINETUNE else None) or self.rate_factors

    def pairs(self) -> list[tuple[str, str]]:
        """(source, target) of every direction, each once."""
        return list(dict.fromkeys(pair for section in self.directions for pair in section.pairs()))


_BY_KIND: dict[str, type[BaseModel]] = {
    "data_scan": DataScanStudy,
    "grid": GridStudy,
    "isoflop": IsoflopStudy,
    "batch_scan": BatchScanStudy,
    "learning_curves": LearningCurvesStudy,
    "transfer": TransferStudy,
}


def _known_kind(value: Any) -> Any:
    if isinstance(value, StudySection):
        return value
    if not isinstance(value, dict):
        raise ValueError("expected a mapping with `kind` and the settings of a study")
    kind = value.get("kind")
    if kind not in _BY_KIND:
        got = "kind is missing" if kind is None else f"there is no kind {kind!r} of study"
        raise ValueError(f"{got}{nearest(str(kind or ''), _BY_KIND)}")
    return value


def _kind_tag(value: Any) -> str:
    return f"{TAG_PREFIX}{value['kind'] if isinstance(value, dict) else value.kind}"


Study = Annotated[
    Annotated[DataScanStudy, Tag(f"{TAG_PREFIX}data_scan")]
    | Annotated[GridStudy, Tag(f"{TAG_PREFIX}grid")]
    | Annotated[IsoflopStudy, Tag(f"{TAG_PREFIX}isoflop")]
    | Annotated[BatchScanStudy, Tag(f"{TAG_PREFIX}batch_scan")]
    | Annotated[LearningCurvesStudy, Tag(f"{TAG_PREFIX}learning_curves")]
    | Annotated[TransferStudy, Tag(f"{TAG_PREFIX}transfer")],
    Discriminator(_kind_tag),
    BeforeValidator(_known_kind),
]
"""One study, told apart by its `kind`."""
