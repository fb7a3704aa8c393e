"""The worker process as an executor of one's own would use it: by its command line and its events."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import read_lease
from archbench.testing.small_runs import plan_small_run, small_corpus

COMMAND = [sys.executable, "-m", "archbench.training.worker"]


def plan(folder: Path, total_steps: int) -> RunDirectory:
    registry = load_host().registry
    return plan_small_run(folder, small_corpus(folder / "corpus", registry), registry, total_steps=total_steps)


def test_named_run_is_carried_out_with_nothing_but_events_on_standard_output(tmp_path: Path) -> None:
    directory = plan(tmp_path, 6)
    finished = subprocess.run(
        [*COMMAND, "--run", str(directory.path)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True
    )
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    told = [event["event"] for event in events]
    assert [event for event in told if event not in ("progress", "alive")] == ["ready", "ended"]
    assert events[-1] == {"event": "ended", "run_dir": str(directory.path), "state": "done", "reason": None}
    assert directory.record_file.exists()


def test_sigterm_ends_a_run_with_a_checkpoint_and_a_free_lease(tmp_path: Path) -> None:
    directory = plan(tmp_path, 1_000_000)
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps({"run_dir": str(directory.path)}).encode() + b"\n")
        worker.stdin.flush()
        while json.loads(worker.stdout.readline())["event"] != "progress":
            pass
        worker.send_signal(signal.SIGTERM)
        *_, last = worker.stdout.read().splitlines()
        assert json.loads(last) == {"event": "stopped", "run_dir": str(directory.path)}
        assert worker.wait(30) == 1
    lease = read_lease(directory)
    assert lease is not None
    assert not lease.alive
    assert len(list(directory.checkpoints_dir.glob("step-*"))) == 1
