"""A real Slurm of two nodes carries out scans: nothing is lost, nothing trained twice, whatever dies."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import SMALL_SCAN, archbench, records, wait, write_texts

from archbench.builtins.execution.slurm.executor import SlurmExecutorConfig
from archbench.runs.lease import read_lease
from archbench.runs.queue import read_mark
from archbench.runs.store import RunStore
from archbench.testing.executor import ExecutorConformance

CLUSTER = Path(__file__).parents[1] / "slurm_cluster.sh"
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")

SPEC = f"""\
name: tiny
contenders: {{gpt2: {{architecture: {{kind: gpt2}}, objective: {{kind: causal_lm}}}}}}
scan: {{sizes: [1896, 6e3], tokens: 2e4, seeds: {{default: 1, smallest_two: 1}}}}
{SMALL_SCAN}"""
LONG = (
    *("-o", "name=long", "-o", "scan.sizes=[1896]", "-o", "scan.tokens=1e6", "-o", "data.max_epochs=1000"),
    *("-o", "execution.checkpoint_seconds=1"),
)
"""One run of many seconds, also on a fast machine."""
SLURM = ("-o", "execution.executor.kind=slurm")


def _why_not() -> str:
    """Why there can be no Slurm here; empty where there can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons are started as root alone"


pytestmark = [pytest.mark.skipif(bool(_why_not()), reason=_why_not()), pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cluster that is at work; its settings are in the environment."""
    folder = tmp_path_factory.mktemp("cluster")
    before = os.environ.get("SLURM_CONF")
    try:
        subprocess.run([CLUSTER, "start", folder], check=True, timeout=120)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        yield folder
    finally:
        subprocess.run([CLUSTER, "stop", folder], check=False, timeout=120)
        if before is None:
            os.environ.pop("SLURM_CONF", None)
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def folder(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, and a profile of one pilot."""
    write_texts(tmp_path, 30)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    write_profile(tmp_path, array_parallelism=1)
    return tmp_path


def write_profile(folder: Path, **settings: Any) -> None:
    profiles = folder / "settings" / "archbench" / "slurm"
    profiles.mkdir(parents=True, exist_ok=True)
    (profiles / "default.yaml").write_text(json.dumps(settings))


def jobs() -> dict[str, str]:
    """Each task of an array that Slurm knows, and its state."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in listed.splitlines())


def test_a_scan_that_is_left_to_slurm_is_collected_with_the_bytes_of_local(folder: Path) -> None:
    before = set(jobs())
    left = archbench(folder, "run", "tiny.yaml", *SLURM, "--detach")
    assert left.returncode == 0, left.stderr
    assert "2 runs left to the queue" in left.stderr
    assert "2 runs in the queue of slurm as " in left.stdout
    again = archbench(folder, "run", "tiny.yaml", *SLURM, "--detach")
    assert again.returncode == 0, again.stderr
    assert len(set(jobs()) - before) == 1, "queued runs were submitted again"
    collected = archbench(folder, "run", "tiny.yaml", *SLURM)
    assert collected.returncode == 0, collected.stderr
    assert len(set(jobs()) - before) == 1, "queued runs were submitted again"
    local = archbench(folder, "run", "tiny.yaml", "--runs", "local")
    assert local.returncode == 0, local.stderr
    assert len(records(folder / "local")) == 2
    assert records(folder / "runs") == records(folder / "local")
    assert not list((folder / "runs").glob("*/queue.json"))
    wait(lambda: set(jobs().values()) <= {"COMPLETED"}, "the pilots left by themselves")


@pytest.mark.thorough
def test_pilots_of_a_store_without_a_shared_folder_are_given_its_url(folder: Path) -> None:
    over_url = ("-o", f"execution.store.url=file://{folder}/bucket")
    done = archbench(folder, "run", "tiny.yaml", *SLURM, *over_url, "--runs", "followed")
    assert done.returncode == 0, done.stderr
    local = archbench(folder, "run", "tiny.yaml", "--runs", "local")
    assert local.returncode == 0, local.stderr
    assert len(records(folder / "local")) == 2
    assert records(folder / "followed") == records(folder / "local")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The record of the long run as this machine makes it by itself."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_texts(folder, 30)
    (folder / "tiny.yaml").write_text(SPEC)
    done = archbench(folder, "run", "tiny.yaml", *LONG)
    assert done.returncode == 0, done.stderr
    return records(folder / "runs")


@pytest.mark.thorough
class TestSlurm(ExecutorConformance):
    config = SlurmExecutorConfig()
    patience_seconds = 600.0  # what dies is put into the queue again with a pause of two minutes

    @pytest.fixture(autouse=True)
    def _on_the_cluster(self, folder: Path) -> None:
        write_profile(folder, array_parallelism=2)


class Scan:
    """The long run, driven by a command that goes on beside the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = RunStore(folder / "runs")

    def start(self, *further: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "archbench.cli.main", "run", "tiny.yaml", *LONG, *SLURM, *further]
        environment = {**os.environ, "ARCHBENCH_CACHE": str(self.folder / "cache")}
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return (self.folder / "driver.log").read_text()

    def until_stored(self, seconds: float = 0.0) -> None:
        """Until `seconds` after the run had its first checkpoint."""
        wait(lambda: list((self.folder / "runs").glob("*/checkpoints/step-*")), "the run was begun")
        time.sleep(seconds)

    def kill(self, word: str) -> None:
        """Ends the process with `word` in its command line that works on this store."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                told = " ".join(process.cmdline()), process.cwd(), Path(f"/proc/{process.pid}/fd/2").readlink()
                if word in told[0] and any(str(self.folder) in str(one) for one in told):
                    process.kill()
                    return
        raise AssertionError(f"no process of {self.folder} with {word}")

    def pilot(self) -> str:
        """The task that is at work."""
        (one,) = (job for job, state in jobs().items() if state == "RUNNING")
        return one

    @property
    def token(self) -> int:
        """How often the run was taken up."""
        (directory,) = self.store.directories()
        lease = read_lease(directory)
        return 0 if lease is None else lease.token


@pytest.fixture
def scan(folder: Path) -> Scan:
    return Scan(folder)


def node_at_work() -> str:
    """The node that the pilot runs on."""
    command = ["squeue", "--noheader", "--states=RUNNING", "--format=%N"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def same_bytes(scan: Scan, driver: subprocess.Popen[bytes], undisturbed: Mapping[str, bytes]) -> None:
    """The driver ends well with the undisturbed record, after the run was taken up more than once."""
    assert driver.wait(1200) == 0, scan.log
    assert records(scan.folder / "runs") == undisturbed
    wait(lambda: "RUNNING" not in jobs().values(), "the pilots left by themselves")


@pytest.fixture(params=range(5))
def moment(request: pytest.FixtureRequest) -> float:
    """Seconds after the first checkpoint at which something happens."""
    return random.Random(f"{request.node.originalname} {request.param}").uniform(0.0, 6.0)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_a_time_limit_that_strikes_in_mid_run_costs_a_turn_in_the_queue(scan: Scan, moment: float) -> None:
    write_profile(
        scan.folder, array_parallelism=1, timeout_min=1, signal_delay_s=20 + round(moment), max_num_timeout=20
    )
    longer = ("-o", "scan.tokens=3e6")
    local = archbench(scan.folder, "run", "tiny.yaml", *LONG, *longer, "--runs", "local")
    assert local.returncode == 0, local.stderr
    driver = scan.start(*longer)
    same_bytes(scan, driver, records(scan.folder / "local"))
    assert scan.token >= 2, "the limit did not strike"


@pytest.mark.thorough
def test_a_pilot_that_is_put_back_into_the_queue_goes_on(
    scan: Scan, moment: float, undisturbed: Mapping[str, bytes]
) -> None:
    driver = scan.start()
    scan.until_stored(moment)
    subprocess.run(["scontrol", "requeue", scan.pilot()], check=True)
    same_bytes(scan, driver, undisturbed)
    assert scan.token >= 2


@pytest.mark.thorough
@pytest.mark.parametrize("process", ["archbench.training.worker", "archbench.cli.main worker"])
def test_a_process_of_a_pilot_that_is_killed_costs_steps_alone(
    scan: Scan, moment: float, process: str, undisturbed: Mapping[str, bytes]
) -> None:
    """That which trains, and the one that takes runs from the store."""
    driver = scan.start()
    scan.until_stored(moment)
    scan.kill(process)
    same_bytes(scan, driver, undisturbed)
    assert scan.token >= 2


@pytest.mark.thorough
def test_a_node_that_goes_down_costs_a_turn_in_the_queue(
    scan: Scan, moment: float, undisturbed: Mapping[str, bytes]
) -> None:
    driver = scan.start()
    scan.until_stored(moment)
    node = node_at_work()
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True)
    try:
        same_bytes(scan, driver, undisturbed)
    finally:
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False)
    assert scan.token >= 2


@pytest.mark.thorough
def test_a_controller_that_is_killed_and_started_again_disturbs_nobody(
    scan: Scan, moment: float, cluster: Path, undisturbed: Mapping[str, bytes]
) -> None:
    driver = scan.start()
    scan.until_stored(moment)
    os.kill(int((cluster / "slurmctld.pid").read_text()), signal.SIGKILL)
    time.sleep(35)  # longer than the driver's pause between two questions
    subprocess.run([CLUSTER, "controller", cluster], check=True)
    same_bytes(scan, driver, undisturbed)


@pytest.mark.thorough
def test_a_driver_that_is_killed_is_not_missed_and_the_next_one_collects(
    scan: Scan, moment: float, undisturbed: Mapping[str, bytes]
) -> None:
    driver = scan.start()
    scan.until_stored(moment)
    before = set(jobs())
    driver.kill()
    driver.wait()
    same_bytes(scan, scan.start(), undisturbed)
    assert set(jobs()) <= before, "the run was submitted again"
    assert scan.token == 1


@pytest.mark.thorough
def test_a_scan_that_is_called_off_leaves_the_queue_with_a_checkpoint(scan: Scan) -> None:
    driver = scan.start()
    scan.until_stored()
    answer = archbench(scan.folder, "cancel", "long")
    assert answer.returncode == 0, answer.stderr
    assert "1 at work will store a checkpoint and stop" in answer.stdout
    assert driver.wait(120) == 1
    assert "called off by `archbench cancel`" in scan.log
    wait(lambda: not {"RUNNING", "PENDING", "COMPLETING"} & set(jobs().values()), "the pilots left")
    (directory,) = scan.store.directories()
    mark = read_mark(directory)
    assert mark is not None
    assert mark.cancelled
    assert list(directory.checkpoints_dir.glob("step-*"))
    assert not directory.record_file.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("zero_stage", [0, 2])
def test_two_ranks_over_two_nodes_have_the_bits_of_two_on_one(folder: Path, zero_stage: int) -> None:
    write_profile(folder, array_parallelism=1, nodes=2)
    one = ("tiny.yaml", "-o", "scan.sizes=[1896]", "-o", f"execution.zero_stage={zero_stage}", "--nproc", "2")
    before = set(jobs())
    over_nodes = archbench(folder, "run", *one, *SLURM)
    assert over_nodes.returncode == 0, over_nodes.stderr
    (job,) = set(jobs()) - before
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    assert "NodeList=n[1-2]" in shown
    local = archbench(folder, "run", *one, "--runs", "local")
    assert local.returncode == 0, local.stderr
    assert len(records(folder / "local")) == 1
    assert records(folder / "runs") == records(folder / "local")
