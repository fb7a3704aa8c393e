"""Tokens per second of the whole machine: archbench's workers side by side, and a library's plain loop on all cores.

    python benchmarks/bench_machine.py                         every architecture, four sizes: about fifteen minutes
    python benchmarks/bench_machine.py gpt2 --sizes 1.6e5

A scan has many small runs, and one alone cannot fill a machine: archbench trains as many at once as there are cores,
one thread each. A plain loop trains one model at a time, with torch's threads on all cores or with one: both are
measured, and the faster one is the yardstick. Models, losses and batches are those of `bench_training.py`; each loop
has a process of its own, started before anything is measured, and the others wait while one is measured. The library's
processes are plain ones: none of archbench's settings of torch and of the C library.

Time is wall time, so the machine must be quiet. Figures are medians over the alternations, ratios medians of the ratios
within one.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from bench_training import CASES, ROWS, SEQ_LEN, SIZES, archbench_step, library_step, prepare

from archbench.host import default_host
from archbench.testing.small_runs import small_corpus
from archbench.training.torch_settings import configure_torch

WARM_UP_STEPS = 3


def serve(link: Connection, folder: str, case: str, size: float, threads: int | None) -> None:
    """Takes steps for as many seconds as `link` asks for, and answers tokens per second; ends at the first None.

    `threads` are those of the library's loop; None is a worker of archbench.
    """
    registry = default_host().registry
    if threads is None:
        configure_torch(1)
    else:
        torch.set_num_threads(threads)
    directory, assembly = prepare(Path(folder), small_corpus(Path(folder), registry), registry, CASES[case], size)
    step = archbench_step(directory, assembly) if threads is None else library_step(assembly)
    for _ in range(WARM_UP_STEPS):
        step()
    link.send(assembly.plan.facts.non_embedding_params)
    while (seconds := link.recv()) is not None:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            step()
            steps += 1
        link.send(steps * SEQ_LEN * ROWS / (time.perf_counter() - began))


class Side:
    """The processes that stand for one way to use the machine; they work at the same time."""

    def __init__(self, case: str, size: float, processes: int, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._folders = [tempfile.TemporaryDirectory() for _ in range(processes)]
        self._links: list[Connection] = []
        for folder in self._folders:
            mine, theirs = context.Pipe()
            os.environ["OMP_NUM_THREADS"] = str(threads or 1)
            context.Process(target=serve, args=(theirs, folder.name, case, size, threads), daemon=True).start()
            self._links.append(mine)

    def ready(self) -> int:
        """Waits until all processes have taken their first steps: the number of parameters that each trains."""
        (params,) = {int(link.recv()) for link in self._links}
        return params

    def tokens_per_second(self, seconds: float) -> float:
        """Of all processes together, over about `seconds`."""
        for link in self._links:
            link.send(seconds)
        return float(sum(link.recv() for link in self._links))

    def close(self) -> None:
        """Ends the processes."""
        for link in self._links:
            link.send(None)
        for folder in self._folders:
            folder.cleanup()


def compare(case: str, size: float, alternations: int, seconds: float) -> str:
    """One line of the table."""
    cores = len(os.sched_getaffinity(0))
    sides = {
        "archbench": Side(case, size, cores, None),
        "one": Side(case, size, 1, 1),
        "all": Side(case, size, 1, cores),
    }
    (params,) = {side.ready() for side in sides.values()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(alternations):
        for name in sides if turn % 2 == 0 else reversed(sides):
            rates[name].append(sides[name].tokens_per_second(seconds))
    for side in sides.values():
        side.close()
    median = {name: statistics.median(values) for name, values in rates.items()}
    ratio = statistics.median(
        mine / max(one, every) for mine, one, every in zip(*(rates[name] for name in sides), strict=True)
    )
    columns = [f"{median[name]:,.0f}" for name in sides]
    return f"| {case} | {params:,} | {' | '.join(columns)} | {ratio:.2f} |"


def main() -> None:
    """Prints one line for each architecture and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each side in each alternation")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"tokens/s of {cores} cores; load before: {os.getloadavg()[0]:.1f}")
    print(f"| run | N | archbench, {cores} workers | library, 1 thread | library, {cores} threads | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in arguments.cases or CASES:
        for size in arguments.sizes:
            print(compare(case, size, arguments.alternations, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
