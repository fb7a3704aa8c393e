"""`archbench doctor`: whether this machine can do the work, and the remedy where it cannot."""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from archbench.cli.common import cache_option, json_option, print_json, runs_option
from archbench.errors import ArchbenchError
from archbench.host import Host, default_host
from archbench.planning.estimate import num_cpus
from archbench.scans.environment import library_versions
from archbench.units import human_bytes

_REQUIRED = ("torch", "deepspeed", "transformers", "x-transformers", "reformer-pytorch", "numpy")
_LOW_DISK_BYTES = 2 * 1024**3
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


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


@click.command()
@runs_option
@cache_option
@click.option("--smoke/--no-smoke", default=True, show_default=True, help="Train two steps in a worker.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, runs_dir: Path, cache_dir: Path, smoke: bool, as_json: bool) -> None:
    """Check versions, devices, DeepSpeed, disk and plug-ins, and train two steps.

    Exits with 1 if anything needs a remedy.
    """
    findings = []
    for finding in _examine(runs_dir, cache_dir, smoke):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'ok     ' if finding.ok else 'PROBLEM'}  {finding.what}: {finding.found}")
            if finding.remedy and not finding.ok:
                click.echo(f"         remedy: {finding.remedy}")
    if as_json:
        print_json([asdict(finding) for finding in findings])
    ctx.exit(0 if all(finding.ok for finding in findings) else 1)


def _examine(runs_dir: Path, cache_dir: Path, smoke: bool) -> Iterator[Finding]:
    yield Finding("machine", True, f"{platform.platform()}, Python {platform.python_version()}, {num_cpus()} CPUs")
    versions = library_versions()
    for name in _REQUIRED:
        yield Finding(
            name, name in versions, versions.get(name, "not installed"), "install archbench again: pip install -e ."
        )
    yield from _disks(runs_dir, cache_dir)
    yield _torch()
    host = default_host()
    yield from _plugins(host)
    if smoke:
        yield _train_two_steps(host)


def _disks(runs_dir: Path, cache_dir: Path) -> Iterator[Finding]:
    for what, folder in (("disk for runs", runs_dir), ("disk for prepared text", cache_dir)):
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        yield Finding(
            what,
            free >= _LOW_DISK_BYTES,
            f"{human_bytes(free)} free at {existing}",
            "free space, or choose another folder with --runs or --cache",
        )


def _torch() -> Finding:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("torch and DeepSpeed", False, f"did not load within {_PROBE_SECONDS} s", "look for a full disk")
    line = next((text for text in done.stdout.splitlines() if text.startswith("PROBE ")), None)
    if line is None:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(
            "torch and DeepSpeed", False, f"do not load: {last}", "install archbench again: pip install -e ."
        )
    found: dict[str, Any] = json.loads(line.removeprefix("PROBE "))
    devices = "; ".join(found["devices"]) or "no CUDA device, the CPU is used"
    return Finding("torch and DeepSpeed", True, f"load; {devices}")


def _plugins(host: Host) -> Iterator[Finding]:
    for info in host.plugins:
        for failure in info.failures:
            yield Finding(
                f"plug-in {info.name}",
                False,
                failure,
                f"mend or uninstall {info.distribution}; only specs that need the plug-in are affected",
            )
    yield Finding("plug-ins", True, f"{sum(not info.failures for info in host.plugins)} of {len(host.plugins)} loaded")


def _train_two_steps(host: Host) -> Finding:
    """Trains the smallest model of the first architecture for two steps, as a scan would."""
    what = "two steps of training"
    remedy = "the message names the cause; `archbench doctor --no-smoke` leaves this out"
    kinds = sorted(host.registry.architectures.entries)
    if not kinds:
        return Finding(what, False, "no architecture is registered", "install archbench again: pip install -e .")
    try:
        with tempfile.TemporaryDirectory(prefix="archbench-doctor-") as folder:
            reason = _smoke(host, "gpt2" if "gpt2" in kinds else kinds[0], Path(folder))
    except ArchbenchError as error:
        reason = str(error)
    return Finding(what, reason is None, reason or "done by a worker", remedy)


def _smoke(host: Host, architecture: str, folder: Path) -> str | None:
    """Why the run in `folder` failed; None if it was done."""
    from archbench.cli.watch import LineWatcher, Pace
    from archbench.runs.store import RunStore
    from archbench.scans.planner import plan_scan
    from archbench.scans.scheduler import carry_out
    from archbench.spec.models import load_spec

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
