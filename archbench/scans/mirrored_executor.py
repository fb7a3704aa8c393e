"""Runs of a store without a shared folder, carried out by an executor of this machine.

Each is taken from the store before the executor gets it, and given back when it has ended or was lost. Meanwhile two
threads keep its lease and upload what it stores; what trains it knows of its folder alone.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from archbench.contracts.executor import (
    CancellingExecutor,
    Ended,
    Executor,
    ExecutorConfig,
    ExecutorEvent,
    Job,
    Lost,
)
from archbench.errors import SpecError, StoreError
from archbench.results.runs import RunState
from archbench.runs.lease import LeaseLost
from archbench.runs.remote.holding import Held, take, upload_folder
from archbench.runs.remote.mirror import Mirror
from archbench.runs.remote.objects import Unreachable
from archbench.runs.remote.repeated import Repeated
from archbench.runs.remote.transfer import RECORD
from archbench.runs.store import directory_status
from archbench.scans.followed_queue import open_executor

COMMIT_SECONDS = 1.0
"""Pause between two looks at what runs have stored."""

BEAT_LOOK_SECONDS = 2.0
"""Pause between two looks at whether a lease is due for a heartbeat."""

AGAIN_SECONDS = 15.0
"""Pause between two tries to take a run from a store that does not answer."""

LAST_TRIES = 3
"""Times that the end of a run is uploaded before it is left to the next command, a try being a minute or so."""

MOST_LOG_BYTES = 2**20
"""Of the end of each log."""


@dataclass(slots=True)
class _Waiting:
    job: Job
    at: float
    """When to try again, by `time.monotonic`."""


class MirroredExecutor:
    """The executor `inner`, whose runs are those of the store behind `mirror`."""

    def __init__(self, inner: Executor, mirror: Mirror, log_dir: Path, tell: Callable[[str], None]) -> None:
        self._inner = inner
        self._mirror = mirror
        self._log_dir = log_dir
        self._tell = tell
        self._held: dict[str, Held] = {}
        self._given_up: set[str] = set()
        """Runs that somebody else has taken over, and that the executor was told to let go of."""
        self._waiting: list[_Waiting] = []
        self._events: list[ExecutorEvent] = []
        self._threads: list[Repeated] = []

    @property
    def capacity(self) -> int:
        """Jobs at once."""
        return self._inner.capacity

    def submit(self, job: Job) -> None:
        """Takes the run from the store and hands it over; `poll` says so where another process has it."""
        try:
            held = take(self._mirror, job.run_id, self._tell)
        except LeaseLost as error:
            self._events.append(Lost(job.run_id, str(error), elsewhere=True))
        except Unreachable as error:
            if not self._waiting:
                self._tell(f"{error}; runs that are to begin wait for it")
            self._waiting.append(_Waiting(job, time.monotonic() + AGAIN_SECONDS))
        except StoreError as error:
            self._events.append(Lost(job.run_id, str(error), store_failed=True))
        else:
            self._held[job.run_id] = held
            self._inner.submit(job)

    def cancel(self, run_id: str) -> None:
        """Takes a job back, where the executor can."""
        if any(one.job.run_id == run_id for one in self._waiting):
            self._waiting = [one for one in self._waiting if one.job.run_id != run_id]
            self._events.append(Lost(run_id, "called off before it began"))
        elif isinstance(self._inner, CancellingExecutor):
            self._inner.cancel(run_id)

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """What the executor tells, once what it tells of is in the store."""
        self._submit_waiting()
        for run_id, held in self._held.items():
            if held.lost and run_id not in self._given_up:
                self._given_up.add(run_id)
                self.cancel(run_id)
        heard = self._inner.poll(0.0 if self._events else timeout_s)
        events, self._events = self._events, []
        return [*events, *(self._told(event) for event in heard)]

    def __enter__(self) -> Self:
        self._inner.__enter__()
        self._threads = [
            Repeated("store heartbeats", BEAT_LOOK_SECONDS, self._beat, self._tell),
            Repeated("store uploads", COMMIT_SECONDS, self._commit, self._tell),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets runs store what they are at, uploads it, and gives them back to the store."""
        try:
            self._inner.__exit__(kind, error, trace)
        finally:
            for thread in self._threads:
                thread.close()
            for run_id in list(self._held):
                self._give_back(run_id, tries=1)

    def _beat(self) -> None:
        for held in list(self._held.values()):
            if held.is_due:
                with contextlib.suppress(LeaseLost):
                    held.beat()

    def _commit(self) -> None:
        for held in list(self._held.values()):
            if not held.lost:
                with contextlib.suppress(LeaseLost):
                    held.commit()

    def _submit_waiting(self) -> None:
        due = [one for one in self._waiting if time.monotonic() >= one.at][:1]
        for one in due:
            self._waiting.remove(one)
            self.submit(one.job)

    def _told(self, event: ExecutorEvent) -> ExecutorEvent:
        """`event`, or where its run was taken over that it is elsewhere."""
        if event.run_id not in self._held or not isinstance(event, Ended | Lost):
            return event
        reason = self._give_back(event.run_id, tries=LAST_TRIES)
        return event if reason is None else Lost(event.run_id, reason, elsewhere=True)

    def _give_back(self, run_id: str, *, tries: int) -> str | None:
        """Uploads what the run has come to, and lets go of it; why not, where another process has taken it over.

        What cannot be uploaded stays in the working folder, from which the next command that has the run uploads it.
        """
        held = self._held.pop(run_id)
        self._given_up.discard(run_id)
        problem: StoreError | None = None
        try:
            for _ in range(tries):
                try:
                    held.commit()
                    held.release()
                    self._push_logs()
                except Unreachable as error:
                    problem = error
                    continue
                return None
        except LeaseLost as error:
            return str(error)
        except StoreError as error:
            problem = error
        finally:
            held.let_go()
        self._tell(
            f"{problem}; what run {held.directory.path.name} has come to is in {held.directory.path} alone, and "
            "goes to the store with the next `archbench run` or `archbench worker` in this folder"
        )
        return None

    def _push_logs(self) -> None:
        for path in sorted(self._log_dir.glob("*.log")):
            content = path.read_bytes()[-MOST_LOG_BYTES:]
            folder = "" if self._log_dir.name == "logs" else f"{self._log_dir.name}/"
            self._mirror.objects.put(f"logs/{folder}{path.name}", content)


def executor_for(
    mirror: Mirror | None,
    config: ExecutorConfig,
    tell: Callable[[str], None],
    *,
    num_jobs: int,
    log_dir: Path,
    plugin_files: Sequence[Path] = (),
    nproc: int = 1,
) -> Executor:
    """The executor of `config`, whose runs are those of the folder that all see, or of the store behind `mirror`.

    Raises SpecError where its runs need a shared folder, and PluginError as `open_executor`.
    """
    if mirror is not None and config.reaches == "shared folder":
        raise SpecError(
            f"execution.store: {mirror.url} is no folder, and executor {config.kind!r} needs one that all its nodes "
            "see; choose executor local or slurm, start `archbench worker --runs URL` on the nodes, or leave the store "
            "out and give a shared folder as --runs"
        )
    opened = open_executor(config, num_jobs=num_jobs, log_dir=log_dir, plugin_files=plugin_files, nproc=nproc)
    if mirror is None or config.reaches == "store":
        return opened
    return MirroredExecutor(opened, mirror, log_dir, tell)


def upload_left_over(mirror: Mirror) -> int:
    """Brings to the store the ends of runs that an earlier command could not upload; how many there were.

    What has not ended is uploaded when it is taken up again. Raises as `Objects`.
    """
    num_uploaded = 0
    for directory in mirror.store.directories():
        name = directory.path.name
        if not directory.record_file.exists() or RECORD in mirror.head(name).files:
            continue
        if directory_status(directory).state not in (RunState.DONE, RunState.DIVERGED):
            continue
        with contextlib.suppress(LeaseLost):
            upload_folder(mirror, name)
            num_uploaded += 1
    return num_uploaded
