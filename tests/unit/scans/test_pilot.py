"""Which run a worker takes next, what it leaves alone, and when it goes."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from archbench.contracts.executor import Ended, ExecutorEvent, Job, Lost
from archbench.results.runs import CurvePoint, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.queue import call_off, mark_queued
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStore
from archbench.scans import pilot as pilots
from archbench.scans.jobs import MAX_ATTEMPTS
from archbench.scans.pilot import Pilot, PilotOutcome
from archbench.scans.planner import ScanPlan

Plan = Callable[..., ScanPlan]
POINT = CurvePoint(1, 512, 1.0, 1.0, 3.0, 3.0, None, in_warmup=False, finished=True)
BRANCHES = (
    ("tokens: 40000", "tokens: [1e4, 2e4, 4e4]"),
    ("schedule: {warmup_steps: 5}", "schedule: {kind: warmup_stable_decay, warmup_steps: 5}"),
)


@dataclass
class Worker:
    """Ends each run as the script says, `done` when it is used up; writes the record that a worker would write."""

    script: list[str] = field(default_factory=list)
    submitted: list[Job] = field(default_factory=list)
    capacity: int = 1

    def submit(self, job: Job) -> None:
        self.submitted.append(job)

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        job = self.submitted[-1]
        what = self.script.pop(0) if self.script else "done"
        directory = RunDirectory(job.run_dir)
        if what in ("lost", "elsewhere"):
            return [Lost(job.run_id, what, elsewhere=what == "elsewhere")]
        acquire(directory).release()
        state = RunState(what)
        reason = None if state is RunState.DONE else f"it {what}"
        write_record(directory, directory.read_plan(), Outcome(state, (POINT,), reason=reason))
        return [Ended(job.run_id, state, reason)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilots, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(pilots, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store


def stored(plan: ScanPlan, store: RunStore) -> ScanPlan:
    for run in plan.distinct_runs():
        store.prepare(run.plan)
    store.save_scan(plan.index)
    return plan


def work(store: RunStore, *script: str, skip: int = 0) -> tuple[PilotOutcome, list[str], list[str]]:
    """How it ended, the runs that it took, and what it told."""
    worker, told = Worker(list(script)), list[str]()
    pilot = Pilot(store, (), lambda nproc: worker, told.append, threading.Event(), until_empty=True, skip=skip)
    outcome = pilot.work()
    return outcome, [job.run_id for job in worker.submitted], told


def test_every_planned_run_is_taken_once_longest_first(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(), store)
    outcome, taken, _ = work(store)
    assert outcome == PilotOutcome("nothing left", 5, 0)
    flops = {run.run_id: run.exact_flops for run in plan.runs}
    assert sorted(taken) == sorted(flops)
    assert [flops[run_id] for run_id in taken] == sorted(flops.values(), reverse=True)
    assert work(store)[1] == []


def test_a_trunk_comes_before_its_branches(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(*BRANCHES), store)
    order = {run_id: place for place, run_id in enumerate(work(store)[1])}
    branches = [run for run in plan.runs if run.after]
    assert branches
    assert all(order[trunk] < order[run.run_id] for run in branches for trunk in run.after)


def test_workers_that_begin_together_begin_at_different_runs(planned: Plan, store: RunStore) -> None:
    stored(planned(), store)
    first, second = work(store)[1], None
    for directory in store.directories():
        directory.record_file.unlink()
    second = work(store, skip=1)[1]
    assert second[0] == first[1]
    assert sorted(second) == sorted(first)


def test_a_failed_run_is_left_alone_until_it_is_queued_again(planned: Plan, store: RunStore) -> None:
    stored(planned(), store)
    outcome, taken, _ = work(store, "failed")
    assert outcome == PilotOutcome("nothing left", 4, 1)
    assert work(store)[1] == []
    mark_queued(store.directory(taken[0]), "slurm")
    assert work(store)[1] == [taken[0]]
    assert store.status(taken[0]).state is RunState.DONE


def test_a_run_that_is_called_off_is_passed_over(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(), store)
    call_off(store.directory(plan.runs[0].run_id))
    _, taken, _ = work(store)
    assert sorted(taken) == sorted(run.run_id for run in plan.runs[1:])


def test_a_run_that_kills_its_worker_each_time_has_failed(planned: Plan, store: RunStore) -> None:
    stored(planned(), store)
    outcome, taken, told = work(store, *["lost"] * MAX_ATTEMPTS)
    assert outcome == PilotOutcome("nothing left", 4, 1)
    assert taken[:MAX_ATTEMPTS] == [taken[0]] * MAX_ATTEMPTS
    assert store.status(taken[0]).reason == f"lost {MAX_ATTEMPTS} times, last: lost"
    assert any("goes on from its last checkpoint" in line for line in told)


def test_it_stays_until_it_has_seen_that_the_holder_of_the_last_run_is_alive(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(), store)
    lease = acquire(store.directory(plan.runs[0].run_id))  # of this process, which lives
    outcome, taken, _ = work(store)
    assert outcome.ending == "nothing left"
    assert plan.runs[0].run_id not in taken
    lease.release()


def test_it_waits_for_a_trunk_that_somebody_else_trains(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(*BRANCHES), store)
    trunk = next(run for run in plan.runs if run.plan.execution.keep_steps)
    directory = store.directory(trunk.run_id)
    lease = acquire(directory)

    def end_the_trunk() -> None:
        write_record(directory, trunk.plan, Outcome(RunState.DONE, (POINT,)))
        lease.release()

    timer = threading.Timer(0.5, end_the_trunk)
    timer.start()
    _, taken, _ = work(store)
    timer.join()
    assert sorted(taken) == sorted({run.run_id for run in plan.runs} - {trunk.run_id})


def test_a_trunk_that_ends_between_two_looks_leaves_its_branches_to_be_taken(planned: Plan, store: RunStore) -> None:
    plan = stored(planned(*BRANCHES), store)
    trunk = next(run for run in plan.runs if run.plan.execution.keep_steps)
    directory = store.directory(trunk.run_id)
    lease = acquire(directory)
    others = {run.run_id for run in plan.runs} - {trunk.run_id}

    class Between(Pilot):
        """Somebody ends the trunk when nothing was found and before it is asked whether anything comes."""

        def _something_comes(self) -> bool:
            if not directory.record_file.exists():
                write_record(directory, trunk.plan, Outcome(RunState.DONE, (POINT,)))
                lease.release()
            return super()._something_comes()

    worker = Worker()
    Between(store, (), lambda nproc: worker, lambda line: None, threading.Event(), until_empty=True).work()
    assert {job.run_id for job in worker.submitted} == others


def test_who_is_told_to_stop_takes_nothing(planned: Plan, store: RunStore) -> None:
    stored(planned(), store)
    worker, stop = Worker(), threading.Event()
    stop.set()
    outcome = Pilot(store, (), lambda nproc: worker, lambda line: None, stop, until_empty=True).work()
    assert outcome == PilotOutcome("told to stop", 0, 0)
    assert not worker.submitted
