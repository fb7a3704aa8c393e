"""A run's mark says where it waits; it is advice, and whoever has the lease has the run."""

from pathlib import Path

import pytest

from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.queue import (
    asked_for_again,
    call_off,
    discard_mark,
    is_called_off,
    mark_queued,
    mark_ticket,
    read_mark,
)
from archbench.runs.store import directory_status


def test_a_run_in_a_queue_is_queued_until_somebody_trains_it(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory_status(directory).state is RunState.PLANNED
    mark_queued(directory, "slurm")
    assert directory_status(directory).reason == "in the queue of slurm"
    mark_ticket(directory, "slurm", "7")
    status = directory_status(directory)
    assert (status.state, status.reason) == (RunState.QUEUED, "in the queue of slurm as 7")
    lease = acquire(directory)
    assert directory_status(directory).state is RunState.RUNNING
    lease.release()
    assert directory_status(directory).state is RunState.QUEUED, "it was preempted, and stands there still"
    discard_mark(directory)
    assert directory_status(directory).state is RunState.PLANNED


def test_a_failed_run_is_asked_for_again_once_for_each_time_that_it_is_queued(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    acquire(directory).release()
    assert not asked_for_again(directory)
    mark_queued(directory, "slurm")
    assert asked_for_again(directory)
    mark_ticket(directory, "slurm", "7")
    assert asked_for_again(directory), "what the queue calls it changes nothing"
    acquire(directory).release()
    assert not asked_for_again(directory), "somebody has taken it up since"
    mark_ticket(directory, "slurm", "7")
    assert not asked_for_again(directory), "a ticket that is told late asks for nothing"


def test_a_run_that_is_called_off_stays_so_until_it_is_queued_again(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    mark_queued(directory, "slurm")
    call_off(directory)
    mark_ticket(directory, "slurm", "7")
    assert is_called_off(directory)
    assert not asked_for_again(directory)
    status = directory_status(directory)
    assert status.state is RunState.PLANNED
    assert status.reason is not None
    assert "archbench cancel" in status.reason
    mark_queued(directory, "slurm")
    assert not is_called_off(directory)


@pytest.mark.parametrize("content", ["", "[]", '{"executor": "slurm"}', '{"executor": 1, "ticket": "", "token": 0}'])
def test_a_mark_that_nobody_can_read_is_none(tmp_path: Path, content: str) -> None:
    directory = RunDirectory(tmp_path)
    directory.queue_file.write_text(content)
    assert read_mark(directory) is None
    assert not is_called_off(directory)
    assert directory_status(directory).state is RunState.PLANNED
