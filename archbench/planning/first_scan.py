"""A first spec of one's own: the largest ladder of some architectures on a text that a time is enough for.

Legend: N parameters without embeddings, D tokens.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archbench.errors import SpecError
from archbench.units import counted, human_seconds

TOKENS_PER_PARAM = 20.0
"""Compute-optimal for GPT-like models (Hoffmann et al. 2022)."""
MOST_EPOCHS = 4.0
"""Up to which text that is read again teaches nearly as much as new one (Muennighoff et al. 2023)."""
LEAST_TOKENS = 2e5
"""Of a run: fewer teach nothing that a law could be read from."""
_TRAINED_SHARE = 0.9
"""Of a text, at least: what is left when some is held out and what comes twice is removed."""
_SIZES, _LEAST_SIZES = 5, 4
"""Of a ladder: a law takes three, and one may fail."""
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
"""Of the largest size, within a factor of ten."""
_HUB_DOCUMENT_BYTES = 2000.0
"""Of a document on the hub, by a guess."""


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
        return MOST_EPOCHS * _TRAINED_SHARE * self.text.num_bytes / self.profile.bytes_per_token

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
                f"between {_number(wanted[0])} and {_number(largest)} parameters; write the spec's scan.sizes by hand"
            )
        return Ladder(sizes, min(TOKENS_PER_PARAM * largest, self.available_tokens))

    def _nearest(self, size: float) -> float | None:
        """The size nearest to `size`, as a spec writes it, that all contenders have; None where none is near."""
        tried = (float(_number(size * factor)) for step in range(9) for factor in (1 + 0.03 * step, 1 - 0.03 * step))
        return next((one for one in tried if self.possible(one)), None)

    def largest_sizes(self) -> list[float]:
        """Largest sizes of ladders that the text has enough for, rising. Raises SpecError where it has too little."""
        profile, available = self.profile, self.available_tokens
        first = profile.smallest * 2 ** (_LEAST_SIZES - 1)
        least = TOKENS_PER_PARAM * first if profile.tokens_per_param else LEAST_TOKENS
        if available < least:
            needed = least * profile.bytes_per_token / (MOST_EPOCHS * _TRAINED_SHARE)
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


@dataclass(frozen=True, slots=True)
class Fitted:
    """A spec that fits its time."""

    text: str
    """YAML."""
    seconds: float
    """That the planner expects of it."""


def fit_to_minutes(scan: FirstScan, seconds_of: Callable[[str], float]) -> Fitted:
    """The spec with the largest ladder that `seconds_of` its YAML stays within the minutes.

    Raises SpecError, with what it would take, where the smallest does not.
    """
    sizes = scan.largest_sizes()
    limit = 60.0 * scan.minutes

    def fitted(largest: float) -> Fitted:
        text = spec_text(scan, scan.ladder(largest))
        return Fitted(text, seconds_of(text))

    best = fitted(sizes[0])
    if best.seconds > limit:
        raise SpecError(
            f"--minutes {scan.minutes:g}: the smallest scan of {counted(len(scan.architectures) + 1, 'contender')} "
            f"takes about {human_seconds(best.seconds)}; give --minutes {1 + best.seconds // 60:.0f}"
        )
    low, high = 0, len(sizes)
    while high - low > 1:
        middle = (low + high) // 2
        found = fitted(sizes[middle])
        if found.seconds <= limit:
            low, best = middle, found
        else:
            high = middle
    return best


def spec_text(scan: FirstScan, ladder: Ladder) -> str:
    """The spec as YAML, with comments that say what may be changed."""
    profile = scan.profile
    read_bytes = ladder.tokens * profile.bytes_per_token / _TRAINED_SHARE
    dataset = dict(scan.text.dataset)
    if scan.text.limit:
        unit = 1.0 if scan.text.limit == "limit_bytes" else _HUB_DOCUMENT_BYTES
        dataset[scan.text.limit] = int(float(_number(read_bytes / unit)))
    if profile.tokens_per_param:
        length, why = f"tokens_per_param: {TOKENS_PER_PARAM:g}", "compute-optimal by Hoffmann et al. 2022"
    else:
        length = f"tokens: {_number(ladder.tokens)}"
        why = f"of every run: {ladder.tokens / ladder.sizes[-1]:.2g} for each parameter of the largest size"
    return _TEMPLATE.format(
        file=scan.file,
        minutes=f"{scan.minutes:g}",
        device=profile.device,
        name=_word(scan.name),
        description=_word(f"{', '.join(scan.architectures)} against {scan.baseline}"),
        baseline=_word(scan.baseline),
        contenders="\n".join(
            f"  {_word(kind)}: {{architecture: {{kind: {_word(kind)}}}}}"
            for kind in (scan.baseline, *scan.architectures)
        ),
        shown=scan.architectures[0],
        objective=_word(scan.objective),
        dataset=_flow(dataset),
        tokenizer=_flow(profile.tokenizer),
        vocab_size=profile.vocab_size,
        stated=_number((scan.text.num_bytes or read_bytes) / profile.bytes_per_token),
        sizes=f"[{', '.join(map(_number, ladder.sizes))}]",
        length=length,
        why=why,
        training=_lines(_training(profile, ladder)),
        evaluation=_flow({**profile.evaluation, **({"prefix_audit_positions": 64} if scan.causal else {})}),
        execution=f"\nexecution:\n{_lines(profile.execution)}\n" if profile.execution else "",
    )


def _training(profile: Profile, ladder: Ladder) -> dict[str, Any]:
    """One batch for all sizes, that of the middle one, and a warm-up that fits into the shortest run."""
    sizes = ladder.sizes
    of_middle = of_first = ladder.tokens
    if profile.tokens_per_param:
        of_middle, of_first = TOKENS_PER_PARAM * sizes[len(sizes) // 2], TOKENS_PER_PARAM * sizes[0]
    batch = profile.batch_tokens(of_middle)
    return {
        "seq_len": profile.seq_len,
        "batch_tokens": batch,
        "learning_rate": profile.learning_rate,
        "schedule": {"kind": "cosine", "warmup_steps": max(1, min(100, int(of_first / batch / 10)))},
        **profile.training,
    }


_TEMPLATE = """\
# archbench run {file}
# Begun by `archbench init`, sized for {minutes} minutes on {device} by the estimate of `archbench plan`.
# What every setting means: docs/specs.md, or `archbench schema` for an editor.
name: {name}
description: {description}
baseline: {baseline}

contenders:
{contenders}
  # Hyperparameters stand beside `kind`: `archbench plugins show {shown}` lists them.

objective: {{kind: {objective}}}

# What all have alike, since it is not under test.
common: {{tie_output: true, output_bias: false, initialisation: by_width}}

data:
  dataset: {dataset}
  tokenizer: {tokenizer}
  order: passages                # a memory can follow them; all others see the same order
  validation_fraction: 0.05
  # About; `archbench plan` counts by it where the text cannot be had.
  stated: {{vocab_size: {vocab_size}, tokens: {{main: {stated}}}}}

scan:
  sizes: {sizes}   # target parameters without embeddings; a law takes three
  seeds: {{default: 1, smallest_two: 3}}   # three seeds tell run-to-run noise
  {length}   # {why}

# Written down before the scan, a question is answered in so many words:
# question: {{margin: 1.2}}

training:
{training}

evaluation: {evaluation}
{execution}"""


def _lines(section: Mapping[str, Any]) -> str:
    return "\n".join(f"  {name}: {_flow(value)}" for name, value in section.items())


def _flow(value: Any) -> str:
    """`value` on one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_flow(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_flow, value))}]"
    return _word(value) if isinstance(value, str) else json.dumps(value)


def _word(word: str) -> str:
    """A word as it is, where YAML takes it for text; else in quotes."""
    plain = word.replace("_", "").replace("-", "").replace(" ", "").isalnum() and word[:1].isalpha()
    reserved = word.lower() in ("null", "true", "false", "yes", "no", "on", "off")
    return word if plain and not reserved and word.isascii() else json.dumps(word, ensure_ascii=False)


def _number(value: float) -> str:
    """Two digits: 8e5, 1.3e6."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
