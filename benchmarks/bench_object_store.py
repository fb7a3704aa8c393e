"""What a store of objects costs: requests and seconds of a heartbeat, of a commit, and of looking at all runs.

    python benchmarks/bench_object_store.py file:///tmp/store --runs 1000
    AWS_ENDPOINT_URL=http://127.0.0.1:7480 python benchmarks/bench_object_store.py s3://bucket/bench

Nothing is trained. What it stores stays under the URL, in a folder of its own.
"""

import argparse
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.files import commit_folder, to_json
from archbench.runs.remote.cells import Cell
from archbench.runs.remote.holding import Held, take
from archbench.runs.remote.mirror import PLAN, Mirror
from archbench.runs.remote.objects import Objects
from archbench.runs.remote.opening import open_objects
from archbench.runs.store import RunStore
from archbench.testing.small_runs import plan_small_run, small_corpus

MIB = 2**20


class Counted:
    """Objects whose calls are counted; a call is a request, but for listings of more than a thousand keys."""

    def __init__(self, objects: Objects) -> None:
        self.objects, self.calls = objects, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.objects, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            if name == "remove":
                arguments = (list(arguments[0]),)
            self.calls[name] += len(arguments[0]) if name == "remove" else 1
            return found(*arguments)

        return call


def opened(folder: Path, url: str) -> tuple[Mirror, Counted]:
    """A machine of its own on the store."""
    RunStore(folder).create()
    counted = Counted(open_objects(url))
    return Mirror(folder, counted), counted  # type: ignore[arg-type]


def shown(what: str, counted: Counted, act: Callable[[], object], times: int = 1) -> None:
    """A row of the table."""
    counted.calls.clear()
    began = time.perf_counter()
    for _ in range(times):
        act()
    seconds = (time.perf_counter() - began) / times
    print(f"| {what} | {sum(counted.calls.values()) / times:.1f} | {seconds:.3f} |")


def checkpoint(directory: RunDirectory, step: int, size: int) -> None:
    """A checkpoint of so many bytes, in place of the one before."""
    shutil.rmtree(directory.checkpoints_dir, ignore_errors=True)
    directory.checkpoints_dir.mkdir()
    files = {"tensors.safetensors": os.urandom(size), "progress.json": b"{}"}
    manifest = {"step": step, "sha256": {name: hashlib.sha256(one).hexdigest() for name, one in files.items()}}
    commit_folder(directory.checkpoints_dir / f"step-{step:010d}", {**files, "manifest.json": to_json(manifest)})


def commit(held: Held, directory: RunDirectory, steps: list[int], size: int) -> Callable[[], None]:
    """Stores a checkpoint here and in the store; the next call has the next step."""

    def act() -> None:
        steps.append(steps[-1] + 1)
        checkpoint(directory, steps[-1], size)
        held.commit()

    return act


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    url = f"{options.url.rstrip('/')}/{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        driver, counted = opened(root / "driver", url)
        registry = load_host().registry
        directory = plan_small_run(root / "plans", small_corpus(root / "corpus", registry), registry)
        plan = directory.read_plan()
        here = driver.store.prepare(plan)
        print("| what | requests | seconds |\n| --- | ---: | ---: |")
        shown("a plan", counted, lambda: driver.push_plans([plan.identity.run_id]))
        taken: list[Held] = []
        shown("a run is taken", counted, lambda: taken.append(take(driver, plan.identity.run_id)))
        shown("a heartbeat", counted, taken[0].beat, 10)
        steps = [0]
        for size in (MIB // 4, 16 * MIB, 128 * MIB):
            name = f"a checkpoint of {size / MIB:g} MiB, written here and uploaded"
            shown(name, counted, commit(taken[0], here, steps, size), 3)
        shown("a run is given back", counted, taken[0].release)
        for _ in range(options.runs):
            driver.cells.put(Cell(PLAN, uuid.uuid4().hex[:16]), here.plan_file.read_bytes())
        reader, counted = opened(root / "reader", url)
        shown(f"{options.runs} runs are seen for the first time", counted, reader.pull)
        shown("they are looked at again", counted, reader.pull, 3)


if __name__ == "__main__":
    main()
