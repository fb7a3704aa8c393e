"""An executor whose jobs go on by themselves, completed by what the store tells of its runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from archbench.contracts.executor import (
    Ended,
    Executor,
    ExecutorConfig,
    ExecutorEvent,
    Job,
    Lost,
    Progress,
    QueueingExecutor,
)
from archbench.errors import PluginError
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.queue import lease_token
from archbench.runs.store import RunStatus, directory_status
from archbench.runs.trace import last_point
from archbench.spec.identity import RunPlan

LOOK_SECONDS = 2.0
"""Least pause between two looks at the store."""

_SHARE_OF_LOOKING = 0.1
"""Of the time, that looking at the store may take: thousands of runs on a network's disk are looked at less often."""


@dataclass(slots=True)
class _Followed:
    """A run in the queue, and what was last told of it."""

    directory: RunDirectory
    plan: RunPlan
    token: int
    """Of its lease when it was submitted: a failure under this one is an old one."""
    step: int = -1


class FollowedQueue:
    """The executor `queue`; `poll` tells steps and ends of its runs as the store has them."""

    def __init__(self, queue: QueueingExecutor, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._next_look = 0.0

    @property
    def capacity(self) -> int:
        """Jobs that the queue takes at once."""
        return self._queue.capacity

    def submit(self, job: Job) -> None:
        """Hands `job` to the queue."""
        self._follow(job)
        self._queue.submit(job)

    def adopt(self, job: Job, ticket: str) -> bool:
        """Whether the queue still has `job`, which is then followed."""
        if not self._queue.adopt(job, ticket):
            return False
        self._follow(job)
        return True

    def cancel(self, run_id: str) -> None:
        """Takes a job back; `poll` tells when it is lost."""
        self._queue.cancel(run_id)

    def detach(self) -> None:
        """Lets all jobs go on without this process."""
        self._queue.detach()

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """What the queue says, then what the store says; waits as long as the queue waits."""
        heard = list(self._queue.poll(timeout_s))
        lost = [event.run_id for event in heard if isinstance(event, Lost)]
        events: list[ExecutorEvent] = [event for event in heard if not isinstance(event, Lost)]
        if lost or self._clock() >= self._next_look:
            events += self._look()
        # A job may have left the queue because its run has ended.
        events += [event for event in heard if isinstance(event, Lost) and event.run_id in self._followed]
        for run_id in lost:
            self._followed.pop(run_id, None)
        return events

    def __enter__(self) -> Self:
        self._queue.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.__exit__(kind, error, trace)

    def _follow(self, job: Job) -> None:
        directory = RunDirectory(job.run_dir)
        self._followed[job.run_id] = _Followed(directory, directory.read_plan(), lease_token(directory))

    def _look(self) -> list[ExecutorEvent]:
        began = self._clock()
        found = [self._seen(run_id, followed) for run_id, followed in list(self._followed.items())]
        took = self._clock() - began
        self._next_look = self._clock() + max(LOOK_SECONDS, took / _SHARE_OF_LOOKING)
        return [event for event in found if event is not None]

    def _seen(self, run_id: str, followed: _Followed) -> ExecutorEvent | None:
        status = directory_status(followed.directory)
        if status.state is RunState.RUNNING:
            return self._progress(run_id, followed, status)
        if not _has_ended(followed, status):
            return None
        del self._followed[run_id]
        return Ended(run_id, status.state, status.reason)

    def _progress(self, run_id: str, followed: _Followed, status: RunStatus) -> Progress | None:
        # A lease that was just taken says 0, wherever its run goes on from.
        if status.step is None or status.step == followed.step or (status.step == 0 < followed.step):
            return None
        followed.step = status.step
        point = last_point(followed.directory.trace_file)
        loss_nats = None if point is None else point.train_loss_nats
        tokens_per_s = None if point is None else point.tokens_per_s
        total_steps = followed.plan.identity.training.total_steps
        return Progress(run_id, status.step, total_steps, loss_nats, tokens_per_s)


def _has_ended(followed: _Followed, status: RunStatus) -> bool:
    if status.state is RunState.FAILED:
        return lease_token(followed.directory) > followed.token
    return status.state.ended and not followed.directory.lacks_weights(followed.plan)


def open_executor(
    config: ExecutorConfig, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = (), nproc: int = 1
) -> Executor:
    """The executor of `config`, whose `poll` tells all of its runs, whoever they are told by.

    Raises PluginError where it cannot start groups of `nproc` processes, or promises more than it offers.
    """
    group = {} if nproc == 1 else {"nproc": nproc}
    if group and not config.starts_groups:
        raise PluginError(
            f"executor {config.kind!r} carries out each run in one process, execution.nproc is {nproc}; "
            "leave nproc out, or choose executor local"
        )
    opened = config.open(num_jobs=num_jobs, log_dir=log_dir, plugin_files=plugin_files, **group)
    if not config.outlives_driver:
        return opened
    if not isinstance(opened, QueueingExecutor):
        raise PluginError(
            f"executor {config.kind!r} says that its jobs outlive the driver, and has no adopt, cancel and detach"
        )
    return FollowedQueue(opened)
