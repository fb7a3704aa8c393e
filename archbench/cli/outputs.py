"""What `--json` prints: one class a command. Their JSON Schemas are in docs/schemas.

Fields are only ever added. A figure that is not a number is null. Keys of mappings and order of lists mean nothing
unless a field says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from archbench.results.fits import Comparison, FitResult, Interval, MultiplierPoint
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


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """`archbench status`: one scan."""

    name: str
    problems: list[str]
    """What is wrong with stored runs, one line each."""
    counts: dict[str, int]
    """State -> number of runs."""
    runs: list[StatusRow]


@dataclass(frozen=True, slots=True)
class RunRow:
    """`archbench runs list`: one run. Of a damaged one only the first fields are known."""

    run_id: str
    state: str
    """planned, running, done, failed, diverged or damaged."""
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
    prefix_gain_nats: float | None = None
    """What a causal model gains from later tokens: 0 for an honest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutput(RunRow):
    """`archbench runs show`: one run with its learning curve."""

    curve: list[CurvePoint]
    """In the order of steps."""
    identity: dict[str, Any]
    """All that changes its numbers; its SHA-256 is the run's id."""
    plugins: dict[str, dict[str, str | None]]
    """architecture, objective -> plug-in, distribution, version, source_sha256 of the code that trained it."""
    disk_bytes_by_part: dict[str, int]
    """weights, kept, checkpoints: those that are there."""


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
class PendingRow:
    """Runs that can be planned only when others have ended."""

    what: str
    count: int
    exact_flops: float


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A run of a plan."""

    contender: str
    size_index: int
    study: str
    role: str
    labels: dict[str, str]
    seed: int
    run_id: str
    state: str
    non_embedding_params: int
    embedding_params: int
    dims: dict[str, int]
    peak_learning_rate: float
    tokens: int
    unique_tokens: int
    batch_tokens: int
    epochs: float
    kaplan_flops: float
    exact_flops: float
    estimated_seconds: float
    estimate_is_measured: bool
    """Whether the rate is that of finished runs of the architecture."""


@dataclass(frozen=True, slots=True)
class PlanOutput:
    """`archbench plan`."""

    name: str
    baseline: str | None
    environment: dict[str, Any]
    """Versions, plug-ins' origins, hashes of text and tokenizer."""
    warnings: list[str]
    pending: list[PendingRow]
    seconds_left: float
    disk_bytes_left: int
    workers: int
    """Runs that go on at once."""
    runs: list[PlannedRow]


@dataclass(frozen=True, slots=True)
class TextRow:
    """A prepared text."""

    dataset: str
    train_documents: int
    train_bytes: int
    train_tokens: int
    validation_documents: int
    validation_tokens: int
    duplicates_removed: int
    bytes_per_token: float
    corpus_hash: str


@dataclass(frozen=True, slots=True)
class TokenizerRow:
    """The tokenizer of a spec."""

    kind: str
    vocab_size: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class DataOutput:
    """`archbench data`."""

    texts: dict[str, TextRow]
    """By name."""
    tokenizer: TokenizerRow


@dataclass(frozen=True, slots=True)
class CompareOutput:
    """`archbench compare`."""

    scans: list[str]
    comparisons: list[Comparison]
    """One for each cost axis."""


@dataclass(frozen=True, slots=True)
class ReportOutput:
    """`archbench report`."""

    report: str
    """Path of the Markdown."""
    page: str
    """Path of the same as one file of HTML."""
    verdict: list[str]
    mind: list[str]
    """What the verdict must be read with."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a contender stands in a table of the leaderboard, on one cost axis."""

    track: str
    tier: str
    """`laptop`, `accelerator` or `cluster`, by the executed FLOPs of the largest run."""
    dataset: str
    cost_axis: str
    reference_cost: float
    """The largest cost that all contenders of the table reach."""
    name: str
    rank: tuple[int, int]
    """First and last place that its interval allows."""
    loss_nats: Interval
    """At the reference cost."""
    law: FitResult
    """L(C) on the frontier."""
    multiplier: MultiplierPoint | None
    """Over the table's baseline; None for the baseline itself."""


@dataclass(frozen=True, slots=True)
class LeaderboardOutput:
    """`archbench leaderboard`."""

    changed: list[str]
    """Files that were written anew."""
    problems: list[str]
    """With --check: what is out of date."""
    standings: list[Standing]
    """By rank inside each table."""


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """What checking one entry of the leaderboard showed."""

    path: str
    problems: list[str]
    """Why it is refused; empty where it is good."""
    unchecked: list[str]
    """What could not be checked here, and why."""


@dataclass(frozen=True, slots=True)
class SubmissionOutput:
    """`archbench leaderboard check`."""

    entries: list[CheckedEntry]


@dataclass(frozen=True, slots=True)
class Finding:
    """`archbench doctor`: one thing that was looked at."""

    what: str
    ok: bool
    found: str
    remedy: str = ""
    """What to do where it is not ok, or where more is to be had."""


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A plug-in."""

    name: str
    target: str
    distribution: str
    version: str
    registered: dict[str, list[str]]
    """Noun -> names of what it offers."""
    failures: list[str]
    notes: list[str]
    """What it changed in the process and had no business to; it was put back."""


@dataclass(frozen=True, slots=True)
class PluginsOutput:
    """`archbench plugins list`."""

    plugins: list[PluginRow]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One promise of a plug-in."""

    check: str
    outcome: str
    """passed, failed or skipped."""
    problem: str
    """What was expected and what came; of one that passed, what was seen."""
    where: str
    """`file:line name` of the place to mend, where one is known."""


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """`archbench plugins check`."""

    target: str
    counts: dict[str, int]
    """Outcome -> number of checks."""
    findings: list[CheckRow]


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """What a plug-in offers under one kind."""

    noun: str
    """architecture, objective, dataset, ..."""
    kind: str
    plugin: str
    distribution: str
    version: str
    summary: str
    hyperparameters: dict[str, str]
    """Name -> default as Python writes it, or `required`."""
    source: dict[str, str] | None
    """Of an architecture: paper, implementation, what is faithful and what differs."""
    attention: list[str] | None
    """Of an architecture: the modes that it offers."""


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """`archbench plugins show`: a plug-in with its components, or the components of one kind."""

    plugin: PluginRow | None
    components: list[ComponentRow]


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


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, as they are."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


OUTPUTS: Mapping[str, tuple[str, str]] = {
    "status": ("list", "archbench.cli.outputs:ScanStatus"),
    "runs-list": ("list", "archbench.cli.outputs:RunRow"),
    "runs-show": ("one", "archbench.cli.outputs:RunOutput"),
    "runs-prune": ("one", "archbench.cli.outputs:PruneOutput"),
    "plan": ("one", "archbench.cli.outputs:PlanOutput"),
    "plan-next": ("one", "archbench.cli.outputs_analysis:NextOutput"),
    "data": ("one", "archbench.cli.outputs:DataOutput"),
    "compare": ("one", "archbench.cli.outputs:CompareOutput"),
    "fit": ("one", "archbench.cli.outputs_analysis:FitOutput"),
    "fit-allocation": ("one", "archbench.cli.outputs_analysis:AllocationOutput"),
    "forecast": ("one", "archbench.cli.outputs_analysis:ForecastOutput"),
    "forecast-scan": ("one", "archbench.cli.outputs_analysis:ScanForecastOutput"),
    "forecast-transfer": ("one", "archbench.cli.outputs_analysis:TransferForecastOutput"),
    "report": ("one", "archbench.cli.outputs:ReportOutput"),
    "leaderboard": ("one", "archbench.cli.outputs:LeaderboardOutput"),
    "leaderboard-check": ("one", "archbench.cli.outputs:SubmissionOutput"),
    "plugins-list": ("one", "archbench.cli.outputs:PluginsOutput"),
    "plugins-show": ("one", "archbench.cli.outputs:PluginOutput"),
    "plugins-check": ("one", "archbench.cli.outputs:CheckOutput"),
    "doctor": ("list", "archbench.cli.outputs:Finding"),
    "export": ("one", "archbench.cli.outputs:ExportOutput"),
}
"""Name of a command's output -> whether it is one object or a list of them, and its class."""
