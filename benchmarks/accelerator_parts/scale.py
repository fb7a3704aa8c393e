"""What is measured on each kind of device: the parts, their shares of the time, and the sizes of their models."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the measurement; a module of this package has its name."""

    name: str
    title: str
    share: float
    """Of the time; what a part leaves over is divided among those behind it."""
    least_seconds: float
    """Below this it is not begun: a process with torch and DeepSpeed has to start first."""


PARTS = (
    Part("gpu_tests", "Tests marked gpu", 0.22, 20.0),
    Part("utilisation", "GPT-2 at full size", 0.20, 15.0),
    Part("architectures", "Every architecture", 0.26, 20.0),
    Part("sharing", "Several runs on one device", 0.11, 15.0),
    Part("ladder", "A ladder of sizes", 0.13, 30.0),
    Part("zero", "ZeRO stages", 0.08, 30.0),
)
"""In the order of their importance."""


@dataclass(frozen=True)
class Shape:
    """A GPT-2."""

    vocab_size: int
    seq_len: int
    d_model: int
    n_layers: int
    n_heads: int

    @property
    def d_ff(self) -> int:
        """Width of the feed-forward layers: four times the model's."""
        return 4 * self.d_model


@dataclass(frozen=True)
class Scale:
    """Sizes for one kind of device: contexts in tokens, batches in rows, models in parameters without embeddings."""

    precision: str
    text_bytes: int
    measuring_seconds: float
    """Of one figure, without set-up and warm-up."""

    full: Shape
    """Stands for GPT-2 124M."""
    full_rows: int
    """Of an optimiser step, whatever goes through in one pass."""
    full_micro_rows: Sequence[int]

    sizes: Sequence[float]
    vocab_size: int
    seq_len: int
    rows: int

    shared_size: float
    shared_seq_len: int
    shared_rows: int
    processes: Sequence[int]

    ladder: Sequence[float]
    ladder_seq_len: int
    ladder_rows: int
    ladder_tokens: tuple[float, float]
    """Least and most tokens of a run."""

    zero_size: float


SCALES = {
    "cuda": Scale(
        precision="bf16",
        text_bytes=3_000_000,
        measuring_seconds=1.5,
        full=Shape(vocab_size=50_304, seq_len=1024, d_model=768, n_layers=12, n_heads=12),
        full_rows=128,
        full_micro_rows=(8, 16, 32, 64),
        sizes=(1e7, 8.5e7),
        vocab_size=32_000,
        seq_len=1024,
        rows=16,
        shared_size=2e6,
        shared_seq_len=256,
        shared_rows=32,
        processes=(1, 2, 4, 8),
        ladder=(2e6, 4e6, 8e6, 1.5e7, 3e7),
        ladder_seq_len=256,
        ladder_rows=128,
        ladder_tokens=(5e5, 3e7),
        zero_size=3e7,
    ),
    "cpu": Scale(
        precision="fp32",
        text_bytes=600_000,
        measuring_seconds=0.5,
        full=Shape(vocab_size=264, seq_len=128, d_model=96, n_layers=4, n_heads=4),
        full_rows=16,
        full_micro_rows=(4, 8, 16),
        sizes=(2e4, 1.6e5),
        vocab_size=264,
        seq_len=128,
        rows=8,
        shared_size=2e4,
        shared_seq_len=128,
        shared_rows=8,
        processes=(1, 2, 4),
        ladder=(1e4, 2e4, 4e4, 8e4),
        ladder_seq_len=64,
        ladder_rows=16,
        ladder_tokens=(1e4, 3e5),
        zero_size=2e4,
    ),
}
"""On a CPU the models are small, and what is shown is that every part works."""


def seconds_for(part: Part, later: Sequence[Part], seconds_left: float) -> float | None:
    """What `part` is given of the time that is left for it and `later`; None where that is less than it needs.

    Its share, but at least what it needs, and no more than leaves what they need to those next to it.
    """
    if seconds_left < part.least_seconds:
        return None
    fair = seconds_left * part.share / (part.share + sum(one.share for one in later))
    reserved = 0.0
    for one in later:
        if part.least_seconds + reserved + one.least_seconds > seconds_left:
            break
        reserved += one.least_seconds
    return max(part.least_seconds, min(fair, seconds_left - reserved))
