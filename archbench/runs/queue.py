"""What stands in a run's `queue.json`: in whose queue it waits, or that somebody has called it off.

The file is advice and no claim: a run belongs to whoever holds its lease. It goes when the run ends well.
"""

import time
from dataclasses import asdict, dataclass, replace

from archbench.errors import StoreError
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, read_json, to_json, write_atomically
from archbench.runs.lease import read_lease

CALLED_OFF = "called off by `archbench cancel`; `archbench run` on its spec takes it up again"


@dataclass(frozen=True, slots=True)
class QueueMark:
    """What is known of a run that waits."""

    executor: str
    """Kind of the executor in whose queue it stands; empty where it was called off before it stood in any."""
    ticket: str
    """What the queue knows it by; empty until the queue has said it."""
    token: int
    """The fencing token of its lease at that time; a higher one says that somebody has taken the run up since."""
    cancelled: bool = False
    at: float = 0.0
    """Seconds since the epoch by the writer's clock: for people."""

    @property
    def state(self) -> RunState:
        """Of a run that nobody trains and that has not ended."""
        return RunState.PLANNED if self.cancelled else RunState.QUEUED

    @property
    def words(self) -> str:
        """Where the run waits, or why it does not."""
        if self.cancelled:
            return CALLED_OFF
        return f"in the queue of {self.executor}" + (f" as {self.ticket}" if self.ticket else "")


_FIELDS = {"executor": str, "ticket": str, "token": int, "cancelled": bool}


def read_mark(directory: RunDirectory) -> QueueMark | None:
    """The mark of the run in `directory`; None where there is none, or nobody can read it."""
    if not directory.queue_file.exists():
        return None
    try:
        mark = QueueMark(**read_json(directory.queue_file))
    except (StoreError, TypeError):
        return None
    return mark if all(type(getattr(mark, name)) is sort for name, sort in _FIELDS.items()) else None


def mark_queued(directory: RunDirectory, executor: str) -> None:
    """Notes that the run is handed to the queue of `executor`. Raises StoreError where that cannot be written."""
    _write(directory, QueueMark(executor, "", lease_token(directory), at=time.time()))


def mark_ticket(directory: RunDirectory, executor: str, ticket: str) -> None:
    """Notes what the queue of `executor` knows the run by; what else is marked stays. Raises StoreError."""
    before = read_mark(directory) or QueueMark(executor, ticket, lease_token(directory), at=time.time())
    _write(directory, replace(before, executor=executor, ticket=ticket))


def call_off(directory: RunDirectory) -> None:
    """Notes that the run is not to be trained now. Raises StoreError where that cannot be written."""
    before = read_mark(directory)
    executor, ticket = ("", "") if before is None else (before.executor, before.ticket)
    _write(directory, QueueMark(executor, ticket, lease_token(directory), cancelled=True, at=time.time()))


def discard_mark(directory: RunDirectory) -> None:
    """Removes the mark, if there is one."""
    directory.queue_file.unlink(missing_ok=True)


def asked_for_again(directory: RunDirectory) -> bool:
    """Whether the run was put into a queue since anybody has last taken it up: one that has failed is tried again."""
    mark = read_mark(directory)
    return mark is not None and not mark.cancelled and mark.token == lease_token(directory)


def is_called_off(directory: RunDirectory) -> bool:
    """Whether the run is not to be trained now."""
    mark = read_mark(directory)
    return mark is not None and mark.cancelled


def lease_token(directory: RunDirectory) -> int:
    """The fencing token of the run's last lease; 0 where it never had one, or that is damaged."""
    try:
        lease = read_lease(directory)
    except DamagedFile:
        return 0
    return 0 if lease is None else lease.token


def _write(directory: RunDirectory, mark: QueueMark) -> None:
    write_atomically(directory.queue_file, to_json(asdict(mark)))
