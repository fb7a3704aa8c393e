"""A run of an entry: its curve and what else of it an entry states."""

import hashlib
import math
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from archbench.leaderboard.bounds import (
    MAX_POINTS,
    BitsPerByte,
    Count,
    Digest,
    Figure,
    Flag,
    Flops,
    Free,
    Loss,
    Name,
    PositiveCount,
    Seconds,
    Seed,
    SizeIndex,
    Surroundings,
    Text,
    Word,
    never_falls,
)
from archbench.results.consistency import belied_point
from archbench.results.reference_lines import lines_problem
from archbench.results.runs import CurvePoint, FinalEvaluation, RunState
from archbench.runs.files import to_json

_T = TypeVar("_T")
Column = Annotated[tuple[_T, ...], Field(max_length=MAX_POINTS)]
"""One value for each point of a curve."""


class EntryModel(BaseModel):
    """A part of an entry; what it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EntryCurve(EntryModel):
    """A learning curve by columns; every float has the digits that give back the same bits.

    `processor_seconds` is empty where they were not noted, and then not written: older entries keep their hashes.
    """

    step: Column[Count]
    tokens: Column[Count]
    kaplan_flops: Column[Flops]
    exact_flops: Column[Flops]
    device_seconds: Column[Seconds | None]
    train_loss_nats: Column[Loss | None]
    validation_loss_nats: Column[Loss]
    bits_per_byte: Column[BitsPerByte | None]
    in_warmup: Column[Flag]
    finished: Column[Flag]
    processor_seconds: Column[Seconds | None] = ()

    @model_serializer(mode="wrap")
    def _without_unknown_times(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: column for name, column in dump(self).items() if name in self._columns}

    @staticmethod
    def of(points: tuple[CurvePoint, ...]) -> "EntryCurve":
        """The columns of `points`."""
        columns = {name: tuple(getattr(point, name) for point in points) for name in EntryCurve.model_fields}
        if not any(columns["processor_seconds"]):
            del columns["processor_seconds"]
        return EntryCurve.model_validate(columns)

    def points(self) -> tuple[CurvePoint, ...]:
        """The points."""
        columns = self._columns
        return tuple(CurvePoint(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))

    @property
    def _columns(self) -> dict[str, tuple[Any, ...]]:
        """Those that are there."""
        columns = {name: getattr(self, name) for name in EntryCurve.model_fields}
        return {name: column for name, column in columns.items() if column or name != "processor_seconds"}

    @model_validator(mode="after")
    def _is_a_curve(self) -> "EntryCurve":
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a curve differ in length: {lengths}")
        if any(one >= other for one, other in pairwise(self.step)):
            raise ValueError("step: does not rise from point to point")
        for name in ("tokens", "kaplan_flops", "exact_flops", "device_seconds", "processor_seconds"):
            if not never_falls(getattr(self, name)):
                raise ValueError(f"{name}: falls from one point to the next")
        if (index := belied_point(self.validation_loss_nats, self.bits_per_byte)) is not None:
            raise ValueError(
                f"point {index}: validation_loss_nats {self.validation_loss_nats[index]:g} and bits_per_byte"
                f" {self.bits_per_byte[index]:g} belie each other"
            )
        return self

    @property
    def sha256(self) -> str:
        """The hash of all columns, in hex."""
        return hashlib.sha256(to_json(self.model_dump(mode="json"))).hexdigest()


class EntryAudit(EntryModel):
    """The prefix audit of a causal run: what it gains from later tokens, in nats per token."""

    mean_gain_nats: Figure
    low_nats: Figure
    high_nats: Figure
    num_positions: PositiveCount


class EntryFinal(EntryModel):
    """The evaluation at a run's end on held-out text document by document, summed over the documents."""

    nats: Annotated[float, Field(strict=True, gt=0.0, le=1e18, allow_inf_nan=False)]
    predictions: PositiveCount
    documents: PositiveCount
    utf8_bytes: PositiveCount | None
    """None where the objective does not predict every token."""

    @staticmethod
    def of(final: FinalEvaluation) -> "EntryFinal":
        """The sums of `final`."""
        return EntryFinal(
            nats=math.fsum(final.nats),
            predictions=sum(final.predictions),
            documents=final.num_documents,
            utf8_bytes=None if final.utf8_bytes is None else sum(final.utf8_bytes),
        )

    def evaluation(self) -> FinalEvaluation:
        """The evaluation as that of one group, which has the same loss."""
        utf8_bytes = None if self.utf8_bytes is None else (self.utf8_bytes,)
        return FinalEvaluation((self.nats,), (self.predictions,), (self.documents,), utf8_bytes)


class EntryRun(EntryModel):
    """One run, usable or not."""

    run_id: Digest
    size_index: SizeIndex
    non_embedding_params: PositiveCount
    embedding_params: Count
    seed: Seed
    batch_tokens: Count
    """0 where it is not known, as of imported runs."""
    planned_tokens: PositiveCount
    unique_tokens: Count
    state: RunState
    reason: Text | None
    identity: Free | None
    """What the run id is the hash of; None for imported runs."""
    hardware: Surroundings
    """Where it ran, as far as it was noted; not part of the identity."""
    arithmetic: dict[Name, Annotated[str, Field(max_length=200)] | Count] = {}
    """What computed it, as far as it was noted; entries before format 4 do not state it."""
    prefix_audit: EntryAudit | None
    curve: EntryCurve
    curve_sha256: str | None = None
    """Of the curve's columns; entries of formats 1 and 2 do not state it."""
    final: EntryFinal | None = None
    """Where the run was evaluated on held-out text at its end; not written where it was not."""
    reference_lines: dict[Word, Loss] = {}
    """Losses of n-gram models of its training text; of runs that noted none an entry has the bytes that it always had.
    """

    @field_validator("reference_lines")
    @classmethod
    def _are_lines(cls, lines: dict[str, float]) -> dict[str, float]:
        if problem := lines_problem(lines):
            raise ValueError(problem)
        return lines

    @model_serializer(mode="wrap")
    def _without_what_is_not_known(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialise(self)
        if self.final is None:
            content.pop("final", None)
        if not self.reference_lines:
            content.pop("reference_lines", None)
        return content

    @property
    def final_loss_nats(self) -> float | None:
        """Its loss as a finished run; None of one without a curve."""
        if self.final is not None:
            return self.final.evaluation().loss_nats
        losses = self.curve.validation_loss_nats
        return losses[-1] if losses else None
