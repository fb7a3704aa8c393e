"""What a run tells of itself while it trains: `trace.jsonl`, a line now and then. It is shown, and enters no figure.

A run that is killed goes on from a checkpoint, and lines of the attempt before stand beyond it; each line has the
fencing token of its attempt, so that readers know which of them hold. Nothing else reads the file, and losing it loses
nothing of the run: lines are not flushed to the disk one by one.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from archbench.errors import StoreError
from archbench.runs.files import parse_json, read_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Where a run stood after `step` steps; None for what was not looked at."""

    token: int
    """The fencing token of the attempt."""
    step: int
    """Optimiser steps taken."""
    device_seconds: float
    """Measured time in training steps, over all attempts."""
    train_loss_nats: float | None = None
    """Mean training loss since the last evaluation, in nats per predicted token."""
    validation_loss_nats: float | None = None
    """Of an evaluation after this step, in nats per predicted token."""
    bits_per_byte: float | None = None
    """Of the same evaluation."""
    gradient_norm: float | None = None
    """Of the last step's whole gradient, before it was clipped."""
    tokens_per_s: float | None = None
    """By the clock, evaluations and checkpoints included."""
    memory_bytes: int | None = None
    """Most memory held at once so far: on the device, or of the whole process on a CPU."""


_NUMBERS = {one.name: (int,) if one.name in ("token", "step") else (int, float) for one in fields(TracePoint)}
_END_BYTES = 4096
"""Of a file, in which there are several lines."""

_NEEDED = ("token", "step", "device_seconds")


def append_to_trace(path: Path, point: TracePoint) -> None:
    """Adds a line to the trace at `path`. A disk that does not take it costs the line and nothing else."""
    known = {name: value for name, value in asdict(point).items() if value is not None}
    try:
        with path.open("ab") as stream:
            stream.write(json.dumps(known, allow_nan=False).encode() + b"\n")
    except OSError as error:
        log.warning("%s: a line was not written: %s", path, error.strerror)


def read_trace(path: Path) -> tuple[TracePoint, ...]:
    """The points of the trace at `path` that hold, in rising order of steps; none where it is not there or unreadable.

    What a later attempt did again is taken from that one. Lines that are none, as a last one that is still being
    written, are passed over.
    """
    try:
        lines = read_bytes(path).splitlines()
    except StoreError:
        return ()
    points: list[TracePoint] = []
    for line in lines:
        point = _point(line)
        if point is None or (points and point.token < points[-1].token):
            continue  # of somebody who had lost the run
        while points and points[-1].step > point.step:
            points.pop()
        if points and points[-1].step == point.step:
            point = _joined(points.pop(), point)
        points.append(point)
    return tuple(points)


def last_point(path: Path) -> TracePoint | None:
    """The last whole line of the trace at `path`; None where there is none. Reads the end of the file alone."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _END_BYTES))
            lines = stream.read(_END_BYTES).splitlines()
    except OSError:
        return None
    points = (_point(line) for line in reversed(lines))
    return next((point for point in points if point is not None), None)


def _point(line: bytes) -> TracePoint | None:
    try:
        content = parse_json(line)
    except ValueError:
        return None
    if not isinstance(content, Mapping) or not all(name in content for name in _NEEDED):
        return None
    if not all(type(value) in _NUMBERS.get(name, ()) for name, value in content.items()):
        return None
    return TracePoint(**content)


def _joined(first: TracePoint, second: TracePoint) -> TracePoint:
    """Two lines about one step: the second, and from the first what the second does not say."""
    said: dict[str, Any] = {name: value for name, value in asdict(second).items() if value is not None}
    return TracePoint(**{**asdict(first), **said})
