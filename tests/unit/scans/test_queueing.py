"""Runs in a queue that goes on by itself: submitted once, followed in the store, left to it, called off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import pytest

from archbench.contracts.executor import Ended, ExecutorConfig, ExecutorEvent, Job, Lost, Progress, Queued
from archbench.errors import PluginError, SpecError
from archbench.host import default_host
from archbench.results.runs import CurvePoint, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import Lease, acquire
from archbench.runs.queue import call_off, mark_queued, read_mark
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStatus, RunStore
from archbench.runs.trace import TracePoint, append_to_trace
from archbench.scans import elsewhere, followed_queue, scheduler
from archbench.scans.followed_queue import FollowedQueue, open_executor
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan
from archbench.scans.scheduler import HungUp, ScanOutcome, carry_out

Plan = Callable[..., ScanPlan]
POINT = CurvePoint(1, 512, 1.0, 1.0, 3.0, 3.0, None, in_warmup=False, finished=True)
ONE_RUN = (("[1e4, 2e4, 4e4]", "[1e4]"), ("smallest_two: 2", "smallest_two: 1"))


@dataclass
class Site:
    """What is there whoever drives: the jobs of the queue, and what is to become of them."""

    jobs: dict[str, Job] = field(default_factory=dict)
    num_submitted: int = 0
    ended: list[str] = field(default_factory=list)
    """What happened to drivers, in words."""
    script: list[str] = field(default_factory=list)
    """`done`, `lost`, `preempted` or `hang up` for each look at a queue with jobs; then `done`."""


SITE = Site()


class QueueConfig(ExecutorConfig):
    kind: Literal["queue"] = "queue"
    outlives_driver: ClassVar[bool] = True
    withdrawn: ClassVar[list[str]] = []

    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> "Queue":
        return Queue()


class Queue:
    capacity = 100

    def __init__(self) -> None:
        self._events: list[ExecutorEvent] = []
        self._detached = False

    def submit(self, job: Job) -> None:
        SITE.num_submitted += 1
        ticket = str(SITE.num_submitted)
        SITE.jobs[ticket] = job
        self._events.append(Queued(job.run_id, ticket))

    def adopt(self, job: Job, ticket: str) -> bool:
        return ticket in SITE.jobs

    def cancel(self, run_id: str) -> None:
        for ticket, job in list(SITE.jobs.items()):
            if job.run_id == run_id:
                del SITE.jobs[ticket]
                self._events.append(Lost(run_id, "called off"))

    def detach(self) -> None:
        self._detached = True

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        events, self._events = self._events, []
        if events or self._detached or not SITE.jobs:
            return events
        what = SITE.script.pop(0) if SITE.script else "done"
        if what == "hang up":
            raise HungUp
        if what == "interrupt":
            raise KeyboardInterrupt
        ticket, job = SITE.jobs.popitem()
        if what == "call off":
            SITE.jobs[ticket] = job
            call_off(RunDirectory(job.run_dir))
            return []
        if what == "done":
            directory = RunDirectory(job.run_dir)
            write_record(directory, directory.read_plan(), Outcome(RunState.DONE, (POINT,)))
            return []
        return [Lost(job.run_id, what, preempted=what == "preempted")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._detached:
            SITE.jobs.clear()


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        return None

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        return None

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        return None

    def told(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty queue, and no pauses between looks."""
    monkeypatch.setattr(followed_queue, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(followed_queue, "_SHARE_OF_LOOKING", 1e9)
    monkeypatch.setattr(scheduler, "MARKS_SECONDS", 0.0)
    monkeypatch.setattr(elsewhere, "LOOK_SECONDS", 0.0)
    SITE.__init__()  # type: ignore[misc]
    return SITE


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store


def work(plan: ScanPlan, store: RunStore, *, leave: bool = False) -> tuple[ScanOutcome, Notes]:
    notes = Notes()
    until: Literal["queued", "ended"] = "queued" if leave else "ended"
    return carry_out(plan, store, default_host(), notes, executor=QueueConfig(), until=until), notes


def test_runs_are_left_to_the_queue_and_collected_without_being_submitted_again(
    planned: Plan, store: RunStore, site: Site
) -> None:
    plan = planned()
    outcome, notes = work(plan, store, leave=True)
    assert outcome == ScanOutcome(0, 0, (), 5)
    assert {store.status(run.run_id).state for run in plan.runs} == {RunState.QUEUED}
    assert "1 run in the queue of queue as 1" in notes.lines
    assert work(plan, store, leave=True)[0] == ScanOutcome(0, 0, (), 5)
    assert work(plan, store)[0] == ScanOutcome(5, 0, ())
    assert site.num_submitted == 5


def test_a_run_that_the_queue_has_forgotten_is_submitted_again(planned: Plan, store: RunStore, site: Site) -> None:
    plan = planned(*ONE_RUN)
    work(plan, store, leave=True)
    site.jobs.clear()
    assert work(plan, store)[0] == ScanOutcome(1, 0, ())
    assert site.num_submitted == 2


def test_jobs_have_a_name_and_say_what_they_need(planned: Plan, store: RunStore, site: Site) -> None:
    plan = planned(*ONE_RUN)
    store.save_scan(plan.index)
    (run,) = plan.runs
    carry_out(plan, store, default_host(), Notes(), executor=QueueConfig(), seconds={run.run_id: 12.5}, until="queued")
    (job,) = site.jobs.values()
    assert (job.scan, job.contender, job.size_index, job.seconds) == (plan.index.name, run.contender, 0, 12.5)
    assert job.name.startswith(f"{run.contender} size 1 (")
    assert (job.nproc, job.cores) == (1, run.plan.execution.threads)


def test_a_preemption_is_none_of_a_runs_three_attempts(planned: Plan, store: RunStore, site: Site) -> None:
    site.script = ["preempted"] * 7 + ["lost", "lost"]
    assert work(planned(*ONE_RUN), store)[0] == ScanOutcome(1, 0, ())
    assert site.num_submitted == 10


def test_who_hangs_up_leaves_the_queue_alone_and_who_interrupts_clears_it(
    planned: Plan, store: RunStore, site: Site
) -> None:
    plan = planned(*ONE_RUN)
    site.script = ["hang up"]
    with pytest.raises(HungUp):
        work(plan, store)
    assert len(site.jobs) == 1
    site.script = ["interrupt"]
    with pytest.raises(KeyboardInterrupt):
        work(plan, store)
    assert not site.jobs
    assert read_mark(store.directory(plan.runs[0].run_id)) is None
    assert site.num_submitted == 1


def test_a_run_that_is_called_off_is_taken_back_and_the_next_command_takes_it_up(
    planned: Plan, store: RunStore, site: Site
) -> None:
    plan = planned(*ONE_RUN)
    site.script = ["call off"]
    outcome, _ = work(plan, store)
    (failure,) = outcome.failures
    assert failure.state is RunState.PLANNED
    assert "called off by `archbench cancel`" in failure.reason
    assert not site.jobs
    assert work(plan, store)[0] == ScanOutcome(1, 0, ())


def test_an_executor_that_ends_with_its_command_cannot_be_left(planned: Plan, store: RunStore) -> None:
    local = default_host().registry.executors["local"].config()
    with pytest.raises(SpecError, match=r"executor 'local' ends with the command that started it"):
        carry_out(planned(), store, default_host(), Notes(), executor=local, until="queued")


def test_an_executor_that_promises_more_than_it_offers_is_refused(tmp_path: Path) -> None:
    class Promising(QueueConfig):
        def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> Queue:
            return object()  # type: ignore[return-value]

    with pytest.raises(PluginError, match=r"has no adopt, cancel and detach"):
        open_executor(Promising(), num_jobs=1, log_dir=tmp_path)


def held(planned: Plan, store: RunStore) -> tuple[FollowedQueue, RunDirectory, str, Lease]:
    (run,) = planned(*ONE_RUN).runs
    directory = store.prepare(run.plan)
    mark_queued(directory, "queue")
    followed = FollowedQueue(Queue())
    followed.submit(Job(run.run_id, directory.path, 1.0))
    SITE.jobs.clear()  # a worker elsewhere has it
    assert followed.poll(0.0) == [Queued(run.run_id, "1")]
    return followed, directory, run.run_id, acquire(directory)


def test_steps_and_the_end_are_read_from_the_store(planned: Plan, store: RunStore) -> None:
    followed, directory, run_id, lease = held(planned, store)
    total_steps = directory.read_plan().identity.training.total_steps
    assert followed.poll(0.0) == [Progress(run_id, 0, total_steps, None, None)]
    assert followed.poll(0.0) == [], "nothing is new"
    append_to_trace(directory.trace_file, TracePoint(1, 5, 0.1, train_loss_nats=3.5, tokens_per_s=100.0))
    lease._renewed = float("-inf")
    lease.renew(5)
    assert followed.poll(0.0) == [Progress(run_id, 5, total_steps, 3.5, 100.0)]
    lease.release()
    assert followed.poll(0.0) == [], "it was preempted, and the queue has it still"
    write_record(directory, directory.read_plan(), Outcome(RunState.DONE, (POINT,)))
    assert followed.poll(0.0) == [Ended(run_id, RunState.DONE)]
    assert followed.poll(0.0) == []


def test_a_failure_of_before_is_no_end_of_a_run_that_was_queued_again(planned: Plan, store: RunStore) -> None:
    (run,) = planned(*ONE_RUN).runs
    directory = store.prepare(run.plan)
    acquire(directory).release()
    write_record(directory, run.plan, Outcome(RunState.FAILED, reason="of before"))
    followed = FollowedQueue(Queue())
    followed.submit(Job(run.run_id, directory.path, 1.0))
    SITE.jobs.clear()
    assert followed.poll(0.0) == [Queued(run.run_id, "1")]
    assert followed.poll(0.0) == []
    acquire(directory).release()
    assert followed.poll(0.0) == [Ended(run.run_id, RunState.FAILED, "of before")]
