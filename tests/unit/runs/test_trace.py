"""What a run tells of itself on the way, and which of it holds after a kill."""

import logging
from pathlib import Path

import pytest

from archbench.runs.trace import TracePoint, append_to_trace, read_trace


def point(token: int, step: int, **more: float) -> TracePoint:
    return TracePoint(token=token, step=step, device_seconds=step / 10, **more)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def written(path: Path, *points: TracePoint) -> list[tuple[int, int]]:
    for one in points:
        append_to_trace(path, one)
    return [(found.token, found.step) for found in read_trace(path)]


def test_points_come_back_as_they_were_written(path: Path) -> None:
    points = [point(1, 0, validation_loss_nats=5.5), point(1, 10, train_loss_nats=4.0, gradient_norm=0.5)]
    written(path, *points)
    assert read_trace(path) == tuple(points)


def test_what_an_attempt_does_again_takes_the_place_of_what_the_killed_one_did(path: Path) -> None:
    assert written(path, point(1, 10), point(1, 20), point(1, 30), point(2, 15), point(2, 25)) == [
        (1, 10),
        (2, 15),
        (2, 25),
    ]


def test_lines_of_somebody_who_has_lost_the_run_are_passed_over(path: Path) -> None:
    assert written(path, point(1, 10), point(2, 11), point(1, 20), point(2, 21)) == [(1, 10), (2, 11), (2, 21)]


def test_two_lines_about_one_step_are_one_point(path: Path) -> None:
    written(path, point(1, 5, validation_loss_nats=3.0), point(1, 5, gradient_norm=0.5))
    (found,) = read_trace(path)
    assert (found.validation_loss_nats, found.gradient_norm) == (3.0, 0.5)


@pytest.mark.parametrize(
    "line",
    [
        b'{"token": 1, "step": 7',
        b"[]",
        b'{"token": 1, "step": 7}',
        b'{"token": 1, "step": "7", "device_seconds": 1.0}',
        b'{"token": 1, "step": 7, "device_seconds": 1.0, "colour": 3}',
        b'{"token": 1, "step": 7, "device_seconds": NaN}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_none_is_passed_over(path: Path, line: bytes) -> None:
    append_to_trace(path, point(1, 5))
    with path.open("ab") as stream:
        stream.write(line)
    assert [found.step for found in read_trace(path)] == [5]


def test_there_is_no_trace_where_none_can_be_read(tmp_path: Path) -> None:
    assert read_trace(tmp_path / "nothing") == ()
    assert read_trace(tmp_path) == ()


def test_a_disk_that_refuses_costs_the_line_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        append_to_trace(tmp_path / "gone" / "trace.jsonl", point(1, 5))
    assert "a line was not written: No such file or directory" in caplog.text
