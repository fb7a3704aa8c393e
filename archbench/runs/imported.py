"""Runs that were made elsewhere: `imported.json` in a run directory, in place of a plan and a record of our own."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from archbench.errors import StoreError
from archbench.results.runs import CurvePoint, RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, read_json, to_json, write_atomically

IMPORTED_FILE = "imported.json"
_FORMAT = 1


def imported_run_id(record: RunRecord) -> str:
    """SHA-256 of all that the imported run says, in hex: the same rows give the same run."""
    content = asdict(replace(record, run_id="", contender="", size_index=0))
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def write_imported(directory: RunDirectory, record: RunRecord) -> None:
    """Stores `record`. Raises StoreError where the directory cannot be written."""
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory.path}: cannot be created: {error.strerror}; choose another --runs") from error
    content = asdict(record) | {"format": _FORMAT}
    write_atomically(directory.path / IMPORTED_FILE, to_json(content))


def read_imported(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """The imported run in `directory`; None where it holds none. Raises StoreError for a malformed file."""
    path = directory.path / IMPORTED_FILE
    if not path.exists():
        return None
    content: Any = read_json(path)
    try:
        if content.pop("format") != _FORMAT:
            raise ValueError("it has a format that this version does not read")
        content["curve"] = tuple(CurvePoint(**point) for point in content["curve"])
        content["state"] = RunState(content["state"])
        return RunRecord(**content | {"contender": contender, "size_index": size_index})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path}: is malformed: {error}; import the file again") from error
