"""Runs that were made elsewhere: `imported.json` in a run directory, in place of a plan and a record of our own.

These are runs of other tools, and those of published entries.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from archbench.errors import StoreError
from archbench.results.runs import RunRecord
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, to_json
from archbench.runs.sealed import read_sealed, write_sealed

IMPORTED_FILE = "imported.json"
_REMEDY = "import the file again (of a published entry: `archbench run` on the spec that names it)"


def imported_run_id(record: RunRecord) -> str:
    """SHA-256 of all that the imported run says, in hex: the same rows give the same run."""
    return _hash(_content(record))


def write_imported(directory: RunDirectory, record: RunRecord) -> None:
    """Stores `record`. Raises StoreError where the directory cannot be written."""
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory.path}: cannot be created: {error.strerror}; choose another --runs") from error
    write_sealed(directory.path / IMPORTED_FILE, _content(record))


def keep_published(directory: RunDirectory, record: RunRecord) -> None:
    """Stores a run of a published entry, unless it is there. Raises StoreError as `write_imported`."""
    try:
        kept = read_imported(directory, contender=record.contender, size_index=record.size_index)
    except DamagedFile:
        kept = None
    if kept is None:
        write_imported(directory, record)


def read_imported(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """The imported run in `directory`; None where it holds none. Raises StoreError for a malformed file."""
    path = directory.path / IMPORTED_FILE
    if not path.exists():
        return None
    sealed = read_sealed(path, _REMEDY)
    try:
        # As JSON once more: strict pydantic then takes texts for enums and lists for tuples, and nothing else.
        record = _adapter().validate_json(to_json(sealed.content), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DamagedFile(f"{path}: is damaged: {where}: {problem['msg']}; {_REMEDY}") from error
    if not sealed.protected and record.run_id != _hash(sealed.content):
        raise DamagedFile(f"{path}: is damaged: its id is not the hash of its content; {_REMEDY}")
    if not directory.may_hold(record.run_id):
        raise DamagedFile(f"{path}: is damaged: it is the run {record.run_id[:16]}; {_REMEDY}")
    details = {**record.details, "protected": sealed.protected}
    return replace(record, contender=contender, size_index=size_index, details=details)


def _content(record: RunRecord) -> dict[str, Any]:
    """What is stored of `record`: fields that records did not always have only where they say something."""
    content = asdict(record)
    if record.final is None:
        del content["final"]
    for point in content["curve"]:
        if point["processor_seconds"] is None:
            del point["processor_seconds"]
    return content


def _hash(content: Mapping[str, Any]) -> str:
    content = {**content, "run_id": "", "contender": "", "size_index": 0}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[RunRecord]:
    """Checks types and field names of a stored record; made when it is first needed, which takes a while."""
    return TypeAdapter(RunRecord)
