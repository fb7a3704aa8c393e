"""An entry of the leaderboard: one contender of one scan, with all that its figures are computed from."""

import datetime
import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from archbench.errors import SpecError
from archbench.leaderboard.back_test import back_test_errors
from archbench.names import could_be_file_name, file_stem
from archbench.results.fits import FitResult, FitStatus, FrontierResult
from archbench.results.runs import CurvePoint, PrefixAudit, RunRecord, RunState
from archbench.runs.files import read_json, to_json, write_atomically
from archbench.spec.identity import RunIdentity

FORMAT: Literal[3] = 3
"""The format that is written."""
_DIGITS = 6
"""Significant digits of stored figures: more would differ from machine to machine."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EntryCurve(_Model):
    """A learning curve by columns; every float has the digits that give back the same bits."""

    step: tuple[NonNegativeInt, ...]
    tokens: tuple[NonNegativeInt, ...]
    kaplan_flops: tuple[FiniteFloat, ...]
    exact_flops: tuple[FiniteFloat, ...]
    device_seconds: tuple[FiniteFloat | None, ...]
    train_loss_nats: tuple[FiniteFloat | None, ...]
    validation_loss_nats: tuple[FiniteFloat, ...]
    bits_per_byte: tuple[FiniteFloat | None, ...]
    in_warmup: tuple[bool, ...]
    finished: tuple[bool, ...]

    @staticmethod
    def of(points: tuple[CurvePoint, ...]) -> "EntryCurve":
        """The columns of `points`."""
        return EntryCurve.model_validate(
            {name: tuple(getattr(point, name) for point in points) for name in EntryCurve.model_fields}
        )

    def points(self) -> tuple[CurvePoint, ...]:
        """The points. Raises ValueError where the columns differ in length."""
        columns = {name: getattr(self, name) for name in EntryCurve.model_fields}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a curve differ in length: {lengths}")
        return tuple(CurvePoint(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))

    @property
    def sha256(self) -> str:
        """The hash of all columns, in hex."""
        return hashlib.sha256(to_json(self.model_dump(mode="json"))).hexdigest()


class EntryAudit(_Model):
    """The prefix audit of a causal run: what it gains from later tokens, in nats per token."""

    mean_gain_nats: FiniteFloat
    low_nats: FiniteFloat
    high_nats: FiniteFloat
    num_positions: PositiveInt


class EntryRun(_Model):
    """One run, usable or not."""

    run_id: str = Field(pattern="^[0-9a-f]{64}$")
    size_index: NonNegativeInt
    non_embedding_params: PositiveInt
    embedding_params: NonNegativeInt
    seed: NonNegativeInt
    batch_tokens: NonNegativeInt
    """0 where it is not known, as of imported runs."""
    planned_tokens: PositiveInt
    unique_tokens: NonNegativeInt
    state: RunState
    reason: str | None
    identity: dict[str, Any] | None
    """What the run id is the hash of; None for imported runs."""
    hardware: dict[str, Any]
    """Where it ran, as far as it was noted; not part of the identity."""
    prefix_audit: EntryAudit | None
    curve: EntryCurve
    curve_sha256: str | None = None
    """Of the curve's columns; entries of formats 1 and 2 do not state it."""


class EntryFigure(_Model):
    """What the analysis made of the curves on one cost axis; computed again from them whenever a page is rendered."""

    alpha: FiniteFloat | None
    alpha_with_floor: FiniteFloat | None
    law_status: FitStatus
    law_with_floor_status: FitStatus
    tiers: tuple[tuple[int, ...], ...]
    dominated_sizes: tuple[int, ...]
    noise_std_nats: FiniteFloat | None
    back_test_error: FiniteFloat | None = None
    """Predicted/actual - 1 of the loss at the largest size, by the law of the smaller ones; None without a prediction.

    Entries of format 1 do not state it.
    """


class EntryPast(_Model):
    """What an entry stated before it was replaced."""

    until: datetime.date
    """The day on which it was replaced."""
    num_runs: PositiveInt
    runs_sha256: str
    """Of its run ids and curves."""
    figures: dict[str, EntryFigure]


class LeaderboardEntry(_Model):
    """One contender of one scan."""

    format: Literal[1, 2, 3] = FORMAT
    """2 states back-tests, 3 also hashes of curves and history; older ones are read, and written anew by `archbench
    leaderboard`."""
    scan: str
    description: str
    contender: str
    architecture: str
    objective: str
    track: str
    baseline: str | None
    """The contender of the same scan that it was to be compared with."""
    origin: str
    spec: dict[str, Any]
    environment: dict[str, Any]
    """Versions, plug-in origins, data and tokenizer hashes."""
    runs: tuple[EntryRun, ...]
    figures: dict[str, EntryFigure]
    """By cost axis."""
    family: str | None = None
    """The family of architectures that differ in one mechanism only, where the contender belongs to one."""
    added: datetime.date | None = None
    """The day on which these runs came in; None where that was not noted."""
    history: tuple[EntryPast, ...] = ()
    """What stood here before, oldest first."""

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
                origin=self.origin,
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


def upgraded(entry: LeaderboardEntry) -> LeaderboardEntry:
    """`entry` in the format that is written; what its own format does not state is computed from its curves."""
    if entry.format == FORMAT:
        return entry
    figures = entry.figures
    if entry.format == 1:
        errors = back_test_errors(entry.records())
        figures = {
            axis: figure.model_copy(update={"back_test_error": _rounded(errors[axis]) if axis in errors else None})
            for axis, figure in figures.items()
        }
    runs = tuple(run.model_copy(update={"curve_sha256": run.curve.sha256}) for run in entry.runs)
    return entry.model_copy(update={"format": FORMAT, "figures": figures, "runs": runs})


def write_entry(directory: Path, entry: LeaderboardEntry) -> Path:
    """Stores `entry` in `directory`/entries; equal entries give equal bytes. Returns the file."""
    folder = directory / "entries"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / entry.file_name
    write_atomically(path, to_json(entry.model_dump(mode="json")))
    return path


def add_entry(directory: Path, entry: LeaderboardEntry, day: datetime.date) -> Path:
    """Stores `entry`, made of a scan on `day`; what its file stated before goes into its history. Returns the file.

    Raises SpecError where the file that stands there is malformed.
    """
    new = entry.model_copy(update={"added": day})
    path = entry_file(directory, entry.scan, entry.contender)
    if not path.is_file():
        return write_entry(directory, new)
    written = write_entry(directory, new.replacing(read_entry(path), day))
    if path != written:
        path.unlink()
    return written


def entry_file(directory: Path, scan: str, contender: str) -> Path:
    """Where the entry of `contender` in `scan` stands or would stand, under its name or the one that it once had."""
    folder = directory / "entries"
    path = folder / f"{file_stem(scan, contender)}.json"
    older = folder / f"{_older_stem(scan)}--{_older_stem(contender)}.json"
    if path == older or path.is_file() or not could_be_file_name(older.stem) or not older.is_file():
        return path
    # Several names shared an older file name: whose it is, its content says.
    stored = read_entry(older)
    return older if (stored.scan, stored.contender) == (scan, contender) else path


def read_entry(path: Path) -> LeaderboardEntry:
    """The entry in `path`. Raises SpecError naming file, field, and what was expected; forged run ids are named too."""
    content = read_json(path)
    written = content.get("format") if isinstance(content, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise SpecError(f"{path}: has format {written}, this archbench reads up to {FORMAT}; update archbench")
    try:
        entry = LeaderboardEntry.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(
            f"{path}: {where}: {problem['msg']}{more}; write it again with `archbench leaderboard add SCAN`"
        ) from error
    for run in entry.runs:
        _verify(path, run)
    return entry


def _verify(path: Path, run: EntryRun) -> None:
    try:
        run.curve.points()
    except ValueError as error:
        raise SpecError(f"{path}: run {run.run_id[:12]}: {error}; write the entry again") from error
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


def _older_stem(text: str) -> str:
    """`text` as it stood in the names of entries before one name had one file."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)
