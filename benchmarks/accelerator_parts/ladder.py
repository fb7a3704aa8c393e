"""A ladder of sizes, trained and analysed by `archbench run` on real text: as many tokens as the time allows."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from accelerator_parts.child import Records, Setting
from accelerator_parts.scale import Scale
from accelerator_parts.scans import ENDING_SECONDS, Scan, figures
from archbench.errors import ArchbenchError

NAME = "accelerator-ladder"
REPORT = "ladder_report.html"
"""Of the folder of a part: the page that `archbench run` made."""

_LAW = "law and report"

_SPEC = """\
name: {name}
contenders:
  gpt2: {{architecture: {{kind: gpt2}}}}
objective: {{kind: causal_lm}}
data:
  dataset: {dataset}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.05
  max_epochs: 1000
scan:
  sizes: {sizes}
  seeds: {{default: 1, smallest_two: 1}}
  tokens: {tokens:.4g}
training:
  seq_len: {seq_len}
  batch_tokens: {batch_tokens}
  learning_rate: {learning_rate}
  schedule: {{kind: cosine, warmup_steps: {warmup_steps}}}
  precision: {precision}
evaluation: {{tokens: 16384, points: 6, prefix_audit_positions: 0}}
execution:
  device: {device}
  zero_stage: {zero_stage}
"""

_START_SECONDS = {"cuda": 35.0, "cpu": 18.0}
"""Of the command, its worker, and the analysis at the end."""
_TRAINING_SHARE = 0.6
"""Of the rest; evaluation, and a machine that is busier than before, take the others."""
_UNMEASURED_UTILISATION = 0.05
"""Where no earlier part measured the speed of this architecture."""


def run(setting: Setting, records: Records) -> None:
    """Trains, and says each run as it ends."""
    scale = setting.scale
    seconds = _TRAINING_SHARE * max(1.0, records.seconds_left - _START_SECONDS[setting.device])
    least, most = scale.ladder_tokens
    tokens = min(most, max(least, seconds / seconds_per_token(scale, setting.tokens_per_s, setting.peaks)))
    batch_tokens = scale.ladder_rows * scale.ladder_seq_len
    records.conditions(
        command="archbench run",
        architecture="gpt2",
        precision=scale.precision,
        tokenizer="bytes",
        seq_len=scale.ladder_seq_len,
        tokens_per_step=batch_tokens,
        tokens_per_run=tokens,
    )
    whats = [f"{size:.2g} parameters" for size in scale.ladder]
    records.plan([*whats, _LAW])
    spec = ladder_spec(setting, NAME, scale.ladder, tokens, zero_stage=int(setting.device == "cuda"))
    scan = Scan(spec, Path(setting.folder) / "ladder", NAME)
    ended = set()
    for record in scan.records(time.monotonic() + records.seconds_left - ENDING_SECONDS):
        ended.add(record.size_index)
        records.row(whats[record.size_index], {"size": scale.ladder[record.size_index], **figures(record)})
    if scan.report.is_file():
        shutil.copyfile(scan.report, Path(setting.folder) / REPORT)
        records.conditions(report=REPORT)
        records.say("made", what=_LAW)
    if scan.problem is not None:
        raise ArchbenchError(scan.problem)


def ladder_spec(setting: Setting, name: str, sizes: Sequence[float], tokens: float, *, zero_stage: int) -> str:
    """The spec of GPT-2 at `sizes`."""
    scale = setting.scale
    batch_tokens = scale.ladder_rows * scale.ladder_seq_len
    return _SPEC.format(
        name=name,
        dataset=json.dumps(dict(setting.dataset)),
        sizes=json.dumps(list(sizes)),
        tokens=tokens,
        seq_len=scale.ladder_seq_len,
        batch_tokens=batch_tokens,
        warmup_steps=min(20, int(tokens / batch_tokens) // 4),
        learning_rate="kaplan" if min(sizes) >= 1e6 else "3e-3",
        precision=scale.precision,
        device=setting.device,
        zero_stage=zero_stage,
    )


def seconds_per_token(scale: Scale, tokens_per_s: Mapping[str, float], peaks: Mapping[str, float]) -> float:
    """Expected for one token at every size of the ladder together, from the speeds of other sizes of GPT-2.

    A step takes a constant and what grows with the size; of one speed alone nothing is taken to be constant.
    """
    measured = sorted((float(size), 1.0 / rate) for size, rate in tokens_per_s.items())
    if not measured:
        return sum(6.0 * size / (_UNMEASURED_UTILISATION * peaks["measured"]) for size in scale.ladder)
    (small, first), (large, last) = measured[0], measured[-1]
    slope = max(0.0, (last - first) / (large - small)) if large > small else last / large
    constant = max(0.0, first - slope * small)
    return sum(constant + slope * size for size in scale.ladder)
