"""What runs on the nodes of a cluster, inside Ray's processes: one worker beside it, as `local` would keep it.

Ray's process does not train: a worker that it starts does, the same as everywhere, so that records have the same bytes,
a run that hangs or fills the memory is ended the same way, and whatever a run does to its process dies with it. When
Ray's process dies, however, the worker sees its input end, commits a checkpoint and goes. Nothing here imports Ray.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.api import StoreError
from archbench.builtins.execution.local import SHUTDOWN_SECONDS, LocalExecutor
from archbench.builtins.execution.machine import cuda_devices
from archbench.builtins.ray_execution.messages import event_content, job_of
from archbench.runs.probe import StoreMark, probe_store
from archbench.scans.nodes import node_versions
from archbench.workers.processes import end_processes, worker_environment
from archbench.workers.worker_process import WorkerProcess

LOOK_SECONDS = 0.5
"""Pause between two looks at a worker, as in a scan of one machine."""

TURN_SECONDS = 5.0
"""A call is answered after so long at the latest."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the processes of a run on this node stand among those of other nodes."""

    num_nodes: int
    node_rank: int
    address: str
    """Of the first node, as the others reach it."""
    port: int
    own_address: str

    @property
    def launcher(self) -> list[str]:
        """What starts the processes on this node."""
        among = ["--nodes", str(self.num_nodes), "--node-rank", str(self.node_rank)]
        first = ["--first", f"{self.address}:{self.port}"]
        return [sys.executable, "-m", "archbench.training.launcher", *among, *first]

    @property
    def environment(self) -> dict[str, str]:
        """Which network gradients take: the one by which the nodes know each other."""
        interface = _interface_of(self.own_address)
        return {} if interface is None else {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}


def describe(log_dir: str, mark: Mapping[str, Any], plugin_files: Sequence[str], name: str) -> dict[str, Any]:
    """What the node `name` would train with, and in `problem` why it cannot use the store."""
    problem = None
    try:
        probe_store(Path(log_dir), StoreMark.from_json(mark), node=name)
    except StoreError as error:
        problem = str(error)
    return {"versions": node_versions([Path(path) for path in plugin_files]), "problem": problem}


def free_port(address: str) -> int:
    """A port on which nobody listens at `address`, one of this node's own."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
        return port


class RunServer:
    """Carries out one run after another with a warm worker, or the first node's part of a group."""

    def __init__(
        self,
        log_dir: str,
        plugin_files: Sequence[str],
        nproc: int,
        threads: int,
        uses_devices: bool,
        limit_bytes: int | None,
        place: Place | None = None,
    ) -> None:
        _hide_devices(uses_devices)
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        self._executor = LocalExecutor(
            capacity=1,
            nproc=nproc,
            threads=threads,
            devices=cuda_devices(os.environ) if uses_devices else (),
            log_dir=Path(log_dir),
            plugin_files=[Path(path) for path in plugin_files],
            limit_bytes=limit_bytes,
            launcher=() if place is None else place.launcher,
            added_environment={} if place is None else place.environment,
        )
        self._one_at_a_time = threading.Lock()
        self._closing = False

    def turn(self, job: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Takes on `job`, if one is given; what happened since the last call, as soon as something has."""
        deadline = time.monotonic() + TURN_SECONDS
        with self._one_at_a_time:
            if job is not None and not self._closing:
                self._executor.submit(job_of(job))
        while True:
            with self._one_at_a_time:
                events = [] if self._closing else self._executor.poll(LOOK_SECONDS)
            if events or self._closing or time.monotonic() >= deadline:
                return [event_content(event) for event in events]

    def is_warm(self) -> bool:
        """Whether its worker takes a further run; one that retires is replaced, and a group as a whole."""
        with self._one_at_a_time:
            return self._executor.is_warm

    def cancel(self, run_id: str) -> None:
        """Has the run `run_id` commit a checkpoint and stop, if it is here."""
        with self._one_at_a_time:
            self._executor.cancel(run_id)

    def close(self) -> None:
        """Lets the run at work commit a checkpoint, and ends the worker."""
        self._closing = True
        with self._one_at_a_time:
            self._executor.__exit__(None, None, None)


class GroupMember:
    """The part of a group on a node that is not the first."""

    def __init__(
        self, log_dir: str, plugin_files: Sequence[str], nproc: int, threads: int, uses_devices: bool, place: Place
    ) -> None:
        _hide_devices(uses_devices)
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        devices = cuda_devices(os.environ) if uses_devices else ()
        environment = worker_environment(os.environ, threads, devices, 0, nproc) | place.environment
        files = [Path(path) for path in plugin_files]
        log_file = Path(log_dir) / "worker-0.log"
        self._worker = WorkerProcess.start(0, log_file, environment, files, nproc, launcher=place.launcher)

    def wait(self) -> str:
        """How its processes ended, once they have."""
        returncode = self._worker.process.wait()
        return f"ended with exit code {returncode}; see {self._worker.log_file}"

    def close(self, wait_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Waits for its processes, which end with those of the first node, and kills what is left."""
        try:
            self._worker.process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            end_processes(self._worker.process.pid)


def _hide_devices(uses_devices: bool) -> None:
    """A run that asked for none takes none from its neighbours."""
    if not uses_devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _interface_of(address: str) -> str | None:
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address.partition("%")[0] == address for one in addresses):
            return str(name)
    return None
