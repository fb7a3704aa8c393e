"""Whether a node can use a store: it writes, reads, renames and locks there before anything is trained.

What goes wrong with stores of several nodes goes wrong on the first of them: the folder is another one, or is mounted
read-only, or without locks, or a clock is wrong. Each is told in one line that names the node.
"""

import contextlib
import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archbench.errors import StoreError
from archbench.runs.files import DamagedFile, DiskRefused, read_json, to_json
from archbench.runs.lease import LEASE_SECONDS
from archbench.runs.locks import locked

CLOCK_MARGIN_SECONDS = LEASE_SECONDS
"""Clocks may be so far apart. Leases hang on no clock; what people read of one machine on another would mislead."""

SETTLE_SECONDS = 10.0
"""How long a node looks for the mark of another: a network file system may show a new file late."""

_FORGOTTEN_SECONDS = 86_400.0
"""A mark so old is of a command that was killed."""

_MARK, _PROBE, _LOCK = ".mark-", ".probe-", ".probe.lock"
_PAUSE_SECONDS = 0.2

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class StoreMark:
    """A file that one node has put into a store, by which others know that theirs is the same."""

    name: str
    node: str
    ahead_seconds: float
    """The node's clock against that of the store, which dates the files."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, to be sent to other nodes."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StoreMark":
        """The mark that `to_json` gave."""
        return cls(str(content["name"]), str(content["node"]), float(content["ahead_seconds"]))


@dataclass(frozen=True, slots=True)
class Probed:
    """A node that can use the store."""

    node: str
    ahead_seconds: float
    """Its clock against that of the store."""


def node_name() -> str:
    """This machine as it calls itself."""
    return platform.node() or "localhost"


def mark_store(root: Path, *, node: str | None = None, clock: Clock = time.time) -> StoreMark:
    """Leaves a mark in the store at `root` for other nodes to find; `forget_mark` takes it away.

    Raises StoreError, in one line, where this node cannot use the store itself.
    """
    probed = probe_store(root, node=node, clock=clock)
    mark = StoreMark(f"{_MARK}{uuid.uuid4().hex}", probed.node, probed.ahead_seconds)
    path = root / mark.name
    try:
        path.write_bytes(to_json(mark.to_json()))
        now = path.stat().st_mtime
        for other in root.glob(f"{_MARK}*"):
            with contextlib.suppress(OSError):
                if now - other.stat().st_mtime > _FORGOTTEN_SECONDS:
                    other.unlink()
    except OSError as error:
        raise _refused(root, probed.node, error) from error
    return mark


def forget_mark(root: Path, mark: StoreMark) -> None:
    """Takes `mark` away again, if it is there."""
    with contextlib.suppress(OSError):
        (root / mark.name).unlink(missing_ok=True)


def probe_store(
    root: Path,
    mark: StoreMark | None = None,
    *,
    node: str | None = None,
    clock: Clock = time.time,
    settle_seconds: float = SETTLE_SECONDS,
) -> Probed:
    """Tries on this node what runs do in the store at `root`: write, read back, rename, lock, remove.

    `mark` is that of another node, which must be found here, and whose clock must be no more than
    `CLOCK_MARGIN_SECONDS` from this one's. `node` is what this machine is called in what is raised. Raises StoreError
    in one line: the folder is not there, is another one than the marked, cannot be written, read or locked, or a clock
    is wrong.
    """
    node = node or node_name()
    if not root.is_dir():
        whose = "" if mark is None else f", as it is on {mark.node}"
        raise StoreError(f"{root}: is not there on {node}; mount the shared folder of the runs at that path{whose}")
    ahead_seconds = _tried(root, node, clock)
    if mark is not None:
        _require_mark(root, mark, node, settle_seconds)
        apart = ahead_seconds - mark.ahead_seconds
        if abs(apart) > CLOCK_MARGIN_SECONDS:
            way = "ahead of" if apart > 0 else "behind"
            raise StoreError(
                f"{root}: the clock of {node} is {abs(apart):.0f} s {way} that of {mark.node}, at most "
                f"{CLOCK_MARGIN_SECONDS:.0f} s are allowed; set the clocks (NTP)"
            )
    return Probed(node, ahead_seconds)


def _tried(root: Path, node: str, clock: Clock) -> float:
    """Writes, reads back, renames and removes a file, under a lock; seconds that the clock is ahead of the store's."""
    written, renamed = (root / f"{_PROBE}{uuid.uuid4().hex}{suffix}" for suffix in (".tmp", ""))
    content = os.urandom(4096)
    try:
        before = clock()
        with written.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        stored_at = written.stat().st_mtime
        ahead_seconds = (before + clock()) / 2 - stored_at
        written.rename(renamed)
        if renamed.read_bytes() != content or written.exists():
            raise StoreError(f"{root}: what {node} writes there is not what it reads back; choose another folder")
        with locked(root, _LOCK, "the store"):
            pass
    except OSError as error:
        raise _refused(root, node, error) from error
    except DiskRefused as error:
        raise StoreError(f"{error} (on {node})") from error
    finally:
        for path in (written, renamed):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return ahead_seconds


def _require_mark(root: Path, mark: StoreMark, node: str, settle_seconds: float) -> None:
    """Waits until this node sees `mark`. Raises StoreError where it does not."""
    deadline = time.monotonic() + settle_seconds
    while True:
        with contextlib.suppress(StoreError, DamagedFile):
            if read_json(root / mark.name) == mark.to_json():
                return
        if time.monotonic() >= deadline:
            raise StoreError(
                f"{root}: on {node} is another folder than on {mark.node}: its mark is not there; mount one shared "
                "folder at that path on every node"
            )
        # Looking into the folder has some network file systems look at what others have put there.
        with contextlib.suppress(OSError):
            next(root.iterdir(), None)
        time.sleep(_PAUSE_SECONDS)


def _refused(root: Path, node: str, error: OSError) -> StoreError:
    return StoreError(f"{root}: cannot be written on {node}: {error.strerror}; mount it for writing, as whoever trains")
