"""Carries out the runs of a scan that are missing: submits, follows, tries again what was lost, and never twice."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from archbench.contracts.executor import (
    CancellingExecutor,
    Executor,
    ExecutorConfig,
    ExecutorEvent,
    Job,
    Lost,
    Progress,
    Queued,
    QueueingExecutor,
)
from archbench.errors import PluginError, SpecError, StoreError
from archbench.host import Host
from archbench.results.runs import RunState
from archbench.runs.files import DiskRefused
from archbench.runs.queue import CALLED_OFF, QueueMark, discard_mark, is_called_off, mark_queued, mark_ticket, read_mark
from archbench.runs.remote.corpora import push_texts
from archbench.runs.remote.working_folder import kept_fresh, mirror_of
from archbench.runs.store import RunStatus, RunStore
from archbench.scans.elsewhere import RunsElsewhere
from archbench.scans.jobs import MAX_ATTEMPTS, POLL_SECONDS, job_of, label, store_failure
from archbench.scans.mirrored_executor import executor_for
from archbench.scans.missing import discard_kept, missing_runs, without_damaged
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan
from archbench.scans.tracking import Tracking
from archbench.units import counted

Until = Literal["ended", "queued"]
"""How long to stay with a scan: until its runs have ended, or stand in a queue."""

MARKS_SECONDS = 2.0
"""Pause between two looks at whether runs at work were called off."""


class Watcher(Protocol):
    """Is told how a scan goes on, for instance to draw a table."""

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        """What will be trained, what is finished already, and how many runs go on at once."""
        ...

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """A run took steps."""
        ...

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        """A run came to an end, here or in another command."""
        ...

    def told(self, line: str) -> None:
        """Something worth a line: a run was lost, or is carried out by another command."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not become a result, and why."""

    run: PlannedRun
    state: RunState
    reason: str


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """How carrying out a scan ended."""

    num_trained: int
    """Runs that ended in `done` during this call."""
    num_ready: int
    """Runs that were done before."""
    failures: tuple[Failure, ...]
    """Failed and diverged runs, those of earlier calls included."""
    num_left: int = 0
    """Runs that were left in a queue, or to other commands."""


class HungUp(KeyboardInterrupt):
    """The terminal or whoever started the command is gone: what can go on by itself is to go on."""


def choose_executor(configured: ExecutorConfig | None, host: Host, num_jobs: int) -> ExecutorConfig:
    """The executor that the spec names, else the first that a plug-in offers. Raises PluginError without any."""
    chosen = configured or host.first_result("select_executor", ExecutorConfig, num_jobs=num_jobs)
    if chosen is None:
        raise PluginError(
            "no plug-in offers an executor; name one in execution.executor (`archbench plugins` lists them)"
        )
    return chosen


def carry_out(
    plan: ScanPlan,
    store: RunStore,
    host: Host,
    watcher: Watcher,
    *,
    executor: ExecutorConfig | None = None,
    plugin_files: Sequence[Path] = (),
    tracking: Tracking | None = None,
    again: Collection[str] = (),
    leave_out_damaged: bool = False,
    seconds: Mapping[str, float] | None = None,
    until: Until = "ended",
) -> ScanOutcome:
    """Trains every run of `plan` that the store does not hold yet, and those of `again` as `missing_runs` says.

    `seconds`: what each run is expected to take, by run id. `until` says whether to stay until all runs have ended, or
    to leave once they stand in a queue, which then must go on by itself.

    A run whose record is damaged is trained again, or fails with the damage as its reason if those are to be left out.

    Interrupted at any moment, the same call goes on where it stopped. Runs that another command is carrying out on the
    same store are waited for, and taken over if their leases are silent. Raises StoreError where the store cannot be
    written, as soon as that shows: no further run is then started.
    """
    runs = plan.distinct_runs()
    for run in runs:
        if (damage := store.plan_damage(run.run_id)) is not None:
            watcher.told(f"{label(run)}: {damage}")
        store.prepare(run.plan)
    mirror = mirror_of(store.root)
    if mirror is not None:
        # The list of the scan is there by now, and nobody begins a run whose plan is not.
        push_texts(mirror.objects, [run.plan for run in runs])
        mirror.push_plans([run.run_id for run in runs])
    missing = missing_runs(runs, store, again)
    damaged = {run.run_id: damage for run in missing if (damage := store.status(run.run_id).damage) is not None}
    for run in missing:
        if run.run_id in damaged:
            watcher.told(f"{label(run)}: {damaged[run.run_id]}")
    if leave_out_damaged:
        missing = without_damaged(missing, damaged.keys(), watcher.told)
    missing_ids = {run.run_id for run in missing}
    ready = [run for run in runs if run.run_id not in missing_ids]
    scheduler = _Scheduler(
        store,
        host,
        watcher,
        {run.run_id: run for run in runs},
        missing,
        # Runs that are trained again stand in no list of their own.
        scan=plan.index.name if plan.index.name in store.scan_names() else "",
        seconds=seconds or {},
        tracking=tracking or Tracking(),
    )
    for run in ready:
        status = store.status(run.run_id)
        if status.state is RunState.PLANNED:
            status = RunStatus(RunState.FAILED, None, damaged.get(run.run_id, "begins from a run that is left out"))
        if status.state is not RunState.DONE:
            scheduler.failures.append(Failure(run, status.state, status.reason or "no reason was stored"))
    num_ready = len(ready) - len(scheduler.failures)
    if missing:
        config = choose_executor(executor, host, len(missing))
        scheduler.kind = config.kind
        if until == "queued" and not config.outlives_driver:
            raise SpecError(
                f"executor {config.kind!r} ends with the command that started it; to leave runs in a queue choose one "
                "that goes on by itself, such as execution.executor {kind: slurm}"
            )
        nproc = max(run.plan.execution.nproc for run in missing)
        for run in missing:
            if is_called_off(store.directory(run.run_id)):
                discard_mark(store.directory(run.run_id))
        with (
            kept_fresh(store.root, watcher.told),
            executor_for(
                mirror,
                config,
                watcher.told,
                num_jobs=len(missing),
                log_dir=store.logs_dir,
                plugin_files=plugin_files,
                nproc=nproc,
            ) as opened,
        ):
            watcher.scheduled(missing, ready, opened.capacity)
            scheduler.carry_out(opened, until)
    else:
        watcher.scheduled(missing, ready, 0)
    discard_kept(runs, store)
    left = len(scheduler.in_flight) + len(scheduler.waiting) + len(scheduler.elsewhere)
    return ScanOutcome(scheduler.num_trained, num_ready, tuple(scheduler.failures), left)


@dataclass(slots=True)
class _Scheduler:
    store: RunStore
    host: Host
    watcher: Watcher
    runs: dict[str, PlannedRun]
    waiting: list[PlannedRun]
    scan: str
    seconds: Mapping[str, float]
    tracking: Tracking
    kind: str = ""
    """Of the executor."""
    failures: list[Failure] = field(default_factory=list)
    num_trained: int = 0
    attempts: Counter[str] = field(default_factory=Counter)
    in_flight: dict[str, PlannedRun] = field(default_factory=dict)
    elsewhere: RunsElsewhere = field(init=False)
    called_off: set[str] = field(default_factory=set)
    """Runs at work that the executor was told to let go of."""
    clock: Callable[[], float] = time.monotonic
    looked_for_marks: float = 0.0

    def __post_init__(self) -> None:
        self.elsewhere = RunsElsewhere(self.store, self.watcher.told)

    def carry_out(self, executor: Executor, until: Until) -> None:
        """Until every run has ended, or stands in a queue; says what becomes of them where it is interrupted."""
        try:
            self.work(executor, until)
        except HungUp:
            self._leave_queued(executor)
            raise
        except KeyboardInterrupt:
            # Closing the executor may take some seconds.
            self.watcher.told("stopping: the runs at work store a checkpoint; interrupt again to end at once")
            if isinstance(executor, QueueingExecutor):
                for run_id in self.in_flight:
                    discard_mark(self.store.directory(run_id))
            raise

    def work(self, executor: Executor, until: Until = "ended") -> None:
        """Until every run has ended, or stands in a queue."""
        # Those that others wait for come first; then longest first, which keeps all workers busy to the end.
        awaited = {run_id for run in self.waiting for run_id in run.after}
        self.waiting.sort(key=lambda run: (run.run_id in awaited, run.exact_flops), reverse=True)
        while self.waiting or self.in_flight or self.elsewhere:
            self._take_back()
            self._call_off(executor)
            while (room := max(1, executor.capacity) - len(self.in_flight)) > 0 and (ready := self._ready(room)):
                for run in ready:
                    self._submit(executor, run)
            if until == "queued":
                self._leave_queued(executor)
                return
            if self.in_flight:
                self._handle_all(executor.poll(POLL_SECONDS))
            elif self.elsewhere:
                time.sleep(POLL_SECONDS)

    def _take_back(self) -> None:
        """Goes on with the runs that other commands have let go of."""
        for run, status in self.elsewhere.let_go():
            if status.state in (RunState.DONE, RunState.DIVERGED):
                self._ended(run, status, here=False)
            else:
                self.waiting.append(run)

    def _leave_queued(self, executor: Executor) -> None:
        if isinstance(executor, QueueingExecutor):
            executor.detach()
            self._handle_all(executor.poll(0.0))

    def _handle_all(self, events: Sequence[ExecutorEvent]) -> None:
        queued = Counter(event.ticket for event in events if isinstance(event, Queued))
        for ticket, count in queued.items():
            self.watcher.told(f"{counted(count, 'run')} in the queue of {self.kind} as {ticket}")
        for event in events:
            self._handle(event)

    def _ready(self, most: int) -> list[PlannedRun]:
        """Up to so many of the first waiting runs, off the list, that need no run still to come."""
        coming: set[str] | None = None
        ready: list[PlannedRun] = []
        kept: list[PlannedRun] = []
        looked_at = 0
        for run in self.waiting:
            if len(ready) == most:
                break
            looked_at += 1
            if run.after and coming is None:  # made where it is asked for alone: thousands may wait
                coming = {one.run_id for one in self.waiting} | self.in_flight.keys() | self.elsewhere.run_ids
            free = coming is None or coming.isdisjoint(run.after)
            (ready if free else kept).append(run)
        self.waiting[:looked_at] = kept
        return ready

    def _submit(self, executor: Executor, run: PlannedRun) -> None:
        """Hands `run` over, unless another command has taken or finished it since it was looked at."""
        directory = self.store.directory(run.run_id)
        mark = read_mark(directory)
        if mark is not None and mark.cancelled:
            self._called_off(run)
            return
        status = self.store.status(run.run_id)
        if self._has_ended(run, status):
            self._ended(run, status, here=False)
            return
        job = job_of(run, self.store, scan=self.scan, seconds=self.seconds.get(run.run_id))
        if self._adopted(executor, job, mark):
            self.attempts[run.run_id] += 1
            self.in_flight[run.run_id] = run
            return
        if status.state is RunState.RUNNING:
            self.elsewhere.wait_for(run)
            return
        # A failure may have had a cause outside the run (memory, disk): the same command tries again.
        self.attempts[run.run_id] += 1
        self.in_flight[run.run_id] = run
        if isinstance(executor, QueueingExecutor):
            mark_queued(directory, self.kind)
        executor.submit(job)

    def _adopted(self, executor: Executor, job: Job, mark: QueueMark | None) -> bool:
        """Whether an earlier command has put the run into the executor's queue, where it still is."""
        if mark is None or not mark.ticket or mark.executor != self.kind:
            return False
        return isinstance(executor, QueueingExecutor) and executor.adopt(job, mark.ticket)

    def _call_off(self, executor: Executor) -> None:
        """Takes back the runs at work that `archbench cancel` has marked since the last look."""
        if self.clock() - self.looked_for_marks < MARKS_SECONDS:
            return
        self.looked_for_marks = self.clock()
        for run_id, run in self.in_flight.items():
            if run_id in self.called_off or not is_called_off(self.store.directory(run_id)):
                continue
            self.called_off.add(run_id)
            if isinstance(executor, CancellingExecutor):
                executor.cancel(run_id)
            else:
                self.watcher.told(f"{label(run)}: called off, but executor {self.kind!r} cannot stop it: it goes on")

    def _called_off(self, run: PlannedRun) -> None:
        self._ended(run, RunStatus(RunState.PLANNED, None, CALLED_OFF), here=True)

    def _handle(self, event: ExecutorEvent) -> None:
        run = self.in_flight.get(event.run_id)
        if run is None:
            return
        if isinstance(event, Queued):
            mark_ticket(self.store.directory(run.run_id), self.kind, event.ticket)
            return
        if isinstance(event, Progress):
            self.watcher.progressed(run, event)
            self.tracking.progressed(event)
            self._tell_of_trackers()
            if event.note is not None:
                self.watcher.told(f"{label(run)}: {event.note}")
            return
        del self.in_flight[event.run_id]
        status = self.store.status(run.run_id)
        if status.state is RunState.RUNNING:
            # Another command was quicker to take the lease, or has taken it over: that was no attempt.
            self.attempts[run.run_id] -= 1
            self.elsewhere.wait_for(run)
        elif isinstance(event, Lost) and event.store_failed:
            raise StoreError(f"{event.reason}; finished runs are kept, and the same command goes on")
        elif isinstance(event, Lost) and self._has_ended(run, status):
            # Its worker died after the end had been stored, or somebody else has stored it.
            self._ended(run, status, here=not event.elsewhere)
        elif isinstance(event, Lost) and run.run_id in self.called_off:
            self._called_off(run)
        elif isinstance(event, Lost) and event.elsewhere:
            # Whoever had taken it has let go of it: nothing is wrong with the run.
            self.attempts[run.run_id] -= 1
            self.waiting.insert(0, run)
        elif isinstance(event, Lost):
            self._lost(run, event)
        else:
            loss_nats = status.validation_loss_nats if event.state is status.state else None
            self._ended(run, RunStatus(event.state, status.step, event.reason, loss_nats), here=True)

    def _lost(self, run: PlannedRun, event: Lost) -> None:
        if event.final:
            self._failed(run, event.reason)
            return
        if event.preempted:
            self.attempts[run.run_id] -= 1
        if self.attempts[run.run_id] < MAX_ATTEMPTS:
            self.watcher.told(f"{label(run)}: lost ({event.reason}); goes on from its last checkpoint")
            self.waiting.insert(0, run)
            return
        reason = f"lost {MAX_ATTEMPTS} times, last: {event.reason}"
        if str(self.store.logs_dir) not in reason:
            reason += f"; worker logs are in {self.store.logs_dir}"
        self._failed(run, reason)

    def _failed(self, run: PlannedRun, reason: str) -> None:
        self._store_failure(run, reason)
        self._ended(run, RunStatus(RunState.FAILED, None, reason), here=True)

    def _store_failure(self, run: PlannedRun, reason: str) -> None:
        try:
            store_failure(self.store.directory(run.run_id), run.plan, reason)
        except DiskRefused:
            raise
        except StoreError as error:
            self.watcher.told(str(error))

    def _has_ended(self, run: PlannedRun, status: RunStatus) -> bool:
        repeated = self.store.directory(run.run_id).lacks_weights(run.plan)
        return status.state in (RunState.DONE, RunState.DIVERGED) and not repeated

    def _ended(self, run: PlannedRun, status: RunStatus, *, here: bool) -> None:
        if status.state is RunState.DONE:
            self.num_trained += here
        else:
            self.failures.append(Failure(run, status.state, status.reason or "no reason was given"))
        self.watcher.ended(run, status)
        if here:
            self._notify(run)

    def _tell_of_trackers(self) -> None:
        for line in self.tracking.problems():
            self.watcher.told(line)

    def _notify(self, run: PlannedRun) -> None:
        try:
            record = self.store.record(run.indexed())
        except StoreError as error:
            self.watcher.told(str(error))
            return
        if record is not None:
            self.tracking.run_ended(record)
            self._tell_of_trackers()
            self.host.notify("run_finished", record=record)
