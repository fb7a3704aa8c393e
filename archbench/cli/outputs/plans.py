"""What `--json` prints of plans and prepared text: plan, data."""

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
