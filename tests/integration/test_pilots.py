"""`archbench worker`: runs of a store are trained by whoever takes them, each once, and go on when somebody leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import wait

from archbench.cli.main import main
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.store import RunStore, directory_status
from archbench.testing.executor import SCAN, holder, plan_scan, recorded, stored_steps, token, trained_here

COMMAND = [sys.executable, "-m", "archbench.cli.main", "worker", "--until-empty", "--runs"]
UNSHARE = ("unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store


def started(store: RunStore, *words: str, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    command = [*before, *COMMAND, str(store.root), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def answer(worker: "subprocess.Popen[str]", code: int) -> str:
    said, _ = worker.communicate(timeout=240)
    assert worker.returncode == code, said
    return said


def done(directory: RunDirectory) -> bool:
    return directory_status(directory).state is RunState.DONE


@pytest.mark.slow
def test_two_workers_share_a_store_and_train_nothing_twice(store: RunStore) -> None:
    directories = plan_scan(store, 20, 20, 20)
    said = [answer(worker, 0) for worker in (started(store, "--scan", SCAN), started(store))]
    assert all(done(one) for one in directories), said
    assert [token(one) for one in directories] == [1, 1, 1], f"a run was taken up twice: {said}"
    assert sum(int(text.rpartition("nothing left: ")[2].split()[0]) for text in said) == 3


@pytest.mark.slow
@pytest.mark.thorough
def test_a_worker_that_is_told_to_leave_stores_a_checkpoint_and_the_next_one_goes_on(
    store: RunStore, tmp_path: Path
) -> None:
    (directory,) = plan_scan(store, 200)
    worker = started(store)
    wait(lambda: stored_steps(directory), "the run was begun")
    worker.send_signal(signal.SIGUSR1)
    assert "goes on from its checkpoint when somebody takes it up" in answer(worker, 75)
    assert stored_steps(directory)
    assert holder(directory) is None
    assert not directory.record_file.exists()
    answer(started(store), 0)
    assert recorded(directory) == trained_here(directory, tmp_path / "here")
    assert token(directory) == 2


@pytest.mark.slow
@pytest.mark.thorough
def test_a_worker_whose_time_is_up_is_gone_by_then(store: RunStore) -> None:
    (directory,) = plan_scan(store, 1_000_000)
    began = time.monotonic()
    answer(started(store, "--time-limit", "1m30s"), 75)
    assert time.monotonic() - began < 90
    assert stored_steps(directory)
    assert holder(directory) is None


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="no namespaces can be made here")
def test_a_worker_elsewhere_that_is_stopped_past_its_lease_is_refused_when_it_comes_back(
    store: RunStore, tmp_path: Path
) -> None:
    (directory,) = plan_scan(store, 1500)
    first = started(store, before=(*UNSHARE, "--"))
    wait(lambda: stored_steps(directory), "the run was begun")
    stopped = _below(first.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    taken_over = answer(started(store), 0)
    assert "gave no sign of life for 90 s; taken over" in taken_over
    expected = recorded(directory)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    said = answer(first, 0)
    assert "somebody else has it" in said
    assert recorded(directory) == expected == trained_here(directory, tmp_path / "here")


def _below(pid: int) -> list[int]:
    """Every process that `pid` has started, and so on."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(further for child in children for further in _below(child))]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store `runs` that holds a scan."""
    store = RunStore(tmp_path_factory.mktemp("planned") / "runs")
    store.create()
    plan_scan(store, 12)
    return store.root.parent


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--runs", "gone"), 4, "archbench: gone: holds no scan; `archbench run SPEC` makes one"),
        (("--runs", "runs", "--scan", "conformanec"), 4, "did you mean 'conformance'?"),
        (("--runs", "runs", "--time-limit", "soon"), 2, "got 'soon', expected a time such as 55m, 1h30m or 90s"),
        (("--runs", "runs", "--time-limit", "0m"), 2, "got '0m', expected more than no time"),
        (("--runs", "runs", "--plugin", "gone.py"), 3, "gone.py: no such plug-in"),
    ],
)
def test_what_a_worker_cannot_do_is_said_in_one_line(
    planned: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(planned)
    with pytest.raises(SystemExit) as ended:
        main(["worker", *words])
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == code, lines
    assert said in lines[-1]
