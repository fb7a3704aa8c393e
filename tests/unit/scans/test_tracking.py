"""Trackers that fail, hang or are missing cost a line; runs and the command go on."""

import threading
import time
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from archbench.api import PluginError, Progress, RunRecord, Tracker, TrackerConfig
from archbench.scans.tracking import WAITING_POINTS, Tracking
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

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


def track(misbehaves: str, tell: list[str], *, points: int = 3, seconds: float = 0.3) -> float:
    """Two runs are shown to a sound tracker and to one that misbehaves; how long the driver took."""
    configs = [KeptConfig(), KeptConfig(misbehaves=misbehaves)]
    began = time.monotonic()
    tracking = Tracking(configs, scan="trial", folder=Path("logs"), start_seconds=0.05, close_seconds=seconds)
    with tracking.telling(tell.append):
        for step in range(points):
            tracking.progressed(Progress("a", step, points, 3.0, 100.0))
        tracking.run_ended(RECORD)
        time.sleep(0.1)
        tell += tracking.problems()
        tracking.run_ended(RECORD)
    return time.monotonic() - began


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
    assert seconds < 5.0, "nobody waits for a tracker that hangs"
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
