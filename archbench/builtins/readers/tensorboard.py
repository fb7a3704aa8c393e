"""TensorBoard: event files, folders of them, and the CSV that its page downloads."""

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers import wire
from archbench.builtins.readers.files import csv_rows, header_of
from archbench.builtins.readers.record_logs import tf_records

EVENT_FILE = "events.out.tfevents."
CSV_COLUMNS = ["Wall time", "Step", "Value"]

_DOWNLOADED = re.compile(r"(?:run-)?(?P<run>.*?)[-_]tag-(?P<tag>.+)")
"""Name of a downloaded CSV, without its suffix: `run-gpt2_small-tag-eval_loss`."""

# Numbers of tensorflow's event.proto, summary.proto and tensor.proto.
_EVENT_STEP, _EVENT_SUMMARY = 2, 5
_SUMMARY_VALUE = 1
_VALUE_TAG, _VALUE_SIMPLE, _VALUE_TENSOR = 1, 2, 8
_TENSOR_TYPE, _TENSOR_SHAPE, _TENSOR_CONTENT, _TENSOR_FLOATS, _TENSOR_DOUBLES = 1, 2, 4, 5, 6
_CONTENT_FORMS = {1: "<f", 2: "<d"}
"""DT_FLOAT and DT_DOUBLE -> how their bytes are read."""


class TensorBoard(RunReader):
    """Reader `tensorboard`."""

    kind: Literal["tensorboard"] = "tensorboard"
    summary: ClassVar[str] = "TensorBoard: event files, folders of them (a run each), downloaded CSV"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`."""
        if path.is_dir():
            return bool(_event_files(path))
        if path.name.startswith(EVENT_FILE):
            return True
        return path.suffix.lower() == ".csv" and header_of(path) == CSV_COLUMNS

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`. All event files of one folder are one run, as TensorBoard has it."""
        if path.is_dir():
            files = _event_files(path)
            if not files:
                raise SpecError(f"{path}: holds no {EVENT_FILE}* file, nor do its folders; name the log folder")
            folders = dict.fromkeys(file.parent for file in files)
            return [
                _history(_run_name(folder, path), [file for file in files if file.parent == folder])
                for folder in folders
            ]
        if path.suffix.lower() == ".csv":
            return [_from_csv(path)]
        return [_history(path.absolute().parent.name, [path])]


def _event_files(folder: Path) -> list[Path]:
    """In the order in which they were written: their names begin with the time."""
    return sorted(file for file in folder.rglob(f"{EVENT_FILE}*") if file.is_file())


def _run_name(folder: Path, logs: Path) -> str:
    return logs.absolute().name if folder == logs else folder.relative_to(logs).as_posix()


def _history(run: str, files: list[Path]) -> RunHistory:
    """One run. Where it was continued from before its end, steps that were taken again replace the first ones."""
    points: dict[int, tuple[str, dict[str, float]]] = {}
    for file in files:
        for number, record in tf_records(file):
            place = f"record {number}" if len(files) == 1 else f"{file.name}: record {number}"
            try:
                step, values = _scalars(record)
            except wire.DamagedError as error:
                raise SpecError(f"{file}: record {number}: is damaged: {error}; copy the file again") from None
            if values:
                points.setdefault(step, (place, {}))[1].update(values)
    rows = [HistoryRow(place, {**values, "step": step}) for step, (place, values) in sorted(points.items())]
    return RunHistory(run, files[0] if len(files) == 1 else files[0].parent, rows)


def _scalars(event: bytes) -> tuple[int, dict[str, float]]:
    """Step, and tag -> value of an event's scalars. Raises DamagedError."""
    values = {}
    for summary in wire.parts(event, _EVENT_SUMMARY):
        for value in wire.parts(summary, _SUMMARY_VALUE):
            if (scalar := _scalar(value)) is not None:
                values[wire.text(value, _VALUE_TAG)] = scalar
    return wire.integer(event, _EVENT_STEP), values


def _scalar(value: bytes) -> float | None:
    """A scalar, as TensorBoard's writers since 1.x and since 2.x lay it; None for images, texts and histograms."""
    if simple := wire.floats(value, _VALUE_SIMPLE):
        return simple[-1]
    tensor = wire.part(value, _VALUE_TENSOR)
    if tensor is None or wire.part(tensor, _TENSOR_SHAPE):
        return None
    form = _CONTENT_FORMS.get(wire.integer(tensor, _TENSOR_TYPE))
    if form is None:
        return None
    content = wire.part(tensor, _TENSOR_CONTENT)
    if content:
        return float(struct.unpack(form, content)[0]) if len(content) == struct.calcsize(form) else None
    numbers = wire.floats(tensor, _TENSOR_FLOATS) if form == "<f" else wire.doubles(tensor, _TENSOR_DOUBLES)
    return numbers[-1] if numbers else 0.0  # protobuf writes no zero


def _from_csv(path: Path) -> RunHistory:
    """A downloaded chart. Its run and its tag stand in the file's name alone."""
    names, rows = csv_rows(path)
    if names != CSV_COLUMNS:
        raise SpecError(f"{path}: the columns are {', '.join(names)}, expected {', '.join(CSV_COLUMNS)}")
    named = _DOWNLOADED.fullmatch(path.stem)
    run, tag = (named["run"], named["tag"]) if named else (path.stem, "Value")
    points = []
    for row in rows:
        missing = [name for name in CSV_COLUMNS[1:] if name not in row.values]
        if missing:
            raise SpecError(f"{path}: {row.place}: has no {missing[0]}")
        points.append(HistoryRow(row.place, {tag: row.values["Value"], "step": row.values["Step"]}))
    return RunHistory(run or path.stem, path, points)
