"""Times the commands that read a store, on stores of rising size: are they quick, and linear in the number of runs?

The runs are made up (`archbench.testing.synthetic`): five sizes, as many seeds as it takes, two contenders, one scan.
Each has a plan, a record of 25 points and timings, as a trained one has. `runs list`, `status`, `plan` and `report` are
then called as a person does, each in a process of its own, imports included.

Run: `OMP_NUM_THREADS=1 python benchmarks/bench_store.py [--runs 1000 5000 10000] [--commands list status plan report]`.
`--store DIR` keeps the stores there. Processor seconds stand beside the seconds: a busy machine changes them least.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records

SCAN = "many"
SIZES = (10_000, 20_000, 40_000, 80_000, 160_000)
CONTENDERS = ("gpt2", "reformer")
QUICKSTART = Path(__file__).parents[1] / "specs" / "quickstart.yaml"
COMMANDS = {
    "list": ("runs", "list"),
    "status": ("status", SCAN),
    "plan": ("plan", str(QUICKSTART)),
    "report": ("report", SCAN),
}


def make_store(root: Path, num_runs: int) -> None:
    """A store of `num_runs` runs of one scan below `root`."""
    each = num_runs // (len(SIZES) * len(CONTENDERS))
    plan = SyntheticScan(sizes=SIZES, seeds=(each,) * len(SIZES))
    laws = (SyntheticLaw(A=12.0 + number, noise_std=0.004) for number in range(len(CONTENDERS)))
    records = [synthetic_records(name, law, plan) for name, law in zip(CONTENDERS, laws, strict=True)]
    store_records(RunStore(root), SCAN, [record for some in records for record in some])


def timed(command: str, root: Path, scratch: Path) -> tuple[float, float]:
    """Seconds and processor seconds of one command line on the store at `root`. Raises CalledProcessError."""
    words = [*COMMANDS[command], "--runs", str(root)]
    if command == "report":
        words += ["--reports", str(scratch / "reports")]
    if command == "plan":
        words += ["--cache", str(scratch / "cache")]
    before, began = _processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "archbench.cli.main", *words], check=True, capture_output=True)
    return time.perf_counter() - began, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Prints one row for each size of store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 5000, 10_000])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--store", type=Path, help="where to keep the stores; a temporary folder otherwise")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        kept = options.store or scratch
        print(f"{'runs':>7}" + "".join(f"{name:>12} {'processor':>10}" for name in options.commands))
        for num_runs in options.runs:
            root = kept / f"runs-{num_runs}"
            if not root.exists():
                make_store(root, num_runs)
            if "plan" in options.commands:
                timed("plan", root, scratch)  # prepares the text once
            cells = [timed(name, root, scratch) for name in options.commands]
            row = "".join(f"{wall:>10.2f} s {processor:>8.2f} s" for wall, processor in cells)
            print(f"{num_runs:>7}{row}", flush=True)


if __name__ == "__main__":
    main()
