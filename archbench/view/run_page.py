"""All that the page shows of one run beside its curve: what `runs show` says, checkpoints, the log's end, its plan."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archbench.answers.plain import as_json, finite
from archbench.cli.runs import run_output
from archbench.errors import StoreError
from archbench.results.runs import RunRecord
from archbench.runs.directory import RunDirectory
from archbench.runs.store import RunStore, directory_bytes
from archbench.runs.trace import TracePoint

LOG_LINES = 200
"""Of the log that are shown, at most."""
_LOG_BYTES = 512 * 1024
"""From the end of a log in which a run is looked for."""
_BEGINS = re.compile(rb"run ([0-9a-f]{16}): begins at step")


def details_of(
    store: RunStore, directory: RunDirectory, record: RunRecord | None, trace: Sequence[TracePoint]
) -> dict[str, Any]:
    """What is known of the run in `directory` now, as JSON values."""
    shown = None if record is None else as_json(run_output(directory, record))
    if shown is not None:
        del shown["curve"]  # the page has it already
    timings = {} if record is None else dict(record.details.get("timings") or {})
    measured = {name: value for name, value in timings.items() if not name.endswith("_by_step")}
    name, lines = log_end(store.logs_dir, directory.path.name)
    details = {
        "directory": str(directory.path),
        "run": shown,
        "trace": [asdict(point) for point in trace],
        "measured": measured,
        "checkpoints": list(_checkpoints(directory)),
        "log": {"file": name, "lines": lines},
        "plan": _plan(directory, record),
    }
    content: dict[str, Any] = finite(details)
    return content


def log_end(folder: Path, digits: str) -> tuple[str | None, list[str]]:
    """The file in `folder`, if any, in which a worker last took up the run of these `digits`, and the last lines there.

    They end where the worker takes up another run.
    """
    newest: tuple[float, Path, bytes] | None = None
    for path in folder.glob("*.log"):
        content = _end_of(path)
        begins = [found for found in _BEGINS.finditer(content) if found[1].decode() == digits]
        if begins and (newest is None or path.stat().st_mtime > newest[0]):
            start = content.rfind(b"\n", 0, begins[-1].start()) + 1
            following = _BEGINS.search(content, begins[-1].end())
            end = content.rfind(b"\n", 0, following.start()) + 1 if following else len(content)
            newest = (path.stat().st_mtime, path, content[start:end])
    if newest is None:
        return None, []
    return str(newest[1]), newest[2].decode(errors="replace").splitlines()[-LOG_LINES:]


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _LOG_BYTES))
            return stream.read()
    except OSError:
        return b""


def _checkpoints(directory: RunDirectory) -> Iterator[dict[str, Any]]:
    """Those that are there, newest first; what vanishes meanwhile is left out."""
    for what, folder in (("checkpoint", directory.checkpoints_dir), ("kept", directory.kept_dir)):
        for path in sorted(folder.glob("step-*"), reverse=True):
            try:
                written = path.stat().st_mtime
            except OSError:
                continue
            step = path.name.removeprefix("step-").lstrip("0") or "0"
            yield {"what": what, "step": int(step), "bytes": directory_bytes(path), "written": written}
    if directory.weights_dir.is_dir():
        yield {"what": "weights", "step": None, "bytes": directory_bytes(directory.weights_dir), "written": None}


def _plan(directory: RunDirectory, record: RunRecord | None) -> dict[str, Any]:
    """The stored plan; of a run that was made elsewhere what is stored in its place."""
    try:
        return directory.read_plan().model_dump(mode="json")
    except StoreError as error:
        identity = {} if record is None else dict(record.details.get("identity") or {})
        return {"identity": identity} if identity else {"not read": str(error)}
