"""What a store can do without, what that frees, and what would be lost; runs at work are never touched."""

import contextlib
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from archbench.errors import StoreError
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.remote.holding import remove_stored
from archbench.runs.remote.working_folder import mirror_of
from archbench.runs.store import RunStatus, RunStore, directory_bytes, directory_status
from archbench.spec.identity import RunPlan


class Removable(StrEnum):
    """Sorts of things that may go."""

    FAILED = "failed run"
    UNSTARTED = "run without a step"
    UNFINISHED = "unfinished run"
    WEIGHTS = "weights"
    KEPT = "kept checkpoints"
    CHECKPOINTS = "checkpoints"
    LOGS = "log"


LOSES = {
    Removable.FAILED: "the reason, and the steps that it has taken",
    Removable.UNSTARTED: "nothing",
    Removable.UNFINISHED: "the steps that it has taken",
    Removable.WEIGHTS: "weights that `archbench runs rerun` trains again",
    Removable.KEPT: "steps that a run branching off there saves",
    Removable.CHECKPOINTS: "nothing: the run has ended",
    Removable.LOGS: "what its worker printed",
}
"""What is gone afterwards. The result of a finished run never is."""


@dataclass(frozen=True, slots=True)
class Remnant:
    """One thing that may go."""

    what: Removable
    path: Path
    disk_bytes: int
    directory: RunDirectory | None
    """The run that it belongs to; None for logs."""

    @property
    def name(self) -> str:
        """What it is called in a list: the run's id, or the file's name."""
        return self.path.name if self.directory is None else self.directory.path.name


@dataclass(frozen=True, slots=True)
class _StoredRun:
    directory: RunDirectory
    status: RunStatus
    plan: RunPlan | None


def remnants(
    store: RunStore, wanted: Collection[Removable], among: Collection[str] | None = None
) -> tuple[list[Remnant], list[str]]:
    """What of the sorts `wanted` is in `store`, and what is left alone, with the reason, one line each.

    `among` are the first 16 digits of run ids, None for all runs. Runs of a scan that is going on are left alone, those
    that wait their turn too; so are weights and checkpoints from which a run is still to begin.
    """
    stored = [_read(directory) for directory in store.directories()]
    busy = _busy(store, stored)
    weights_needed, kept_needed = _needed(stored)
    found: list[Remnant] = []
    left: list[str] = []
    for run in stored:
        name = run.directory.path.name
        if among is not None and name not in among:
            continue
        if name in busy:
            left.append(f"{name}: belongs to a scan that is going on")
            continue
        for what, path in _parts(run):
            if what not in wanted:
                continue
            if (what is Removable.WEIGHTS and name in weights_needed) or (
                what is Removable.KEPT and name in kept_needed
            ):
                left.append(f"{name}: its {what.value} are what another run will begin from")
                continue
            folder = "" if path == run.directory.path else path.name
            disk_bytes = max(directory_bytes(path), run.directory.stored_bytes(folder))
            found.append(Remnant(what, path, disk_bytes, run.directory))
    if Removable.LOGS in wanted:
        if busy:
            left.append(f"{store.logs_dir}: is being written to")
        else:
            logs = sorted(path for path in store.logs_dir.glob("*.log*") if path.is_file())
            found += [Remnant(Removable.LOGS, path, path.stat().st_size, None) for path in logs]
    return found, left


def remove(remnant: Remnant) -> None:
    """Takes `remnant` away. Raises StoreError where its run is being trained, or the disk refuses."""
    try:
        if remnant.directory is None:
            remnant.path.unlink(missing_ok=True)
            return
        if (mirror := mirror_of(remnant.directory.path.parent)) is not None:
            remove_stored(mirror, remnant.directory, remnant.path)
        if not remnant.path.exists():
            return
        lease = acquire(remnant.directory)
        # Out of the way at once: what dies in the middle of removing leaves nothing behind that looks whole.
        doomed = remnant.path.with_name(f".gone-{remnant.path.name}")
        try:
            remnant.path.rename(doomed)
        finally:
            if remnant.directory.path.is_dir():
                lease.release()
        shutil.rmtree(doomed)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{remnant.path}: cannot be removed: {error.strerror}; mend its permissions") from error


def _read(directory: RunDirectory) -> _StoredRun:
    plan = None
    # Of a damaged plan only what the run begins from is unknown, not the run's state.
    with contextlib.suppress(StoreError):
        plan = directory.read_plan() if directory.plan_file.exists() else None
    return _StoredRun(directory, directory_status(directory), plan)


def _busy(store: RunStore, stored: Iterable[_StoredRun]) -> set[str]:
    """Short ids of runs at work or in a queue, and of all runs of scans to which these belong."""
    running = {run.directory.path.name for run in stored if run.status.state in (RunState.RUNNING, RunState.QUEUED)}
    busy = set(running)
    for name in store.scan_names():
        try:
            index = store.scan(name)
        except StoreError:
            continue
        members = {store.directory(run.run_id).path.name for run in index.runs}
        if members & running:
            busy |= members
    return busy


def _needed(stored: Iterable[_StoredRun]) -> tuple[set[str], set[str]]:
    """Short ids of runs whose weights, and of those whose kept checkpoints, are where a run is still to begin."""
    weights, kept = set(), set()
    for run in stored:
        if run.plan is None or run.status.state in (RunState.DONE, RunState.DIVERGED):
            continue
        if run.plan.identity.start is not None and run.plan.identity.start.run_id is not None:
            weights.add(run.directory.sibling(run.plan.identity.start.run_id).path.name)
        if run.plan.execution.branch_from is not None:
            kept.add(run.directory.sibling(run.plan.execution.branch_from.run_id).path.name)
    return weights, kept


def _parts(run: _StoredRun) -> Iterator[tuple[Removable, Path]]:
    """What a run consists of that may go: all of it, or parts of one that has ended well."""
    directory = run.directory
    if run.status.state is RunState.FAILED:
        yield Removable.FAILED, directory.path
    elif run.status.state is RunState.PLANNED:
        begun = directory.checkpoints_dir.is_dir() or directory.record_file.exists()
        yield Removable.UNFINISHED if begun else Removable.UNSTARTED, directory.path
    else:
        parts = (
            (Removable.WEIGHTS, directory.weights_dir),
            (Removable.KEPT, directory.kept_dir),
            (Removable.CHECKPOINTS, directory.checkpoints_dir),
        )
        yield from ((what, path) for what, path in parts if path.is_dir() or directory.stored_bytes(path.name))
