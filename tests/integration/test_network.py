"""A link that goes down under a run of two ranks on two nodes: noticed, ended, and resumed to the same bytes."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import SMALL_SCAN, archbench, ray_environment, records, wait, write_texts

HERE, THERE = "10.77.31.1", "10.77.31.2"
"""Addresses of the two ends of the link."""

NAMESPACE, OUTER, INNER = "archbench-there", "ab-here", "ab-there"

SPEC = f"""\
name: tiny
contenders: {{gpt2: {{architecture: {{kind: gpt2}}, objective: {{kind: causal_lm}}}}}}
scan: {{sizes: [1896], tokens: 1.5e5, seeds: {{default: 1, smallest_two: 1}}}}
{SMALL_SCAN}"""
SETTINGS = ("-o", "execution.checkpoint_seconds=1", "-o", "data.max_epochs=1000", "--nproc", "2")

RAY_ENVIRONMENT = ray_environment("fedcba9876543210" * 4)


def _why_not() -> str:
    """Why there can be no second network here; empty where there can."""
    if shutil.which("ip") is None:
        return "no ip here: apt-get install iproute2"
    tried = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", NAMESPACE], capture_output=True, check=False)
    return tried.stderr.strip()


pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1500)]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[None]:
    """A namespace with a network of its own, which this one reaches by one link."""
    if reason := _why_not():
        pytest.skip(f"a namespace for a network is needed: {reason}")
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", OUTER, "type", "veth", "peer", "name", INNER, "netns", NAMESPACE)
        ip("address", "add", f"{HERE}/24", "dev", OUTER)
        ip("-n", NAMESPACE, "address", "add", f"{THERE}/24", "dev", INNER)
        ip("link", "set", OUTER, "up")
        for name in (INNER, "lo"):
            ip("-n", NAMESPACE, "link", "set", name, "up")
        yield
    finally:
        subprocess.run(["ip", "link", "delete", OUTER], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)


def there(*command: str) -> list[str]:
    """`command` at the other end of the link."""
    return ["ip", "netns", "exec", NAMESPACE, *command]


@dataclass
class Scan:
    """One run, driven by a command that goes on beside the test."""

    folder: Path

    def start(self, *executor: str, **environment: str) -> subprocess.Popen[bytes]:
        words = [word for setting in executor for word in ("-o", f"execution.executor.{setting}")]
        command = [sys.executable, "-m", "archbench.cli.main", "run", "tiny.yaml", *SETTINGS, *words]
        variables = {**os.environ, "ARCHBENCH_CACHE": str(self.folder / "cache"), **environment}
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=variables, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return (self.folder / "driver.log").read_text()

    def has_checkpoint(self) -> bool:
        return bool(list((self.folder / "runs").glob("*/checkpoints/step-*")))

    def token(self) -> int:
        """How often the run was taken up."""
        leases = list((self.folder / "runs").glob("*/lease.json"))
        return max((json.loads(lease.read_text())["token"] for lease in leases), default=0)


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    write_texts(tmp_path, 30)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    return Scan(tmp_path)


@contextlib.contextmanager
def ray_nodes(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Ray at both ends of the link; its address, and what starts the other end's node again."""
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    environment = os.environ | RAY_ENVIRONMENT
    common = ["--num-cpus=1", "--object-store-memory=83886080", "--disable-usage-stats", "--block"]
    started: list[subprocess.Popen[bytes]] = []
    with (folder / "ray.log").open("ab") as log:

        def start(command: list[str]) -> None:
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))

        def start_there() -> None:
            start(there(*ray, "start", f"--address={HERE}:6391", f"--node-ip-address={THERE}", *common))

        start(
            [*ray, "start", "--head", "--port=6391", f"--node-ip-address={HERE}", "--include-dashboard=false", *common]
        )
        time.sleep(8)
        start_there()
        time.sleep(8)
        try:
            yield f"{HERE}:6391", start_there
        finally:
            for process in started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'archbench[ray]'"
)
def test_a_link_that_goes_down_under_ray_is_noticed_and_the_run_goes_on_when_it_is_back(link: None, scan: Scan) -> None:
    local = archbench(scan.folder, "run", "tiny.yaml", *SETTINGS, "--runs", "local")
    assert local.returncode == 0, local.stderr
    with ray_nodes(scan.folder) as (address, start_there):
        driver = scan.start("kind=ray", f"address={address}", **RAY_ENVIRONMENT)
        wait(lambda: scan.has_checkpoint() or driver.poll() is not None, "the run was begun")
        ip("link", "set", OUTER, "down")
        taken_up = ("lost (", "no sign of life")
        wait(lambda: any(words in scan.log for words in taken_up) or driver.poll() is not None, "the driver noticed")
        ip("link", "set", OUTER, "up")
        start_there()
        assert driver.wait(600) == 0, scan.log
    assert scan.token() >= 2
    assert records(scan.folder / "runs") == records(scan.folder / "local")
