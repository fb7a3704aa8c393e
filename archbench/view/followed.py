"""The runs of a scan, or all of a store, as last seen; only what has changed since is read again.

Everything is read by the store's own readers, as `archbench status` and `archbench runs list` do, and nothing is
written.
"""

import base64
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Condition, Lock
from typing import Any

import numpy as np

from archbench.analysis.frontier.curves import mean_curves
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.resamples import CurveStack
from archbench.cli.scan_words import counts_words
from archbench.cli.status_watch import begun_pace, done_share, done_share_of_all, left_words
from archbench.cli.watch import Pace
from archbench.errors import StoreError
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.published import published_lines, with_comparable_seconds
from archbench.results.runs import CostAxis, RunRecord, RunState, size_scan_contenders, size_scan_results
from archbench.runs.directory import ID_DIGITS, RunDirectory
from archbench.runs.files import DamagedFile
from archbench.runs.imported import IMPORTED_FILE
from archbench.runs.records import read_record
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.runs.trace import TracePoint, read_trace
from archbench.view.rows import COLUMNS, Row, curve_of, row_of, settings_of, unread_row

AXES = (CostAxis.EXACT, CostAxis.KAPLAN, CostAxis.DEVICE_SECONDS)
"""Cost axes on which a frontier is shown."""

_Stamp = tuple[tuple[int, int, int], ...]
Frontier = dict[str, list[tuple[float, float]]]
"""Cost axis -> (cost, loss in nats) of the points on the lower envelope, in rising order of cost."""
Frontiers = dict[str, dict[str, list[tuple[float, float]]]]
"""Cost axis -> contender -> the same."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A run that is followed, under the names that its scan gives to it."""

    run_id: str
    directory: RunDirectory
    indexed: IndexedRun | None
    """None where all runs of a store are followed, under the names of their architectures."""


@dataclass(slots=True)
class _Seen:
    """One run as it was when it last changed."""

    stamp: _Stamp
    record: RunRecord | None
    problem: str | None
    trace: tuple[TracePoint, ...]
    row: Row
    curve: bytes
    version: int
    settings: dict[str, Any] = field(default_factory=dict)


class Followed:
    """What is known of a scan; None follows every run of the store.

    One thread at a time looks. Whoever reads takes `changed`, whose lock guards what was seen, and waits on it for
    news.
    """

    def __init__(self, store: RunStore, name: str | None) -> None:
        self.store, self.name = store, name
        self.epoch = uuid.uuid4().hex[:12]
        """Tells versions of this object from those of another one."""
        self.version = 0
        self.changed = Condition()
        self._looking = Lock()
        self._seen: dict[str, _Seen] = {}
        self._index: ScanIndex | None = None
        self._members: list[_Member] = []
        self._listed: tuple[int, int] | None = None
        self._members_version = 0
        self._pace: Pace | None = None
        self._frontiers: dict[str, tuple[tuple[tuple[str, bool], ...], Frontier]] = {}
        self._trouble: str | None = None

    def look(self) -> None:
        """Looks at the store. Raises StoreError the first time where there is no such scan, or its list is damaged."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        fresh: dict[str, _Seen] = {}
        others = False
        try:
            others = self._list_members()
            self._trouble = None
        except StoreError as error:
            if self._listed is None:
                raise
            self._trouble = str(error)  # it may be mended while the page is open
        for member in self._members:
            seen = self._seen.get(member.run_id)
            stamp = _stamp(member.directory)
            running = seen is not None and seen.record is not None and seen.record.state is RunState.RUNNING
            if seen is None or seen.stamp != stamp or running:
                again = self._read(member, stamp, seen)
                if again is not seen:
                    fresh[member.run_id] = again
        with self.changed:
            if not fresh and not others:
                return
            self.version += 1
            for run_id, seen in fresh.items():
                seen.version = self.version
                self._seen[run_id] = seen
            if others:
                self._members_version = self.version
                kept = {member.run_id for member in self._members}
                self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in kept}
            self._leave_out_seconds()
            self._keep_pace()
            self.changed.notify_all()

    def snapshot(self) -> dict[str, Any]:
        """All that the page says at first, but for the curves."""
        with self.changed:
            seen = self._in_order()
            return {
                "version": f"{self.epoch}-{self.version}",
                "summary": self._summary(),
                "rows": [one.row for one in seen],
                "settings": _columns([one.settings for one in seen]),
            }

    def curves(self) -> bytes:
        """The curves of all runs: a length, as much JSON that says where each is, and float32 by column."""
        with self.changed:
            return packed({one.row["id"]: one.curve for one in self._in_order()})

    def news(self, since: str, timeout_s: float) -> tuple[str, dict[str, Any] | None]:
        """The version now, and what has changed after the version `since`; None where nothing has, within `timeout_s`.

        Where runs have come or gone, or `since` is of another object, the page has to ask for all of it.
        """
        epoch, _, number = since.partition("-")
        with self.changed:
            if epoch == self.epoch and number == str(self.version):
                self.changed.wait(timeout_s)
            now = f"{self.epoch}-{self.version}"
            if epoch != self.epoch or not number.isdigit() or int(number) < self._members_version:
                return now, {"reload": True}
            if int(number) >= self.version:
                return now, None
            fresh = [one for one in self._in_order() if one.version > int(number)]
            content = packed({one.row["id"]: one.curve for one in fresh})
            return now, {
                "summary": self._summary(),
                "rows": [one.row for one in fresh],
                "curves": base64.b64encode(content).decode(),
            }

    def record(self, digits: str) -> tuple[RunRecord | None, tuple[TracePoint, ...], RunDirectory]:
        """The run whose id begins with these 16 `digits`. Raises StoreError where it is not followed."""
        member = next((one for one in self._members if one.run_id[:ID_DIGITS] == digits), None)
        if member is None:
            raise StoreError(f"{self.name or self.store.root}: holds no run {digits!r}")
        with self.changed:
            seen = self._seen[member.run_id]
            trace = seen.trace or read_trace(member.directory.trace_file)
            return seen.record, trace, member.directory

    @property
    def index(self) -> ScanIndex | None:
        """The list of the scan's runs; None where all runs are followed."""
        return self._index

    @property
    def all_ended(self) -> bool:
        """Whether nothing is left to wait for."""
        records = self._records()
        return len(records) == len(self._members) and all(record.state.ended for record in records)

    def _list_members(self) -> bool:
        """Whether others are followed than before. Folders change when a file is put into its place in them."""
        folder = self.store.root if self.name is None else self.store.scans_dir
        try:
            status = folder.stat()
        except OSError as error:
            raise StoreError(f"{folder}: cannot be read: {error.strerror}; choose another --runs") from error
        listed = (status.st_mtime_ns, status.st_ino)
        if listed == self._listed:
            return False
        before = self._members
        if self.name is None:
            self._members = [_Member(one.path.name, one, None) for one in self.store.directories()]
        else:
            self._index = self.store.scan(self.name)
            distinct = {run.run_id: run for run in self._index.runs}
            self._members = [_Member(run_id, self.store.directory(run_id), run) for run_id, run in distinct.items()]
        self._listed = listed
        return self._members != before

    def _read(self, member: _Member, stamp: _Stamp, before: _Seen | None) -> _Seen:
        """The run of `member` as it is now; `before` itself where it is as it was."""
        record, problem, state = None, None, RunState.PLANNED.value
        try:
            record = self.store.record(member.indexed) if member.indexed else _under_architecture(member.directory)
        except StoreError as error:
            problem, state = str(error), "damaged" if isinstance(error, DamagedFile) else "unreadable"
        if before is not None and before.stamp == stamp and (before.record, before.problem) == (record, problem):
            return before
        if record is None:
            named = member.indexed
            contender, size, seed = (named.contender, named.size_index, named.seed) if named else ("", 0, None)
            row = unread_row(member.run_id, contender, size, seed, state, problem)
            return _Seen(stamp, None, problem, (), row, b"", 0, {"contender": contender, "seed": seed})
        trace = () if record.curve else read_trace(member.directory.trace_file)
        row, curve = row_of(record, trace), curve_of(record, trace)
        return _Seen(stamp, record, problem, trace, row, curve, 0, settings_of(record))

    def _in_order(self) -> list[_Seen]:
        return [self._seen[member.run_id] for member in self._members if member.run_id in self._seen]

    def _records(self) -> tuple[RunRecord, ...]:
        return tuple(one.record for one in self._in_order() if one.record is not None)

    def _leave_out_seconds(self) -> None:
        """Those of published runs that were timed on another machine than the runs of the scan."""
        read = [one for one in self._in_order() if one.record is not None]
        comparable = with_comparable_seconds([one.record for one in read if one.record is not None])
        for one, record in zip(read, comparable, strict=True):
            if record is not one.record:
                one.curve = curve_of(record, one.trace)

    def _keep_pace(self) -> None:
        """The pace begins with the first run that is seen at work."""
        records = self._records()
        if self._pace is None and any(record.state is RunState.RUNNING for record in records):
            self._pace = begun_pace(self.store, records)
        if self._pace is not None:
            for one in self._in_order():
                if one.record is not None:
                    self._pace.reached(one.record.run_id, _share(one))

    def _summary(self) -> dict[str, Any]:
        records = self._records()
        index = self._index
        mixed = mixed_arithmetic(records) if index is not None else None
        problems = [self._trouble, *(one.problem for one in self._in_order()), mixed,
                    *(one.row["problem"] for one in self._in_order())]  # fmt: skip
        ended = sum(record.state.ended for record in records)
        left = "all have ended" if self.all_ended else left_words(records, self._pace or Pace({}))
        return {
            "name": self.name,
            "description": index.description if index else "Every run of the store.",
            "baseline": index.baseline if index else None,
            "counts": dict(Counter(one.row["state"] for one in self._in_order())),
            "words": counts_words(records, len(self._members)),
            "left": left,
            "share": done_share_of_all(records),
            "ended": ended,
            "total": len(self._members),
            "all_ended": self.all_ended,
            "warnings": list(index.warnings) if index else [],
            "notes": published_lines(records),
            "problems": list(dict.fromkeys(one for one in problems if one)),
            "frontiers": self._current_frontiers(records) if index else {},
        }

    def _current_frontiers(self, records: Sequence[RunRecord]) -> Frontiers:
        """The frontier of every contender from its finished runs; kept until another one of them has finished."""
        found: Frontiers = {}
        usable = with_comparable_seconds([record for record in size_scan_results(records) if record.usable])
        for contender in size_scan_contenders(usable):
            own = [record for record in usable if record.contender == contender]
            done = tuple((record.run_id, record.curve[-1].device_seconds is not None) for record in own)
            if contender not in self._frontiers or self._frontiers[contender][0] != done:
                self._frontiers[contender] = (done, frontier_of(contender, own))
            for axis, points in self._frontiers[contender][1].items():
                found.setdefault(axis, {})[contender] = points
        return found


def frontier_of(contender: str, records: Sequence[RunRecord]) -> Frontier:
    """The measured points on the frontier of `contender` on every axis, as the report has them."""
    found: Frontier = {}
    for axis in AXES:
        curves = mean_curves(contender, records, axis)
        if curves.curves:
            found[axis.value] = [(one.cost, one.loss_nats) for one in frontier_points(CurveStack.of(curves))]
    return found


def packed(curves: Mapping[str, bytes]) -> bytes:
    """Curves by run: the length of the JSON, the JSON (columns; run -> its points), padding to 4 bytes, the floats."""
    points = {name: len(curve) // (4 * len(COLUMNS)) for name, curve in curves.items()}
    head = json.dumps({"columns": COLUMNS, "points": points}).encode()
    head += b" " * (-len(head) % 4)
    return b"".join([np.uint32(len(head)).astype("<u4").tobytes(), head, *curves.values()])


def _columns(settings: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings of many runs by name: the values that there are, and which of them each run has (-1 for none)."""
    columns: dict[str, dict[str, Any]] = {}
    names = dict.fromkeys(name for one in settings for name in one)
    for name in names:
        numbers: dict[tuple[type, Any], int] = {}
        values: list[Any] = []
        of = []
        for one in settings:
            if name not in one:
                of.append(-1)
                continue
            key = (type(one[name]), one[name])
            if key not in numbers:
                numbers[key] = len(values)
                values.append(one[name])
            of.append(numbers[key])
        columns[name] = {"values": values, **({"of": of} if len(set(of)) > 1 else {})}
    return columns


def _under_architecture(directory: RunDirectory) -> RunRecord | None:
    record = read_record(directory, contender="", size_index=0)
    return None if record is None else replace(record, contender=record.contender or record.architecture)


def _share(seen: _Seen) -> float:
    """How much of a run's steps is done, as far as its trace or its lease tells."""
    assert seen.record is not None
    step, steps = seen.row["step"], seen.row["steps"]
    return done_share(seen.record) if seen.record.state.ended or not steps else (step or 0) / steps


def _stamp(directory: RunDirectory) -> _Stamp:
    """What changes when a file of the run does."""
    return tuple(_stamps(directory))


def _stamps(directory: RunDirectory) -> Iterator[tuple[int, int, int]]:
    for path in (
        directory.record_file,
        directory.timings_file,
        directory.plan_file,
        directory.lease_file,
        directory.queue_file,
        directory.trace_file,
        directory.path / IMPORTED_FILE,
    ):
        try:
            status = path.stat()
        except OSError:
            yield (0, 0, 0)
        else:
            yield (status.st_mtime_ns, status.st_size, status.st_ino)
