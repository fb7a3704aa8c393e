"""What a run costs beside its training: no-op runs of a plug-in by each executor, and thousands of them by the driver.

    OMP_NUM_THREADS=1 python benchmarks/bench_executors.py [--executors local ray slurm] [--runs 50]
    OMP_NUM_THREADS=1 python benchmarks/bench_executors.py --driver 1000 5000

The first line trains `--runs` runs of two steps (`benchmarks/no_op.py`) by each executor, twice: few, and many. What
the further ones add, divided by their number, is what one run costs; starting workers, importing torch and planning
fall out. The driver is a process of its own, `archbench.scans.scheduler.carry_out`, which plans, schedules and
watches; its processor seconds and its memory are its own, without those of its workers. `--slots` runs go on at once.

The second has an executor of this file end each run at once, with a record as a trained one has: what is left is the
driver. Its seconds a run hardly rise with the number of runs, and neither does its memory beyond the plans themselves.

`slurm` needs `--profile`, the name of a profile of the cluster that `sbatch` reaches.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from archbench.contracts.executor import Ended, ExecutorConfig, ExecutorEvent, Job, Progress
from archbench.host import load_host
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.store import RunStatus, RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import plan_scan
from archbench.scans.scheduler import carry_out
from archbench.spec.load import load_spec
from archbench.testing.small_runs import write_small_text
from archbench.testing.synthetic import SyntheticLaw
from archbench.testing.synthetic_store import end_planned

PLUGIN = Path(__file__).with_name("no_op.py")
SIZES, MOST_SEEDS = 5, 100
LAW = SyntheticLaw(A=12.0)

SPEC = """\
name: no_op
contenders: {contenders}
objective: {{kind: causal_lm}}
data:
  dataset: {{kind: text_files, paths: ["{folder}/text.jsonl"], text_field: text}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.2
scan: {{sizes: [1e3, 2e3, 4e3, 8e3, 1.6e4], seeds: {{default: {seeds}, smallest_two: {seeds}}}, tokens: 128}}
training: {{seq_len: 32, batch_tokens: 64, learning_rate: 3e-3, schedule: {{warmup_steps: 0}}}}
evaluation: {{tokens: 64, points: 1, prefix_audit_positions: 1}}
execution: {{device: cpu, executor: {executor}}}
"""


class AtOnceConfig(ExecutorConfig):
    """Ends each run as soon as it is polled, with a record."""

    kind: Literal["at_once"] = "at_once"
    opened: ClassVar[list["AtOnce"]] = []

    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> "AtOnce":
        """The executor, which is remembered."""
        self.opened.append(AtOnce())
        return self.opened[-1]


class AtOnce:
    """Eight runs at once, none of which takes any time."""

    def __init__(self) -> None:
        self._waiting: list[Job] = []
        self.seconds = 0.0
        """Processor time of writing records, which is the workers' part."""

    @property
    def capacity(self) -> int:
        """Eight."""
        return 8

    def submit(self, job: Job) -> None:
        """Takes the job."""
        self._waiting.append(job)

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """The first job makes a step and ends."""
        began = time.process_time()
        job = self._waiting.pop(0)
        end_planned(RunStore(job.run_dir.parent), RunDirectory(job.run_dir).read_plan(), LAW)
        self.seconds += time.process_time() - began
        return [Progress(job.run_id, 1, 2, 5.0, 100.0), Ended(job.run_id, RunState.DONE)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.ended_at: list[float] = []
        self.told_lines: list[str] = []

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        """Nothing."""

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Nothing."""

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        """Remembers when."""
        self.ended_at.append(time.perf_counter())

    def told(self, line: str) -> None:
        """Remembers it."""
        self.told_lines.append(line)


def write_spec(folder: Path, num_runs: int, executor: Mapping[str, Any]) -> Path:
    """A spec of `num_runs` no-op runs."""
    write_small_text(folder / "text.jsonl")
    path = folder / f"no_op-{num_runs}.yaml"
    num_contenders = -(-num_runs // (SIZES * MOST_SEEDS))
    contenders = {
        f"no_op_{number}": {"architecture": {"kind": "no_op", "variant": number}} for number in range(num_contenders)
    }
    seeds = num_runs // (SIZES * num_contenders)
    path.write_text(
        SPEC.format(folder=folder, contenders=json.dumps(contenders), seeds=seeds, executor=json.dumps(dict(executor)))
    )
    return path


def drive(folder: Path, num_runs: int, executor: Mapping[str, Any]) -> dict[str, float]:
    """Plans and carries out `num_runs` runs in this process; its seconds and memory."""
    at_once = executor["kind"] == "at_once"
    spec_file = write_spec(folder, num_runs, {"kind": "local"} if at_once else executor)
    host = load_host(files=(PLUGIN,))
    spec = load_spec(spec_file, host.registry)
    store = RunStore(folder / f"runs-{num_runs}")
    store.create()
    began, planning = time.perf_counter(), time.process_time()
    plan = plan_scan(spec, host, cache_dir=folder / "cache", store=store)
    planned = time.process_time() - planning
    store.save_scan(plan.index)  # by which workers of a queue find what is theirs
    watcher = Silent()
    before, planned_bytes = time.process_time(), _peak_bytes()
    config = AtOnceConfig() if at_once else spec.executor
    outcome = carry_out(plan, store, host, watcher, executor=config, plugin_files=(PLUGIN,))
    spent = time.process_time() - before - sum(one.seconds for one in AtOnceConfig.opened)
    if outcome.num_trained != len(plan.runs):
        reasons = {failure.reason for failure in outcome.failures}
        raise SystemExit(f"{len(plan.runs) - outcome.num_trained} runs were not trained: {'; '.join(sorted(reasons))}")
    return {
        "runs": num_runs,
        "wall_seconds": watcher.ended_at[-1] - began,
        "first_seconds": watcher.ended_at[0] - began,
        "driver_seconds": spent,
        "planning_seconds": planned,
        "peak_bytes": _peak_bytes(),
        "planned_bytes": planned_bytes,
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_a_process(folder: Path, num_runs: int, executor: Mapping[str, Any]) -> dict[str, float]:
    """What `drive` measures in a fresh process."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--drive", json.dumps([str(folder), num_runs, executor])]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return measured


def compare_executors(folder: Path, executors: Mapping[str, Mapping[str, Any]], num_runs: int) -> None:
    """One row for each executor, with its ratio to `local`."""
    print("| executor | first run ended after s | a further run: wall s | to local | driver ms | driver's peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    local: float | None = None
    for name, executor in executors.items():
        few = in_a_process(folder / f"{name}-few", SIZES, executor)
        many = in_a_process(folder / f"{name}-many", num_runs, executor)
        more = num_runs - SIZES
        wall = (many["wall_seconds"] - many["first_seconds"]) / (num_runs - 1)
        driver = 1000 * (many["driver_seconds"] - few["driver_seconds"]) / more
        local = wall if name == "local" else local
        ratio = "" if local is None else f"{wall / local:.2f}"
        peak = many["peak_bytes"] / 2**20
        print(
            f"| {name} | {many['first_seconds']:.1f} | {wall:.3f} | {ratio} | {driver:.1f} | {peak:.0f} |", flush=True
        )


def drive_many(folder: Path, sizes: Sequence[int]) -> None:
    """One row for each number of runs: what the driver takes where workers take nothing."""
    print("| runs | planning, ms a run | driver, ms a run | driver, s | peak MiB planned | peak MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for num_runs in sizes:
        took = in_a_process(folder / f"driver-{num_runs}", num_runs, {"kind": "at_once"})
        planning, driver = (1000 * took[name] / num_runs for name in ("planning_seconds", "driver_seconds"))
        peaks = [took[name] / 2**20 for name in ("planned_bytes", "peak_bytes")]
        print(
            f"| {num_runs:,} | {planning:.2f} | {driver:.2f} | {took['driver_seconds']:.1f} | {peaks[0]:.0f} | "
            f"{peaks[1]:.0f} |",
            flush=True,
        )


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executors", nargs="+", choices=("local", "ray", "slurm"), default=["local", "ray"])
    parser.add_argument("--runs", type=int, default=50, help="a multiple of five")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--profile", default="default", help="of the Slurm cluster")
    parser.add_argument("--driver", type=int, nargs="+", metavar="RUNS", help="the driver alone, on so many runs")
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        folder, num_runs, executor = json.loads(options.drive)
        print(json.dumps(drive(Path(folder), num_runs, executor)))
        return
    configs: dict[str, dict[str, Any]] = {
        "local": {"kind": "local", "workers": options.slots},
        "ray": {"kind": "ray", "address": "local", "max_runs": options.slots},
        "slurm": {"kind": "slurm", "profile": options.profile},
    }
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory() as temporary:
        if options.driver:
            drive_many(Path(temporary), options.driver)
        else:
            compare_executors(Path(temporary), {name: configs[name] for name in options.executors}, options.runs)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
