"""`archbench doctor`: whether this machine can do the work, and the remedy where it cannot."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from archbench.cli.common import cache_option, json_option, note, print_json, runs_option, wrapped
from archbench.cli.outputs.plugins import Finding
from archbench.cli.terminal import echo
from archbench.errors import ArchbenchError
from archbench.extras import REMEDY
from archbench.host import Host, default_host
from archbench.launch_variables import without_launchers
from archbench.planning.estimate import has_accelerator, num_cpus
from archbench.runs.store import RunStore, directory_bytes, directory_status
from archbench.scans.environment import library_versions
from archbench.units import counted, human_bytes

_REQUIRED = ("torch", "deepspeed", "transformers", "x-transformers", "reformer-pytorch", "numpy")
_REINSTALL = f"install what trains again: {REMEDY}"
_LOW_DISK_BYTES = 2 * 1024**3
_LOW_MEMORY_BYTES = 2 * 1024**3
_PROBE_SECONDS = 180

# Torch and DeepSpeed are loaded in a process of their own: a broken installation may end the process that loads it.
_PROBE = """
import json, os
os.environ.setdefault("DS_ACCELERATOR", "" if __import__("shutil").which("nvidia-smi") else "cpu")
os.environ["DS_ACCELERATOR"] or os.environ.pop("DS_ACCELERATOR")
import torch
found = {"cuda": torch.cuda.is_available(), "threads": torch.get_num_threads(), "devices": []}
for index in range(torch.cuda.device_count()):
    properties = torch.cuda.get_device_properties(index)
    found["devices"].append(f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
import deepspeed
found["deepspeed"] = deepspeed.__version__
print("PROBE " + json.dumps(found))
"""

_SMOKE_SPEC = """
name: smoke
contenders:
  smoke: {{architecture: {{kind: {architecture}}}}}
data:
  dataset: {{kind: text_files, paths: [{text}]}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.5
  max_epochs: 1000
scan: {{sizes: [1e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 128}}
training: {{seq_len: 64, batch_tokens: 64, learning_rate: 1e-3, schedule: {{warmup_steps: 0}}}}
evaluation: {{tokens: 256, points: 1, prefix_audit_positions: 0}}
"""


@click.command()
@runs_option
@cache_option
@click.option("--smoke/--no-smoke", default=True, show_default=True, help="Train two steps in a worker.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, runs_dir: Path, cache_dir: Path, smoke: bool, as_json: bool) -> None:
    """Check this machine: versions, devices, disk, memory, caches, plug-ins; train two steps.

    Exits with 1 if anything is a problem; each has its remedy. A remedy without a problem is advice.
    """
    findings = []
    for finding in _examine(runs_dir, cache_dir, smoke):
        findings.append(finding)
        if not as_json:
            echo(wrapped(f"{'ok     ' if finding.ok else 'PROBLEM'}  {finding.what}: {finding.found}"))
            if finding.remedy:
                echo(wrapped(f"         {'better' if finding.ok else 'remedy'}: {finding.remedy}"))
    if as_json:
        print_json(findings)
    problems = sum(not finding.ok for finding in findings)
    note(f"{counted(problems, 'problem')}" if problems else "no problem found")
    ctx.exit(1 if problems else 0)


def _examine(runs_dir: Path, cache_dir: Path, smoke: bool) -> Iterator[Finding]:
    yield Finding("machine", True, f"{platform.platform()}, Python {platform.python_version()}")
    trains = importlib.util.find_spec("torch") is not None
    yield from _versions() if trains else _analysis_alone()
    yield _processors()
    if trains:
        yield _memory()
    yield from _disks(runs_dir, cache_dir)
    yield _cache(cache_dir)
    yield _store(runs_dir)
    if trains:
        yield from _torch()
    host = default_host()
    yield from _plugins(host)
    if smoke and trains:
        yield _train_two_steps(host)


def _versions() -> Iterator[Finding]:
    versions = library_versions()
    for name in _REQUIRED:
        present = name in versions
        yield Finding(name, present, versions.get(name, "not installed"), "" if present else _REINSTALL)


def _analysis_alone() -> Iterator[Finding]:
    """What is said where nothing that trains is installed, as by a plain `pip install archbench`: no problem."""
    found = "not installed; imports, fits, comparisons, reports and plans do without"
    yield Finding("what trains", True, found, f"{REMEDY}, to train models")


def _processors() -> Finding:
    """How many processors there are, and whether an environment variable makes one thread of a run into many."""
    usable, threads = num_cpus(), os.environ.get("OMP_NUM_THREADS")
    remedy = ""
    if usable < (os.cpu_count() or usable):
        remedy = "the other processors are forbidden to this process; taskset or the container's settings allow them"
    found = f"{usable} of {os.cpu_count()} usable"
    return Finding("processors", True, f"{found}, OMP_NUM_THREADS={threads}" if threads else found, remedy)


def _memory() -> Finding:
    try:
        import psutil  # comes with what trains
    except ModuleNotFoundError:
        return Finding("memory", False, "unknown: psutil is not installed", _REINSTALL)
    memory = psutil.virtual_memory()
    enough = memory.available >= _LOW_MEMORY_BYTES
    found = f"{human_bytes(memory.available)} free of {human_bytes(memory.total)}"
    remedy = "" if enough else "a worker needs about 1 GiB before its model; end other programs, or run fewer at once"
    return Finding("memory", enough, found, remedy)


def _disks(runs_dir: Path, cache_dir: Path) -> Iterator[Finding]:
    for what, folder in (("disk for runs", runs_dir), ("disk for prepared text", cache_dir)):
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        writable = os.access(existing, os.W_OK)
        found = f"{human_bytes(free)} free at {existing}" + ("" if writable else ", which cannot be written")
        fine = writable and free >= _LOW_DISK_BYTES
        remedy = "free space (`archbench runs prune`), or choose another folder with --runs or --cache"
        yield Finding(what, fine, found, "" if fine else remedy)


def _cache(cache_dir: Path) -> Finding:
    """What is kept of prepared text; all of it can be made again."""
    corpora = [path for path in (cache_dir / "corpora").glob("*") if path.is_dir()]
    found = f"{counted(len(corpora), 'text')}, {human_bytes(directory_bytes(cache_dir))} in {cache_dir}"
    return Finding("prepared text", True, found)


def _store(runs_dir: Path) -> Finding:
    store = RunStore(runs_dir)
    try:
        states = Counter(directory_status(directory).state for directory in store.directories())
    except ArchbenchError as error:
        return Finding("run store", False, str(error), "mend its permissions, or choose another --runs")
    words = ", ".join(f"{count} {state.value}" for state, count in sorted(states.items()))
    return Finding("run store", True, f"{words or 'no run'} in {runs_dir}")


def _torch() -> Iterator[Finding]:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
            env=without_launchers(os.environ),
        )
    except subprocess.TimeoutExpired:
        remedy = "look for a full disk or a machine that swaps"
        yield Finding("torch and DeepSpeed", False, f"did not load within {_PROBE_SECONDS} s", remedy)
        return
    line = next((text for text in done.stdout.splitlines() if text.startswith("PROBE ")), None)
    if line is None:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding("torch and DeepSpeed", False, f"do not load: {last}", _REINSTALL)
        return
    found: dict[str, Any] = json.loads(line.removeprefix("PROBE "))
    yield Finding("torch and DeepSpeed", True, f"load, DeepSpeed {found['deepspeed']}")
    if found["devices"]:
        yield Finding("devices", True, "; ".join(found["devices"]))
    elif has_accelerator():
        remedy = "install torch for this machine's CUDA (pytorch.org says which), or mend its driver (nvidia-smi)"
        yield Finding("devices", False, "nvidia-smi is there, but torch sees no CUDA device", remedy)
    else:
        yield Finding("devices", True, "no CUDA device, the CPU is used")


def _plugins(host: Host) -> Iterator[Finding]:
    for info in host.plugins:
        for failure in info.failures:
            yield Finding(
                f"plug-in {info.name}",
                False,
                failure,
                f"mend or uninstall {info.distribution}; only specs that need the plug-in are affected",
            )
    loaded = sum(not info.failures for info in host.plugins)
    yield Finding("plug-ins", True, f"{loaded} of {len(host.plugins)} without a failure")


def _train_two_steps(host: Host) -> Finding:
    """Trains the smallest model of the first architecture for two steps, as a scan would."""
    what = "two steps of training"
    remedy = "the message names the cause; `archbench doctor --no-smoke` leaves this out"
    kinds = sorted(host.registry.architectures.entries)
    if not kinds:
        return Finding(what, False, "no architecture is registered", _REINSTALL)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="archbench-doctor-") as folder:
            reason = _smoke(host, "gpt2" if "gpt2" in kinds else kinds[0], Path(folder))
    except ArchbenchError as error:
        reason = str(error)
    if reason is not None:
        return Finding(what, False, reason, remedy)
    return Finding(what, True, f"done by a worker, {time.monotonic() - began:.0f} s with its start")


def _smoke(host: Host, architecture: str, folder: Path) -> str | None:
    """Why the run in `folder` failed; None if it was done."""
    from archbench.cli.watch import LineWatcher, Pace
    from archbench.scans.planner import plan_scan
    from archbench.scans.scheduler import carry_out
    from archbench.spec.load import load_spec

    class Quiet(LineWatcher):
        def say(self, line: str) -> None:
            """Says nothing."""

    text = folder / "text"
    text.mkdir()
    for number in range(8):
        (text / f"{number}.txt").write_text(f"{number}: the quick brown fox jumps over the lazy dog. " * 8)
    spec_file = folder / "smoke.yaml"
    spec_file.write_text(_SMOKE_SPEC.format(architecture=architecture, text=json.dumps(str(text / "*.txt"))))
    spec = load_spec(spec_file, host.registry)
    store = RunStore(folder / "runs")
    store.create()
    plan = plan_scan(spec, host, cache_dir=folder / "cache")
    outcome = carry_out(plan, store, host, Quiet(Pace({})))
    return outcome.failures[0].reason if outcome.failures else None
