"""An entry of the leaderboard: one contender of one scan, with all that its figures are computed from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from archbench.contracts.report import ScanResults
from archbench.errors import SpecError
from archbench.leaderboard.back_test import back_test_errors
from archbench.results.fits import FitResult, FitStatus, FrontierResult
from archbench.results.runs import CurvePoint, PrefixAudit, RunRecord, RunState
from archbench.runs.files import read_json, to_json, write_atomically
from archbench.spec.identity import RunIdentity

FORMAT: Literal[2] = 2
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


class LeaderboardEntry(_Model):
    """One contender of one scan."""

    format: Literal[1, 2] = FORMAT
    """2 states back-tests; entries of format 1 are read, and written anew by `archbench leaderboard`."""
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

    @property
    def file_name(self) -> str:
        """The name of the entry's file: scan and contender."""
        return f"{_slug(self.scan)}--{_slug(self.contender)}.json"

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


def make_entries(results: ScanResults) -> list[LeaderboardEntry]:
    """An entry for each contender that has a usable run, in the order of the records."""
    by_name: dict[str, list[RunRecord]] = {}
    for record in results.records:
        by_name.setdefault(record.contender, []).append(record)
    return [_entry(results, name, records) for name, records in by_name.items() if any(run.usable for run in records)]


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
    errors = back_test_errors(entry.records())
    figures = {
        axis: figure.model_copy(update={"back_test_error": _rounded(errors[axis]) if axis in errors else None})
        for axis, figure in entry.figures.items()
    }
    return entry.model_copy(update={"format": FORMAT, "figures": figures})


def write_entry(directory: Path, entry: LeaderboardEntry) -> Path:
    """Stores `entry` in `directory`/entries; equal entries give equal bytes. Returns the file."""
    folder = directory / "entries"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / entry.file_name
    write_atomically(path, to_json(entry.model_dump(mode="json")))
    return path


def read_entry(path: Path) -> LeaderboardEntry:
    """The entry in `path`. Raises SpecError naming file, field, and what was expected; forged run ids are named too."""
    content = read_json(path)
    written = content.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise SpecError(f"{path}: has format {written}, this archbench reads up to {FORMAT}; update archbench")
    try:
        entry = LeaderboardEntry.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(
            f"{path}: {where}: {problem['msg']}{more}; write it again with `archbench leaderboard --add SCAN`"
        ) from error
    for run in entry.runs:
        _verify(path, run)
    return entry


def _verify(path: Path, run: EntryRun) -> None:
    try:
        run.curve.points()
    except ValueError as error:
        raise SpecError(f"{path}: run {run.run_id[:12]}: {error}; write the entry again") from error
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


def _entry(results: ScanResults, name: str, records: list[RunRecord]) -> LeaderboardEntry:
    first = records[0]
    plugins = results.environment.get("plugins")
    environment = dict(results.environment)
    if isinstance(plugins, Mapping):
        environment["plugins"] = {key: value for key, value in plugins.items() if key == name}
    errors = back_test_errors(records)
    return LeaderboardEntry(
        scan=results.name,
        description=results.description,
        contender=name,
        architecture=first.architecture,
        objective=first.objective,
        track=first.track,
        baseline=results.baseline,
        origin=first.origin,
        spec=dict(results.spec),
        environment=environment,
        runs=tuple(_run(record) for record in sorted(records, key=lambda run: (run.size_index, run.seed, run.run_id))),
        figures={
            frontier.cost_axis.value: figure_of(frontier, errors.get(frontier.cost_axis.value))
            for frontier in results.frontiers
            if frontier.contender == name
        },
    )


def _run(record: RunRecord) -> EntryRun:
    timings = record.details.get("timings") or {}
    audit = record.prefix_audit
    return EntryRun(
        run_id=record.run_id if len(record.run_id) == 64 else hashlib.sha256(record.run_id.encode()).hexdigest(),
        size_index=record.size_index,
        non_embedding_params=record.non_embedding_params,
        embedding_params=record.embedding_params,
        seed=record.seed,
        batch_tokens=record.batch_tokens,
        planned_tokens=record.planned_tokens,
        unique_tokens=record.unique_tokens,
        state=record.state,
        reason=record.reason,
        identity=record.details.get("identity"),
        hardware={key: timings[key] for key in ("hardware", "versions") if key in timings},
        prefix_audit=None
        if audit is None
        else EntryAudit(
            mean_gain_nats=audit.mean_gain_nats,
            low_nats=audit.low_nats,
            high_nats=audit.high_nats,
            num_positions=audit.num_positions,
        ),
        curve=EntryCurve.of(record.curve),
    )


def _alpha(fit: FitResult) -> float | None:
    return _rounded(fit.params["alpha_C"]) if fit.status is FitStatus.OK else None


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)
