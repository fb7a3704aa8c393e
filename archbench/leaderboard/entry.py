"""An entry of the leaderboard: one contender of one scan, with all that its figures are computed from."""

import datetime
import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from archbench.errors import ArchbenchError, SpecError
from archbench.leaderboard.bounds import (
    MAX_ENTRY_BYTES,
    MAX_POINTS,
    MAX_POINTS_OF_ENTRY,
    MAX_RUNS,
    BitsPerByte,
    Count,
    Digest,
    Figure,
    Flag,
    Flops,
    Free,
    Loss,
    Name,
    Origin,
    PositiveCount,
    Seconds,
    Seed,
    SizeIndex,
    Surroundings,
    Text,
    Word,
    never_falls,
)
from archbench.names import could_be_file_name, file_stem
from archbench.results.arithmetic import ARITHMETIC
from archbench.results.consistency import belied_point
from archbench.results.fits import FitResult, FitStatus, FrontierResult
from archbench.results.reference_lines import lines_problem
from archbench.results.runs import CostAxis, CurvePoint, FinalEvaluation, PrefixAudit, RunRecord, RunState
from archbench.runs.files import read_bytes, to_json, write_atomically
from archbench.runs.sealed import opened, seal
from archbench.spec.identity import RunIdentity

FORMAT: Literal[4] = 4
"""The format that is written, the first with a digest of the whole entry."""
_REMEDY = "write it again with `archbench leaderboard add SCAN`"
_DIGITS = 6
"""Significant digits of stored figures: more would differ from machine to machine."""

_T = TypeVar("_T")
Column = Annotated[tuple[_T, ...], Field(max_length=MAX_POINTS)]
"""One value for each point of a curve."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EntryCurve(_Model):
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


class EntryAudit(_Model):
    """The prefix audit of a causal run: what it gains from later tokens, in nats per token."""

    mean_gain_nats: Figure
    low_nats: Figure
    high_nats: Figure
    num_positions: PositiveCount


class EntryFinal(_Model):
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


class EntryRun(_Model):
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


class EntryFigure(_Model):
    """What the analysis made of the curves on one cost axis; computed again from them whenever a page is rendered."""

    alpha: Figure | None
    alpha_with_floor: Figure | None
    law_status: FitStatus
    law_with_floor_status: FitStatus
    tiers: Annotated[tuple[tuple[SizeIndex, ...], ...], Field(max_length=MAX_RUNS)]
    dominated_sizes: Annotated[tuple[SizeIndex, ...], Field(max_length=MAX_RUNS)]
    noise_std_nats: Figure | None
    back_test_error: Figure | None = None
    """Predicted/actual - 1 of the loss at the largest size, by the law of the smaller ones; None without a prediction.

    Entries of format 1 do not state it.
    """


class EntryPast(_Model):
    """What an entry stated before it was replaced."""

    until: datetime.date
    """The day on which it was replaced."""
    num_runs: PositiveCount
    runs_sha256: Digest
    """Of its run ids and curves."""
    figures: dict[CostAxis, EntryFigure]


class LeaderboardEntry(_Model):
    """One contender of one scan."""

    format: Literal[1, 2, 3, 4] = FORMAT
    """2 states back-tests, 3 also hashes of curves and history, 4 also a digest of the whole entry and what computed
    its runs; older ones are read, and written anew by `archbench leaderboard`."""
    scan: Name
    description: Text
    contender: Name
    architecture: Name
    objective: Name
    track: Word
    baseline: Name | None
    """The contender of the same scan that it was to be compared with."""
    origin: Origin
    spec: Free
    environment: Surroundings
    """Versions, plug-in origins, data and tokenizer hashes."""
    runs: Annotated[tuple[EntryRun, ...], Field(min_length=1, max_length=MAX_RUNS)]
    figures: dict[CostAxis, EntryFigure]
    family: Word | None = None
    """The family of architectures that differ in one mechanism only, where the contender belongs to one."""
    added: datetime.date | None = None
    """The day on which these runs came in; None where that was not noted."""
    history: Annotated[tuple[EntryPast, ...], Field(max_length=MAX_RUNS)] = ()
    """What stood here before, oldest first."""

    @model_validator(mode="after")
    def _is_of_a_size(self) -> "LeaderboardEntry":
        points = sum(len(run.curve.step) for run in self.runs)
        if points > MAX_POINTS_OF_ENTRY:
            raise ValueError(f"its curves have {points:,} points, at most {MAX_POINTS_OF_ENTRY:,} are read")
        if len({run.run_id for run in self.runs}) < len(self.runs):
            raise ValueError("runs: two have the same id")
        return self

    @property
    def runs_sha256(self) -> str:
        """The hash of all that was trained: run ids, states and curves, in hex."""
        return hashlib.sha256(
            to_json([[run.run_id, run.state.value, run.curve.sha256] for run in self.runs])
        ).hexdigest()

    def replacing(self, old: "LeaderboardEntry", day: datetime.date) -> "LeaderboardEntry":
        """This entry in the place of `old`: with its history, to which `old` is added if its runs were others."""
        if self.runs_sha256 == old.runs_sha256:
            return self.model_copy(update={"added": old.added, "history": old.history})
        past = EntryPast(until=day, num_runs=len(old.runs), runs_sha256=old.runs_sha256, figures=old.figures)
        return self.model_copy(update={"history": (*old.history, past)})

    @property
    def file_name(self) -> str:
        """The name of the entry's file: scan and contender."""
        return f"{file_stem(self.scan, self.contender)}.json"

    @property
    def largest_run_flops(self) -> float:
        """Executed FLOPs of the run that took most."""
        return max((run.curve.exact_flops[-1] for run in self.runs if run.curve.exact_flops), default=0.0)

    @property
    def machines(self) -> frozenset[str]:
        """The processors or accelerators on which its runs were timed, as far as they were noted."""
        found = (run.hardware.get("hardware") or {} for run in self.runs)
        return frozenset(str(one.get("accelerator") or one.get("cpu")) for one in found if one)

    @property
    def corpus_hash(self) -> str | None:
        """Of the text and tokenizer that all runs were trained and evaluated on; None where it is not known."""
        hashes = {run.identity["data"]["corpus_hash"] if run.identity else None for run in self.runs}
        return hashes.pop() if len(hashes) == 1 else None

    @property
    def not_kept(self) -> tuple[str, ...]:
        """Settings that its scan's contenders have in common and this one cannot have."""
        said = self.environment.get("plugins", {}).get(self.contender, {}).get("not_kept")
        return tuple(map(str, said)) if isinstance(said, list) else ()

    @property
    def as_published(self) -> bool:
        """Whether it keeps its authors' settings where its scan's contenders have others in common."""
        return bool(self.environment.get("plugins", {}).get(self.contender, {}).get("as_published", False))

    def records(self) -> list[RunRecord]:
        """The runs as analysis takes them."""
        return [
            RunRecord(
                run_id=run.run_id,
                contender=self.contender,
                architecture=self.architecture,
                objective=self.objective,
                track=self.track,
                size_index=run.size_index,
                non_embedding_params=run.non_embedding_params,
                embedding_params=run.embedding_params,
                seed=run.seed,
                batch_tokens=run.batch_tokens,
                planned_tokens=run.planned_tokens,
                unique_tokens=run.unique_tokens,
                state=run.state,
                curve=run.curve.points(),
                prefix_audit=PrefixAudit(**run.prefix_audit.model_dump()) if run.prefix_audit else None,
                reason=run.reason,
                final=run.final.evaluation() if run.final is not None else None,
                reference_lines=run.reference_lines,
                origin=self.origin,
                details={ARITHMETIC: run.arithmetic} if run.arithmetic else {"timings": run.hardware},
            )
            for run in self.runs
        ]


def figure_of(frontier: FrontierResult, back_test_error: float | None) -> EntryFigure:
    """The stored form of one frontier's figures and of its back-test."""
    noise = frontier.noise_std_nats
    return EntryFigure(
        alpha=_alpha(frontier.law),
        alpha_with_floor=_alpha(frontier.law_with_floor),
        law_status=frontier.law.status,
        law_with_floor_status=frontier.law_with_floor.status,
        tiers=tuple(tier.size_indices for tier in frontier.tiers),
        dominated_sizes=tuple(size.size_index for size in frontier.sizes if size.dominated),
        noise_std_nats=None if noise is None else _rounded(noise),
        back_test_error=None if back_test_error is None else _rounded(back_test_error),
    )


def write_entry(directory: Path, entry: LeaderboardEntry) -> Path:
    """Stores `entry` in `directory`/entries; equal entries give equal bytes. Returns the file."""
    folder = directory / "entries"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / entry.file_name
    write_atomically(path, seal(entry.model_dump(mode="json"), FORMAT))
    return path


def add_entry(directory: Path, entry: LeaderboardEntry, day: datetime.date) -> Path:
    """Stores `entry`, made of a scan on `day`; what its file stated before goes into its history. Returns the file.

    Raises SpecError where the file that stands there is malformed or damaged.
    """
    new = entry.model_copy(update={"added": day})
    path = entry_file(directory, entry.scan, entry.contender)
    if not path.is_file():
        return write_entry(directory, new)
    try:
        old = read_entry(path)
    except ArchbenchError as error:
        raise SpecError(f"{error}, once it is moved away: the history that it holds goes with it") from error
    written = write_entry(directory, new.replacing(old, day))
    if path != written:
        path.unlink()
    return written


def entry_file(directory: Path, scan: str, contender: str) -> Path:
    """Where the entry of `contender` in `scan` stands or would stand, under its name or the one that it once had."""
    folder = directory / "entries"
    path, older = folder / f"{file_stem(scan, contender)}.json", folder / _older_file_name(scan, contender)
    if path == older or path.is_file() or not could_be_file_name(older.stem) or not older.is_file():
        return path
    try:
        stored = read_entry(older)
    except ArchbenchError:  # it stays where it is, and the pages' commands name it
        return path
    # Several names shared an older file name: whose it is, its content says.
    return older if (stored.scan, stored.contender) == (scan, contender) else path


def read_entry(path: Path) -> LeaderboardEntry:
    """The entry in `path`. Raises SpecError or StoreError naming file, field, and what was expected.

    What is too large is not read, what is not what was written or forged is refused.
    """
    return parse_entry(path, read_bytes(path, MAX_ENTRY_BYTES))


def parse_entry(path: Path, content: bytes) -> LeaderboardEntry:
    """The entry that `path` holds as `content`. Raises as `read_entry`."""
    sealed = opened(path, content, _REMEDY, latest=FORMAT, first_sealed=FORMAT)
    try:
        entry = LeaderboardEntry.model_validate({**sealed.content, "format": sealed.format})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(f"{path}: {where or 'entry'}: {problem['msg']}{more}; {_REMEDY}") from error
    for run in entry.runs:
        _verify(path, run)
    return entry


def misplaced(path: Path, entry: LeaderboardEntry) -> list[str]:
    """What is wrong with the file's name: an entry replaces another one by it, so that this must be its own."""
    return [] if path.name == entry.file_name else [f"the file must be called {entry.file_name}"]


def has_older_name(path: Path, entry: LeaderboardEntry) -> bool:
    """Whether `path` is what the entry's file was called before one name had one file, and nothing has its name now."""
    older = _older_file_name(entry.scan, entry.contender)
    return path.name == older != entry.file_name and not path.with_name(entry.file_name).exists()


def _verify(path: Path, run: EntryRun) -> None:
    if run.curve_sha256 is not None and run.curve_sha256 != run.curve.sha256:
        raise SpecError(
            f"{path}: run {run.run_id[:12]}: its curve is not the one whose hash it states"
            f" ({run.curve.sha256[:12]} against {run.curve_sha256[:12]}): one was changed"
        )
    if run.identity is None:
        return
    try:
        actual = RunIdentity.model_validate(run.identity).run_id
    except ValidationError as error:
        raise SpecError(f"{path}: run {run.run_id[:12]}: its identity is malformed; write the entry again") from error
    if actual != run.run_id:
        raise SpecError(
            f"{path}: run {run.run_id[:12]}: its id is not the hash of its identity ({actual[:12]}): one was changed"
        )


def _alpha(fit: FitResult) -> float | None:
    return _rounded(fit.params["alpha_C"]) if fit.status is FitStatus.OK else None


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _older_file_name(scan: str, contender: str) -> str:
    """What the file of an entry was called before one name had one file."""
    stems = ("".join(one if one.isalnum() or one in "-_." else "_" for one in name) for name in (scan, contender))
    return f"{'--'.join(stems)}.json"
