"""What `--json` prints of plans and text: plan, data, text."""

from dataclasses import dataclass
from typing import Any


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
    warmup_steps: int
    optimizer: dict[str, Any]
    """Its settings, `kind` included, as numbers."""
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
class PublishedRow:
    """A run of a contender that is a published entry: it is there, and nothing of it is trained."""

    contender: str
    entry: str
    """The name of the entry: that of its file without suffix."""
    digest: str
    """SHA-256 of the entry, as its file states it."""
    size_index: int
    seed: int
    run_id: str
    """In the store."""
    published_run_id: str
    """In the entry."""
    state: str
    """done, failed or diverged."""
    non_embedding_params: int
    embedding_params: int
    tokens: int
    exact_flops: float | None
    """Of the whole run; null of one without a point."""
    validation_loss_nats: float | None
    """At its end."""


@dataclass(frozen=True, slots=True)
class PlannedContender:
    """What a contender has that others of the scan do not."""

    name: str
    training: dict[str, Any]
    """What it says of its training for itself: rate, schedule, optimizer; empty where that is the spec's."""
    as_published: bool
    not_kept: list[str]
    """Settings common to all that its architecture cannot have."""


@dataclass(frozen=True, slots=True)
class PowerRow:
    """How likely the scan is to call a contender better that is."""

    contender: str
    margin: float
    true_multiplier: float | None
    """Null where no power can be given."""
    seed_std_nats: float
    """Standard deviation of the final loss between seeds."""
    power: float | None
    """Null where none can be given."""
    seeds_for_80_percent: int | None
    """At every size of contender and baseline; null where none up to 1,000 are enough."""
    flops_for_80_percent: float | None
    """Of all runs of both with so many seeds."""
    source: str
    """Where noise and slope of the loss come from."""
    reason: str
    """Why no power can be given; empty where one is."""


@dataclass(frozen=True, slots=True)
class PlanOutput:
    """`archbench plan`."""

    name: str
    baseline: str | None
    environment: dict[str, Any]
    """Versions, plug-ins' origins, hashes of text and tokenizer."""
    text_is_stated: bool
    """Whether the text was not read: its counts are those that the spec states, and run ids those of no real run."""
    warnings: list[str]
    pending: list[PendingRow]
    seconds_left: float
    disk_bytes_left: int
    workers: int
    """Runs that go on at once."""
    contenders: list[PlannedContender]
    runs: list[PlannedRow]
    power: list[PowerRow]
    """Of the spec's question; empty where it asks none of a baseline, or trains no scan of sizes."""
    published: list[PublishedRow]
    """Runs of contenders that are published entries; empty where there are none."""
    submission: str | None
    """What the executor's queue would be handed; None where it has none, or nothing is missing."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """Files of one ending that a text was read from."""

    ending: str
    files: int
    documents: int


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """Files, folders or records that were left out for one reason."""

    what: str
    """The ending of files, `folders` or `records`."""
    count: int
    reason: str
    first: str
    """Where the first of them is."""


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
    empty_removed: int
    bytes_per_token: float
    corpus_hash: str
    read: list[ReadRow]
    """By ending; empty for a dataset that reads no files of the user's."""
    left_out: list[LeftOutRow]
    """Beside documents that are empty or duplicates."""


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
class ArchiveRow:
    """An archive of the standard text."""

    name: str
    version: str
    licence: str
    archive_sha256: str
    archive_bytes: int
    text_sha256: str
    """Of the stored form of the documents taken from it."""
    text_bytes: int
    documents: int
    is_fetched: bool


@dataclass(frozen=True, slots=True)
class StandardTextOutput:
    """`archbench text list`."""

    size: str
    folder: str
    """Where the text is, or will be."""
    archives: list[ArchiveRow]


@dataclass(frozen=True, slots=True)
class SpecRow:
    """A spec that comes with archbench."""

    name: str
    """By which commands take it."""
    description: str
    contenders: list[str]
    sizes: list[float]
    """Non-embedding parameters that it asks for."""
    studies: list[str]
    runs: int
    """Of its size scan; 0 where it holds studies alone."""
    kaplan_flops: float
    """Of these runs, by 6·N·D."""
    path: str
