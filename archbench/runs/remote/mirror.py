"""A working folder, in which runs are read and trained as in any store, beside the store of objects that it follows.

What is small comes into the folder by itself: lists of scans, plans, records, traces, marks, and leases as their
holders last told. So whatever reads a store reads this one. Checkpoints and weights come when a run is taken up here
(`archbench.runs.remote.holding`), texts when one needs them.
"""

import contextlib
import hashlib
import shutil
import threading
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from archbench.errors import StoreError
from archbench.names import could_be_file_name
from archbench.runs.directory import ID_DIGITS, RunDirectory
from archbench.runs.files import DamagedFile, read_json, to_json, write_atomically
from archbench.runs.imported import IMPORTED_FILE
from archbench.runs.lease import LeaseWatch, read_lease
from archbench.runs.processes import Liveness
from archbench.runs.remote.cells import Cell, Cells, Outrun, Valued
from archbench.runs.remote.head import Head, head_of
from archbench.runs.remote.objects import Objects
from archbench.runs.remote.transfer import SMALL_FILES, fetch_file
from archbench.runs.store import RunStore

HEAD, PLAN, MARK, IMPORTED, SCAN = "head", "plan", "mark", "imported", "scan"
"""Kinds of cells."""

KNOWN_FILE = ".known.json"
"""What of the store the folder has."""

_AT_ONCE = 8
"""Requests at the same time."""


class Mirror:
    """The working folder `root` of the store `objects`. One process at a time has one of a folder."""

    def __init__(self, root: Path, objects: Objects) -> None:
        self.root = root
        self.objects = objects
        self.cells = Cells(objects)
        self.store = RunStore(root)
        self.watch = LeaseWatch()
        self.held: set[str] = set()
        """Names of the folders of runs whose leases this process holds: what is here of them is newer."""
        self.asked_as: set[str] = set()
        """The words under which this process has asked for leases, also where no answer came."""
        self.lock = threading.RLock()
        self._known: dict[Cell, tuple[int, str]] = self._read_known()
        """What the folder has: number and digest of each cell's value."""
        self._heads: dict[str, Head] = {}

    @property
    def url(self) -> str:
        """Of the store."""
        return self.objects.url

    def pull(self) -> None:
        """Brings into the folder what is new in the store. Raises as `Objects`, and DiskRefused.

        Values that are damaged stay where they are; what they are of is then as it was here.
        """
        numbers = self.cells.numbers()
        if not numbers:
            self.objects.require_place()
        with self.lock:
            due = [cell for cell, number in numbers.items() if self._is_due(cell, number)]
        # A plan before its head: what has a head and no plan is no run.
        due.sort(key=lambda cell: (cell.kind == HEAD, cell))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for cell, value in zip(due, pool.map(lambda one: self.cells.read(one, numbers[one]), due), strict=True):
                with self.lock, contextlib.suppress(DamagedFile):
                    if self._apply(cell, value):
                        self._note(cell, value)
        with self.lock:
            for cell in numbers:
                if cell.kind == HEAD and _is_run(cell.name):
                    self._watch_lease(cell.name)
            self._write_known()

    def head(self, name: str) -> Head:
        """What was last seen of the run in the folder called `name`."""
        if name not in self._heads:
            path = RunDirectory(self.root / name).remote_file
            raw = path.read_bytes() if path.is_file() else None
            self._heads[name] = head_of(raw, str(path))
        return self._heads[name]

    def push_plans(self, run_ids: Iterable[str]) -> None:
        """Stores the plans of these runs, and what is here of imported ones, where the store has others or none."""
        wanted: list[tuple[Cell, Path]] = []
        for name in dict.fromkeys(run_id[:ID_DIGITS] for run_id in run_ids):
            directory = RunDirectory(self.root / name)
            wanted += [(Cell(PLAN, name), directory.plan_file), (Cell(IMPORTED, name), directory.path / IMPORTED_FILE)]
        self._push([(cell, path.read_bytes()) for cell, path in wanted if path.is_file()])

    def push_marks(self) -> None:
        """Stores what was marked here, or no longer is, since the folder was last brought up to date."""
        found: list[tuple[Cell, bytes]] = []
        for directory in self.store.directories():
            cell = Cell(MARK, directory.path.name)
            try:
                content = directory.queue_file.read_bytes()
            except FileNotFoundError:
                content = b""
            if content or cell in self._known:
                found.append((cell, content))
        self._push(found)

    def push_scan(self, path: Path) -> bool:
        """Stores the list of a scan that was written here; False where somebody else has stored another meanwhile."""
        cell, content = Cell(SCAN, path.stem), path.read_bytes()
        number, digest = self._known.get(cell, (0, ""))
        if digest == _digest(content):
            return True
        try:
            self._note(cell, Valued(self.cells.swap(cell, number, content), content))
        except Outrun:
            return False
        self._write_known()
        return True

    def note_head(self, name: str, number: int, head: Head) -> None:
        """This process has changed the head of a run, or read it."""
        with self.lock:
            self._known[Cell(HEAD, name)] = (number, "")
            self._heads[name] = head
            write_atomically(RunDirectory(self.root / name).remote_file, head.to_bytes())

    def show_holder(self, name: str, head: Head) -> None:
        """Has the folder say who holds the run, under a token that is never lower than the one before."""
        if head.lease is None:
            return
        directory = RunDirectory(self.root / name)
        with contextlib.suppress(DamagedFile):
            here = read_lease(directory)
            token = max(head.lease.token, 0 if here is None else here.token)
            write_atomically(directory.lease_file, to_json(asdict(replace(head.lease, token=token))))

    def silent_seconds(self, name: str, head: Head) -> float:
        """How long the lease of the run has been seen unchanged by this process."""
        assert head.lease is not None
        return self.watch.silent_seconds(RunDirectory(self.root / name), head.lease)

    def _is_due(self, cell: Cell, number: int) -> bool:
        if cell.kind == SCAN:
            fine = could_be_file_name(cell.name) and not cell.name.startswith(".")
        else:
            fine = _is_run(cell.name) and cell.name not in self.held
        return fine and self._known.get(cell, (0, ""))[0] != number

    def _apply(self, cell: Cell, value: Valued) -> bool:
        """Brings one value into the folder; False where that has to wait."""
        content = value.content or b""
        if cell.kind == SCAN:
            _write_or_remove(self.store.scans_dir / f"{cell.name}.json", content)
            return True
        directory = RunDirectory(self.root / cell.name)
        if cell.kind == PLAN and not content:  # the run was removed
            shutil.rmtree(directory.path, ignore_errors=True)
            self._heads.pop(cell.name, None)
            return True
        directory.path.mkdir(parents=True, exist_ok=True)
        if cell.kind == HEAD:
            return cell.name not in self.held and self._apply_head(directory, value)
        places = {PLAN: directory.plan_file, MARK: directory.queue_file, IMPORTED: directory.path / IMPORTED_FILE}
        if cell.kind in places:
            _write_or_remove(places[cell.kind], content)
        return True

    def _apply_head(self, directory: RunDirectory, value: Valued) -> bool:
        name = directory.path.name
        head, before = head_of(value.content, f"{self.url}/{Cell(HEAD, name).prefix}"), self.head(name)
        if _is_trained_here(directory, head):
            return False
        for small in SMALL_FILES:
            stored = head.files.get(small)
            if stored is None or (stored == before.files.get(small) and (directory.path / small).is_file()):
                continue
            if not fetch_file(self.objects, stored, directory.path / small):
                return False  # a newer generation has come
        self.show_holder(name, head)
        self.note_head(name, value.number, head)
        return True

    def _watch_lease(self, name: str) -> None:
        with contextlib.suppress(StoreError):
            head = self.head(name)
            if head.held and name not in self.held:
                self.silent_seconds(name, head)

    def _push(self, wanted: Collection[tuple[Cell, bytes]]) -> None:
        due = [(cell, content) for cell, content in wanted if self._known.get(cell, (0, ""))[1] != _digest(content)]
        if not due:
            return

        def put(one: tuple[Cell, bytes]) -> tuple[Cell, Valued]:
            cell, content = one
            return cell, Valued(self.cells.put(cell, content, self._known.get(cell, (0, ""))[0]), content)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for cell, value in pool.map(put, due):
                with self.lock:
                    self._note(cell, value)
        with self.lock:
            self._write_known()

    def _note(self, cell: Cell, value: Valued) -> None:
        self._known[cell] = (value.number, "" if cell.kind == HEAD else _digest(value.content or b""))

    def _read_known(self) -> dict[Cell, tuple[int, str]]:
        """What an earlier process has noted, of what is still there; a damaged note is none, and all comes anew."""
        try:
            noted = read_json(self.root / KNOWN_FILE)
            known = {Cell(*key.split("/")): (int(number), str(digest)) for key, (number, digest) in noted.items()}
        except (StoreError, TypeError, ValueError, AttributeError):
            return {}
        return {cell: seen for cell, seen in known.items() if cell.kind == MARK or self._is_there(cell)}

    def _is_there(self, cell: Cell) -> bool:
        directory = RunDirectory(self.root / cell.name)
        places = {
            SCAN: self.root / "scans" / f"{cell.name}.json",
            PLAN: directory.plan_file,
            HEAD: directory.remote_file,
            IMPORTED: directory.path / IMPORTED_FILE,
        }
        return cell.kind in places and places[cell.kind].is_file()

    def _write_known(self) -> None:
        content = {f"{cell.kind}/{cell.name}": seen for cell, seen in sorted(self._known.items())}
        write_atomically(self.root / KNOWN_FILE, to_json(content))


def _is_trained_here(directory: RunDirectory, head: Head) -> bool:
    """Whether a process of this machine that holds the folder's own lease is at the run."""
    try:
        lease = read_lease(directory)
    except DamagedFile:
        return False
    if lease is None or lease.liveness is not Liveness.ALIVE:
        return False
    return head.lease is None or lease.process != head.lease.process


def _write_or_remove(path: Path, content: bytes) -> None:
    if content:
        write_atomically(path, content)
    else:
        path.unlink(missing_ok=True)


def _is_run(name: str) -> bool:
    return len(name) == ID_DIGITS and set(name) <= set("0123456789abcdef")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
