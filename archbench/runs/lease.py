"""Who carries out a run. One process at a time holds the lease; one that has lost it writes nothing more.

Each acquisition raises the fencing token. A holder on this machine is alive if its process is (same pid and start
time); a holder on another machine is taken to be alive while its heartbeat is younger than `REMOTE_HEARTBEAT_SECONDS`.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache

import psutil
from filelock import FileLock, Timeout

from archbench.errors import StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, read_json, to_json, write_atomically

REMOTE_HEARTBEAT_SECONDS = 180.0
"""A holder on another machine that has been silent for longer than this counts as dead."""

RENEWAL_SECONDS = 10.0
"""Least time between two heartbeats, so that fast steps do not wait for the disk."""

_FIELDS = {
    "token": (int,),
    "host": (str,),
    "pid": (int,),
    "started": (int, float),
    "step": (int,),
    "heartbeat": (int, float),
    "released": (bool,),
}
"""The fields of a stored lease and their types."""


class LeaseLost(StoreError):  # noqa: N818  (it is an event that ends a worker's claim, told like any store problem)
    """Another process has taken over the run."""


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """The content of `lease.json`."""

    token: int
    """Rises with each acquisition."""
    host: str
    pid: int
    started: float
    """The holder's start, seconds since the epoch; with the pid it names one process for good."""
    step: int
    """Optimiser steps at the last heartbeat."""
    heartbeat: float
    """Time of the last heartbeat, seconds since the epoch."""
    released: bool = False

    @property
    def alive(self) -> bool:
        """Whether the holder may still be at work."""
        if self.released:
            return False
        if self.host != _host():
            return time.time() - self.heartbeat < REMOTE_HEARTBEAT_SECONDS
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OverflowError, ValueError):
            return False


class Lease:
    """A held lease. `check` raises LeaseLost once another process has taken the run over."""

    def __init__(self, directory: RunDirectory, info: LeaseInfo) -> None:
        self._directory = directory
        self._info = info
        self._renewed = time.monotonic()

    @property
    def token(self) -> int:
        """The fencing token of this acquisition."""
        return self._info.token

    def check(self) -> None:
        """Raises LeaseLost if the lease has another holder; called before anything of the run is written."""
        current = read_lease(self._directory)
        if current is None or current.token != self.token:
            raise LeaseLost(
                f"{self._directory.path}: another process has taken over this run; this one stops and writes nothing"
            )

    def renew(self, step: int) -> None:
        """Heartbeat: the run has reached `step`. Touches the disk once in `RENEWAL_SECONDS` at most."""
        if time.monotonic() - self._renewed < RENEWAL_SECONDS:
            return
        self._write(step=step, released=False)

    def release(self) -> None:
        """Gives the lease up, if it is still held; the file stays, so that tokens keep rising."""
        try:
            self._write(step=self._info.step, released=True)
        except LeaseLost:
            return

    def _write(self, *, step: int, released: bool) -> None:
        with _locked(self._directory):
            self.check()
            fields = asdict(self._info) | {"step": step, "heartbeat": time.time(), "released": released}
            self._info = LeaseInfo(**fields)
            write_atomically(self._directory.lease_file, to_json(fields))
        self._renewed = time.monotonic()


def acquire(directory: RunDirectory, *, wait_seconds: float = 0.0) -> Lease:
    """The lease of the run in `directory`.

    Waits up to `wait_seconds` for a living holder to let go, then raises StoreError. The lease of a dead process is
    taken over at once.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        with _locked(directory):
            current, token = _next_token(directory)
            if current is None or not current.alive:
                info = LeaseInfo(
                    token=token,
                    host=_host(),
                    pid=os.getpid(),
                    started=psutil.Process().create_time(),
                    step=0,
                    heartbeat=time.time(),
                )
                write_atomically(directory.lease_file, to_json(asdict(info)))
                return Lease(directory, info)
        if time.monotonic() >= deadline:
            raise StoreError(
                f"{directory.path}: is being trained by process {current.pid} on {current.host}; "
                "wait for it, or end it and run the same command again"
            )
        time.sleep(0.1)


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
    content = read_json(directory.lease_file)
    try:
        info = LeaseInfo(**content)
        if problem := next((name for name, sorts in _FIELDS.items() if type(getattr(info, name)) not in sorts), None):
            raise TypeError(f"{problem} is {getattr(info, problem)!r}")
    except TypeError as error:
        raise DamagedFile(f"{directory.lease_file}: is damaged: not a lease ({error}); delete the file") from error
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


@lru_cache(maxsize=1)
def _host() -> str:
    return platform.node() or "localhost"


@contextmanager
def _locked(directory: RunDirectory) -> Iterator[None]:
    try:
        with FileLock(directory.path / ".lease.lock", timeout=30.0):
            yield
    except (OSError, Timeout) as error:
        raise StoreError(f"{directory.path}: its lease cannot be locked: {error}; is the disk writable?") from error
