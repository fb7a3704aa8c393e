"""An entry of the leaderboard: one contender of one scan, with all that its figures are computed from."""

import datetime
import hashlib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archbench.leaderboard.bounds import (
    MAX_POINTS_OF_ENTRY,
    MAX_RUNS,
    Digest,
    Figure,
    Free,
    Name,
    Origin,
    PositiveCount,
    SizeIndex,
    Surroundings,
    Text,
    Word,
)
from archbench.leaderboard.entry_run import EntryModel, EntryRun
from archbench.names import file_stem
from archbench.results.arithmetic import ARITHMETIC
from archbench.results.fits import FitResult, FitStatus, FrontierResult
from archbench.results.runs import CostAxis, PrefixAudit, RunRecord
from archbench.runs.files import to_json

FORMAT: Literal[4] = 4
"""The format that is written, the first with a digest of the whole entry."""
_DIGITS = 6
"""Significant digits of stored figures: more would differ from machine to machine."""


class EntryFigure(EntryModel):
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


class EntryPast(EntryModel):
    """What an entry stated before it was replaced."""

    until: datetime.date
    """The day on which it was replaced."""
    num_runs: PositiveCount
    runs_sha256: Digest
    """Of its run ids and curves."""
    figures: dict[CostAxis, EntryFigure]


class LeaderboardEntry(EntryModel):
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
        """The hash of all that was trained: run ids, states, curves; final evaluations and reference lines where there
        are. In hex."""
        trained = [
            [
                run.run_id,
                run.state.value,
                run.curve.sha256,
                *([run.final.model_dump(mode="json")] if run.final else []),
                *([run.reference_lines] if run.reference_lines else []),
            ]
            for run in self.runs
        ]
        return hashlib.sha256(to_json(trained)).hexdigest()

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
    assert frontier.law_with_floor is not None, "entries are made from both laws"
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


def _alpha(fit: FitResult) -> float | None:
    return _rounded(fit.params["alpha_C"]) if fit.status is FitStatus.OK else None


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
