"""The sections of a spec as it is written, before components are looked up."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from archbench.contracts.config import ComponentSlot
from archbench.contracts.schedule import ScheduleSection
from archbench.contracts.values import TAG_PREFIX, Law, Name, Section, Tokens, one_or_several, rising
from archbench.spec.identity import Extended, TokenOrder
from archbench.spec.rates import Batch, LearningRate
from archbench.store_urls import checked_url


class Unresolved(BaseModel):
    """A component as written: its `kind`, and hyperparameters that only its own class can judge."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


class UnresolvedOptimizer(Unresolved):
    """An optimizer as written; without `kind` it is AdamW, or in a contender that of the spec."""

    kind: str = "adamw"


ArchitectureSlot = Annotated[Unresolved, ComponentSlot("architectures")]
ObjectiveSlot = Annotated[Unresolved, ComponentSlot("objectives")]
DatasetSlot = Annotated[Unresolved, ComponentSlot("datasets")]
TokenizerSlot = Annotated[Unresolved, ComponentSlot("tokenizers")]
TrackerSlot = Annotated[Unresolved, ComponentSlot("trackers")]
ExecutorSlot = Annotated[Unresolved, ComponentSlot("executors")]
StudySlot = Annotated[Unresolved, ComponentSlot("studies")]
OptimizerSlot = Annotated[UnresolvedOptimizer, ComponentSlot("optimizers", default_kind="adamw")]


class ContenderTraining(Section):
    """What a contender says of its training for itself; context, batch, tokens and precision are common to all."""

    learning_rate: LearningRate | None = None
    """As `training.learning_rate`, in its place."""
    schedule: ScheduleSection | None = None
    """As `training.schedule`; what is not given here is as it is there."""
    optimizer: OptimizerSlot | None = None
    """As `training.optimizer`; of the same kind, what is not given here is as it is there."""


class ContenderSection(Section):
    """One architecture in the comparison, and its objective and recipe if they are not the spec's; or a published entry
    of the leaderboard in its place."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["architecture"]}, {"required": ["entry"]}]})

    architecture: ArchitectureSlot | None = None
    """What is trained; or else `entry`."""
    entry: Annotated[str, Field(min_length=1)] | None = None
    """An entry of the leaderboard, whose runs are data and are not trained: a file, relative to the spec's folder, or
    the name of one that is published, or of one's own. No other key goes with it."""
    objective: ObjectiveSlot | None = None
    training: ContenderTraining | None = None
    """What of the spec's `training` this contender has otherwise: what was found to suit it."""
    as_published: bool = False
    """Whether its authors' settings stay where `common` has others."""
    start: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Folders of models that transformers saved, from which runs begin; one for each size, in any order."""

    @model_validator(mode="after")
    def _is_trained_or_published(self) -> "ContenderSection":
        if self.entry is None:
            if self.architecture is None:
                raise ValueError("give an architecture, which is trained, or a published entry")
            return self
        others = [name for name in type(self).model_fields if name in self.model_fields_set - {"entry"}]
        if given := [name for name in others if getattr(self, name) is not None]:
            raise ValueError(f"is a published entry, of which nothing is trained here; leave {', '.join(given)} out")
        return self


class StatedSection(Section):
    """What is known of texts before they are read: `archbench plan` counts by it where they cannot be had."""

    vocab_size: PositiveInt = Field(ge=2, le=1 << 24)
    """Ids of the tokenizer."""
    tokens: dict[Name, Annotated[FiniteFloat, Field(ge=1e4, le=1e15)]] = Field(min_length=1)
    """Tokens of each text by its name (`main` unless said), the held-out ones included."""


class DataSection(Section):
    """The text, how it is cut into tokens, and in which order it is seen."""

    dataset: DatasetSlot
    """The text of the scan, and of every study that names no other."""
    name: Name = "main"
    """What studies call the text in `dataset`."""
    texts: dict[Name, DatasetSlot] = Field(default_factory=dict)
    """Other texts that studies name. All texts of a spec have one tokenizer; if trained, it sees as much of each."""
    tokenizer: TokenizerSlot
    order: TokenOrder = "stream"
    """Rows that go on where the row of the step before ended, all through the text (`stream`) or within passages of 4
    segments that come in a random order (`passages`); or windows in a random order (`shuffled`), which leaves a memory
    nothing to hold."""
    validation_fraction: float = Field(0.05, gt=0.0, le=0.5)
    """Share of the documents that are held out; which ones is decided by their ids alone."""
    max_epochs: PositiveFloat = 16.0
    """A run that would read the training text more often is refused."""
    stated: StatedSection | None = None
    """What `archbench plan` counts by where the text cannot be had, as without a network."""


class SeedsSection(Section):
    """Seeds at each size."""

    default: PositiveInt = Field(1, le=100)
    """At every size."""
    smallest_two: PositiveInt = Field(3, le=100)
    """At the two smallest sizes, so that run-to-run noise is known."""

    def count(self, size_index: int) -> int:
        """Seeds at rung `size_index`."""
        return max(self.default, self.smallest_two) if size_index < 2 else self.default


TokensPerParam = Annotated[FiniteFloat, Field(gt=0.0, le=1e6)]


def _rising_laws(laws: list[Law]) -> list[Law]:
    """`laws`. Raises ValueError unless each gives more than the one before it, and that at every size."""
    rising([law.power_law.coefficient for law in laws])
    if len({law.power_law.exponent for law in laws}) > 1:
        raise ValueError("the laws of a list differ in their coefficient alone; expected one exponent in all of them")
    return laws


def _budget_form(value: Any) -> str:
    if isinstance(value, dict | Law):
        return f"{TAG_PREFIX}law"
    if isinstance(value, list) and value and all(isinstance(one, dict | Law) for one in value):
        return f"{TAG_PREFIX}laws"
    return one_or_several(value)


_Laws = Annotated[list[Law], Field(min_length=1, max_length=64), AfterValidator(_rising_laws), Tag(f"{TAG_PREFIX}laws")]
Budgets = Annotated[
    Annotated[Tokens, Tag(f"{TAG_PREFIX}one")]
    | Annotated[Law, Tag(f"{TAG_PREFIX}law")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=64), AfterValidator(rising), Tag(f"{TAG_PREFIX}several")]
    | _Laws,
    Discriminator(_budget_form),
]
PerParamBudgets = Annotated[
    Annotated[TokensPerParam, Tag(f"{TAG_PREFIX}one")]
    | Annotated[Law, Tag(f"{TAG_PREFIX}law")]
    | Annotated[
        list[TokensPerParam], Field(min_length=1, max_length=64), AfterValidator(rising), Tag(f"{TAG_PREFIX}several")
    ]
    | _Laws,
    Discriminator(_budget_form),
]


class ScanSection(Extended):
    """The ladder of sizes, and how long each is trained."""

    added_later = frozenset({"match"})

    sizes: Annotated[list[Annotated[FiniteFloat, Field(ge=1000.0, le=1e12)]], Field(min_length=1, max_length=64)]
    """Target numbers of non-embedding parameters."""
    match: Literal["parameters", "exact_flops"] = "parameters"
    """What the contenders' models of one size have in common: parameters without embeddings, or the FLOPs that a token
    costs in training. With `exact_flops` the sizes are those of the baseline, and the others cost what it costs."""
    seeds: SeedsSection = SeedsSection()
    tokens: Budgets | None = None
    """Tokens seen by every run, or a power law of the target size N, or a list of either: several budgets, each a run
    of its own; or else `tokens_per_param`.

    Without both the section is only the ladder of the spec's studies, and no size scan is trained.
    """
    tokens_per_param: PerParamBudgets | None = None
    """The same as a multiple of N: 20 for compute-optimal training by Hoffmann et al. 2022; a power law gives the
    multiple at each target size."""

    @model_validator(mode="after")
    def _one_budget(self) -> "ScanSection":
        if self.tokens is not None and self.tokens_per_param is not None:
            raise ValueError("give either tokens or tokens_per_param, and not both")
        return self

    @property
    def trained(self) -> bool:
        """Whether there is a size scan."""
        return self.tokens is not None or self.tokens_per_param is not None

    def budgets(self, num_params: int, size: float) -> list[tuple[float, tuple[str | int, ...]]]:
        """Tokens of each run of a model with `num_params` parameters, with the place of the spec that says so.

        size: its target, which laws are of, so that they give the same for all contenders.
        """
        name, scale = ("tokens", 1.0) if self.tokens is not None else ("tokens_per_param", float(num_params))
        value = self.tokens if self.tokens is not None else self.tokens_per_param

        def tokens(one: float | Law | None) -> float:
            return scale * (one.power_law.at(size) if isinstance(one, Law) else one or 0.0)

        if isinstance(value, list):
            several: Sequence[float | Law] = value
            return [(tokens(one), ("scan", name, index)) for index, one in enumerate(several)]
        return [(tokens(value), ("scan", name))]


class TrainingSection(Section):
    """The protocol that all contenders share, and the recipe of those that have none of their own."""

    seq_len: PositiveInt = Field(le=1_048_576)
    """The context, in tokens."""
    batch_tokens: Batch
    """Tokens a step: for all sizes, a list with one for each, or a power law of N."""
    learning_rate: LearningRate
    """Peak rate: for all sizes, a list, `kaplan` (their rule), a power law of N, or tuned."""
    schedule: ScheduleSection = ScheduleSection()
    optimizer: OptimizerSlot = UnresolvedOptimizer()
    """AdamW unless a `kind` says otherwise."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of parameters and activations; bf16 keeps fp32 copies in the optimiser."""


def _executor_form(value: Any) -> str:
    return f"{TAG_PREFIX}auto" if isinstance(value, str) else f"{TAG_PREFIX}component"


def _rows_form(value: Any) -> str:
    return f"{TAG_PREFIX}auto" if isinstance(value, str | None) else f"{TAG_PREFIX}number"


class StoreSection(Section):
    """A store that is no folder which all machines see."""

    kind: Literal["fsspec"] = "fsspec"
    """Objects under a URL, reached by fsspec."""
    url: Annotated[str, AfterValidator(checked_url)]
    """`s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER` or `file:///FOLDER`. Keys and endpoints stand in the environment or in
    a profile, never here."""


class ExecutionSection(Extended):
    """How runs are carried out; nothing here changes a number beyond rounding."""

    added_later = frozenset({"store"})

    executor: Annotated[
        Annotated[Literal["auto"], Tag(f"{TAG_PREFIX}auto")] | Annotated[ExecutorSlot, Tag(f"{TAG_PREFIX}component")],
        Discriminator(_executor_form),
    ] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = Field(1, le=1024)
    micro_batch_rows: Annotated[
        Annotated[PositiveInt, Tag(f"{TAG_PREFIX}number")]
        | Annotated[Literal["auto"] | None, Tag(f"{TAG_PREFIX}auto")],
        Discriminator(_rows_form),
    ] = "auto"
    """Rows of one forward pass and rank; `auto`: all of them, or fewer where those do not fit into the memory."""
    nproc: PositiveInt = Field(1, le=4096)
    """Processes (ranks) that train each run together."""
    zero_stage: int = Field(0, ge=0, le=3)
    """What ranks share out: 1 the optimiser, 2 gradients too, 3 weights too."""
    checkpoint_seconds: PositiveFloat = 60.0
    """Least time between two checkpoints."""
    watchdog_seconds: PositiveFloat = 60.0
    """A run that takes no step for so long, and for ten times its longest pause so far, hangs."""
    keep_weights: bool = False
    """Whether runs keep their final weights, for `archbench export`; other runs' starting points are always kept."""
    trackers: list[TrackerSlot] = Field([], max_length=16)
    """Where runs are shown beside archbench's own report."""
    store: StoreSection | None = None
    """Where runs are kept, if not in the folder that --runs names; no part of what a run is."""

    @property
    def fixed_micro_batch_rows(self) -> int | None:
        """The number that is asked for; None where the run finds it."""
        return self.micro_batch_rows if isinstance(self.micro_batch_rows, int) else None
