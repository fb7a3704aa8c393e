"""Missing runs are carried out, lost ones tried again, finished ones left alone; whatever the executor does."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import pytest

from archbench.contracts.executor import Ended, ExecutorConfig, ExecutorEvent, Job, Lost, Progress
from archbench.errors import StoreError
from archbench.host import default_host
from archbench.results.runs import CurvePoint, RunState
from archbench.runs import lease as leases
from archbench.runs import store as store_module
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile
from archbench.runs.lease import LeaseLost, acquire
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStatus, RunStore
from archbench.scans import elsewhere, scheduler
from archbench.scans.jobs import MAX_ATTEMPTS
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan
from archbench.scans.scheduler import ScanOutcome, carry_out
from archbench.spec.identity import StartingPoint

Plan = Callable[..., ScanPlan]
POINT = CurvePoint(1, 512, 1.0, 1.0, 3.0, 3.0, None, in_warmup=False, finished=True)


class ScriptedConfig(ExecutorConfig):
    """Ends each run as its script says, and writes the record that a worker would write."""

    kind: Literal["scripted"] = "scripted"
    script: tuple[str, ...] = ()
    """`done`, `failed`, `diverged`, `lost`, `hopeless`, `disk`, `taken` or `finished elsewhere` for each submission in
    turn; `done` when it is used up."""
    opened: ClassVar[list["Scripted"]] = []

    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> "Scripted":
        executor = Scripted(list(self.script))
        self.opened.append(executor)
        return executor


@dataclass
class Scripted:
    script: list[str]
    capacity: int = 2
    submitted: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    most_at_once: int = 0

    def submit(self, job: Job) -> None:
        self.submitted.append(job)
        self.waiting.append(job)
        self.most_at_once = max(self.most_at_once, len(self.waiting))

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        job = self.waiting.pop(0)
        what = self.script.pop(0) if self.script else "done"
        progress = Progress(job.run_id, 1, 2, 3.0, 100.0)
        if what == "hopeless":
            return [progress, Lost(job.run_id, "out of memory", final=True)]
        if what == "disk":
            return [progress, Lost(job.run_id, "runs/x: cannot be written: No space left on device", store_failed=True)]
        if what == "taken":
            return [progress, Lost(job.run_id, "another process has taken over this run", elsewhere=True)]
        if what == "finished elsewhere":
            directory = RunDirectory(job.run_dir)
            write_record(directory, directory.read_plan(), Outcome(RunState.DONE, (POINT,)))
            return [progress, Lost(job.run_id, "another process has taken over this run", elsewhere=True)]
        if what == "lost":
            return [progress, Lost(job.run_id, "its worker was killed")]
        directory = RunDirectory(job.run_dir)
        state = RunState(what)
        reason = None if state is RunState.DONE else f"it {what}"
        write_record(directory, directory.read_plan(), Outcome(state, (POINT,), reason=reason))
        return [progress, Ended(job.run_id, state, reason)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@dataclass
class Notes:
    """A watcher that remembers."""

    lines: list[str] = field(default_factory=list)
    ends: list[tuple[str, RunState]] = field(default_factory=list)

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        self.lines.append(f"{len(missing)} missing, {len(done)} there")

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        assert progress.run_id == run.run_id

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        self.ends.append((run.run_id, status.state))

    def told(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store


def work(plan: ScanPlan, store: RunStore, *script: str) -> tuple[ScanOutcome, Notes, list[Job]]:
    notes = Notes()
    ScriptedConfig.opened.clear()
    outcome = carry_out(plan, store, default_host(), notes, executor=ScriptedConfig(script=script))
    return outcome, notes, [job for executor in ScriptedConfig.opened for job in executor.submitted]


def test_every_missing_run_is_carried_out_once_longest_first(planned: Plan, store: RunStore) -> None:
    plan = planned()
    outcome, notes, jobs = work(plan, store)
    assert outcome == ScanOutcome(5, 0, ())
    assert [job.train_flops for job in jobs] == sorted((job.train_flops for job in jobs), reverse=True)
    assert sorted(job.run_id for job in jobs) == sorted(run.run_id for run in plan.runs)
    assert ScriptedConfig.opened[0].most_at_once <= ScriptedConfig.opened[0].capacity
    outcome, notes, jobs = work(plan, store)
    assert (outcome, jobs) == (ScanOutcome(0, 5, ()), [])
    assert notes.lines == ["0 missing, 5 there"]


def test_runs_wait_for_those_that_they_need_and_leave_nothing_behind(planned: Plan, store: RunStore) -> None:
    """The trunk is submitted before its branches, and the checkpoints that it kept for them go when they are done."""
    schedule = "schedule: {kind: warmup_stable_decay, warmup_steps: 5}"
    plan = planned(("tokens: 40000", "tokens: [1e4, 2e4, 4e4]"), ("schedule: {warmup_steps: 5}", schedule))
    trunks = [run for run in plan.runs if run.plan.execution.keep_steps]
    for run in trunks:
        store.prepare(run.plan).kept_dir.mkdir()
    outcome, _, jobs = work(plan, store)
    assert outcome == ScanOutcome(15, 0, ())
    order = {job.run_id: number for number, job in enumerate(jobs)}
    assert len(trunks) == 5
    assert all(order[run.run_id] > order[trunk] for run in plan.runs for trunk in run.after)
    assert not any(store.directory(run.run_id).kept_dir.exists() for run in trunks)


def test_run_whose_weights_are_gone_is_repeated_where_another_needs_them(planned: Plan, store: RunStore) -> None:
    first, second, *_ = planned().runs
    keeping = first.plan.execution.model_copy(update={"keep_weights": True})
    first = replace(first, plan=first.plan.model_copy(update={"execution": keeping}))
    start = StartingPoint(run_id=first.run_id)
    identity = second.plan.identity.model_copy(update={"start": start})
    second = replace(second, plan=second.plan.model_copy(update={"identity": identity}), run_id=identity.run_id)
    plan = replace(planned(), runs=(second, first))
    write_record(store.prepare(first.plan), first.plan, Outcome(RunState.DONE, (POINT,)))
    _, _, jobs = work(plan, store)
    assert [job.run_id for job in jobs] == [first.run_id, second.run_id]
    # Nobody needs them any more.
    assert work(plan, store)[2] == []


def test_a_lost_run_is_submitted_again_and_given_up_in_the_end(planned: Plan, store: RunStore) -> None:
    outcome, notes, jobs = work(planned(), store, "lost")
    assert outcome == ScanOutcome(5, 0, ())
    assert len(jobs) == 6
    assert any("goes on from its last checkpoint" in line for line in notes.lines)

    other = planned(("3e-3", "2e-3"), ("[1e4, 2e4, 4e4]", "[1e4]"), ("smallest_two: 2", "smallest_two: 1"))
    outcome, notes, jobs = work(other, store, *["lost"] * MAX_ATTEMPTS)
    assert len(jobs) == MAX_ATTEMPTS
    assert outcome.num_trained == 0
    assert outcome.failures[0].state is RunState.FAILED
    assert "its worker was killed" in outcome.failures[0].reason
    assert outcome.failures[0].reason.count(str(store.logs_dir)) == 1
    status = store.status(outcome.failures[0].run.run_id)
    assert (status.state, status.reason) == (RunState.FAILED, outcome.failures[0].reason)
    assert work(other, store)[0] == ScanOutcome(1, 0, ())
    assert store.status(outcome.failures[0].run.run_id).state is RunState.DONE


def test_a_run_that_would_only_be_lost_again_has_failed(planned: Plan, store: RunStore) -> None:
    outcome, _, jobs = work(planned(), store, "hopeless")
    assert (outcome.num_trained, len(jobs)) == (4, 5)
    (failure,) = outcome.failures
    assert failure.reason == "out of memory"
    assert store.status(failure.run.run_id).reason == "out of memory"


def test_a_run_whose_worker_dies_after_the_record_was_stored_is_done(
    planned: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Scripted.poll

    def dies(self: Scripted, timeout_s: float) -> Sequence[ExecutorEvent]:
        progress, ended = sound(self, timeout_s)
        return [progress, Lost(ended.run_id, "its worker was killed")]

    monkeypatch.setattr(Scripted, "poll", dies)
    outcome, _, jobs = work(planned(), store)
    assert (outcome, len(jobs)) == (ScanOutcome(5, 0, ()), 5)


def test_an_interrupted_scan_says_at_once_that_it_is_stopping(
    planned: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Scripted, timeout_s: float) -> Sequence[ExecutorEvent]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scripted, "poll", interrupted)
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        carry_out(planned(), store, default_host(), notes, executor=ScriptedConfig())
    assert notes.lines[-1] == "stopping: the runs at work store a checkpoint; interrupt again to end at once"


def test_an_executor_that_names_the_log_itself_is_not_repeated(
    planned: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Scripted, timeout_s: float) -> Sequence[ExecutorEvent]:
        return [Lost(self.waiting.pop(0).run_id, f"its worker ended; see {store.logs_dir}/worker-0.log")]

    monkeypatch.setattr(Scripted, "poll", lost)
    outcome, _, _ = work(planned(), store)
    assert {failure.reason.count(str(store.logs_dir)) for failure in outcome.failures} == {1}


def test_a_failed_run_is_tried_again_by_the_next_call_and_a_diverged_one_is_not(planned: Plan, store: RunStore) -> None:
    outcome, _, _ = work(planned(), store, "failed", "diverged")
    assert [failure.state for failure in outcome.failures] == [RunState.FAILED, RunState.DIVERGED]
    assert outcome.num_trained == 3
    outcome, _, jobs = work(planned(), store)
    assert len(jobs) == 1
    assert outcome.num_trained == 1
    assert [failure.state for failure in outcome.failures] == [RunState.DIVERGED]


def test_a_run_that_another_machine_finished_is_no_failure_here(planned: Plan, store: RunStore) -> None:
    plan = planned(("[1e4, 2e4, 4e4]", "[1e4]"), ("smallest_two: 2", "smallest_two: 1"))
    notes = Notes()
    outcome = carry_out(
        plan, store, default_host(), notes, executor=ScriptedConfig(script=("taken",) * 4 + ("finished elsewhere",))
    )
    assert (outcome.num_trained, outcome.failures) == (0, ())
    assert notes.ends == [(plan.runs[0].run_id, RunState.DONE)]


def test_a_disk_that_refuses_ends_the_scan_before_a_further_run_is_started(planned: Plan, store: RunStore) -> None:
    ScriptedConfig.opened.clear()
    with pytest.raises(StoreError, match=r"No space left on device; finished runs are kept, and the same command"):
        carry_out(planned(), store, default_host(), Notes(), executor=ScriptedConfig(script=("done", "disk")))
    assert len(ScriptedConfig.opened[0].submitted) == 3  # two at once, and one in place of the first


def test_a_silent_holder_on_another_machine_is_named_and_taken_over(
    planned: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(("[1e4, 2e4, 4e4]", "[1e4]"), ("smallest_two: 2", "smallest_two: 1"))
    directory = store.prepare(plan.runs[0].plan)
    old = acquire(directory)
    content = json.loads(directory.lease_file.read_text())
    # Its clock is a year ahead: nothing may follow from that.
    content |= {"boot_id": "another boot", "host": "boxa", "heartbeat": content["heartbeat"] + 3e7}
    directory.lease_file.write_text(json.dumps(content))
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(elsewhere, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(scheduler, "POLL_SECONDS", 0.1)
    notes = Notes()
    outcome = carry_out(plan, store, default_host(), notes, executor=ScriptedConfig())
    assert outcome.num_trained == 1
    assert (
        f"is being trained by process {os.getpid()} on boxa (another machine or container) since 20" in notes.lines[1]
    )
    assert "gave no sign of life for" in notes.lines[2]
    with pytest.raises(LeaseLost):
        old.check()


def test_a_run_that_somebody_else_carries_out_is_waited_for(planned: Plan, store: RunStore) -> None:
    plan = planned(("[1e4, 2e4, 4e4]", "[1e4]"), ("smallest_two: 2", "smallest_two: 1"))
    directory = store.prepare(plan.runs[0].plan)
    lease = acquire(directory)
    assert store.status(plan.runs[0].run_id).state is RunState.RUNNING

    class Finishing(Notes):
        def told(self, line: str) -> None:
            super().told(line)
            write_record(directory, plan.runs[0].plan, Outcome(RunState.DONE, (POINT,)))
            lease.release()

    notes = Finishing()
    ScriptedConfig.opened.clear()
    outcome = carry_out(plan, store, default_host(), notes, executor=ScriptedConfig())
    assert outcome.num_trained == 0
    assert not ScriptedConfig.opened[0].submitted
    assert notes.ends == [(plan.runs[0].run_id, RunState.DONE)]
    assert f"is being trained by process {os.getpid()} on " in notes.lines[-1]
    assert " since 20" in notes.lines[-1]


def test_a_collision_of_short_ids_is_noticed(planned: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "ID_DIGITS", 0)  # all ids collide
    first, _, second, *_ = planned().runs
    collided = RunStore(store.root / "all")
    collided.prepare(second.plan)
    with pytest.raises(StoreError, match="another run of the same short id"):
        collided.prepare(first.plan)


def test_the_plan_of_another_run_is_damage_and_written_anew(planned: Plan, store: RunStore) -> None:
    first, _, second, *_ = planned().runs
    directory = store.directory(first.run_id)
    directory.write_plan(second.plan)
    with pytest.raises(DamagedFile, match=f"is damaged: it plans the run {second.run_id[:16]}"):
        directory.read_plan()
    assert store.prepare(first.plan).read_plan() == first.plan


def test_a_damaged_plan_is_written_anew(planned: Plan, store: RunStore) -> None:
    run = planned().runs[0]
    directory = store.prepare(run.plan)
    directory.plan_file.write_text("{")
    assert store.prepare(run.plan).read_plan() == run.plan


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff\x00", b"[" * 100_000, b'{"format": 1}'])
def test_a_run_whose_record_is_damaged_is_trained_again(planned: Plan, store: RunStore, content: bytes) -> None:
    plan = planned()
    work(plan, store)
    run = plan.runs[0]
    record = store.directory(run.run_id).record_file
    whole = record.read_bytes()
    record.write_bytes(content)
    records, problems = store.records(plan.index)
    assert (len(records), len(problems)) == (4, 1)
    outcome, notes, jobs = work(plan, store)
    assert [job.run_id for job in jobs] == [run.run_id]
    assert outcome == ScanOutcome(1, 4, ())
    assert "is damaged" in notes.lines[0]
    assert record.read_bytes() == whole


def test_a_run_whose_record_is_damaged_is_left_out_where_that_is_asked_for(planned: Plan, store: RunStore) -> None:
    plan = planned()
    work(plan, store)
    record = store.directory(plan.runs[0].run_id).record_file
    changed = record.read_bytes().replace(b'"validation_loss_nats": ', b'"validation_loss_nats": 1', 1)
    record.write_bytes(changed)
    notes = Notes()
    outcome = carry_out(plan, store, default_host(), notes, executor=ScriptedConfig(), leave_out_damaged=True)
    (failure,) = outcome.failures
    assert (outcome.num_trained, outcome.num_ready, failure.run.run_id) == (0, 4, plan.runs[0].run_id)
    assert f"{record}: is damaged: its content is not what its digest was made of" in failure.reason
    assert "1 run left out" in " ".join(notes.lines)
    assert record.read_bytes() == changed


def test_a_damaged_plan_is_told_and_blocks_nothing(planned: Plan, store: RunStore) -> None:
    plan = planned()
    work(plan, store)
    path = store.directory(plan.runs[0].run_id).plan_file
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"seed": 0', b'"seed": 1'))
    outcome, notes, _ = work(plan, store)
    assert outcome == ScanOutcome(0, 5, ())
    assert f"{path}: is damaged: its content is not what its digest was made of" in notes.lines[0]
    assert path.read_bytes() == whole


def test_damaged_timings_cost_the_device_seconds_alone(planned: Plan, store: RunStore) -> None:
    plan = planned()
    work(plan, store)
    store.directory(plan.runs[0].run_id).timings_file.write_text('{"device_seconds_by_step": 5}')
    records, problems = store.records(plan.index)
    assert len(records) == 5
    assert "device seconds are then missing" in problems[0]
    assert work(plan, store)[0] == ScanOutcome(0, 5, ())


def test_an_index_that_points_elsewhere_is_refused(planned: Plan, store: RunStore) -> None:
    path = store.save_scan(planned().index)
    for old, new in (('"name": "trial"', '"name": "../trial"'), (planned().runs[0].run_id, "../../../etc/passwd")):
        whole = path.read_text()
        path.write_text(whole.replace(old, new))
        with pytest.raises(StoreError, match="is damaged"):
            store.scan("trial")
        path.write_text(whole)


def test_a_scans_index_survives_a_round_trip_and_damage_is_told(planned: Plan, store: RunStore) -> None:
    index = planned().index
    path = store.save_scan(index)
    assert store.scan("trial") == index
    with pytest.raises(StoreError, match="holds no scan 'trail'; did you mean 'trial'"):
        store.scan("trail")
    path.write_text('{"format": 1}')
    with pytest.raises(StoreError, match=r"is damaged: .*; `archbench run` on its spec writes it anew"):
        store.scan("trial")


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot hold runs"):
        RunStore(tmp_path / "file" / "runs").create()


def test_two_commands_may_make_a_store_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = store_module.write_atomically

    def the_other_is_quicker(path: Path, content: bytes) -> None:
        sound(path, content)
        path.unlink()

    monkeypatch.setattr(store_module, "write_atomically", the_other_is_quicker)
    RunStore(tmp_path / "runs").create()
    assert (tmp_path / "runs" / "logs").is_dir()
