"""Who carries out a run. One process at a time holds the lease; one that has lost it writes nothing more.

Each acquisition raises the fencing token. A holder writes a heartbeat every `RENEWAL_SECONDS`. It has lost the lease
when its process is known to be gone, which only its own machine and pid namespace can know, or when somebody has
watched the lease for `LEASE_SECONDS` without seeing it change. Times that a holder writes down are its own clock's:
they are shown, and nothing is concluded from them.
"""

import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.errors import StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, DiskRefused, read_json, to_json, write_atomically
from archbench.runs.locks import locked
from archbench.runs.processes import Liveness, ProcessId, this_process

log = logging.getLogger(__name__)

LEASE_SECONDS = 90.0
"""A lease that does not change while it is watched for so long is taken over.

Nine heartbeats, and more than the minute for which NFS may show an old directory.
"""

RENEWAL_SECONDS = 10.0
"""Least time between two heartbeats, so that fast steps do not wait for the disk."""

LONGEST_LOOK_SECONDS = 5.0
"""Of the time between two looks no more than this counts as watched: whoever slept meanwhile has seen nothing."""

_POLL_SECONDS = 0.1
_WATCH_SECONDS = 1.0
"""Pause between two looks at a holder that cannot be looked at itself."""

_FIELDS = {
    "token": (int,),
    "host": (str,),
    "boot_id": (str,),
    "pid_namespace": (str,),
    "pid": (int,),
    "started": (int, float),
    "since": (int, float),
    "step": (int,),
    "beats": (int,),
    "heartbeat": (int, float),
    "released": (bool,),
}
"""The fields of a stored lease and their types."""


class LeaseLost(StoreError):  # noqa: N818  (it is an event that ends a worker's claim, told like any store problem)
    """Another process has taken over the run, or holds it already."""


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """The content of `lease.json`."""

    token: int
    """Rises with each acquisition."""
    host: str
    """The holder's machine as it calls itself: for people, since two machines may have one name."""
    pid: int
    started: float
    """The holder's start; with the three below it names one process for good."""
    step: int
    """Optimiser steps at the last heartbeat."""
    heartbeat: float
    """Time of the last heartbeat by the holder's clock, seconds since the epoch."""
    released: bool = False
    boot_id: str = ""
    """Empty in leases of older versions: nothing is then known of their holder."""
    pid_namespace: str = ""
    since: float = 0.0
    """Time of the acquisition by the holder's clock, seconds since the epoch; 0 where it is not known."""
    beats: int = 0
    """Heartbeats so far."""

    @property
    def process(self) -> ProcessId:
        """The holder."""
        return ProcessId(self.boot_id, self.pid_namespace, self.pid, self.started)

    @property
    def liveness(self) -> Liveness:
        """What is known of the holder from here and now."""
        return Liveness.GONE if self.released else self.process.liveness

    @property
    def alive(self) -> bool:
        """Whether the holder may still be at work."""
        return self.liveness is not Liveness.GONE

    @property
    def holder(self) -> str:
        """The holder in words: process, machine, since when."""
        where = self.host if self.liveness is not Liveness.UNKNOWN else f"{self.host} (another machine or container)"
        since = f" since {_time(self.since)}" if self.since else ""
        return f"process {self.pid} on {where}{since}"


class LeaseWatch:
    """Sees whether leases change, by this process's own clock: no clock of another machine is asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, _Look] = {}

    def silent_seconds(self, directory: RunDirectory, info: LeaseInfo) -> float:
        """How long `info` has been seen unchanged, by the calls of this method; 0 at the first one."""
        now, before = self._clock(), self._seen.get(directory.path)
        if before is None or before.info != info:
            self._seen[directory.path] = _Look(info, now, 0.0)
            return 0.0
        silent = before.silent_seconds + min(now - before.at, LONGEST_LOOK_SECONDS)
        self._seen[directory.path] = _Look(info, now, silent)
        return silent

    def is_free(self, directory: RunDirectory, info: LeaseInfo) -> bool:
        """Whether the run may be taken over: given up, its holder gone, or silent for `LEASE_SECONDS`."""
        silent = self.silent_seconds(directory, info)
        return info.liveness is Liveness.GONE or silent >= LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class _Look:
    info: LeaseInfo
    at: float
    silent_seconds: float


class Lease:
    """A held lease. `check` raises LeaseLost once another process has taken the run over."""

    def __init__(self, directory: RunDirectory, info: LeaseInfo) -> None:
        self._directory = directory
        self._info = info
        self._renewed = time.monotonic()
        self._writing = threading.Lock()

    @property
    def token(self) -> int:
        """The fencing token of this acquisition."""
        return self._info.token

    def check(self) -> None:
        """Raises LeaseLost if the lease has another holder; called before anything of the run is written."""
        current = read_lease(self._directory)
        # The process is compared, too: where a file system has no locks, two may have taken one token.
        if current is None or (current.token, current.process) != (self.token, self._info.process):
            raise LeaseLost(
                f"{self._directory.path}: another process has taken over this run; this one stops and writes nothing"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the moment in which something gets its final place: nobody takes the run over within.

        Raises LeaseLost, before anything within is done, if somebody has. What takes long (writing tensors) is done
        before, elsewhere: others wait for `LOCK_SECONDS` at most.
        """
        with self._writing, lease_locked(self._directory):
            self.check()
            yield

    def renew(self, step: int) -> None:
        """Heartbeat: the run has reached `step`. Touches the disk once in `RENEWAL_SECONDS` at most."""
        self._info = replace(self._info, step=step)
        if time.monotonic() - self._renewed >= RENEWAL_SECONDS:
            self._write(released=False)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Heartbeats of a thread of its own meanwhile, however long a step, an evaluation or a compilation takes.

        That a run takes no steps is for its executor to see; the lease says that its process is there.
        """
        ended = threading.Event()
        beater = threading.Thread(target=self._beat, args=(ended,), name="heartbeat", daemon=True)
        beater.start()
        try:
            yield
        finally:
            ended.set()
            beater.join()

    def release(self) -> None:
        """Gives the lease up, if it is still held; the file stays, so that tokens keep rising."""
        try:
            self._write(released=True)
        except LeaseLost:
            return
        except StoreError as error:
            log.warning("%s", error)  # it passes by itself

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWAL_SECONDS / 4):
            if time.monotonic() - self._renewed < RENEWAL_SECONDS:
                continue
            try:
                self._write(released=False)
            except LeaseLost:
                return  # whatever the run stores next is refused
            except StoreError as error:
                log.warning("%s", error)  # a disk that is slow or full may recover before the lease has passed

    def _write(self, *, released: bool) -> None:
        with self.held():
            info = replace(self._info, beats=self._info.beats + 1, heartbeat=time.time(), released=released)
            write_atomically(self._directory.lease_file, to_json(asdict(info)))
            # A step that was told meanwhile stays.
            self._info = replace(info, step=self._info.step)
        self._renewed = time.monotonic()


def acquire(directory: RunDirectory, *, wait_seconds: float = 0.0, watch: LeaseWatch | None = None) -> Lease:
    """The lease of the run in `directory`; that of a process that is gone is taken over at once.

    Waits up to `wait_seconds` for a living holder to let go, and, if at all, as long as it takes to see whether one
    that cannot be looked at is silent. `watch` has watched it before. Raises LeaseLost where somebody else keeps it.
    """
    watch, began = watch or LeaseWatch(), time.monotonic()
    first: LeaseInfo | None = None
    while True:
        with lease_locked(directory):
            current, token = _next_token(directory)
            if current is None or watch.is_free(directory, current):
                return Lease(directory, _taken(directory, token))
        first = first or current
        unknown = current.liveness is Liveness.UNKNOWN
        watching = wait_seconds > 0.0 and unknown and current == first
        if time.monotonic() - began >= wait_seconds and not watching:
            raise LeaseLost(
                f"{directory.path}: is being trained by {current.holder}; "
                "wait for it, or end it and run the same command again"
            )
        time.sleep(min(_WATCH_SECONDS, LEASE_SECONDS / 4) if unknown else _POLL_SECONDS)


def freed(directory: RunDirectory, info: LeaseInfo, watch: LeaseWatch) -> bool:
    """Whether the run was free to be taken over by what `watch` has seen of its lease `info`, and now is given up.

    False also where somebody else was quicker. Raises DiskRefused where that cannot be written.
    """
    if not watch.is_free(directory, info):
        return False
    try:
        acquire(directory, watch=watch).release()
    except DiskRefused:
        raise
    except StoreError:
        return False
    return True


def shared(directory: RunDirectory, token: int) -> Lease:
    """The lease that another process of this group acquired as `token`. Raises LeaseLost if it holds it no more."""
    current = read_lease(directory)
    if current is None or current.token != token:
        raise LeaseLost(f"{directory.path}: another process has taken over this run; this one writes nothing")
    return Lease(directory, current)


def read_lease(directory: RunDirectory) -> LeaseInfo | None:
    """The lease as stored; None where the run was never started. Raises DamagedFile for a malformed file."""
    if not directory.lease_file.exists():
        return None
    return lease_of(read_json(directory.lease_file), str(directory.lease_file))


def lease_of(content: Any, where: str) -> LeaseInfo:
    """The lease that `content`, the JSON of `where`, describes. Raises DamagedFile where it is none."""
    try:
        info = LeaseInfo(**content)
        if problem := next((name for name, sorts in _FIELDS.items() if type(getattr(info, name)) not in sorts), None):
            raise TypeError(f"{problem} is {getattr(info, problem)!r}")
    except TypeError as error:
        raise DamagedFile(f"{where}: is damaged: not a lease ({error}); delete the file") from error
    return info


def lease_of_this_process(token: int) -> LeaseInfo:
    """A lease that this process takes now, under `token`."""
    mine, now = this_process(), time.time()
    return LeaseInfo(
        token=token,
        host=_host(),
        boot_id=mine.boot_id,
        pid_namespace=mine.pid_namespace,
        pid=mine.pid,
        started=mine.started,
        since=now,
        step=0,
        heartbeat=now,
    )


def _taken(directory: RunDirectory, token: int) -> LeaseInfo:
    """A new lease of this process, stored."""
    info = lease_of_this_process(token)
    write_atomically(directory.lease_file, to_json(asdict(info)))
    return info


def _next_token(directory: RunDirectory) -> tuple[LeaseInfo | None, int]:
    """The lease as stored, and a token above its own; a damaged lease counts as none, and the clock gives the token.

    A holder that still lives finds another token than its own, and stops.
    """
    try:
        current = read_lease(directory)
    except DamagedFile:
        return None, time.time_ns()
    return current, 1 if current is None else current.token + 1


def _time(seconds: float) -> str:
    """`seconds` since the epoch as a person reads them, whatever another machine's clock has written."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OSError, OverflowError, ValueError):
        return f"{seconds:g} s"


@lru_cache(maxsize=1)
def _host() -> str:
    return platform.node() or "localhost"


def lease_locked(directory: RunDirectory) -> AbstractContextManager[None]:
    """For a moment in which nobody takes the run over, and nothing of it gets its final place."""
    return locked(directory.path, ".lease.lock", "its lease")
