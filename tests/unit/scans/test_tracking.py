"""Trackers that fail, hang or are missing cost a line; runs and the command go on."""

import threading
import time
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from archbench.api import PluginError, Progress, RunRecord, Tracker, TrackerConfig
from archbench.scans.tracking import WAITING_POINTS, Tracking
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

PATIENCE_SECONDS = 60.0
RECORD = synthetic_records("gpt2", SyntheticLaw())[0]


class Kept:
    """A tracker that remembers, and does what its config says."""

    def __init__(self, misbehaves: str, release: threading.Event) -> None:
        self.misbehaves, self.release = misbehaves, release
        self.points: list[Progress] = []
        self.records: list[RunRecord] = []
        self.closed = 0

    def progressed(self, progress: Progress) -> None:
        if self.misbehaves == "hangs":
            self.release.wait()
        self.points.append(progress)

    def run_ended(self, record: RunRecord) -> None:
        if self.misbehaves == "fails":
            raise ConnectionError("no route\nto host")
        self.records.append(record)

    def close(self) -> None:
        self.closed += 1
        if self.misbehaves == "fails at its end":
            raise OSError("disk full")


class KeptConfig(TrackerConfig):
    kind: Literal["kept"] = "kept"
    misbehaves: str = ""
    opened: ClassVar[list[Kept]] = []
    release: ClassVar[threading.Event] = threading.Event()

    def open(self, *, scan: str, folder: Path) -> Tracker:
        if self.misbehaves == "is missing":
            raise PluginError("No module named 'kept'; pip install kept")
        if self.misbehaves == "hangs at start":
            self.release.wait()
        self.opened.append(Kept(self.misbehaves, self.release))
        assert (scan, folder) == ("trial", Path("logs/kept"))
        return self.opened[-1]


@pytest.fixture(autouse=True)
def fresh() -> None:
    KeptConfig.opened.clear()
    KeptConfig.release.clear()


def track(misbehaves: str, tell: list[str]) -> float:
    """Two runs are shown to a sound tracker and to one that misbehaves; how long the driver took."""
    configs = [KeptConfig(), KeptConfig(misbehaves=misbehaves)]
    began = time.monotonic()
    # Short only where the full time passes: elsewhere a busy machine must not run out of it.
    start_seconds = 0.0 if misbehaves == "hangs at start" else PATIENCE_SECONDS
    close_seconds = 1.0 if misbehaves.startswith("hangs") else PATIENCE_SECONDS
    tracking = Tracking(
        configs, scan="trial", folder=Path("logs"), start_seconds=start_seconds, close_seconds=close_seconds
    )
    with tracking.telling(tell.append):
        for step in range(3):
            tracking.progressed(Progress("a", step, 3, 3.0, 100.0))
        tracking.run_ended(RECORD)
        wait_for_records(1)
        tell += tracking.problems()
        tracking.run_ended(RECORD)
        wait_for_records(2)
    return time.monotonic() - began


def wait_for_records(count: int) -> None:
    """Waits until the sound tracker has been given so many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(not one.misbehaves and len(one.records) >= count for one in KeptConfig.opened):
        assert time.monotonic() < deadline, "the sound tracker was not served"
        time.sleep(0.01)


def sound() -> Kept:
    return next(tracker for tracker in KeptConfig.opened if not tracker.misbehaves)


def test_a_sound_tracker_is_given_points_and_records_and_is_closed() -> None:
    told: list[str] = []
    track("", told)
    assert told == []
    for tracker in KeptConfig.opened:
        assert [point.step for point in tracker.points] == [0, 1, 2]
        assert tracker.records == [RECORD, RECORD]
        assert tracker.closed == 1


@pytest.mark.parametrize(
    ("misbehaves", "line"),
    [
        ("is missing", "PluginError: No module named 'kept'; pip install kept; runs go on without it"),
        ("fails", "ConnectionError: no route to host; runs go on without it"),
        ("fails at its end", "OSError: disk full; runs go on without it"),
        ("hangs at start", "has not started yet; runs do not wait, and what it cannot write is lost"),
        ("hangs", "has not finished; what it had not written is lost"),
    ],
)
def test_one_that_misbehaves_costs_one_line_and_disturbs_no_other(misbehaves: str, line: str) -> None:
    told: list[str] = []
    seconds = track(misbehaves, told)
    assert told == [f"warning: tracker 'kept': {line}"]
    assert sound().records == [RECORD, RECORD]
    assert sound().closed == 1
    assert seconds < PATIENCE_SECONDS, "nobody waits for a tracker that hangs"
    KeptConfig.release.set()


def test_points_are_left_out_where_a_tracker_is_slow_and_ends_of_runs_are_not() -> None:
    tracking = Tracking([KeptConfig(misbehaves="hangs")], scan="trial", folder=Path("logs"))
    for step in range(10 * WAITING_POINTS):
        tracking.progressed(Progress("a", step, 10, None, None))
    tracking.run_ended(RECORD)
    KeptConfig.release.set()
    tracking.close(pytest.fail)
    (tracker,) = KeptConfig.opened
    assert 0 < len(tracker.points) <= WAITING_POINTS + 1
    assert tracker.records == [RECORD]
