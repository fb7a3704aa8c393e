"""What a study offers: what it trains beside the scan of sizes, what is thin about it, and what its runs show."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat, PositiveInt

from archbench.contracts.config import ComponentConfig
from archbench.contracts.report import ReportSection
from archbench.contracts.schedule import EarlyStopping, ScheduleSection
from archbench.contracts.values import Loc, Name, Tokens, rising
from archbench.errors import ArchbenchError
from archbench.results.runs import RESULT, SIZE_SCAN, CostAxis, RunRecord
from archbench.units import counted

T = TypeVar("T")

MAX_CELLS = 64
"""Entries of any list of a study."""

RisingTokens = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_CELLS), AfterValidator(rising)]
Sizes = Annotated[list[FiniteFloat], Field(min_length=1, max_length=MAX_CELLS), AfterValidator(rising)]


@dataclass(frozen=True, slots=True)
class Rung:
    """One size of the spec's ladder."""

    size_index: int
    """Its number in `scan.sizes`, whatever sizes the study takes."""
    size: float
    """Target number of non-embedding parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRequest:
    """A run that a study asks for; what is None is as the spec's `training` and `evaluation` sections have it.

    Equal to itself alone, so that others can begin from its weights; `dataclasses.replace` makes a variant of it.
    """

    size_index: int
    size: float
    """Target number of non-embedding parameters."""
    tokens: float
    """Tokens to be seen."""
    seed: int = 0
    text: str | None = None
    """Name of the training text; None: that of the scan."""
    subset_tokens: int | None = None
    """Unique training tokens, the first so many of the text; None: all."""
    batch_tokens: int | None = None
    peak_learning_rate: float | None = None
    schedule: ScheduleSection | None = None
    early_stopping: EarlyStopping | None = None
    seq_len: int | None = None
    """Context, in tokens."""
    spacing: Literal["log", "linear"] | None = None
    """Of the evaluations."""
    noise_scale_every: int | None = None
    """Steps between two measurements of the gradient noise scale."""
    start: "RunRequest | None" = None
    """A request of the same study from whose final weights this one begins; None: as the contender has it."""
    fresh: bool = False
    """Whether it begins freshly initialised, though the contender starts from saved models."""
    also_validated: tuple[str, ...] = ()
    """Names of other texts on which it is evaluated as well, before and after."""
    keep_weights: bool = False
    study: str = SIZE_SCAN
    role: str = RESULT
    labels: Mapping[str, str] = field(default_factory=dict)
    """What else the study tells the run apart by; they come back in `RunRecord.labels`."""
    loc: Loc = ("scan", "sizes")
    """Place in the spec that asks for the size."""
    budget_loc: Loc = ("scan", "tokens")
    """Place in the spec that asks for the tokens."""


class StudyLadder(ABC):
    """The spec's ladder of one contender, as a study plans on it. Texts are named; None is the text of the scan."""

    @property
    @abstractmethod
    def study(self) -> str:
        """Name of the study in the spec."""

    @property
    @abstractmethod
    def seq_len(self) -> int:
        """The spec's context, in tokens."""

    @property
    @abstractmethod
    def one_batch(self) -> bool:
        """Whether the spec gives one batch to all sizes."""

    @abstractmethod
    def rungs(self, sizes: Sequence[float] | None = None) -> list[Rung]:
        """The rungs of `sizes`, smallest first; all of the ladder where none is named."""

    @abstractmethod
    def flops_per_token(self, rung: Rung, axis: CostAxis, text: str | None = None) -> float:
        """Training FLOPs for each token seen: 6·N (`CostAxis.KAPLAN`) or those executed (`CostAxis.EXACT`)."""

    @abstractmethod
    def learning_rate(self, rung: Rung, text: str | None = None) -> float:
        """The peak rate that the spec gives to the rung. Raises SpecError where it is none, or is tuned."""

    @abstractmethod
    def batch_tokens(self, rung: Rung) -> int:
        """Tokens per step that the spec gives to the rung."""

    @abstractmethod
    def require_rows(self, batch_tokens: int, *place: str | int) -> None:
        """Raises SpecError at `place` of the study where a batch of its own is not made of whole rows."""

    @abstractmethod
    def error(self, problem: str, *place: str | int) -> ArchbenchError:
        """An error about `place` of the study's section that names the contender."""

    def request(self, rung: Rung, seed: int, tokens: float, *place: str | int) -> RunRequest:
        """A run of `rung` on `tokens`, which the study asks for at `place` of its section."""
        here: Loc = ("studies", self.study)
        return RunRequest(
            size_index=rung.size_index,
            size=rung.size,
            tokens=tokens,
            seed=seed,
            study=self.study,
            loc=(*here, "sizes"),
            budget_loc=(*here, *place),
        )


@dataclass(frozen=True)
class StudyRuns:
    """What a study is analysed from."""

    name: str
    """Of the study in the spec."""
    records: Sequence[RunRecord]
    """All runs of the scan, those of other studies among them, the baseline's first, in whatever state."""
    spec: Mapping[str, Any]
    """As resolved."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What texts the scan was made of, under `texts`."""
    baseline: str | None = None
    seed: int = 0
    """Of resamples."""
    earlier: tuple[object, ...] = ()
    """What studies that were analysed before this one have `shared`."""

    @cached_property
    def own(self) -> tuple[RunRecord, ...]:
        """The runs of this study, in whatever role and state."""
        return tuple(record for record in self.records if record.study == self.name)

    @cached_property
    def by_contender(self) -> dict[str, list[RunRecord]]:
        """Contender -> the runs of this study whose loss is a result."""
        found: dict[str, list[RunRecord]] = {}
        for record in self.own:
            if record.role == RESULT:
                found.setdefault(record.contender, []).append(record)
        return found

    def shared(self, kind: type[T]) -> list[T]:
        """What of this `kind` studies before this one have shared."""
        return [one for one in self.earlier if isinstance(one, kind)]


@dataclass(frozen=True, slots=True)
class StudyAnalysis:
    """What the runs of a study show."""

    results: object
    """Frozen dataclasses: a tuple with one for each contender, or one for all. Their fields become tables in `data/` of
    the report. An empty tuple: nothing, the study is left out."""
    sentences: tuple[str, ...] = ()
    """What the verdict says, a line each."""
    shared: tuple[object, ...] = ()
    """For studies that are analysed after this one."""


class StudyConfig(ComponentConfig):
    """A study of a spec: its section is `studies: {NAME: {kind: ..., settings}}`."""

    analysis_order: ClassVar[int] = 500
    """Studies are analysed in rising order; one that takes what others share comes after them. One that trains nothing
    has `in_specs = False`, and `implied_by` says where it is analysed."""
    sections: ClassVar[tuple[type[ReportSection], ...]] = ()
    """What reports say of its results."""

    sizes: Sizes | None = None
    """Some of `scan.sizes`; all of them if none is named, unless the study says otherwise."""
    contenders: Annotated[list[Name], Field(min_length=1, max_length=MAX_CELLS)] | None = None
    """Those that take part; all of the spec's if none is named."""
    seeds: PositiveInt = Field(1, le=100)
    """Runs of each cell of the study, alike but for their seed."""
    schedule: ScheduleSection | None = None
    """Of the study's runs, where it is not `training.schedule`."""

    @classmethod
    def implied_by(cls, spec: Mapping[str, Any]) -> Mapping[str, Self]:
        """Studies of this kind, by name, that the scan of `spec` (as resolved) has though `studies` names none."""
        return {}

    def named_texts(self) -> Mapping[Loc, str]:
        """Every text that the section names, by its place there, so that names are checked before text is read."""
        return {}

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """What a study of `num_sizes` sizes has too little of for its laws, a line each."""
        return iter(())

    @abstractmethod
    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """The runs of one contender. One from which others begin comes before them."""

    @abstractmethod
    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """What the runs show. Imports no torch; a law that may not be read says so in its status."""

    def asked(self, ladder: StudyLadder, rung: Rung, seed: int, tokens: float, *place: str | int) -> RunRequest:
        """As `ladder.request`, with the study's own schedule."""
        return replace(ladder.request(rung, seed, tokens, *place), schedule=self.schedule)


def too_few(count: int, needed: int, what: str, law: str) -> Iterator[str]:
    """A line where `count` of `what` (`size`, `amount of text`) are fewer than `law` needs to be trusted."""
    if count < needed:
        yield f"{counted(count, what)}: {law} needs at least {needed} to be trusted"
