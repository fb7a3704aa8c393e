"""A run that is killed again and again leaves the same record, byte for byte, as one that nobody disturbed."""

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from archbench.api import Ended, ExecutorEvent, Job, Lost, RunState
from archbench.builtins.execution.local import LocalExecutor, LocalExecutorConfig
from archbench.data.corpus import Corpus
from archbench.host import Host, load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire, read_lease
from archbench.runs.records import read_record
from archbench.testing.killing import Kill, KillServer, kill_often
from archbench.testing.small_runs import plan_small_run, small_corpus

CHECKPOINT_SECONDS = 0.05
"""Small against the seconds that the runs here take, so that a kill falls between two of many checkpoints."""

PATIENCE_SECONDS = 240.0
"""What takes seconds on a quiet machine takes minutes on one that does other work as well."""


@pytest.fixture(scope="module")
def host() -> Host:
    return load_host()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), host.registry)


def job_of(directory: RunDirectory) -> Job:
    return Job(run_id=directory.path.name, run_dir=directory.path, train_flops=1.0)


def wait_for_end(executor: LocalExecutor, seconds: float = PATIENCE_SECONDS) -> list[ExecutorEvent]:
    """Polls until a run has ended or was lost; returns all events."""
    events: list[ExecutorEvent] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        new: Sequence[ExecutorEvent] = executor.poll(0.1)
        events += new
        if any(isinstance(event, Ended | Lost) for event in new):
            return events
    pytest.fail(f"no end within {seconds} s; got {events}")


def plan(folder: Path, corpus: Corpus, host: Host, kind: str, steps: int) -> RunDirectory:
    return plan_small_run(
        folder,
        corpus,
        host.registry,
        architecture={"kind": kind},
        total_steps=steps,
        evaluation={"points": 6},
        execution={"checkpoint_seconds": CHECKPOINT_SECONDS},
    )


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "kills"), [("gpt2", 3), ("transformer_xl", 1)])
def test_run_whose_worker_is_killed_has_an_undisturbed_runs_record(
    tmp_path: Path, corpus: Corpus, host: Host, kind: str, kills: int
) -> None:
    steps = 300
    undisturbed = plan(tmp_path / "undisturbed", corpus, host, kind, steps)
    killed = plan(tmp_path / "killed", corpus, host, kind, steps)
    with LocalExecutorConfig(workers=1).open(num_jobs=1, log_dir=tmp_path / "logs") as executor:
        executor.submit(job_of(undisturbed))
        (end,) = [event for event in wait_for_end(executor) if isinstance(event, Ended)]
        assert end.state is RunState.DONE
        for checkpoints_wanted in range(1, kills + 1):
            executor.submit(job_of(killed))
            newest = wait_for_checkpoints(killed, executor, checkpoints_wanted)
            os.kill(executor.worker_pids[0], signal.SIGKILL)
            lost = wait_for_end(executor)[-1]
            assert lost == Lost(killed.path.name, f"its worker was killed by SIGKILL; see {tmp_path}/logs/worker-0.log")
            assert 0 < newest < steps
        executor.submit(job_of(killed))
        (end,) = [event for event in wait_for_end(executor) if isinstance(event, Ended)]
    assert end == Ended(killed.path.name, RunState.DONE, None)
    assert killed.record_file.read_bytes() == undisturbed.record_file.read_bytes()
    record = read_record(killed, contender="x", size_index=0)
    assert record is not None
    assert record.details["timings"]["attempts"] == kills + 1
    seconds = [point.device_seconds for point in record.curve]
    assert all(value is not None for value in seconds)
    assert seconds == sorted(seconds, key=lambda value: value or 0.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillServer]:
    with KillServer(tmp_path_factory.mktemp("kills") / "log") as opened:
        yield opened


@pytest.mark.parametrize(
    ("architecture", "objective"),
    [
        ({"kind": "gpt2"}, {"kind": "causal_lm"}),
        pytest.param({"kind": "transformer_xl"}, {"kind": "causal_lm"}, marks=pytest.mark.thorough),
        pytest.param({"kind": "reformer", "bucket_size": 16}, {"kind": "causal_lm"}, marks=pytest.mark.thorough),
        pytest.param({"kind": "bert"}, {"kind": "masked_lm"}, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.thorough
def test_five_kills_at_random_moments_change_no_bit(
    tmp_path: Path, corpus: Corpus, host: Host, server: KillServer, architecture: Any, objective: Any
) -> None:
    """Five kills of each architecture. `benchmarks/kill_runs.py` does more of them."""

    def make_run(name: str) -> RunDirectory:
        (tmp_path / name).mkdir()
        return plan_small_run(
            tmp_path / name,
            corpus,
            host.registry,
            architecture=architecture,
            objective=objective,
            total_steps=30,
            evaluation={"points": 6},
            execution={"checkpoint_seconds": 0.03},
        )

    count = kill_often(server, make_run, 5, seed=random.SystemRandom().getrandbits(32))
    assert count.kills == 5
    assert count.runs_compared >= 1
    assert count.runs_unequal == 0, count


@pytest.mark.parametrize(
    "operation",
    [one if one in (1, 13, 31) else pytest.param(one, marks=pytest.mark.thorough) for one in range(1, 40, 6)],
)
def test_kill_before_a_file_operation_loses_no_committed_step(
    tmp_path: Path, corpus: Corpus, host: Host, server: KillServer, operation: int
) -> None:
    """Every step commits, so that the operations are those of a lease, of three commits, and of the run's end."""
    run = plan_small_run(tmp_path, corpus, host.registry, total_steps=3, execution={"checkpoint_seconds": 1e-9})
    killed = server.attempt(run, Kill(before_operation=operation))
    assert killed.killed, f"a run of three steps has fewer than {operation} file operations"
    steps = sorted(int(path.name.removeprefix("step-")) for path in run.checkpoints_dir.glob("step-*"))
    again = server.attempt(run)
    assert (again.killed, again.exit_code) == (False, 0)
    record = read_record(run, contender="x", size_index=0)
    assert record is not None
    assert record.state is RunState.DONE
    # The second attempt went on from a checkpoint exactly if one had been committed.
    assert record.details["timings"]["attempts"] == (2 if steps else 1)


def wait_for_checkpoints(directory: RunDirectory, executor: LocalExecutor, wanted: int) -> int:
    """Waits until the running attempt has committed `wanted` checkpoints; returns the newest one's step."""
    seen: set[str] = {path.name for path in directory.checkpoints_dir.glob("step-*")}
    before = set(seen)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen - before) < wanted:
        assert time.monotonic() < deadline, f"no checkpoint within {PATIENCE_SECONDS} s"
        assert not any(isinstance(event, Ended | Lost) for event in executor.poll(0.002))
        seen.update(path.name for path in directory.checkpoints_dir.glob("step-*"))
    return int(max(seen).removeprefix("step-"))


def test_worker_whose_driver_goes_away_commits_a_checkpoint_and_ends(
    tmp_path: Path, corpus: Corpus, host: Host
) -> None:
    directory = plan(tmp_path, corpus, host, "controlled", 100_000)
    executor = LocalExecutorConfig(workers=1).open(num_jobs=1, log_dir=tmp_path / "logs")
    with executor:
        executor.submit(job_of(directory))
        step = wait_for_checkpoints(directory, executor, 1)
        lease = read_lease(directory)
        assert lease is not None
        assert lease.alive
    # Leaving the executor closes the pipes, as the death of the driver does.
    assert executor.worker_pids == ()
    newest = max(path.name for path in directory.checkpoints_dir.glob("step-*"))
    assert int(newest.removeprefix("step-")) > step
    record = read_record(directory, contender="x", size_index=0)
    assert record is not None
    assert record.state is RunState.PLANNED
    acquire(directory).release()


def test_plugin_that_raises_fails_its_run_and_the_worker_goes_on(
    tmp_path: Path, corpus: Corpus, host: Host, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "broken_plugin.py"
    plugin.write_text(BROKEN_PLUGIN)
    registry = load_host(files=[plugin]).registry
    broken = plan_small_run(tmp_path / "broken", corpus, registry, architecture={"kind": "breaks_in_forward"})
    sound = plan(tmp_path / "sound", corpus, host, "controlled", 8)
    config = LocalExecutorConfig(workers=1)
    with config.open(num_jobs=2, log_dir=tmp_path / "logs", plugin_files=[plugin]) as executor:
        executor.submit(job_of(broken))
        executor.submit(job_of(sound))
        first = wait_for_end(executor)[-1]
        second = wait_for_end(executor)[-1]
        assert len(executor.worker_pids) == 1
    reason = "ZeroDivisionError: the stranger's forward pass; the traceback is in the worker's log"
    assert first == Ended(broken.path.name, RunState.FAILED, reason)
    assert second == Ended(sound.path.name, RunState.DONE, None)
    record = read_record(broken, contender="x", size_index=0)
    assert record is not None
    assert (record.state, record.reason, record.usable) == (RunState.FAILED, reason, False)
    log = (tmp_path / "logs" / "worker-0.log").read_text()
    assert "Traceback" in log
    assert "the stranger's forward pass" in log
    assert capfd.readouterr() == ("", "")


BROKEN_PLUGIN = """
from typing import Literal

from archbench.api import hookimpl
from archbench_controlled.config import ControlledConfig


class BreaksInForward(ControlledConfig):
    kind: Literal["breaks_in_forward"] = "breaks_in_forward"

    def build(self, dims, attention):
        model = super().build(dims, attention)

        def encode(*args, **kwargs):
            raise ZeroDivisionError("the stranger's forward pass")

        model.encode = encode
        return model


@hookimpl
def register_architectures():
    return [BreaksInForward]
"""
