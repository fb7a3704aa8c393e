"""Runs on a cluster of Ray: the bytes of a process alone, whatever dies, and no process left."""

import contextlib
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from command_line import ray_environment

from archbench.api import Ended, Job, Lost, PluginError, RunState
from archbench.builtins.ray_execution.config import RayExecutorConfig
from archbench.data.corpus import Corpus
from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.records import read_record
from archbench.testing.executor import recorded, trained_here
from archbench.testing.small_runs import plan_small_run, small_corpus, write_small_text

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'archbench[ray]'"
)

TOLERANCE_NATS = 2e-6
"""As two ranks of one machine: fp32 resolves a loss of 4 nats to 5e-7, and gradients are summed in another order."""

TOKEN = "0123456789abcdef" * 4
"""By which processes of these clusters are told from those of others."""

ENVIRONMENT = ray_environment(TOKEN)


@dataclass
class Nodes:
    """A running cluster."""

    process: subprocess.Popen[str]
    address: str
    processes: list[dict[str, list[int]]]
    """Kind of process -> ids, for each node."""

    def kill(self) -> None:
        """Ends all that is left of it at once."""
        if self.process.poll() is not None:
            return
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        self.process.kill()
        self.process.communicate()


def start_nodes(port: int, num_nodes: int, log: IO[str], *path_of_last: str) -> Nodes:
    script = Path(__file__).with_name("ray_nodes.py")
    command = [sys.executable, str(script), str(port), str(num_nodes), "1", *path_of_last]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | ENVIRONMENT
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return Nodes(process, told["address"], told["processes"])


@contextlib.contextmanager
def nodes(num_nodes: int, folder: Path, *path_of_last: str) -> Iterator[Nodes]:
    with socket.socket() as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
    with (folder / "cluster.log").open("a") as log:
        running = start_nodes(port, num_nodes, log, *path_of_last)
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), load_host().registry)


def planned(folder: Path, corpus: Corpus, **settings: Any) -> RunDirectory:
    folder.mkdir(parents=True, exist_ok=True)
    return plan_small_run(folder, corpus, load_host().registry, **settings)


def ends_of(executor: Any, count: int) -> list[Ended | Lost]:
    ends: list[Ended | Lost] = []
    deadline = time.monotonic() + 250
    while len(ends) < count:
        assert time.monotonic() < deadline, f"nothing more came; so far: {ends}"
        ends += [event for event in executor.poll(1.0) if isinstance(event, Ended | Lost)]
    return ends


def job_of(directory: RunDirectory, nproc: int = 1) -> Job:
    return Job(directory.read_plan().identity.run_id, directory.path.resolve(), 1.0, nproc=nproc)


@pytest.mark.slow
def test_runs_of_a_cluster_started_for_them_have_the_bytes_of_this_process_and_nothing_is_left(
    tmp_path: Path, corpus: Corpus
) -> None:
    """One warm worker carries out both runs."""
    runs = [planned(tmp_path / "runs", corpus, seed=seed) for seed in (0, 1)]
    config = RayExecutorConfig(address="local", max_runs=1)
    with config.open(num_jobs=2, log_dir=tmp_path / "runs" / "logs") as executor:
        assert executor.capacity == 1
        gateway = psutil.Process(executor.gateway_pid)
        for directory in runs:
            executor.submit(job_of(directory))
        ends = ends_of(executor, 2)
        started = gateway.children(recursive=True)
        listening = [one.laddr.ip for child in (gateway, *started) for one in listeners(child)]
    assert ends == [Ended(job_of(directory).run_id, RunState.DONE) for directory in runs]
    for directory in runs:
        assert recorded(directory) == trained_here(directory, tmp_path / "here")
    assert [folder.name for folder in sorted((tmp_path / "runs" / "logs").glob("ray-*"))] == ["ray-0"]
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, (
        "a cluster of this command alone is open to others"
    )
    _, alive = psutil.wait_procs([gateway, *started], timeout=20)
    assert alive == []


def listeners(process: psutil.Process) -> list[Any]:
    with contextlib.suppress(psutil.Error):
        return [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return []


SPEC = """
name: small
baseline: gpt2
contenders: {{gpt2: {{architecture: {{kind: gpt2}}}}}}
data:
  dataset: {{kind: text_files, paths: ["{folder}/text.jsonl"], text_field: text}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.2
  max_epochs: 1000
scan: {{sizes: [1e4, 2e4, 4e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 8e5}}
training: {{seq_len: 32, batch_tokens: 256, learning_rate: 3e-3, schedule: {{warmup_steps: 5}}}}
evaluation: {{tokens: 1000, points: 4, prefix_audit_positions: 8}}
execution: {{device: cpu, checkpoint_seconds: 0.3}}
"""


class Command:
    """`archbench run` on a store of its own."""

    def __init__(self, folder: Path, store: str, *executor: str) -> None:
        self.folder, self.runs = folder, folder / store
        self.arguments = [sys.executable, "-m", "archbench.cli.main", "run", str(folder / "small.yaml"), "--replace"]
        for name in ("reports", "leaderboard", "cache"):
            self.arguments += [f"--{name}", str(folder / name)]
        self.arguments += ["--runs", str(self.runs)]
        for setting in executor:
            self.arguments += ["-o", f"execution.executor.{setting}"]

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | ENVIRONMENT | {"XDG_STATE_HOME": str(self.folder / "state")}
        return subprocess.Popen(
            self.arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def wait_for(self, pattern: str, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 200
        while not list(self.runs.glob(pattern)) and process.poll() is None:
            assert time.monotonic() < deadline, f"no {pattern} in {self.runs}"
            time.sleep(0.05)

    def records(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.runs.glob("*/record.json")}

    def processes(self, word: str) -> list[psutil.Process]:
        """Processes with `word` in their command line that work on this store."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()) and self._is_here(process):
                    found.append(process)
        return found

    def _is_here(self, process: psutil.Process) -> bool:
        opened = Path(f"/proc/{process.pid}/fd/2")
        return str(self.runs) in str(opened.readlink()) or process.environ().get("RAY_AUTH_TOKEN") == TOKEN


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The scan as this machine alone carries it out."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_small_text(folder / "text.jsonl")
    (folder / "small.yaml").write_text(SPEC.format(folder=folder))
    command = Command(folder, "undisturbed", "kind=local", "workers=2")
    process = command.start()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return command


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("turn", range(5))
@pytest.mark.parametrize("victim", ["worker", "actor", "raylet", "head", "driver"])
def test_a_scan_on_three_nodes_ends_in_the_same_bytes_whatever_is_killed(
    tmp_path: Path, undisturbed: Command, victim: str, turn: int
) -> None:
    rng = random.Random(f"{victim} {turn}")
    with nodes(3, tmp_path) as cluster:
        command = Command(undisturbed.folder, f"{victim}-{turn}", "kind=ray", f"address={cluster.address}")
        process = command.start()
        command.wait_for("*/checkpoints/*", process)
        time.sleep(rng.random() * 4)
        again: Nodes | None = None
        if victim == "worker":
            rng.choice(command.processes("archbench.training.worker")).kill()
        elif victim == "actor":
            rng.choice(command.processes("ray::RunServer")).kill()
        elif victim == "raylet":
            os.kill(cluster.processes[rng.choice((1, 2))]["raylet"][0], signal.SIGKILL)
        elif victim == "head":
            for kind in ("gcs_server", "raylet"):
                os.kill(cluster.processes[0][kind][0], signal.SIGKILL)
            cluster.kill()
            with (tmp_path / "cluster.log").open("a") as log:
                again = start_nodes(int(cluster.address.rpartition(":")[2]), 3, log)
        else:
            process.kill()
            process.communicate()
            process = command.start()
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            if again is not None:
                again.kill()
        assert process.returncode == 0, output
    assert command.records() == undisturbed.records()
    assert len(command.records()) == 3
    deadline = time.monotonic() + 60
    while left := command.processes("archbench.training.worker"):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(1.0)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", [0, 2])
def test_two_ranks_on_two_nodes_agree_with_one_process(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    """Each node has one core, so that the ranks of a run find no room on one."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    alone = planned(tmp_path / "alone", corpus, total_steps=30)
    trained_here(alone, tmp_path / "here")
    execution = {"nproc": 2, "zero_stage": stage}
    spread = [planned(tmp_path / f"runs-{name}", corpus, total_steps=30, execution=execution) for name in "ab"]
    with nodes(2, tmp_path) as cluster:
        config = RayExecutorConfig(address=cluster.address, max_runs=1)
        with config.open(num_jobs=2, log_dir=tmp_path / "logs", nproc=2) as executor:
            for directory in spread:
                executor.submit(job_of(directory, nproc=2))
                assert ends_of(executor, 1) == [Ended(job_of(directory).run_id, RunState.DONE)]
    assert len(list((tmp_path / "logs").glob("ray-0-node-1/worker-0.log"))) == 1
    assert recorded(spread[0]) == recorded(spread[1]), "a warm group trains the same run to other bits"
    one = read_record(RunDirectory(tmp_path / "here" / alone.path.name), contender="", size_index=0)
    two = read_record(spread[0], contender="", size_index=0)
    assert one is not None
    assert two is not None
    for mine, theirs in zip(one.curve, two.curve, strict=True):
        assert mine.validation_loss_nats == pytest.approx(theirs.validation_loss_nats, abs=TOLERANCE_NATS)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_node_with_another_plugin_is_refused_before_anything_is_trained(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    place = importlib.util.find_spec("archbench_gpt2")
    assert place is not None
    assert place.origin is not None
    shutil.copytree(Path(place.origin).parent, tmp_path / "other" / "archbench_gpt2")
    with (tmp_path / "other" / "archbench_gpt2" / "plugin.py").open("a") as source:
        source.write("# edited on this node alone\n")
    with nodes(2, tmp_path, str(tmp_path / "other")) as cluster:
        config = RayExecutorConfig(address=cluster.address)
        told = r"^node .+ would train with source of archbench_gpt2 \w{12}, here \w{12}; install the same on all nodes"
        with pytest.raises(PluginError, match=told):
            config.open(num_jobs=1, log_dir=tmp_path / "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir() if not path.name.startswith(".")] == ["ray.log"]
