"""The command line on a folder of its own, as a person types it: small scans of a second or two."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL_SCAN = """\
data:
  dataset: {kind: text_files, paths: [text]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.3
training: {seq_len: 32, batch_tokens: 64, learning_rate: 1e-3, schedule: {warmup_steps: 2}}
evaluation: {tokens: 500, points: 3, prefix_audit_positions: 0}
execution: {executor: {kind: local, workers: 1}}
"""
"""What a spec adds to its name, contenders and scan, on the folder `text` beside it."""


def write_texts(folder: Path, count: int) -> None:
    """The folder `text` with `count` short files."""
    (folder / "text").mkdir()
    for number in range(count):
        (folder / "text" / f"{number}.txt").write_text(f"document {number} " + "of some length, to be read. " * 30)


def archbench(folder: Path, *arguments: str, cache: Path | None = None) -> Any:
    """The ended process of a command in `folder`, with a cache of its own there if none is given."""
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    environment = {**os.environ, "ARCHBENCH_CACHE": str(cache or folder / "cache")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def records(store: Path) -> dict[str, bytes]:
    """Folder of a run -> its record."""
    return {path.parent.name: path.read_bytes() for path in sorted(store.glob("*/record.json"))}


def wait(condition: Callable[[], Any], what: str, seconds: float = 300.0) -> None:
    """Until `condition` holds; fails with `what` where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.2)


def ray_environment(token: str) -> dict[str, str]:
    """Settings of a cluster of Ray, and of who speaks to it: nothing leaves the machine, and workers are not nice."""
    return {
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
