"""Whether bf16 learns what fp32 learns: loss curves of every architecture in both, held against the noise of seeds.

One size, two seeds, the same tokens; only `training.precision` differs. A difference that is small beside the
difference of two seeds changes no figure of a scan. Reversible layers (Reformer) are the ones to watch: their
activations are computed a second time in the backward pass.

Run: `python benchmarks/bf16_curves.py RUNS`, with RUNS a folder for the run store; what is finished there is not
trained again. About two minutes on two quiet cores.
"""

import statistics
import subprocess
import sys
from pathlib import Path

from archbench.report.plotting import markdown_table
from archbench.results.runs import RunRecord
from archbench.runs.store import RunStore

SPEC = """\
name: {precision}
contenders:
  gpt2: {{architecture: {{kind: gpt2}}}}
  transformer_xl: {{architecture: {{kind: transformer_xl}}}}
  reformer: {{architecture: {{kind: reformer, bucket_size: 16, n_hashes: 2}}}}
  bert_causal: {{architecture: {{kind: bert}}}}
  bert_masked: {{architecture: {{kind: bert}}, objective: {{kind: masked_lm}}}}
  roberta: {{architecture: {{kind: roberta}}, objective: {{kind: masked_lm}}}}
data:
  dataset: {{kind: installed_docs}}
  tokenizer: {{kind: bytes}}
  order: stream
scan:
  sizes: [2e4]
  seeds: {{default: 2, smallest_two: 2}}
  tokens: 2.5e5
training:
  seq_len: 128
  batch_tokens: 2048
  learning_rate: 5e-3
  precision: {precision}
  schedule: {{kind: cosine, warmup_steps: 25}}
evaluation: {{tokens: 16384, points: 12, prefix_audit_positions: 0}}
"""


def train(precision: str, folder: Path) -> dict[tuple[str, int], RunRecord]:
    """Every finished run of one precision, by contender and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / f"{precision}.yaml"
    spec.write_text(SPEC.format(precision=precision))
    options = [f"--{option}={folder / option}" for option in ("runs", "reports", "leaderboard")]
    subprocess.run([sys.executable, "-m", "archbench.cli.main", "run", str(spec), *options], check=True)
    store = RunStore(folder / "runs")
    records = [store.record(run) for run in store.scan(precision).runs]
    return {(record.contender, record.seed): record for record in records if record is not None and record.usable}


def largest_difference(one: RunRecord, other: RunRecord) -> float:
    """Of the validation losses after warm-up, in nats."""
    losses = {point.step: point.validation_loss_nats for point in other.curve if not point.in_warmup}
    return max(abs(point.validation_loss_nats - losses[point.step]) for point in one.curve if point.step in losses)


def main(folder: Path) -> None:
    """Prints the table."""
    fp32, bf16 = train("fp32", folder), train("bf16", folder)
    rows = []
    for contender in dict.fromkeys(name for name, _ in fp32):
        seeds = [seed for name, seed in fp32 if name == contender and (name, seed) in bf16]
        pairs = [(fp32[contender, seed], bf16[contender, seed]) for seed in seeds]
        between = largest_difference(fp32[contender, 0], fp32[contender, 1]) if len(seeds) > 1 else float("nan")
        rows.append(
            [
                contender,
                f"{statistics.mean(one.curve[-1].validation_loss_nats for one, _ in pairs):.4f}",
                f"{statistics.mean(two.curve[-1].validation_loss_nats for _, two in pairs):.4f}",
                f"{max(largest_difference(one, two) for one, two in pairs):.4f}",
                f"{between:.4f}",
            ]
        )
    header = ("contender", "fp32, final loss (nats)", "bf16", "largest difference on the way", "between two seeds")
    print(markdown_table(header, rows))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("python benchmarks/bf16_curves.py RUNS")
    main(Path(sys.argv[1]))
