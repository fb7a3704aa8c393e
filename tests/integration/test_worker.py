"""The worker process as an executor of one's own would use it: by its command line and its events."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import read_lease
from archbench.testing.small_runs import plan_small_run, small_corpus

LEFT_OVER = {
    "RANK": "1",
    "LOCAL_RANK": "3",
    "TORCHELASTIC_RUN_ID": "old",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "DS_ACCELERATOR": "xpu",
    "GLOO_SOCKET_IFNAME": "eth7",
}
"""What a job array, an old torchrun, mpirun and a user's profile leave in the environment."""

COMMAND = [sys.executable, "-m", "archbench.training.worker"]


def plan(folder: Path, total_steps: int) -> RunDirectory:
    registry = load_host().registry
    return plan_small_run(folder, small_corpus(folder / "corpus", registry), registry, total_steps=total_steps)


def test_named_run_is_carried_out_with_nothing_but_events_on_standard_output(tmp_path: Path) -> None:
    directory = plan(tmp_path, 6)
    finished = subprocess.run(
        [*COMMAND, "--run", str(directory.path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=True,
        env=os.environ | LEFT_OVER,  # it is nobody's second rank all the same
    )
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    told = [event["event"] for event in events]
    assert [event for event in told if event not in ("progress", "alive")] == ["ready", "ended"]
    assert events[-1] == {"event": "ended", "run_dir": str(directory.path), "state": "done", "reason": None}
    assert directory.record_file.exists()


AUTOGROUP = Path("/proc/self/autogroup")


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share cores between sessions")
def test_a_worker_of_a_nice_command_is_nice_to_other_sessions() -> None:
    program = f"from archbench.training.worker import keep_niceness as k; k(); print(open({str(AUTOGROUP)!r}).read())"
    done = subprocess.run(
        ["nice", "-n", "7", sys.executable, "-c", program],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split()[-2:] == ["nice", str(os.nice(0) + 7)]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share cores between sessions")
def test_a_worker_in_somebodys_session_leaves_that_as_it_is() -> None:
    program = "from archbench.training.worker import keep_niceness as k; k()"
    shell = ["sh", "-c", f'nice -n 7 "$0" -c "{program}"; cat {AUTOGROUP}', sys.executable]
    done = subprocess.run(shell, start_new_session=True, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[-2:] == ["nice", "0"]


def test_a_rank_that_nobody_has_started_properly_says_so_and_waits_for_nobody(tmp_path: Path) -> None:
    # Libraries that other tests import may have set some of the rest.
    bare = {key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}
    half = bare | {"WORLD_SIZE": "2", "RANK": "0"}
    done = subprocess.run(
        [*COMMAND, "--run", str(tmp_path)], env=half, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set: a rank is started by torchrun; "
        "unset WORLD_SIZE for a run in one process"
    )


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
