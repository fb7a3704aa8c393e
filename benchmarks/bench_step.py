"""Time of a whole training step here against another checkout of archbench, side by side.

    OMP_NUM_THREADS=1 python benchmarks/bench_step.py --against ../archbench-before
    OMP_NUM_THREADS=1 python benchmarks/bench_step.py gpt2 --sizes 4e4 --alternations 3 --against ../archbench-before
    OMP_NUM_THREADS=1 python benchmarks/bench_step.py gpt2 --sizes 4e4 --profile 20

A step is that of the training loop under the engine, with its bookkeeping, in fp32 on one thread: 8 rows of 128 tokens,
logits of 4,096 ids. Each checkout has a process of its own, which imports archbench and its plug-ins from there; both
use this file, so that they do the same work. They take turns, and the order turns round every time. Time is processor
time of the process, which a busy machine disturbs least. Milliseconds are medians over the alternations, `here / there`
is the median of the ratios within one alternation, with the least and the largest of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "gpt2": ({"kind": "gpt2"}, "causal_lm"),
    "llama": ({"kind": "llama"}, "causal_lm"),
    "gated_deltanet": ({"kind": "gated_deltanet"}, "causal_lm"),
    "mamba2": ({"kind": "mamba2"}, "causal_lm"),
    "reformer": ({"kind": "reformer"}, "causal_lm"),
    "transformer_xl": ({"kind": "transformer_xl"}, "causal_lm"),
    "evolved_transformer": ({"kind": "evolved_transformer"}, "causal_lm"),
    "bert_masked": ({"kind": "bert"}, "masked_lm"),
    "modernbert": ({"kind": "modernbert"}, "masked_lm"),
    **{
        f"controlled_{mixer}": ({"kind": "controlled", "mixer": mixer}, "causal_lm")
        for mixer in ("softmax", "local_window", "recurrence_memory", "linear", "gated_linear", "shared_qk", "lsh")
    },
}
"""Architecture and objective of each line."""

SIZES = (4e4, 1.6e5, 5e5)
ROWS, VOCAB_SIZE = 8, 4096
HERE = Path(__file__).resolve().parents[1]


# The process of one checkout


def serve() -> None:
    """Answers a line of JSON by another: `{"case", "size"}` prepares a run, `{"steps"}` takes some, in milliseconds."""
    from bench_training import Case, archbench_step, prepare, profile

    from archbench.host import default_host
    from archbench.testing.small_runs import small_corpus
    from archbench.training.torch_settings import configure_torch

    configure_torch(1)
    registry = default_host().registry
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print
    assembly = step = None
    with tempfile.TemporaryDirectory() as folder:
        corpus = small_corpus(Path(folder), registry)
        for line in sys.stdin:
            order = json.loads(line)
            if "case" in order:
                if assembly is not None:
                    assembly.engine.close()
                architecture, objective = CASES[order["case"]]
                case = Case(architecture, {"kind": objective})
                directory, assembly = prepare(
                    Path(folder), corpus, registry, case, order["size"], rows=ROWS, vocab_size=VOCAB_SIZE
                )
                step = archbench_step(directory, assembly)
                answer: dict[str, Any] = {"params": assembly.plan.facts.non_embedding_params}
            elif "profile" in order:
                assert step is not None
                profile(step, order["profile"])
                answer = {}
            else:
                assert step is not None
                began = time.process_time()
                for _ in range(order["steps"]):
                    step()
                answer = {"milliseconds": 1e3 * (time.process_time() - began) / order["steps"]}
            print(json.dumps(answer), file=answers, flush=True)


class Checkout:
    """A process that trains by the archbench of one folder."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "archbench" / "__init__.py").is_file():
            sys.exit(f"bench_step: --against {folder}: no checkout of archbench, which holds archbench/__init__.py")
        paths = os.pathsep.join((str(folder), str(folder / "plugins")))
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """The answer of the process, see `serve`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench_step: a process ended; its last words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# Measuring


@dataclass(frozen=True)
class Line:
    """Milliseconds a step, one entry for each alternation and checkout."""

    params: int
    times: list[list[float]]

    def __str__(self) -> str:
        medians = [f"{statistics.median(times):.2f}" for times in self.times]
        cells = [f"{self.params:,}", *medians]
        if len(self.times) == 2:
            ratios = sorted(mine / other for mine, other in zip(*self.times, strict=True))
            cells.append(f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
        return " | ".join(cells)


def measure(checkouts: list[Checkout], case: str, size: float, *, alternations: int, seconds: float) -> Line:
    """Each checkout in turn, for about `seconds` each time."""
    params = [checkout.ask(case=case, size=size)["params"] for checkout in checkouts]
    if len(set(params)) > 1:
        sys.exit(f"bench_step: {case} at {size:g} has {params[0]:,} parameters here and {params[1]:,} there")
    for checkout in checkouts:
        checkout.ask(steps=3)
    count = max(3, round(1e3 * seconds / checkouts[0].ask(steps=3)["milliseconds"]))
    times: list[list[float]] = [[] for _ in checkouts]
    for turn in range(alternations):
        for index in range(len(checkouts)) if turn % 2 == 0 else reversed(range(len(checkouts))):
            times[index].append(checkouts[index].ask(steps=count)["milliseconds"])
    return Line(params[0], times)


def main() -> None:
    """Prints one line for each architecture and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--alternations", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each checkout in each alternation")
    parser.add_argument("--profile", type=int, default=0, metavar="STEPS", help="profile the step here instead")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(CASES)}")
    checkouts = [Checkout(folder.resolve()) for folder in (HERE, arguments.against) if folder is not None]
    if not arguments.profile:
        print(f"| run | N | here ms |{' there ms | here / there |' if arguments.against else ''}")
        print(f"| --- | ---: | ---: |{' ---: | ---: |' if arguments.against else ''}")
    for case in arguments.cases or CASES:
        for size in arguments.sizes:
            if arguments.profile:
                checkouts[0].ask(case=case, size=size)
                checkouts[0].ask(steps=3)
                print(f"{case}, {size:g} parameters", flush=True)
                checkouts[0].ask(profile=arguments.profile)
                continue
            line = measure(checkouts, case, size, alternations=arguments.alternations, seconds=arguments.seconds)
            print(f"| {case} | {line} |", flush=True)
    for checkout in checkouts:
        checkout.close()


if __name__ == "__main__":
    main()
