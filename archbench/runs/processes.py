"""Which process this is, and what can be said of another one from here.

A process id means something only within one pid namespace of one boot of one machine: two containers have a process 7
each, and so have two hosts of one name. Of a process elsewhere nothing is concluded from its id.
"""

import contextlib
import os
import sys
import uuid
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19
"""Of /proc/PID/stat, counted from the state behind the name: start in clock ticks since boot, whatever clocks say."""


class Liveness(StrEnum):
    """What is known of a process."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"
    """It is of another machine or namespace, or cannot be looked at."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good."""

    boot_id: str
    """Of the kernel's present run; empty where it does not tell, and then nothing is concluded from the rest."""
    pid_namespace: str
    pid: int
    started: float
    """Clock ticks since boot (Linux), else seconds since the epoch."""

    @property
    def liveness(self) -> Liveness:
        """Whether the process exists, as far as this one can tell."""
        if not self.boot_id or (self.boot_id, self.pid_namespace) != _place():
            return Liveness.UNKNOWN
        if self.pid <= 0:
            return Liveness.GONE
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return Liveness.GONE
        except PermissionError:
            pass  # somebody else's
        found = _start(self.pid)
        if found is None:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if found == self.started else Liveness.GONE


def this_process() -> ProcessId:
    """The process that asks."""
    boot_id, namespace = _place()
    found = _start(os.getpid())
    # Without a start nobody could tell it from a later process of the same id.
    return ProcessId(boot_id if found is not None else "", namespace, os.getpid(), found or 0.0)


def _place() -> tuple[str, str]:
    """Boot id and pid namespace; not kept, as a fork may be put into another namespace."""
    if sys.platform != "linux":
        return _machine_address(), ""
    try:
        return _boot_id(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "", ""


@lru_cache(maxsize=1)
def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


@lru_cache(maxsize=1)
def _machine_address() -> str:
    return f"{uuid.getnode():012x}"


def _start(pid: int) -> float | None:
    """When `pid` started, -1 for one that has ended and is not reaped yet; None where it cannot be looked at."""
    if sys.platform != "linux":
        try:
            import psutil
        except ModuleNotFoundError:  # only what trains must know
            return None
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).create_time()
        return None
    try:
        # In a namespace that sees its parent's /proc, the numbers there are other processes'.
        own = str(Path("/proc/self").readlink()) == str(os.getpid())
        if not own and pid != os.getpid():
            return None
        stat = Path("/proc/self/stat" if pid == os.getpid() else f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return -1.0 if state in "ZX" else float(fields[_START_FIELD - 1])
