"""An executor of this machine on a store without a shared folder; its runs end at once, with a record."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from archbench.builtins.ray_execution.config import RayExecutorConfig
from archbench.contracts.executor import Ended, ExecutorEvent, Job, Lost
from archbench.errors import SpecError
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import LEASE_SECONDS
from archbench.runs.records import Outcome, write_record
from archbench.runs.remote.objects import Unreachable
from archbench.runs.store import directory_status
from archbench.scans import mirrored_executor
from archbench.scans.mirrored_executor import MirroredExecutor, executor_for, upload_left_over

Machines = Callable[[str], Any]


class AtOnce:
    """Ends each run with a record when it is asked for events; before that, a test may do what it likes."""

    capacity = 1

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.cancelled: list[str] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            directory = RunDirectory(job.run_dir)
            write_record(directory, directory.read_plan(), Outcome(RunState.DIVERGED, reason="too fast"))
        return [Ended(job.run_id, RunState.DIVERGED) for job in jobs]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def job(machine: Any, run_id: str) -> Job:
    return Job(run_id, machine.directory(run_id).path, 1.0)


def test_a_run_is_taken_trained_and_uploaded(planned: tuple[Any, str], machine: Machines, tmp_path: Path) -> None:
    driver, run_id = planned
    other = machine("other")
    with MirroredExecutor(AtOnce(), driver.mirror, tmp_path, pytest.fail) as executor:
        executor.submit(job(driver, run_id))
        (event,) = executor.poll(0.0)
        assert event == Ended(run_id, RunState.DIVERGED)
        other.mirror.pull()
        assert directory_status(other.directory(run_id)).state is RunState.DIVERGED, "told only once it is stored"
        assert not other.mirror.head(run_id[:16]).held


def test_a_run_that_another_machine_holds_is_elsewhere_and_shows_its_holder(
    planned: tuple[Any, str], machine: Machines, tmp_path: Path
) -> None:
    driver, run_id = planned
    other = machine("other")
    other.mirror.pull()
    other.take(run_id)
    inner = AtOnce()
    with MirroredExecutor(inner, driver.mirror, tmp_path, pytest.fail) as executor:
        executor.submit(job(driver, run_id))
        (event,) = executor.poll(0.0)
    assert isinstance(event, Lost)
    assert event.elsewhere
    assert inner.jobs == []
    assert directory_status(driver.directory(run_id)).state is RunState.RUNNING


def test_a_run_that_was_taken_over_is_let_go_of_and_what_it_ends_in_is_not_stored(
    planned: tuple[Any, str], machine: Machines, tmp_path: Path
) -> None:
    driver, run_id = planned
    other = machine("other")
    inner = AtOnce()
    executor = MirroredExecutor(inner, driver.mirror, tmp_path, pytest.fail)  # not entered: as if it were stopped
    held = driver.take(run_id)
    executor._held[run_id] = held
    other.watch_for(LEASE_SECONDS + 10)
    other.take(run_id)
    inner.jobs.append(job(driver, run_id))
    (event,) = executor.poll(0.0)
    assert isinstance(event, Lost)
    assert event.elsewhere
    assert "another process has taken over" in event.reason
    third = machine("third")
    third.mirror.pull()
    assert third.mirror.head(run_id[:16]).files == {}
    assert directory_status(third.directory(run_id)).state is RunState.RUNNING


def test_a_run_ends_while_the_store_gives_no_answer_and_is_uploaded_later(
    planned: tuple[Any, str], machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, run_id = planned
    monkeypatch.setattr(mirrored_executor, "LAST_TRIES", 2)
    told: list[str] = []
    with (
        monkeypatch.context() as away,
        MirroredExecutor(AtOnce(), driver.mirror, tmp_path, told.append) as executor,
    ):
        executor.submit(job(driver, run_id))
        for name in ("put", "create"):
            away.setattr(driver.mirror.objects, name, gives_no_answer)
        (event,) = executor.poll(0.0)
    assert event == Ended(run_id, RunState.DIVERGED), "what was trained counts here"
    assert [line for line in told if "goes to the store with the next" in line]
    assert all("\n" not in line for line in told)
    other = machine("other")
    other.mirror.pull()
    assert directory_status(other.directory(run_id)).state is not RunState.DIVERGED
    # The process is gone by then, which is known on its own machine; this one stands for it.
    driver.watch_for(LEASE_SECONDS + 10)
    assert upload_left_over(driver.mirror) == 1
    assert upload_left_over(driver.mirror) == 0
    other.mirror.pull()
    assert directory_status(other.directory(run_id)).state is RunState.DIVERGED


def gives_no_answer(*arguments: object) -> None:
    raise Unreachable("the store gives no answer")


def test_an_executor_that_needs_a_shared_folder_is_refused_in_one_line(planned: tuple[Any, str]) -> None:
    driver, _ = planned
    with pytest.raises(SpecError, match="executor 'ray' needs one that all its nodes see") as told:
        executor_for(driver.mirror, RayExecutorConfig(), pytest.fail, num_jobs=1, log_dir=Path("logs"))
    assert "\n" not in str(told.value)
