import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archbench.errors import StoreError
from archbench.runs import lease as leases
from archbench.runs import locks
from archbench.runs.directory import RunDirectory
from archbench.runs.files import commit_folder
from archbench.runs.lease import LeaseLost, LeaseWatch, acquire, read_lease
from archbench.runs.processes import Liveness, this_process


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def change(directory: RunDirectory, **fields: object) -> None:
    content = json.loads(directory.lease_file.read_bytes())
    directory.lease_file.write_text(json.dumps(content | fields))


def test_run_that_was_never_started_has_no_lease(directory: RunDirectory) -> None:
    assert read_lease(directory) is None


def test_second_holder_is_refused_while_the_first_is_alive(directory: RunDirectory) -> None:
    acquire(directory)
    with pytest.raises(StoreError, match="is being trained by process"):
        acquire(directory)


def test_released_lease_is_free_and_tokens_rise(directory: RunDirectory) -> None:
    first = acquire(directory)
    first.release()
    second = acquire(directory)
    assert second.token == first.token + 1


def test_lease_of_a_killed_process_is_taken_over_at_once_even_before_it_is_reaped(directory: RunDirectory) -> None:
    script = (
        "import sys, time; from pathlib import Path; from archbench.runs.directory import RunDirectory; "
        "from archbench.runs.lease import acquire; acquire(RunDirectory(Path(sys.argv[1]))); "
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(directory.path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StoreError):
        acquire(directory)
    holder.kill()
    lease = acquire(directory, wait_seconds=5.0)
    assert lease.token == 2
    holder.wait()


def test_pid_that_now_belongs_to_another_process_holds_nothing(directory: RunDirectory) -> None:
    acquire(directory)
    change(directory, started=1.0)
    assert acquire(directory).token == 2


ELSEWHERE = {"host": "elsewhere", "boot_id": "another boot"}


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def looked_at(directory: RunDirectory, watch: LeaseWatch, clock: Clock, seconds: float) -> bool:
    """Whether the lease is free after having been looked at every two seconds."""
    info = read_lease(directory)
    assert info is not None
    free = watch.is_free(directory, info)
    for _ in range(int(seconds // 2)):
        clock.now += 2.0
        free = watch.is_free(directory, info)
    return free


@pytest.mark.parametrize("ahead_seconds", [-3e8, -300.0, 0.0, 300.0, 3e8])
def test_what_the_clock_of_another_machine_says_decides_nothing(directory: RunDirectory, ahead_seconds: float) -> None:
    acquire(directory)
    change(directory, **ELSEWHERE, heartbeat=time.time() + ahead_seconds, since=time.time() + ahead_seconds)
    with pytest.raises(
        LeaseLost, match=r"is being trained by process \d+ on elsewhere \(another machine or container\)"
    ):
        acquire(directory)
    clock = Clock()
    watch = LeaseWatch(clock)
    assert not looked_at(directory, watch, clock, leases.LEASE_SECONDS - 2)
    assert looked_at(directory, watch, clock, 2)
    assert acquire(directory, watch=watch).token == 2


def test_a_lease_that_changes_while_it_is_watched_is_not_taken_over(directory: RunDirectory) -> None:
    acquire(directory)
    change(directory, **ELSEWHERE)
    clock = Clock()
    watch = LeaseWatch(clock)
    for beats in range(1, 20):
        assert not looked_at(directory, watch, clock, leases.LEASE_SECONDS - 2)
        change(directory, beats=beats)
    assert not looked_at(directory, watch, clock, 0)


def test_whoever_was_stopped_between_two_looks_has_watched_nothing_meanwhile(directory: RunDirectory) -> None:
    acquire(directory)
    change(directory, **ELSEWHERE)
    clock = Clock()
    watch = LeaseWatch(clock)
    assert not looked_at(directory, watch, clock, 2)
    clock.now += 86_400.0
    assert not looked_at(directory, watch, clock, 0)


def test_acquiring_waits_until_a_holder_that_cannot_be_looked_at_has_shown_to_be_silent(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.4)
    acquire(directory)
    change(directory, **ELSEWHERE)
    assert acquire(directory, wait_seconds=0.01).token == 2


@pytest.mark.parametrize("field", ["boot_id", "pid_namespace"])
def test_a_process_id_means_nothing_in_another_boot_or_namespace(directory: RunDirectory, field: str) -> None:
    """The process that has the number here is alive, and the one that is not there may be alive elsewhere."""
    for pid in (1, 2**22 - 1):
        change_to = {field: "another", "pid": pid, "started": 1.0, "released": False}
        acquire(directory).release()
        change(directory, **change_to)
        info = read_lease(directory)
        assert info is not None
        assert info.liveness is Liveness.UNKNOWN
        change(directory, released=True)


def test_a_lease_of_an_older_version_is_watched(directory: RunDirectory) -> None:
    """It holds neither boot nor namespace, and a start by the wall clock."""
    old = {"token": 7, "host": "a", "pid": 1, "started": 1.7e9, "step": 3, "heartbeat": 1.7e9, "released": False}
    directory.lease_file.write_text(json.dumps(old))
    info = read_lease(directory)
    assert info is not None
    assert info.liveness is Liveness.UNKNOWN
    assert info.holder == "process 1 on a (another machine or container)"
    directory.lease_file.write_text(json.dumps(old | {"released": True}))
    assert acquire(directory).token == 8


def test_this_process_is_known_by_its_start_since_boot_and_not_by_the_clock() -> None:
    mine = this_process()
    assert mine.liveness is Liveness.ALIVE
    assert replace(mine, started=mine.started + 1.0).liveness is Liveness.GONE
    assert replace(mine, pid=0).liveness is Liveness.GONE
    assert mine.started < time.clock_gettime(time.CLOCK_BOOTTIME) * 100 + 100  # ticks of a hundredth of a second


def test_two_holders_of_one_token_are_told_apart(directory: RunDirectory) -> None:
    """Where a file system has no locks, two machines may have read the same token."""
    lease = acquire(directory)
    change(directory, boot_id="another boot")
    with pytest.raises(LeaseLost):
        lease.check()


def test_heartbeats_go_on_while_a_step_takes_long_and_keep_the_step(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = acquire(directory)
    lease.renew(41)
    monkeypatch.setattr(leases, "RENEWAL_SECONDS", 0.02)
    threads = threading.active_count()
    with lease.beating():
        time.sleep(0.3)
    info = read_lease(directory)
    assert info is not None
    assert info.beats >= 3
    assert info.step == 41
    assert threading.active_count() == threads


def test_what_a_stale_holder_would_put_in_place_is_refused_before_it_is_there(directory: RunDirectory) -> None:
    old = acquire(directory)
    change(directory, started=1.0)
    acquire(directory)
    with pytest.raises(LeaseLost):
        commit_folder(directory.path / "weights", {"file": b"old"}, guard=old.held)
    assert [path.name for path in directory.path.iterdir() if not path.name.startswith(".lease")] == ["lease.json"]


def test_a_lock_that_somebody_keeps_is_told(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.05)
    with (
        acquire(directory).held(),
        pytest.raises(StoreError, match="another process has kept the lock of its lease for 0 s"),
    ):
        acquire(directory)


def test_holder_that_lost_its_lease_can_neither_renew_nor_release_it(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWAL_SECONDS", 0.0)
    old = acquire(directory)
    change(directory, started=1.0)
    new = acquire(directory)
    with pytest.raises(LeaseLost):
        old.check()
    with pytest.raises(LeaseLost):
        old.renew(5)
    old.release()
    new.check()
    new.renew(7)
    info = read_lease(directory)
    assert info is not None
    assert (info.step, info.alive) == (7, True)


def test_heartbeats_between_two_renewals_leave_the_disk_alone(directory: RunDirectory) -> None:
    lease = acquire(directory)
    lease.renew(3)
    info = read_lease(directory)
    assert info is not None
    assert info.step == 0


def test_malformed_lease_is_told_in_one_line(directory: RunDirectory) -> None:
    directory.lease_file.write_text('{"token": 1}')
    with pytest.raises(StoreError, match=r"lease\.json: is damaged: not a lease \(.*\); delete the file"):
        read_lease(directory)


@pytest.mark.parametrize("content", ["", "[]", '{"token": 1}', "FIELDS"])
def test_a_damaged_lease_is_taken_over_and_its_old_holder_stops(directory: RunDirectory, content: str) -> None:
    old = acquire(directory)
    wrong = json.dumps(json.loads(directory.lease_file.read_text()) | {"pid": "1"})
    directory.lease_file.write_text(wrong if content == "FIELDS" else content)
    with pytest.raises(StoreError):
        old.check()
    new = acquire(directory)
    new.check()
    with pytest.raises(LeaseLost):
        old.check()


def test_a_process_id_that_no_process_can_have_is_dead(directory: RunDirectory) -> None:
    acquire(directory)
    fields = json.loads(directory.lease_file.read_text()) | {"pid": 10**18}
    directory.lease_file.write_text(json.dumps(fields))
    info = read_lease(directory)
    assert info is not None
    assert not info.alive
