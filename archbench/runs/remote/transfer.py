"""Files of a run on their way: what is uploaded of a folder, and what is fetched into it."""

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from archbench.runs.checkpoint_files import files_of, newest_first
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, DiskRefused
from archbench.runs.lease import lease_locked
from archbench.runs.remote.head import Head, StoredFile
from archbench.runs.remote.objects import Objects

RECORD = "record.json"
SMALL_FILES = ("timings.json", "memory.json", "trace.jsonl", RECORD)
"""What is fetched by whoever looks at runs, in this order: a run that has a record has ended."""

TRACE = "trace.jsonl"
STAGING = ".outgoing"
"""Folder of a working folder in which files wait to be uploaded."""

_CHUNK_BYTES = 1 << 20


@contextmanager
def snapshot(directory: RunDirectory, root: Path) -> Iterator[dict[str, Path]]:
    """The files of a run as they are at one moment, by their paths in its folder; they are gone when it is left.

    Only what is whole is among them: of a checkpoint that is being removed, nothing. Raises StoreError.
    """
    staging = root / STAGING / f"{directory.path.name}-{uuid.uuid4().hex[:12]}"
    try:
        staging.mkdir(parents=True)
        with lease_locked(directory):
            linked = {path: _linked(directory.path / path, staging / path) for path in _paths(directory)}
        yield {path: copy for path, copy in linked.items() if copy is not None}
    except OSError as error:
        raise DiskRefused(f"{staging}: cannot be written: {error.strerror}; free space there") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def upload(
    objects: Objects, files: Mapping[str, Path], folder: str, before: Head, seen: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, StoredFile], dict[str, tuple[int, ...]]]:
    """Uploads what of `files` is not stored yet into the folder `folder` of keys, which must be a new one.

    Returns how each file is stored, and marks of the files, which the next call is given as `seen`: files of the same
    mark are not read again. Raises as `Objects`.
    """
    stored: dict[str, StoredFile] = {}
    marks: dict[str, tuple[int, ...]] = {}
    for path, file in files.items():
        marks[path] = mark_of(file)
        known = before.files.get(path)
        if known is not None and path != TRACE and seen.get(path) == marks[path]:
            stored[path] = known
            continue
        found = _digest(file)
        if known is not None and (known.sha256, known.disk_bytes) == found:
            stored[path] = known
            continue
        key = f"{folder}/{path}"
        objects.put(key, file)
        stored[path] = StoredFile(key, found[1], found[0])
    return stored, marks


def mark_of(file: Path) -> tuple[int, ...]:
    """What another content of the same file would not have: files of a run are never changed in place."""
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def look(directory: RunDirectory) -> tuple[object, ...]:
    """What changes when there is something new to upload, the trace left out: without any lock, and quick."""
    found: list[object] = []
    for path in _paths(directory):
        try:
            found += [] if path == TRACE else [path, mark_of(directory.path / path)]
        except OSError:
            found.append(path)
    return tuple(found)


def fetch_file(objects: Objects, stored: StoredFile, path: Path) -> bool:
    """Fetches one file into its place, whole or not at all; False where the store has removed it meanwhile.

    Raises DamagedFile where it is not what was uploaded, DiskRefused where the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not objects.fetch(stored.key, temporary):
            return False
        if _digest(temporary) != (stored.sha256, stored.disk_bytes):
            raise DamagedFile(f"{objects.url}/{stored.key}: is damaged: it is not what was uploaded")
        temporary.replace(path)
        return True
    except OSError as error:
        raise DiskRefused(f"{path}: cannot be written: {error.strerror}; free space there") from error
    finally:
        temporary.unlink(missing_ok=True)


def fetch_folder(objects: Objects, head: Head, name: str, directory: RunDirectory) -> bool:
    """Fetches the folder `name` of a run (`weights`, `kept/step-0000000100`) whole; False where it cannot be had whole.

    What is there already stays. Raises Unreachable, DiskRefused.
    """
    files, final = head.folder(name), directory.path / name
    if final.is_dir():
        return True
    if not files:
        return False
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex[:12]}")
    try:
        for path, stored in files.items():
            if not fetch_file(objects, stored, temporary / path.removeprefix(f"{name}/")):
                return False
        temporary.rename(final)
    except DamagedFile:
        return False
    except OSError as error:
        raise DiskRefused(f"{final}: cannot be written: {error.strerror}; free space there") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def fetch_newest_checkpoint(
    objects: Objects, head: Head, directory: RunDirectory, tell: Callable[[str], None] = lambda line: None
) -> None:
    """Fetches the newest checkpoint of a run that can be had whole, unless a newer one is here. Raises as above."""
    names = sorted({path.split("/")[1] for path in head.folder("checkpoints")}, reverse=True)
    here = next((one.name for one in newest_first(directory.checkpoints_dir) if files_of(one)), "")
    for name in names:
        if name <= here or fetch_folder(objects, head, f"checkpoints/{name}", directory):
            return
        tell(f"{objects.url}: checkpoint {name} of run {directory.path.name} is damaged; an older one is used")


def _paths(directory: RunDirectory) -> list[str]:
    """Paths of what is stored of a run, in its folder: no leases, no plans, nothing half written."""
    found = [name for name in SMALL_FILES if (directory.path / name).is_file()]
    for root in (directory.checkpoints_dir, directory.kept_dir):
        found += [f"{root.name}/{one.name}/{name}" for one in newest_first(root) for name in files_of(one)]
    weights = directory.weights_dir
    if weights.is_dir():
        found += [f"{weights.name}/{one.name}" for one in sorted(weights.iterdir()) if one.is_file()]
    return found


def _linked(file: Path, copy: Path) -> Path | None:
    """`copy`, which has the content that `file` has now; None where that was just removed."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if file.name == TRACE:  # it is added to in place
            return Path(shutil.copy2(file, copy))
        copy.hardlink_to(file)
    except FileNotFoundError:
        return None
    except OSError:  # a file system without links
        return Path(shutil.copy2(file, copy))
    return copy


def _digest(file: Path) -> tuple[str, int]:
    """SHA-256, in hex, and length in bytes."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def remove_staging(root: Path) -> None:
    """Removes what an upload that was killed has left behind in the working folder `root`."""
    shutil.rmtree(root / STAGING, ignore_errors=True)
