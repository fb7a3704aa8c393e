"""One store, several "machines": processes in pid and host name namespaces of their own, as containers have them."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire, read_lease
from archbench.runs.processes import Liveness

UNSHARE = ("unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")

SCRIPT = """\
import sys, time
from pathlib import Path
from archbench.errors import StoreError
from archbench.runs import lease as leases
from archbench.runs.directory import RunDirectory

leases.LEASE_SECONDS, leases.RENEWAL_SECONDS = float(sys.argv[2]), 0.2
try:
    lease = leases.acquire(RunDirectory(Path(sys.argv[1])), wait_seconds=0.1)
    with lease.beating():
        print("held", lease.token, flush=True)
        for line in sys.stdin:
            with lease.held():
                print("stored", flush=True)
except StoreError as error:
    print(error, flush=True)
"""


def _why_not() -> str:
    """Why no namespaces can be made here; empty where they can."""
    if shutil.which("unshare") is None:
        return "there is no unshare here"
    made = subprocess.run([*UNSHARE, "hostname", "box"], capture_output=True, text=True, check=False)
    return f"namespaces cannot be made here: {made.stderr.strip()}" if made.returncode else ""


pytestmark = pytest.mark.skipif(bool(_why_not()), reason=_why_not())


@contextmanager
def machine(folder: Path, lease_seconds: float = 2.0) -> Iterator[subprocess.Popen[str]]:
    """A process 1 on a machine called `box` that takes the run in `folder` if it can, and stores when it is told to."""
    inside = 'hostname box && exec "$0" -c "$1" "$2" "$3"'
    command = [*UNSHARE, "sh", "-c", inside, sys.executable, SCRIPT, str(folder), str(lease_seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told_to_store(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return heard(process)


def first_child(process: subprocess.Popen[str]) -> int:
    """The process inside, as it is numbered out here."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def test_two_containers_of_one_name_do_not_take_over_each_others_live_run(tmp_path: Path) -> None:
    """Both are process 1 on `box`: only the namespace tells them apart."""
    patient = 60.0  # a machine that has much else to do may not let it beat for seconds
    with machine(tmp_path, patient) as first:
        assert heard(first) == "held 1"
        with machine(tmp_path, patient) as second:
            assert "is being trained by process 1 on box (another machine or container) since 20" in heard(second)
        assert told_to_store(first) == "stored"


def test_a_run_of_a_container_that_was_killed_is_taken_over_once_it_is_silent(tmp_path: Path) -> None:
    with machine(tmp_path) as first:
        assert heard(first) == "held 1"
    info = read_lease(RunDirectory(tmp_path))
    assert info is not None
    assert info.liveness is Liveness.UNKNOWN
    with machine(tmp_path) as second:
        assert heard(second) == "held 2"


def test_a_holder_that_was_stopped_past_its_lease_is_refused_when_it_comes_back(tmp_path: Path) -> None:
    with machine(tmp_path) as first:
        assert heard(first) == "held 1"
        subprocess.run(["kill", "-STOP", str(first_child(first))], check=True)
        with machine(tmp_path) as second:
            assert heard(second) == "held 2"
            subprocess.run(["kill", "-CONT", str(first_child(first))], check=True)
            assert "another process has taken over this run; this one stops and writes nothing" in told_to_store(first)
            assert told_to_store(second) == "stored"


LOOKING = """\
import os
from archbench.runs.processes import this_process
first = this_process()
print(first.liveness, flush=True)
if os.fork() == 0:
    print(first.liveness, flush=True)
    os._exit(0)
os.wait()
"""


def test_a_process_that_sees_another_namespaces_proc_concludes_nothing_from_it() -> None:
    """A container that shares /proc with its host: the numbers that a process reads there are others'."""
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", LOOKING]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == ["alive", "unknown"]


def test_a_process_that_died_on_this_machine_is_known_to_be_gone(tmp_path: Path) -> None:
    dies = SCRIPT.replace('print("held", lease.token, flush=True)', '__import__("os").kill(0, 9)')
    command = [sys.executable, "-c", dies, str(tmp_path), "60"]
    assert subprocess.run(command, check=False, start_new_session=True).returncode == -signal.SIGKILL
    assert acquire(RunDirectory(tmp_path)).token == 2
