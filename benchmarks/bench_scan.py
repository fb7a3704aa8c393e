"""Wall time of a whole scan beside the transformers Trainer doing the same runs one after another.

    pip install -c constraints.txt archbench[bench]
    python benchmarks/bench_scan.py                     five sizes of GPT-2, five alternations: about twenty minutes
    python benchmarks/bench_scan.py --tokens 3e6        the budget of the bundled specs

Both sides train the same five models on the same batches for the same number of steps, from the start of the process to
its end, imports included; the text is prepared before. Budgets are shortened unless `--tokens` says otherwise, which
favours neither: a longer run only makes start-up weigh less.

* `archbench`: `archbench run` into an empty store with its default workers of one thread, 20 evaluations in each run,
  prefix audit, analysis, report and leaderboard included.
* `trainer`: one Python process with torch's default threads on the same cores, `transformers.Trainer` with its default
  settings, GPT-2 of transformers with its default activation, no evaluation at all.

Seconds are wall time; processor seconds stand beside them, since a busy machine stretches the wall time of both, and
that of two threads which wait for each other in every operator most of all: `--trainer-threads 1` is fairer there.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = (1e4, 2e4, 4e4, 8e4, 1.6e5)
SEQ_LEN, ROWS = 128, 16

SPEC = """\
name: bench_scan
baseline: gpt2
contenders:
  gpt2: {{architecture: {{kind: gpt2}}}}
objective: {{kind: causal_lm}}
data: {{dataset: {{kind: installed_docs}}, tokenizer: {{kind: bytes}}, order: stream, validation_fraction: 0.05}}
scan: {{sizes: {sizes}, seeds: {{default: 1, smallest_two: 1}}, tokens: {tokens}}}
training:
  seq_len: {seq_len}
  batch_tokens: {batch_tokens}
  learning_rate: 3e-3
  schedule: {{kind: cosine, warmup_steps: 20}}
evaluation: {{tokens: 16384, points: 20, prefix_audit_positions: 256}}
"""


@dataclass(frozen=True)
class Cost:
    """What one side took."""

    wall_seconds: float
    cpu_seconds: float


def main() -> None:
    """Prints one line for each alternation, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, default=5e5, help="of each run")
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--trainer-threads", type=int, help="torch's default without it: all cores")
    parser.add_argument("--train-with-trainer", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_with_trainer:
        train_with_trainer(json.loads(arguments.train_with_trainer.read_text()))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.tokens, arguments.alternations, arguments.trainer_threads)


def compare(folder: Path, tokens: float, alternations: int, trainer_threads: int | None) -> None:
    """Both sides in turn, in an order that turns round every time."""
    spec = folder / "bench_scan.yaml"
    spec.write_text(
        SPEC.format(
            sizes=json.dumps([f"{size:g}" for size in SIZES]).replace('"', ""),
            tokens=f"{tokens:g}",
            seq_len=SEQ_LEN,
            batch_tokens=SEQ_LEN * ROWS,
        )
    )
    runs = folder / "runs.json"
    runs.write_text(json.dumps(planned_runs(spec)))
    print(f"{len(SIZES)} runs of {tokens:g} tokens; load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| alternation | archbench s | (processor s) | trainer s | (processor s) | trainer / archbench |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    environments = {side: dict(os.environ) for side in ("archbench", "trainer")}
    environments["trainer"].pop("OMP_NUM_THREADS", None)
    if trainer_threads:
        environments["trainer"]["OMP_NUM_THREADS"] = str(trainer_threads)
    sides: dict[str, list[Cost]] = {"archbench": [], "trainer": []}
    for turn in range(alternations):
        commands = {
            "archbench": archbench_command(spec, folder / f"store-{turn}"),
            "trainer": [sys.executable, str(Path(__file__).resolve()), "--train-with-trainer", str(runs)],
        }
        for side in commands if turn % 2 == 0 else reversed(commands):
            sides[side].append(timed(commands[side], folder, environments[side]))
        print(row(str(turn + 1), sides["archbench"][-1], sides["trainer"][-1]), flush=True)
    print(row("median", median_cost(sides["archbench"]), median_cost(sides["trainer"])))
    pairs = zip(sides["archbench"], sides["trainer"], strict=True)
    ratio = statistics.median(other.wall_seconds / mine.wall_seconds for mine, other in pairs)
    print(f"median of the ratios of wall time: {ratio:.2f}; load after: {os.getloadavg()[0]:.1f}")


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Median wall and processor seconds, each by itself."""
    return Cost(
        statistics.median(cost.wall_seconds for cost in costs), statistics.median(cost.cpu_seconds for cost in costs)
    )


def row(name: str, mine: Cost, other: Cost) -> str:
    """One line of the table."""
    ratio = other.wall_seconds / mine.wall_seconds
    return (
        f"| {name} | {mine.wall_seconds:.1f} | {mine.cpu_seconds:.1f} |"
        f" {other.wall_seconds:.1f} | {other.cpu_seconds:.1f} | {ratio:.2f} |"
    )


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Runs `command` to its end. Raises CalledProcessError with its output if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def archbench_command(spec: Path, store: Path) -> list[str]:
    """`archbench run` into a store that does not exist yet."""
    places = {"--runs": "runs", "--reports": "reports", "--leaderboard": "leaderboard"}
    options = [part for option, name in places.items() for part in (option, str(store / name))]
    return [str(Path(sys.executable).with_name("archbench")), "run", str(spec), *options]


def planned_runs(spec_file: Path) -> list[dict[str, Any]]:
    """Shape, steps and corpus of each run as archbench plans it, after preparing the text."""
    from archbench.cli.common import default_cache_dir
    from archbench.host import default_host
    from archbench.scans.planner import plan_scan
    from archbench.spec.load import load_spec

    host = default_host()
    plan = plan_scan(load_spec(spec_file, host.registry), host, cache_dir=default_cache_dir())
    return [
        {
            "corpus": run.plan.execution.corpus_dir,
            "dims": run.plan.identity.dims.model_dump(),
            "steps": run.plan.identity.training.total_steps,
            "peak_learning_rate": run.plan.identity.training.peak_learning_rate,
            "warmup_steps": run.plan.identity.training.schedule.warmup_steps,
        }
        for run in plan.runs
    ]


def train_with_trainer(runs: Sequence[dict[str, Any]]) -> None:
    """All runs, one after another, by transformers' Trainer; the batches are archbench's."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    from archbench.data.batches import TrainingBatches
    from archbench.data.corpus import open_corpus
    from archbench.host import default_host

    objective = default_host().registry.objectives["causal_lm"].config.model_validate({"kind": "causal_lm"})
    for run in runs:
        dims = run["dims"]
        batches = TrainingBatches(
            open_corpus(Path(run["corpus"])), objective, seq_len=SEQ_LEN, rows=ROWS, order="stream", seed=0
        )
        rows = torch.cat([torch.from_numpy(batches.batch(step)["tokens"]) for step in range(run["steps"])])
        torch.manual_seed(0)
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=dims["vocab_size"],
                n_positions=dims["seq_len"],
                n_embd=dims["d_model"],
                n_layer=dims["n_layers"],
                n_head=dims["n_heads"],
                n_inner=dims["d_ff"],
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            settings = TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=ROWS,
                max_steps=run["steps"],
                learning_rate=run["peak_learning_rate"],
                lr_scheduler_type="cosine",
                warmup_steps=run["warmup_steps"],
                weight_decay=0.1,
                use_cpu=True,
            )
            dataset = [{"input_ids": row, "labels": row} for row in rows]
            Trainer(model=model, args=settings, train_dataset=dataset).train()


if __name__ == "__main__":
    main()
