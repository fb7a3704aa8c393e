"""The text of a first spec, and the largest one that a time is enough for."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.errors import SpecError
from archbench.planning.first_scan import TOKENS_PER_PARAM, TRAINED_SHARE, FirstScan, Ladder, Profile, number
from archbench.units import counted, human_seconds

_HUB_DOCUMENT_BYTES = 2000.0
"""Of a document on the hub, by a guess."""


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
    read_bytes = ladder.tokens * profile.bytes_per_token / TRAINED_SHARE
    dataset = dict(scan.text.dataset)
    if scan.text.limit:
        unit = 1.0 if scan.text.limit == "limit_bytes" else _HUB_DOCUMENT_BYTES
        dataset[scan.text.limit] = int(float(number(read_bytes / unit)))
    if profile.tokens_per_param:
        length, why = f"tokens_per_param: {TOKENS_PER_PARAM:g}", "compute-optimal by Hoffmann et al. 2022"
    else:
        length = f"tokens: {number(ladder.tokens)}"
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
        stated=number((scan.text.num_bytes or read_bytes) / profile.bytes_per_token),
        sizes=f"[{', '.join(map(number, ladder.sizes))}]",
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
  sizes: {sizes}   # target parameters without embeddings; a law takes four to be trusted
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
