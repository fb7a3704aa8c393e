"""Kills real runs again and again and compares their records with those of undisturbed ones, byte for byte.

    OMP_NUM_THREADS=1 python benchmarks/kill_runs.py [--kills 100]

Prints a Markdown table; the exit code is 1 if a record differed. Takes a minute for every twenty kills or so.
"""

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.testing.killing import KillCount, KillServer, kill_often
from archbench.testing.small_runs import plan_small_run, small_corpus

RUNS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "gpt2"}, "causal_lm"),
    ({"kind": "transformer_xl"}, "causal_lm"),
    ({"kind": "reformer", "bucket_size": 16}, "causal_lm"),
    ({"kind": "bert"}, "masked_lm"),
)
COLUMNS = ("set-up", "resuming", "step", "evaluation", "commit", "audit", "record", "between")


def main() -> int:
    """Kills, compares, prints."""
    parser = argparse.ArgumentParser(description="Kills runs and compares their records with undisturbed ones.")
    parser.add_argument("--kills", type=int, default=100, help="kills in all, shared among the architectures")
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of a run")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    registry = load_host().registry
    print(f"seed {options.seed}\n")
    print(f"| run | kills | {' | '.join(COLUMNS)} | runs compared | unequal |")
    print(f"| --- {'| ---: ' * (len(COLUMNS) + 3)}|")
    counts: list[KillCount] = []
    with tempfile.TemporaryDirectory() as folder, KillServer(Path(folder) / "log") as server:
        corpus = small_corpus(Path(folder) / "corpus", registry)
        for index, (architecture, objective) in enumerate(RUNS):

            def make_run(name: str, architecture: Any = architecture, objective: str = objective) -> RunDirectory:
                place = Path(folder) / architecture["kind"] / name
                place.mkdir(parents=True)
                return plan_small_run(
                    place,
                    corpus,
                    registry,
                    architecture=architecture,
                    objective={"kind": objective},
                    total_steps=options.steps,
                    evaluation={"points": 8},
                    execution={"checkpoint_seconds": 0.03},
                )

            kills = options.kills // len(RUNS) + (index < options.kills % len(RUNS))
            count = kill_often(server, make_run, kills, seed=options.seed + index)
            counts.append(count)
            phases = " | ".join(str(count.kills_by_phase.get(phase, 0)) for phase in COLUMNS)
            name = f"{architecture['kind']}, {objective}"
            print(f"| {name} | {count.kills} | {phases} | {count.runs_compared} | {count.runs_unequal} |", flush=True)
    return 1 if any(count.runs_unequal for count in counts) else 0


if __name__ == "__main__":
    raise SystemExit(main())
