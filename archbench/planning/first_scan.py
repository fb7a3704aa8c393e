"""A first scan of one's own: architectures, a text and a sort of device, and the ladders that these allow.

Legend: N parameters without embeddings, D tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archbench.errors import SpecError

TOKENS_PER_PARAM = 20.0
"""Compute-optimal for GPT-like models (Hoffmann et al. 2022)."""
MOST_EPOCHS = 4.0
"""Up to which text that is read again teaches nearly as much as new one (Muennighoff et al. 2023)."""
LEAST_TOKENS = 2e5
"""Of a run: fewer teach nothing that a law could be read from."""
TRAINED_SHARE = 0.9
"""Of a text, at least: what is left when some is held out and what comes twice is removed."""
_SIZES, _LEAST_SIZES = 5, 4
"""Of a ladder: a law takes four to be trusted, and one may fail."""
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
"""Of the largest size, within a factor of ten."""


@dataclass(frozen=True, slots=True)
class FirstText:
    """What is to be read."""

    dataset: Mapping[str, Any]
    """As a spec has it."""
    num_bytes: float | None
    """About how much there is, or at least; None for as much as is asked for."""
    limit: str = ""
    """Setting that says how much is read of a text without end: `limit_bytes` or `max_documents`."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What fits a sort of device."""

    device: str
    """In words."""
    tokenizer: Mapping[str, Any]
    vocab_size: int
    bytes_per_token: float
    seq_len: int
    smallest: float
    """Least N of a ladder."""
    largest: float
    """N above which no ladder goes."""
    most_rows: int
    """Of a batch."""
    learning_rate: Any
    tokens_per_param: bool
    """Whether each size has as many tokens as suit it; else all have those of the largest, since smaller models that
    see little stay on the plateau of pairs of tokens."""
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)

    def batch_tokens(self, tokens: float) -> int:
        """Tokens of a step of runs of so many: a power of two of rows that leaves four hundred steps, or eight rows."""
        rows = max(8, min(self.most_rows, int(tokens / 400 / self.seq_len)))
        return self.seq_len * (1 << rows.bit_length() - 1)


CPU = Profile(
    device="processor cores",
    tokenizer={"kind": "bytes"},
    vocab_size=257,
    bytes_per_token=1.0,
    seq_len=128,
    smallest=5e3,
    largest=1e7,
    most_rows=16,
    tokens_per_param=False,
    learning_rate={"power_law": {"coefficient": 0.5, "exponent": -0.4}},
    evaluation={"tokens": 16384, "points": 12},
)
ACCELERATOR = Profile(
    device="an accelerator",
    tokenizer={"kind": "bpe", "vocab_size": 32000},
    vocab_size=32000,
    bytes_per_token=4.0,
    seq_len=1024,
    smallest=5e5,
    largest=4e8,
    most_rows=256,
    tokens_per_param=True,
    learning_rate="kaplan",
    training={
        "optimizer": {"beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "max_grad_norm": 1.0},
        "precision": "bf16",
    },
    evaluation={"tokens": 262144, "points": 20},
    execution={
        "executor": {"kind": "local", "workers": 1},
        "device": "cuda",
        "micro_batch_rows": 32,
        "zero_stage": 1,
        "checkpoint_seconds": 300,
    },
)


@dataclass(frozen=True, slots=True)
class FirstScan:
    """What a person wants to compare."""

    name: str
    file: str
    """As commands are told it."""
    baseline: str
    architectures: tuple[str, ...]
    objective: str
    text: FirstText
    profile: Profile
    minutes: float
    possible: Callable[[float], bool]
    """Whether all contenders have a shape of about that many parameters."""
    causal: bool = True

    @property
    def available_tokens(self) -> float:
        """D that the text has for one run; infinite where as much is read as is asked for."""
        if self.text.num_bytes is None:
            return float("inf")
        return MOST_EPOCHS * TRAINED_SHARE * self.text.num_bytes / self.profile.bytes_per_token

    def ladder(self, largest: float) -> "Ladder":
        """Sizes up to about `largest`, each half of the next, and D of the largest as far as the text has it.

        Raises SpecError where the contenders have fewer than four such sizes in common.
        """
        wanted = [largest / 2.0**step for step in reversed(range(_SIZES))]
        nearest = [self._nearest(size) for size in wanted if size >= self.profile.smallest]
        sizes = tuple(size for size in nearest if size is not None)
        if len(sizes) < _LEAST_SIZES:
            raise SpecError(
                f"{', '.join((self.baseline, *self.architectures))}: have fewer than {_LEAST_SIZES} sizes in common "
                f"between {number(wanted[0])} and {number(largest)} parameters; write the spec's scan.sizes by hand"
            )
        return Ladder(sizes, min(TOKENS_PER_PARAM * largest, self.available_tokens))

    def _nearest(self, size: float) -> float | None:
        """The size nearest to `size`, as a spec writes it, that all contenders have; None where none is near."""
        tried = (float(number(size * factor)) for step in range(9) for factor in (1 + 0.03 * step, 1 - 0.03 * step))
        return next((one for one in tried if self.possible(one)), None)

    def largest_sizes(self) -> list[float]:
        """Largest sizes of ladders that the text has enough for, rising. Raises SpecError where it has too little."""
        profile, available = self.profile, self.available_tokens
        first = profile.smallest * 2 ** (_LEAST_SIZES - 1)
        least = TOKENS_PER_PARAM * first if profile.tokens_per_param else LEAST_TOKENS
        if available < least:
            needed = least * profile.bytes_per_token / (MOST_EPOCHS * TRAINED_SHARE)
            raise SpecError(
                f"the text holds {self.text.num_bytes:,.0f} bytes, and a scan on {profile.device} needs about "
                f"{needed:,.0f}; name another, or more files"
            )
        most = min(profile.largest, available / TOKENS_PER_PARAM)
        grid = [step * 10.0**power for power in range(4, 9) for step in _STEPS]
        return [first, *(size for size in grid if first < size <= most)]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The sizes of a scan and how long each of its runs is."""

    sizes: tuple[float, ...]
    tokens: float


def number(value: float) -> str:
    """Two digits: 8e5, 1.3e6."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
