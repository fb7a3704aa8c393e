"""A worker that finds its runs by itself: it takes planned ones from a store, one after another, until none is left."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from archbench.contracts.executor import CancellingExecutor, Ended, Executor, ExecutorEvent, Lost
from archbench.errors import StoreError
from archbench.results.runs import RunState
from archbench.runs.files import DamagedFile
from archbench.runs.lease import LEASE_SECONDS, LeaseInfo, LeaseLost, LeaseWatch, freed, read_lease
from archbench.runs.processes import Liveness
from archbench.runs.queue import asked_for_again, is_called_off
from archbench.runs.store import RunStore, directory_status
from archbench.scans.jobs import MAX_ATTEMPTS, POLL_SECONDS, job_of, label, store_failure
from archbench.scans.planned_run import PlannedRun

LOOK_SECONDS = 2.0
"""Pause between two looks for a run where there was none, and at whether the run at work was called off."""

REFRESH_SECONDS = 10.0
"""Pause between two readings of the lists of scans, where nothing was found in them."""

_ENDED_WELL = (RunState.DONE, RunState.DIVERGED)

Ending = Literal["nothing left", "told to stop"]


@dataclass(frozen=True, slots=True)
class PilotOutcome:
    """What a pilot did."""

    ending: Ending
    num_done: int
    num_failed: int
    """Runs that failed, diverged ones not among them."""


@dataclass(slots=True)
class Pilot:
    """Takes runs of the scans called `names`, of all scans where that is empty."""

    store: RunStore
    names: Sequence[str]
    open_executor: Callable[[int], Executor]
    """Opens what trains one run at a time, by groups of so many processes."""
    tell: Callable[[str], None]
    stop: threading.Event
    """Set by whoever wants it to leave: the run at work is stored as a checkpoint."""
    until_empty: bool
    deadline: float | None = None
    """When to stop, by `time.monotonic`."""
    last_start: float | None = None
    """After which no further run is begun."""
    skip: int = 0
    """Runs to leave at first to others that begin at the same moment."""
    watch: LeaseWatch = field(default_factory=LeaseWatch)
    runs: list[PlannedRun] = field(default_factory=list)
    read_at: float = float("-inf")
    finished: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    first_leases: dict[str, LeaseInfo] = field(default_factory=dict)
    """Of runs that others train: the lease as it was first seen."""
    num_done: int = 0
    num_failed: int = 0

    def work(self) -> PilotOutcome:
        """Trains until nothing is left for it, or it is told to stop.

        Raises StoreError where the store cannot be read or written.
        """
        while not self._must_stop():
            run = self._next()
            if run is None:
                if self.until_empty and not self._something_comes():
                    return self._outcome("nothing left")
                self.stop.wait(LOOK_SECONDS)
                continue
            nproc = run.plan.execution.nproc
            with self.open_executor(nproc) as executor:
                # Warm for the runs that follow: imports take longer than many a run.
                while run is not None and run.plan.execution.nproc == nproc and self._carry_out(executor, run):
                    run = None if self._must_stop() else self._next()
        return self._outcome("told to stop")

    def _outcome(self, ending: Ending) -> PilotOutcome:
        return PilotOutcome(ending, self.num_done, self.num_failed)

    def _must_stop(self) -> bool:
        now = time.monotonic()
        late = self.last_start is not None and now >= self.last_start
        return self.stop.is_set() or late or self._time_is_up(now)

    def _time_is_up(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    # Finding a run

    def _next(self) -> PlannedRun | None:
        """The first run that can be trained now: those that others wait for come first, then the longest."""
        for fresh in (False, True):
            if fresh and not self._read_again():
                return None
            found = None
            for run in self.runs:
                if run.run_id not in self.finished and self._can_be_taken(run):
                    found = run
                    if self.skip == 0:
                        break
                    self.skip -= 1
            if found is not None:
                self.skip = 0
                return found
        return None

    def _read_again(self) -> bool:
        """Whether the lists of scans were read, if it is time to: plans may have been added."""
        now = time.monotonic()
        if now - self.read_at < REFRESH_SECONDS:
            return False
        self.read_at = now
        known = {run.run_id: run for run in self.runs}
        for name in self.names or self.store.scan_names():
            for indexed in self.store.scan(name).runs:
                directory = self.store.directory(indexed.run_id)
                if indexed.run_id in known or not directory.plan_file.exists():
                    continue
                try:
                    plan = directory.read_plan()
                except StoreError as error:
                    self.tell(str(error))
                    continue
                known[indexed.run_id] = PlannedRun(
                    indexed.contender,
                    indexed.size_index,
                    plan,
                    indexed.run_id,
                    indexed.study,
                    indexed.role,
                    indexed.labels,
                )
        awaited = {run_id for run in known.values() for run_id in run.after}
        self.runs = sorted(
            known.values(), key=lambda run: (run.run_id in awaited, run.exact_flops, run.run_id), reverse=True
        )
        return True

    def _can_be_taken(self, run: PlannedRun) -> bool:
        if self.attempts[run.run_id] >= MAX_ATTEMPTS:
            return False
        directory = self.store.directory(run.run_id)
        status = directory_status(directory)
        if status.state is RunState.RUNNING:
            return self._is_abandoned(run) and self._is_ready(run)
        self.first_leases.pop(run.run_id, None)
        if status.state.ended:
            again = status.state is RunState.FAILED or directory.lacks_weights(run.plan)
            if again and asked_for_again(directory):
                return self._is_ready(run)
            if status.state in _ENDED_WELL:
                self.finished.add(run.run_id)
            return False
        return not is_called_off(directory) and self._is_ready(run)

    def _is_ready(self, run: PlannedRun) -> bool:
        """Whether the runs that it begins from have ended, or will not come."""
        return not any(self._comes(run_id) for run_id in run.after)

    def _comes(self, run_id: str) -> bool:
        """Whether the run is still to end."""
        if run_id in self.finished:
            return False
        directory = self.store.directory(run_id)
        state = directory_status(directory).state
        return asked_for_again(directory) if state.ended else directory.plan_file.exists()

    def _is_abandoned(self, run: PlannedRun) -> bool:
        """Whether the holder of the run's lease is known to be gone, or was seen to be silent; takes it then."""
        directory = self.store.directory(run.run_id)
        try:
            lease = read_lease(directory)
        except DamagedFile:
            return True
        if lease is None:
            return False
        if not freed(directory, lease, self.watch):
            self.first_leases.setdefault(run.run_id, lease)
            return False
        self.tell(f"{label(run)}: {lease.holder} gave no sign of life for {LEASE_SECONDS:.0f} s; taken over")
        return True

    def _something_comes(self) -> bool:
        """Whether there may be something to do later: a run whose holder was not seen to be alive, or one that waits.

        Where whoever holds the last runs is alive, nobody needs to stand by. What a run has waited for may have ended
        since it was looked for.
        """
        for run in self.runs:
            if run.run_id in self.finished or self.attempts[run.run_id] >= MAX_ATTEMPTS:
                continue
            directory = self.store.directory(run.run_id)
            state = directory_status(directory).state
            if state is RunState.RUNNING and not self._seen_alive(run):
                return True
            waits = not state.ended and state is not RunState.RUNNING and not is_called_off(directory)
            if waits and (self._is_ready(run) or any(self._is_being_trained(run_id) for run_id in run.after)):
                return True
        return False

    def _is_being_trained(self, run_id: str) -> bool:
        return directory_status(self.store.directory(run_id)).state is RunState.RUNNING

    def _seen_alive(self, run: PlannedRun) -> bool:
        try:
            lease = read_lease(self.store.directory(run.run_id))
        except DamagedFile:
            return False
        first = self.first_leases.get(run.run_id)
        changed = first is not None and lease is not None and lease.beats > first.beats
        return lease is not None and (changed or lease.liveness is Liveness.ALIVE)

    # Training it

    def _carry_out(self, executor: Executor, run: PlannedRun) -> bool:
        """Trains `run` to its end, or until it is time to stop; whether the executor is to take another one."""
        self.attempts[run.run_id] += 1
        self.tell(f"{label(run)}: begins")
        executor.submit(job_of(run, self.store))
        looked, called_off = time.monotonic(), False
        while True:
            if self.stop.is_set() or self._time_is_up(time.monotonic()):
                self.tell(f"{label(run)}: stops here; goes on from its checkpoint when somebody takes it up")
                return False
            for event in executor.poll(POLL_SECONDS):
                if event.run_id == run.run_id and isinstance(event, Ended | Lost):
                    self._handle(run, event, called_off=called_off)
                    return True
            if not called_off and time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                called_off = is_called_off(self.store.directory(run.run_id))
                if called_off and isinstance(executor, CancellingExecutor):
                    executor.cancel(run.run_id)

    def _handle(self, run: PlannedRun, event: ExecutorEvent, *, called_off: bool) -> None:
        if isinstance(event, Ended):
            reason = f": {event.reason}" if event.reason else ""
            self.tell(f"{label(run)}: {event.state.value}{reason}")
            self.num_done += event.state is RunState.DONE
            self.num_failed += event.state is RunState.FAILED
            return
        assert isinstance(event, Lost)
        if event.store_failed:
            raise StoreError(event.reason)
        if called_off or event.elsewhere:
            self.attempts[run.run_id] -= 1
            self.tell(f"{label(run)}: {'called off' if called_off else 'somebody else has it'}")
            return
        directory = self.store.directory(run.run_id)
        if directory_status(directory).state.ended and not asked_for_again(directory):
            self.tell(f"{label(run)}: has ended, its worker afterwards ({event.reason})")
            return
        if not event.final and self.attempts[run.run_id] < MAX_ATTEMPTS:
            self.tell(f"{label(run)}: lost ({event.reason}); goes on from its last checkpoint")
            return
        reason = event.reason if event.final else f"lost {MAX_ATTEMPTS} times, last: {event.reason}"
        self.tell(f"{label(run)}: failed: {reason}")
        self.num_failed += 1
        try:
            store_failure(directory, run.plan, reason)
        except LeaseLost as error:
            self.tell(str(error))
