import os
import signal
from pathlib import Path

import pytest

from archbench.api import ExecutorEvent, Job, Lost, SpecError
from archbench.builtins.execution import local, machine
from archbench.builtins.execution.local import LocalExecutor, LocalExecutorConfig
from archbench.host import load_host
from archbench.workers import worker_process
from archbench.workers.processes import KEPT_LOG_BYTES, MOST_LOG_BYTES, shorten_log, worker_environment
from archbench.workers.worker_process import WorkerProcess


def test_local_executor_is_registered_and_chosen_where_none_is_named() -> None:
    host = load_host()
    assert host.registry.executors["local"].config is LocalExecutorConfig
    assert host.first_result("select_executor", LocalExecutorConfig, num_jobs=5) == LocalExecutorConfig()


@pytest.mark.parametrize(
    ("workers", "threads", "devices", "num_jobs", "expected"),
    [
        ("auto", 1, (), 20, 8),
        ("auto", 3, (), 20, 2),
        ("auto", 16, (), 20, 1),
        ("auto", 1, ("0", "1"), 20, 2),
        (5, 1, ("0", "1"), 20, 5),
        ("auto", 1, (), 3, 3),
    ],
)
def test_capacity_follows_cores_and_devices(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    workers: int,
    threads: int,
    devices: tuple[str, ...],
    num_jobs: int,
    expected: int,
) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    monkeypatch.setattr(local, "cuda_devices", lambda environment: devices)
    config = LocalExecutorConfig.model_validate({"workers": workers, "threads_per_worker": threads})
    with config.open(num_jobs=num_jobs, log_dir=tmp_path) as executor:
        assert executor.capacity == expected


@pytest.mark.parametrize(
    ("workers", "devices", "nproc", "expected"),
    [
        ("auto", (), 2, 4),
        ("auto", (), 3, 2),
        ("auto", (), 16, 1),
        (4, (), 2, 2),
        ("auto", ("0", "1", "2", "3"), 2, 2),
        ("auto", ("0", "1", "2"), 3, 1),
    ],
)
def test_groups_share_out_cores_and_devices(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    workers: int | str,
    devices: tuple[str, ...],
    nproc: int,
    expected: int,
) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    monkeypatch.setattr(local, "cuda_devices", lambda environment: devices)
    config = LocalExecutorConfig.model_validate({"workers": workers})
    with config.open(num_jobs=20, log_dir=tmp_path, nproc=nproc) as executor:
        assert executor.capacity == expected


def test_group_larger_than_the_devices_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "cuda_devices", lambda environment: ("0", "1"))
    with pytest.raises(SpecError, match=r"execution.nproc: got 4, but there are 2 CUDA devices here.*device: cpu"):
        LocalExecutorConfig().open(num_jobs=1, log_dir=tmp_path, nproc=4)
    with LocalExecutorConfig(device="cpu").open(num_jobs=1, log_dir=tmp_path, nproc=4) as executor:
        assert executor.capacity == 1


@pytest.mark.parametrize(
    ("cause", "elsewhere", "store_failed"), [(None, False, False), ("elsewhere", True, False), ("disk", False, True)]
)
def test_why_a_worker_let_go_of_a_run_is_passed_on(
    tmp_path: Path, cause: str | None, elsewhere: bool, store_failed: bool
) -> None:
    worker = WorkerProcess.start(0, tmp_path / "log", {"PATH": os.environ["PATH"]}, (), 1)
    try:
        worker.hand(Job("id", tmp_path, 1.0))
        said = {"event": "stopped", "run_dir": str(tmp_path)} | ({"cause": cause, "reason": "why"} if cause else {})
        reason = "why" if cause else "its worker was asked to stop"
        assert worker._understand(said) == Lost("id", reason, elsewhere=elsewhere, store_failed=store_failed)
        assert worker.free
    finally:
        worker.process.kill()
        worker.close()


LEFT_OVER = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "3",
    "MASTER_ADDR": "gone",
    "TORCHELASTIC_RUN_ID": "old",
    "PET_NNODES": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "PMIX_RANK": "1",
    "DS_ACCELERATOR": "xpu",
    "GLOO_SOCKET_IFNAME": "eth7",
    "OMP_PROC_BIND": "true",
}


def test_what_a_launcher_has_left_in_the_environment_does_not_reach_workers() -> None:
    kept = {"HOME": "/home", "NCCL_P2P_DISABLE": "1", "HF_HOME": "/models", "SLURM_JOB_ID": "7"}
    environment = worker_environment(kept | LEFT_OVER, 1, (), 0)
    assert kept.items() <= environment.items()
    assert not LEFT_OVER.keys() & environment.keys()


def test_each_group_has_devices_of_its_own() -> None:
    devices = ("a", "b", "c", "d")
    assert worker_environment({}, 1, devices, 0, nproc=2)["CUDA_VISIBLE_DEVICES"] == "a,b"
    assert worker_environment({}, 1, devices, 1, nproc=2)["CUDA_VISIBLE_DEVICES"] == "c,d"


def test_each_worker_has_a_device_of_its_own_and_its_share_of_threads() -> None:
    environment = worker_environment({"HOME": "/home"}, 2, ("GPU-a", "3"), 1)
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("2", "2")
    assert environment["HOME"] == "/home"
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment({}, 1, (), 0)


def test_cuda_devices_are_those_present_and_visible(tmp_path: Path) -> None:
    assert machine.cuda_devices({}, tmp_path) == ()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert machine.cuda_devices({}, tmp_path) == ("0", "1")
    assert machine.cuda_devices({"CUDA_VISIBLE_DEVICES": "1"}, tmp_path) == ("1",)
    assert machine.cuda_devices({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == ()


def test_usable_cores_are_at_most_those_of_the_affinity() -> None:
    assert 1 <= machine.usable_cores() <= len(os.sched_getaffinity(0))


def test_worker_that_cannot_start_loses_its_run_with_the_log_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nprint('no licence', file=sys.stderr)\nos._exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = Job("r", tmp_path, 1.0)
    with LocalExecutorConfig(workers=1).open(num_jobs=1, log_dir=tmp_path) as executor:
        executor.submit(job)
        events = list(executor.poll(60.0))
        assert events == [Lost("r", f"its worker ended with exit code 1; see {tmp_path}/worker-0.log")]
        assert executor.worker_pids == ()
    assert "no licence" in (tmp_path / "worker-0.log").read_text()


@pytest.mark.parametrize(("memory_bytes", "at_once"), [(0, 2), (400, 2), (600, 1), (5000, 1)])
def test_runs_that_do_not_fit_together_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int, at_once: int
) -> None:
    """A run that is too large for the machine starts all the same, alone."""
    monkeypatch.setattr(worker_process.sys, "executable", str(_patient_program(tmp_path)))
    with LocalExecutor(
        capacity=2, threads=1, devices=(), log_dir=tmp_path, plugin_files=(), memory_bytes={"": 1000}
    ) as executor:
        for name in ("a", "b"):
            executor.submit(Job(name, tmp_path / name, 1.0, memory_bytes=memory_bytes))
        assert len(executor.worker_pids) == at_once


def test_waiting_run_starts_when_its_neighbour_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process.sys, "executable", str(_patient_program(tmp_path)))
    with LocalExecutor(
        capacity=2, threads=1, devices=(), log_dir=tmp_path, plugin_files=(), memory_bytes={"": 1000}
    ) as executor:
        for name in ("a", "b"):
            executor.submit(Job(name, tmp_path / name, 1.0, memory_bytes=600))
        (first,) = executor.worker_pids
        os.kill(first, signal.SIGKILL)
        (lost,) = _poll_until_something(executor)
        assert (lost.run_id, type(lost)) == ("a", Lost)
        (second,) = executor.worker_pids
        assert second != first


def test_memory_counts_for_each_device_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process.sys, "executable", str(_patient_program(tmp_path)))
    with LocalExecutor(
        capacity=4,
        threads=1,
        devices=("0", "1"),
        log_dir=tmp_path,
        plugin_files=(),
        memory_bytes={"0": 1000, "1": 1000},
    ) as executor:
        for name in "abcd":
            executor.submit(Job(name, tmp_path / name, 1.0, memory_bytes=600))
        assert len(executor.worker_pids) == 2


def test_runs_share_a_device_where_asked_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "cuda_devices", lambda environment: ("0", "1"))
    monkeypatch.setattr(local, "cuda_memory_bytes", lambda devices: {})
    with LocalExecutorConfig(runs_per_device=3).open(num_jobs=20, log_dir=tmp_path) as executor:
        assert executor.capacity == 6
    assert [worker_environment({}, 1, ("0", "1"), slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == list("0101")


def test_free_memory_is_at_most_what_the_container_leaves(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert machine.free_memory_bytes(tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory_bytes(tmp_path) > 2_000_000
    assert machine.free_memory_bytes(tmp_path / "no such folder") > 2_000_000


def test_free_memory_counts_what_the_kernel_keeps_of_files(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 1500000\nactive_file 400000\n")
    assert machine.free_memory_bytes(tmp_path) == 2_400_000
    assert machine.total_memory_bytes(tmp_path) == 3_000_000


def test_run_that_takes_too_much_memory_has_failed_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process.sys, "executable", str(_patient_program(tmp_path, "sleep 1000")))
    monkeypatch.setattr(local, "held_bytes", lambda pid: 3 * 2**30)
    with LocalExecutorConfig(workers=1, worker_memory_gib=2).open(num_jobs=1, log_dir=tmp_path) as executor:
        executor.submit(Job("r", tmp_path, 1.0))
        (lost,) = _poll_until_something(executor)
    assert isinstance(lost, Lost)
    assert lost.final
    assert lost.reason.startswith(
        "out of memory: it held 3.0 GiB of memory; execution.executor.worker_memory_gib allows"
    )


def test_log_that_grows_too_long_is_cut_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    with log.open("ab", buffering=0) as stream:
        stream.write(b"x" * MOST_LOG_BYTES)
        shorten_log(log)
        assert log.stat().st_size == MOST_LOG_BYTES, "short enough"
        stream.write(b"the end\n")
        shorten_log(log)
        stream.write(b"goes on\n")
    text = log.read_text()
    assert len(text) < KEPT_LOG_BYTES + 200
    assert text.startswith("[15,728,648 bytes were left out here")
    assert text.endswith("the end\ngoes on\n")


def _patient_program(folder: Path, command: str = "cat > /dev/null") -> Path:
    """Stands in for a worker that is at work until its input ends."""
    program = folder / "patient"
    program.write_text(f"#!/bin/sh\nexec {command}\n")
    program.chmod(0o755)
    return program


def _poll_until_something(executor: LocalExecutor) -> list[ExecutorEvent]:
    for _ in range(600):
        if events := list(executor.poll(0.1)):
            return events
    return []
