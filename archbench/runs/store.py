"""The run store: one directory for each run, and for each scan a list of the runs that it is made of."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archbench.durable import remove_remnants
from archbench.errors import StoreError, nearest
from archbench.names import could_be_file_name, file_stem
from archbench.results.published import with_comparable_seconds
from archbench.results.runs import RESULT, SIZE_SCAN, RunRecord, RunState
from archbench.runs.binding import url_of
from archbench.runs.directory import ID_DIGITS, RunDirectory
from archbench.runs.files import DamagedFile, read_json, write_atomically
from archbench.runs.imported import IMPORTED_FILE
from archbench.runs.lease import read_lease
from archbench.runs.locks import locked
from archbench.runs.queue import read_mark
from archbench.runs.records import read_end, read_last, read_record, read_timings
from archbench.runs.sealed import read_sealed, write_sealed
from archbench.spec.identity import RunPlan

_CHOOSE = "free space, mend its permissions, or choose another --runs"


class _Reader(Protocol):
    def __call__(self, directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None: ...


class IndexedRun(BaseModel):
    """One run of a scan, under the names that the scan gives to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contender: str
    size_index: int
    seed: int
    run_id: str = Field(pattern="^[0-9a-f]{16,64}$")
    study: str = SIZE_SCAN
    role: str = RESULT
    labels: dict[str, str] = {}


class ScanIndex(BaseModel):
    """What a scan is made of: enough to report on it without its spec, its text or its plug-ins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    baseline: str | None
    runs: tuple[IndexedRun, ...]
    spec: dict[str, Any]
    """As resolved."""
    environment: dict[str, Any]
    """Versions, plug-in origins, data and tokenizer hashes at the time of planning."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Where one run stands."""

    state: RunState
    step: int | None
    """Steps taken as the holder of the lease last told; None where nobody holds one."""
    reason: str | None
    validation_loss_nats: float | None = None
    """At the end of a run that has ended."""
    damage: str | None = None
    """Why its record is not believed, in one line; the run then counts as planned."""


@dataclass(frozen=True, slots=True)
class RunStore:
    """Runs and scans below `root`."""

    root: Path

    @property
    def place(self) -> str:
        """As a person knows it: the folder, or the URL of the store that it follows."""
        return url_of(self.root) or str(self.root)

    @property
    def scans_dir(self) -> Path:
        """One JSON file for each scan."""
        return self.root / "scans"

    @property
    def logs_dir(self) -> Path:
        """What worker processes print."""
        return self.root / "logs"

    def create(self) -> None:
        """Makes the folders of the store. Raises StoreError where they cannot be made or written."""
        try:
            for folder in (self.root, self.scans_dir, self.logs_dir):
                folder.mkdir(parents=True, exist_ok=True)
                remove_remnants(folder)
            # A folder on a read-only or full disk is found out now and not after the first hour of training.
            probe = self.root / ".writable"
            write_atomically(probe, b"\0" * 4096)
            probe.unlink(missing_ok=True)  # another command on the same store may have been quicker
        except OSError as error:
            raise StoreError(f"{self.root}: cannot hold runs: {error.strerror}; {_CHOOSE}") from error

    def directory(self, run_id: str) -> RunDirectory:
        """Where the run `run_id` lives."""
        return RunDirectory(self.root / run_id[:ID_DIGITS])

    def prepare(self, plan: RunPlan) -> RunDirectory:
        """The directory of `plan`'s run, with its plan stored. Raises StoreError on a collision of short ids.

        A run that has ended keeps the plan that it was carried out by, unless it must be carried out again for its
        weights. A damaged plan is written anew.
        """
        directory = self.directory(plan.identity.run_id)
        stored = _stored_plan(directory)
        if stored is not None and stored.identity.run_id != plan.identity.run_id:
            raise StoreError(f"{directory.path}: holds another run of the same short id; move it away")
        ended = directory.record_file.exists() and not directory.lacks_weights(plan)
        if stored is None or (stored != plan and not ended):
            directory.write_plan(plan)
        return directory

    def plan_damage(self, run_id: str) -> str | None:
        """Why the run's stored plan is not believed, in one line; None where it is, or there is none."""
        directory = self.directory(run_id)
        try:
            if directory.plan_file.exists():
                directory.read_plan()
        except DamagedFile as error:
            return str(error)
        return None

    def directories(self) -> Iterator[RunDirectory]:
        """All run directories, by name. The directories are the truth: no list of them is kept."""
        try:
            with os.scandir(self.root) as entries:
                names = sorted(one.name for one in entries if len(one.name) == ID_DIGITS and one.is_dir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be read: {error.strerror}; choose another --runs") from error
        signs = ("plan.json", "record.json", IMPORTED_FILE)
        for name in names:
            if any(os.path.exists(f"{self.root}/{name}/{sign}") for sign in signs):  # noqa: PTH110  (three times as quick)
                yield RunDirectory(self.root / name)

    def find(self, prefix: str) -> RunDirectory:
        """The one run whose id begins with `prefix`. Raises StoreError where there is none or several."""
        found = [one for one in self.directories() if prefix and one.path.name.startswith(prefix[:ID_DIGITS])]
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(f"{self.root}: {len(found)} runs begin with {prefix!r}; give more digits")
        raise StoreError(f"{self.root}: no run begins with {prefix!r}; `archbench runs list` shows all")

    def status(self, run_id: str) -> RunStatus:
        """Where the run stands, from its directory alone."""
        return directory_status(self.directory(run_id))

    def record(self, run: IndexedRun) -> RunRecord | None:
        """What the run left behind, under the names of its scan; None while it has not ended."""
        return self._record(run, read_record)

    def _record(self, run: IndexedRun, read: _Reader) -> RunRecord | None:
        directory = self.directory(run.run_id)
        record = read(directory, contender=run.contender, size_index=run.size_index)
        if record is None:
            return None
        if not record.run_id.startswith(run.run_id) or record.seed != run.seed:
            raise DamagedFile(
                f"{directory.path}: is not the run that the scan lists there: {run.run_id} with seed {run.seed} against"
                f" {record.run_id} with seed {record.seed}; `archbench run` on its spec writes the list anew"
            )
        return replace(record, study=run.study, role=run.role, labels=run.labels)

    def records(self, index: ScanIndex) -> tuple[tuple[RunRecord, ...], tuple[str, ...]]:
        """The records of all runs of `index` that have a directory, and what is wrong with those that are damaged."""
        return self._records(index, read_record)

    def last_records(self, index: ScanIndex) -> tuple[tuple[RunRecord, ...], tuple[str, ...]]:
        """As `records`, with the last point of each curve alone: where the runs stand, and nothing to fit."""
        return self._records(index, read_last)

    def _records(self, index: ScanIndex, read: _Reader) -> tuple[tuple[RunRecord, ...], tuple[str, ...]]:
        records, problems = [], []
        with _no_search_for_cycles():
            for run in index.runs:
                try:
                    record = self._record(run, read)
                except StoreError as error:
                    problems.append(str(error))
                    continue
                if record is not None:
                    records.append(record)
                    problems += [record.details["problem"]] if "problem" in record.details else []
        return with_comparable_seconds(records), tuple(dict.fromkeys(problems))

    def save_scan(self, index: ScanIndex, admit: Callable[[ScanIndex], None] | None = None) -> Path:
        """Stores `index` under its scan's name, in place of an older one.

        `admit` raises where it may not be; no other command stores a list between that and the end.
        """
        with locked(self.scans_dir, ".lock", "the lists of scans"):
            if admit is not None:
                admit(index)
            path = self._scan_file(index.name)
            write_sealed(path, index.model_dump(mode="json"))
        return path

    def scan(self, name: str) -> ScanIndex:
        """The scan called `name`. Raises StoreError where there is none or its file is damaged."""
        path = self._scan_file(name)
        if not path.exists():
            # Who takes a name for a path gets it without doubled slashes.
            meant = next((one for one in self.scan_names() if str(PurePath(one)) == name), name)
            path, name = self._scan_file(meant), meant
        if not path.exists():
            raise StoreError(
                f"{self.place}: holds no scan {name!r}{nearest(name, self.scan_names())}; `archbench run` makes one"
            )
        remedy = "`archbench run` on its spec writes it anew and trains nothing twice"
        try:
            index = ScanIndex.model_validate(read_sealed(path, remedy).content)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise DamagedFile(f"{path}: is damaged: {where}: {problem['msg']}; {remedy}") from error
        if index.name != name:
            raise DamagedFile(f"{path}: is damaged: it is the scan {index.name!r}; {remedy}")
        return index

    def scan_names(self) -> list[str]:
        """Names of all scans."""
        try:
            return sorted(_scan_name(path) for path in self.scans_dir.glob("*.json"))
        except OSError as error:
            raise StoreError(f"{self.scans_dir}: cannot be read: {error.strerror}; choose another --runs") from error

    def _scan_file(self, name: str) -> Path:
        """Where the scan called `name` stands: under its file name, or an older one, which was the name itself."""
        path, older = (self.scans_dir / f"{stem}.json" for stem in (file_stem(name), name))
        if path == older or path.exists() or not could_be_file_name(name) or not older.is_file():
            return path
        # A file system that takes capitals for small letters finds another scan there.
        return older if _scan_name(older) == name else path

    def disk_bytes(self) -> int:
        """Bytes that all files of the store take."""
        return sum(directory_bytes(directory.path) for directory in self.directories())


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Around what makes thousands of records: none is part of a cycle, and the search takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def directory_status(directory: RunDirectory) -> RunStatus:
    """Where the run in `directory` stands: its record if it has ended, else its lease, else the queue it waits in.

    A run whose record is damaged has to be trained again: it counts as planned, and the reason tells the damage.
    """
    record, damage = None, None
    try:
        if directory.record_file.exists() or (directory.path / IMPORTED_FILE).exists():
            record = read_end(directory)
    except DamagedFile as error:
        damage = str(error)
    if record is not None and record.state in (RunState.DONE, RunState.DIVERGED):
        return _ended_status(record)
    try:
        lease = read_lease(directory)
    except DamagedFile:
        lease = None  # whoever takes the run up writes a new one
    if lease is not None and lease.alive:
        return RunStatus(RunState.RUNNING, lease.step, f"held by {lease.holder}")
    if record is not None:
        return _ended_status(record)
    mark = read_mark(directory)
    if mark is None or damage is not None:
        return RunStatus(RunState.PLANNED, None, damage, damage=damage)
    return RunStatus(mark.state, None, mark.words)


def damages_of(directory: RunDirectory) -> dict[Path, str]:
    """Which of a run's plan and records is not what was written, and in a line why; timings count to their record.

    Raises NewerFormat where a later version wrote one of them: training the run again would write over it.
    """
    found: dict[Path, str] = {}
    readers: tuple[tuple[Path, Callable[[], object]], ...] = (
        (directory.plan_file, directory.read_plan),
        (directory.record_file, lambda: read_record(directory, contender="", size_index=0)),
        (directory.record_file, lambda: read_timings(directory.timings_file)),
        (directory.path / IMPORTED_FILE, lambda: read_record(directory, contender="", size_index=0)),
    )
    for path, read in readers:
        if not path.exists():
            continue
        try:
            read()
        except DamagedFile as error:
            found.setdefault(path, str(error))
    return found


def _ended_status(record: RunRecord) -> RunStatus:
    last = record.curve[-1] if record.curve else None
    return RunStatus(record.state, last.step if last else None, record.reason, record.final_loss_nats)


def directory_bytes(path: Path) -> int:
    """Bytes of all files below `path`; files that vanish meanwhile count nothing."""
    total, folders = 0, [str(path)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file():
                        total += entry.stat().st_size
        except OSError:
            continue
    return total


def _scan_name(path: Path) -> str:
    """The name of the scan in `path`: the file's own, or where that spells another name, what the file says."""
    if path.stem == file_stem(path.stem):
        return path.stem
    try:
        content = read_json(path)
    except StoreError:
        return path.stem
    name = content.get("name") if isinstance(content, dict) else None
    return name if isinstance(name, str) else path.stem


def _stored_plan(directory: RunDirectory) -> RunPlan | None:
    if not directory.plan_file.exists():
        return None
    try:
        return directory.read_plan()
    except DamagedFile:
        return None
