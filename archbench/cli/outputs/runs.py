"""What `--json` prints of runs: status, runs, export."""

from dataclasses import dataclass, field
from typing import Any

from archbench.results.runs import CurvePoint


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One run of a scan."""

    run_id: str
    contender: str
    size_index: int
    """Rung of the ladder, 0 for the smallest."""
    study: str
    role: str
    non_embedding_params: int
    seed: int
    state: str
    """planned, running, done, failed or diverged."""
    reason: str | None
    """Why it failed or diverged."""
    step: int | None
    """Steps taken."""
    validation_loss_nats: float | None
    """At the end of a run that has ended."""
    protected: bool
    """Whether digests vouch for what is stored of it; version 0.1.0 wrote none."""
    entry: str | None = None
    """The published entry that it is a run of; null of one that is trained for its scan."""


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """`archbench status`: one scan."""

    name: str
    problems: list[str]
    """What is wrong with stored runs, and how their arithmetic differs, one line each."""
    counts: dict[str, int]
    """State -> number of runs."""
    runs: list[StatusRow]


@dataclass(frozen=True, slots=True)
class RunRow:
    """`archbench runs list`: one run. Of one that cannot be read only the first fields are known."""

    run_id: str
    state: str
    """planned, running, done, failed, diverged, damaged or unreadable (written by a later version, say)."""
    reason: str | None
    directory: str
    disk_bytes: int
    architecture: str | None = None
    objective: str | None = None
    non_embedding_params: int | None = None
    embedding_params: int | None = None
    planned_tokens: int | None = None
    seed: int | None = None
    origin: str | None = None
    """`archbench` for its own runs, the source's name for imported ones."""
    validation_loss_nats: float | None = None
    """At the end of a run that has ended."""
    protected: bool = True
    """Whether a digest vouches for its record; version 0.1.0 wrote none."""
    prefix_gain_nats: float | None = None
    """What a causal model gains from later tokens: 0 for an honest one."""
    entry: str | None = None
    """The published entry that it is a run of; null of one that was trained here or imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutput(RunRow):
    """`archbench runs show`: one run with its learning curve."""

    curve: list[CurvePoint]
    """In the order of steps."""
    identity: dict[str, Any]
    """All that changes its numbers; its SHA-256 is the run's id."""
    arithmetic: dict[str, Any]
    """What computed it, as far as that was noted: processor, torch, threads; of older runs their kernels too."""
    plugins: dict[str, dict[str, str | None]]
    """architecture, objective -> plug-in, distribution, version, source_sha256 of the code that trained it."""
    disk_bytes_by_part: dict[str, int]
    """weights, kept, checkpoints: those that are there."""
    reference_lines: dict[str, float] = field(default_factory=dict)
    """Losses of n-gram models of the text that it saw, in nats per token; empty where they are not known."""
    place: str = "unknown"
    """Where its last loss stands between them, in words."""
    plateau_share: float | None = None
    """Share of its tokens within a tenth of a step about the line of pairs; null where that is not known."""


@dataclass(frozen=True, slots=True)
class RemnantRow:
    """Something that may be removed."""

    name: str
    """The first digits of the run's id, or the name of a log."""
    what: str
    path: str
    disk_bytes: int
    lost_by_it: str


@dataclass(frozen=True, slots=True)
class PruneOutput:
    """`archbench runs prune`."""

    remnants: list[RemnantRow]
    left_alone: list[str]
    """What is not removed, and why, one line each."""
    disk_bytes: int
    """Of all of them."""
    removed: bool


@dataclass(frozen=True, slots=True)
class ExportOutput:
    """`archbench export`."""

    folder: str
    run_id: str
    model_class: str | None
    """The class of transformers that loads it; None: archbench alone does."""
    tokenizer: bool
    """Whether tokenizer files are there."""
    url: str | None
    """Where it was pushed to."""
