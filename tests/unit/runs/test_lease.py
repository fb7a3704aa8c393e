import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archbench.errors import StoreError
from archbench.runs import lease as leases
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import LeaseLost, acquire, read_lease


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


def test_holder_on_another_machine_is_alive_while_its_heart_beats(directory: RunDirectory) -> None:
    acquire(directory)
    change(directory, host="elsewhere", heartbeat=time.time())
    with pytest.raises(StoreError, match="on elsewhere"):
        acquire(directory)
    change(directory, heartbeat=time.time() - leases.REMOTE_HEARTBEAT_SECONDS - 1)
    assert acquire(directory).token == 2


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
