"""A run of a store of objects while this process has it: taken under a lease, kept by beats, committed as it goes on.

What trains the run writes into the working folder, under the folder's own lease, and knows nothing of this. Here the
folder is looked at, and each whole generation of its files is uploaded, then put in place by changing the run's cell.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from archbench.errors import StoreError
from archbench.runs.checkpoint_files import checkpoint_name
from archbench.runs.directory import ID_DIGITS, RunDirectory
from archbench.runs.files import DamagedFile, to_json, write_atomically
from archbench.runs.lease import (
    LEASE_SECONDS,
    LeaseInfo,
    LeaseLost,
    lease_of_this_process,
    read_lease,
)
from archbench.runs.processes import Liveness
from archbench.runs.queue import lease_token
from archbench.runs.remote.cells import Cell, Outrun
from archbench.runs.remote.corpora import fetch_texts
from archbench.runs.remote.head import Head, head_of
from archbench.runs.remote.mirror import HEAD, MARK, PLAN, Mirror
from archbench.runs.remote.transfer import (
    RECORD,
    fetch_file,
    fetch_folder,
    fetch_newest_checkpoint,
    look,
    snapshot,
    upload,
)

log = logging.getLogger(__name__)

BEAT_SECONDS = 15.0
"""Between two heartbeats, each of which is three requests: six in the time of a lease."""

_FILES = "files"


class Held:
    """A run that this process holds. Its methods raise LeaseLost once another one has taken it over."""

    def __init__(self, mirror: Mirror, directory: RunDirectory, number: int, head: Head) -> None:
        self.directory = directory
        self._mirror = mirror
        self._number = number
        self._head = head
        self._changing = threading.Lock()
        self._committing = threading.Lock()
        self._beaten = time.monotonic()
        self._looked: tuple[object, ...] | None = None
        self._marks: dict[str, tuple[int, ...]] = {}
        self._generation = 0
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether another process is known to have taken the run over."""
        return self._lost

    @property
    def is_due(self) -> bool:
        """Whether it is time for a heartbeat."""
        return not self._lost and time.monotonic() - self._beaten >= BEAT_SECONDS

    def beat(self) -> None:
        """Says that this process is there, and how far the run has come."""
        with self._changing:
            self._change(self._head)

    def commit(self) -> None:
        """Uploads what is new in the run's folder, and then puts it in place of the generation before.

        Raises LeaseLost where somebody has taken the run over: what they have stored stays, as it is.
        """
        with self._committing:
            if self._lost:
                raise LeaseLost(self._words())
            seen = look(self.directory)
            if seen == self._looked:
                return
            token = self._head.token
            self._generation += 1
            folder = f"{_FILES}/{self.directory.path.name}/{token}-{self._head.holder}-{self._generation}"
            with snapshot(self.directory, self._mirror.root) as files:
                before = self._head
                stored, marks = upload(self._mirror.objects, files, folder, before, self._marks)
            # What was not fetched here is not gone: others begin from it.
            stored = before.folder("kept") | before.folder("weights") | stored
            if stored != before.files:
                with self._changing:
                    self._change(replace(self._head, files=stored))
                # Of older generations, which no later one can name: who has slept removes nothing but its own.
                gone = {one.key for one in before.files.values()} - {one.key for one in stored.values()}
                self._mirror.objects.remove(gone)
            self._looked, self._marks = seen, marks

    def release(self) -> None:
        """Gives the lease up, with the token that the folder's own lease has come to. Raises as `Objects`."""
        if not self._lost:
            with self._changing, contextlib.suppress(LeaseLost):
                self._change(self._head, released=True)
        self.let_go()

    def let_go(self) -> None:
        """Leaves the run to whoever has taken it over; what is here of it no longer counts as newer."""
        with self._mirror.lock:
            self._mirror.held.discard(self.directory.path.name)

    def drop(self, prefix: str) -> None:
        """Takes files whose paths begin with `prefix` out of the run, and then away."""
        kept = {path: one for path, one in self._head.files.items() if not path.startswith(prefix)}
        gone = {one.key for path, one in self._head.files.items() if path not in kept}
        with self._changing:
            self._change(replace(self._head, files=kept))
        self._mirror.objects.remove(gone)

    def remove_left_over(self) -> None:
        """Takes away what earlier holders uploaded, and did not live to put in place."""
        named = {one.key for one in self._head.files.values()}
        prefix = f"{_FILES}/{self.directory.path.name}/"
        self._mirror.objects.remove(
            key
            for key in self._mirror.objects.keys(prefix)
            if key not in named and _token_of(key.removeprefix(prefix)) < self._head.token
        )

    def _change(self, head: Head, *, released: bool = False) -> None:
        """Puts `head` in place under this process's lease. Raises LeaseLost where that is gone."""
        if self._lost:
            raise LeaseLost(self._words())
        assert head.lease is not None
        here = _here(self.directory)
        lease = replace(
            head.lease,
            token=max(head.lease.token, 0 if here is None else here.token) if released else head.lease.token,
            step=head.lease.step if here is None else here.step,
            beats=head.lease.beats + 1,
            heartbeat=time.time(),
            released=released,
        )
        changed = head.of_lease(lease)
        name = self.directory.path.name
        cell, cells, content = Cell(HEAD, name), self._mirror.cells, changed.to_bytes()
        try:
            try:
                self._number = cells.swap(cell, self._number, content)
            except Outrun:
                # What this process wrote, when the answer did not come, is not somebody else's.
                found = cells.read(cell)
                if head_of(found.content, cell.prefix).holder != head.holder:
                    raise
                self._number = cells.swap(cell, found.number, content)
        except Outrun as error:
            self._lost = True
            raise LeaseLost(self._words()) from error
        self._head, self._beaten = changed, time.monotonic()
        self._mirror.note_head(name, self._number, changed)

    def _words(self) -> str:
        return (
            f"{self._mirror.url}: another process has taken over run {self.directory.path.name}; this one stops, and "
            "nothing of it is stored"
        )


def take(mirror: Mirror, run_id: str, tell: Callable[[str], None] = log.warning) -> Held:
    """The run under a lease of this process, with all that it goes on from in the working folder.

    Raises LeaseLost where another process holds it, and was not seen to be silent for `LEASE_SECONDS`; what it says of
    itself then stands in the folder. Raises Unreachable and other StoreErrors where the store does not serve.
    """
    name = run_id[:ID_DIGITS]
    directory = RunDirectory(mirror.root / name)
    directory.path.mkdir(parents=True, exist_ok=True)
    held = _acquired(mirror, directory)
    try:
        held.remove_left_over()
        _fetch(mirror, directory, held, tell)
    except BaseException:
        with contextlib.suppress(StoreError):
            held.release()
        held.let_go()
        raise
    return held


def upload_folder(mirror: Mirror, run_id: str) -> None:
    """Brings to the store what an earlier command has left of the run in the working folder. Raises as `take`."""
    held = _acquired(mirror, RunDirectory(mirror.root / run_id[:ID_DIGITS]))
    try:
        held.commit()
    finally:
        held.release()


def remove_stored(mirror: Mirror, directory: RunDirectory, path: Path) -> None:
    """Removes `path`, a folder of a run or all of the run's, from the store. Raises as `drop_folder`."""
    if path != directory.path:
        drop_folder(mirror, directory.path.name, f"{path.name}/")
        return
    drop_folder(mirror, directory.path.name, "")
    for kind in (MARK, PLAN):
        cell = Cell(kind, directory.path.name)
        if mirror.cells.read(cell).content:
            mirror.cells.put(cell, b"")


def drop_folder(mirror: Mirror, run_id: str, prefix: str) -> None:
    """Removes the files of a run whose paths begin with `prefix` from the store, where nobody is at the run.

    The empty prefix removes them all. Raises LeaseLost where somebody is, and as `Objects`.
    """
    directory = RunDirectory(mirror.root / run_id[:ID_DIGITS])
    directory.path.mkdir(parents=True, exist_ok=True)
    held = _acquired(mirror, directory)
    try:
        held.drop(prefix)
    finally:
        held.release()


def _acquired(mirror: Mirror, directory: RunDirectory) -> Held:
    name = directory.path.name
    cell = Cell(HEAD, name)
    value = mirror.cells.read(cell)
    head = head_of(value.content, f"{mirror.url}/{cell.prefix}")
    if head.held and not _is_free(mirror, name, head):
        assert head.lease is not None
        mirror.show_holder(name, head)
        raise LeaseLost(f"{mirror.url}: run {name} is being trained by {head.lease.holder}")
    token = max(head.token, lease_token(directory)) + 1
    taken = Head(lease_of_this_process(token), uuid.uuid4().hex[:8], head.files)
    mirror.asked_as.add(taken.holder)
    try:
        number = mirror.cells.swap(cell, value.number, taken.to_bytes())
    except Outrun as error:
        raise LeaseLost(f"{mirror.url}: another process was quicker to take run {name}") from error
    with mirror.lock:
        mirror.held.add(name)
        mirror.note_head(name, number, taken)
    return Held(mirror, directory, number, taken)


def _is_free(mirror: Mirror, name: str, head: Head) -> bool:
    assert head.lease is not None
    silent_seconds = mirror.silent_seconds(name, head)
    if head.holder in mirror.asked_as and name not in mirror.held:
        return True  # it was taken here, and the answer that said so did not come
    return head.lease.liveness is Liveness.GONE or silent_seconds >= LEASE_SECONDS


def _fetch(mirror: Mirror, directory: RunDirectory, held: Held, tell: Callable[[str], None]) -> None:
    """Brings into the working folder what the run goes on from, and frees the folder's own lease for it."""
    head, objects = mirror.head(directory.path.name), mirror.objects
    for name in ("memory.json", "trace.jsonl", "timings.json", RECORD):
        if name in head.files:
            fetch_file(objects, head.files[name], directory.path / name)
    fetch_newest_checkpoint(objects, head, directory, tell)
    plan = directory.read_plan()
    execution, identity = plan.execution, plan.identity
    if (branch := execution.branch_from) is not None:
        _fetch_of(mirror, directory.sibling(branch.run_id), f"kept/{checkpoint_name(branch.step)}")
    if identity.start is not None and identity.start.run_id is not None:
        _fetch_of(mirror, directory.sibling(identity.start.run_id), "weights")
    fetch_texts(objects, directory, mirror.root)
    assert head.lease is not None
    write_atomically(directory.lease_file, to_json(asdict(replace(head.lease, released=True))))


def _fetch_of(mirror: Mirror, other: RunDirectory, folder: str) -> None:
    """A folder of another run; where it cannot be had, whoever needs it says so, or does without."""
    cell = Cell(HEAD, other.path.name)
    head = head_of(mirror.cells.read(cell).content, f"{mirror.url}/{cell.prefix}")
    other.path.mkdir(parents=True, exist_ok=True)
    fetch_folder(mirror.objects, head, folder, other)


def _here(directory: RunDirectory) -> LeaseInfo | None:
    """The folder's own lease, which what trains keeps."""
    try:
        return read_lease(directory)
    except DamagedFile:
        return None


def _token_of(path: str) -> int:
    """The token under which `path`, behind the run's folder of objects, was uploaded; a large one for what is none."""
    number = path.partition("-")[0]
    return int(number) if number.isdigit() else 1 << 63
