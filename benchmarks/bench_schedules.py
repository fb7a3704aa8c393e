"""One trunk with decays against separate cosine runs: the loss at each token budget, and the FLOPs that are saved.

GPT-2 at two sizes and three budgets, three seeds each, trained twice from the same initial weights on the same tokens:
under a cosine schedule, where every budget is a run of its own, and under warm-up, stable, decay, where the shorter
budgets branch off the longest run at its peak rate (Hägele et al. 2024, section 3). FLOPs of a branch are those after
its branching point, so that the trunk counts once. Differences are paired by seed.

Run: `python benchmarks/bench_schedules.py RUNS [peak rate of warm-up, stable, decay over that of cosine]`, with RUNS a
folder for the run store; what is finished there is not trained again. About a minute and a half on two quiet cores.
"""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.report.plotting import markdown_table
from archbench.results.runs import RESULT, SIZE_SCAN
from archbench.runs.store import RunStore

SPEC = """\
name: {name}
contenders:
  gpt2: {{architecture: {{kind: gpt2}}}}
data:
  dataset: {{kind: installed_docs}}
  tokenizer: {{kind: bytes}}
scan:
  sizes: [1e4, 2e4]
  seeds: {{default: 3, smallest_two: 3}}
  tokens: [1.25e5, 2.5e5, 5e5]
training:
  seq_len: 128
  batch_tokens: 1024
  learning_rate: {{power_law: {{coefficient: {coefficient}, exponent: -0.43}}}}
  schedule: {{kind: {schedule}, warmup_steps: 25}}
evaluation: {{tokens: 32768, points: 5, prefix_audit_positions: 0}}
"""
COEFFICIENT = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """One finished run."""

    non_embedding_params: int
    tokens: int
    seed: int
    loss_nats: float
    exact_flops: float
    """Of all its steps."""
    own_exact_flops: float
    """Of the steps that no other run took for it."""


def train(name: str, schedule: str, coefficient: float, folder: Path) -> list[Ended]:
    """Runs the scan `name` (nothing that is finished is trained again) and reads what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / f"{name}.yaml"
    spec.write_text(SPEC.format(name=name, schedule=schedule, coefficient=coefficient))
    options = [f"--{option}={folder / option}" for option in ("runs", "reports", "leaderboard")]
    subprocess.run([sys.executable, "-m", "archbench.cli.main", "run", str(spec), *options], check=True)
    store = RunStore(folder / "runs")
    ended = []
    for run in store.scan(name).runs:
        record = store.record(run)
        if run.study != SIZE_SCAN or run.role != RESULT or record is None or not record.usable:
            raise SystemExit(f"{name}: run {run.run_id[:16]} is not finished")
        last = record.curve[-1]
        branch = store.directory(run.run_id).read_plan().execution.branch_from
        shared = branch.step / last.step if branch else 0.0
        ended.append(
            Ended(
                record.non_embedding_params,
                record.planned_tokens,
                record.seed,
                last.validation_loss_nats,
                last.exact_flops,
                last.exact_flops * (1.0 - shared),
            )
        )
    return ended


def differences(one: Sequence[Ended], other: Sequence[Ended]) -> list[list[str]]:
    """A row for each size and budget: mean losses, the mean paired difference with its standard error."""
    rows = []
    for size, tokens in sorted({(run.non_embedding_params, run.tokens) for run in one}):
        first, second = (
            {run.seed: run.loss_nats for run in runs if (run.non_embedding_params, run.tokens) == (size, tokens)}
            for runs in (one, other)
        )
        paired = [second[seed] - first[seed] for seed in sorted(first.keys() & second.keys())]
        error = statistics.stdev(paired) / len(paired) ** 0.5
        rows.append(
            [
                f"{size:,}",
                f"{tokens:,}",
                f"{statistics.mean(first.values()):.4f}",
                f"{statistics.mean(second.values()):.4f}",
                f"{statistics.mean(paired):+.4f} ± {error:.4f}",
                f"{statistics.stdev(first.values()):.4f}",
            ]
        )
    return rows


def main(folder: Path, factor: float) -> None:
    """Prints the differences of the losses and the FLOPs of both."""
    cosine = train("cosine", "cosine", COEFFICIENT, folder)
    stable = train(f"stable_{factor:g}", "warmup_stable_decay", factor * COEFFICIENT, folder)
    header = ["N", "tokens", "cosine (nats)", "branches (nats)", "difference, its standard error", "spread of seeds"]
    print(f"\npeak rate of the branches over that of cosine: {factor:g}\n")
    print(markdown_table(header, differences(cosine, stable), right=(0, 1, 2, 3, 4, 5)))
    separate = sum(run.own_exact_flops for run in cosine)
    branched, unbranched = sum(run.own_exact_flops for run in stable), sum(run.exact_flops for run in stable)
    print(f"\nexecuted FLOPs: separate cosine runs {separate:.3e}, trunk with branches {branched:.3e}")
    print(f"saved {100 * (1 - branched / separate):.0f} % (the same runs without branching: {unbranched:.3e})")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit("usage: python benchmarks/bench_schedules.py RUNS [rate factor]")
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
