"""Runs carried out by worker processes on this machine, each of which serves many runs one after another."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from pydantic import PositiveFloat, PositiveInt

from archbench.api import (
    Ended,
    ExecutorConfig,
    ExecutorEvent,
    Job,
    Lost,
    Progress,
    RunState,
    SpecError,
)
from archbench.builtins.execution.machine import (
    cuda_devices,
    cuda_memory_bytes,
    free_memory_bytes,
    total_memory_bytes,
    usable_cores,
)
from archbench.builtins.execution.memory_watch import Holding, held_bytes, most_in_excess, over_limit, reserve_bytes
from archbench.builtins.execution.processes import (
    cause_of_death,
    close_input,
    end_processes,
    shorten_log,
    worker_environment,
)
from archbench.builtins.execution.watchdog import Watchdog

SHUTDOWN_SECONDS = 20.0
"""How long workers may take to commit a last checkpoint when the executor is closed; they end by themselves before."""


class LocalExecutorConfig(ExecutorConfig):
    """Executor `local`."""

    starts_groups: ClassVar[bool] = True

    kind: Literal["local"] = "local"
    summary: ClassVar[str] = "worker processes on this machine: one per core, or one per CUDA device"

    workers: PositiveInt | Literal["auto"] = "auto"
    """Processes at once; `auto`: `runs_per_device` per CUDA device, or as many as the cores allow."""
    runs_per_device: PositiveInt = 1
    """Runs that share a CUDA device, for models too small to fill it. Device seconds then hold the neighbours' work."""
    threads_per_worker: PositiveInt = 1
    """CPU threads that a worker starts with; what a run trains with is in its plan."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Which devices `workers: auto` counts. Where a run trains is in its plan."""
    worker_memory_gib: PositiveFloat | None = None
    """Most memory (2^30 bytes) of one worker process; a run that takes more fails. None: as much as there is, but where
    it runs short the run that is furthest beyond what was expected of it fails."""

    def open(
        self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = (), nproc: int = 1
    ) -> "LocalExecutor":
        """At most `num_jobs` workers, started as jobs arrive; worker i writes to `log_dir/worker-<i>.log`.

        With `nproc` above 1 a worker is a group of so many processes, each with a core or CUDA device of its own.
        Raises SpecError where there are CUDA devices, but fewer than a group needs.
        """
        devices = () if self.device == "cpu" else cuda_devices(os.environ)
        if self.workers != "auto":
            capacity = self.workers
        elif devices:
            capacity = len(devices) * self.runs_per_device
        else:
            capacity = max(1, usable_cores() // self.threads_per_worker)
        if nproc > len(devices) > 0:
            raise SpecError(
                f"execution.nproc: got {nproc}, but there are {len(devices)} CUDA devices here, one for each process; "
                "lower it, or choose execution.executor {kind: local, device: cpu}"
            )
        log_dir.mkdir(parents=True, exist_ok=True)
        return LocalExecutor(
            capacity=max(1, min(capacity // nproc, num_jobs)),
            nproc=nproc,
            threads=self.threads_per_worker,
            devices=devices,
            log_dir=log_dir,
            plugin_files=plugin_files,
            memory_bytes=cuda_memory_bytes(devices) if devices else {_HOST: free_memory_bytes()},
            limit_bytes=None if self.worker_memory_gib is None else int(self.worker_memory_gib * 2**30),
        )


_HOST = ""
"""Where runs on the CPU hold their memory, beside the names of CUDA devices."""


@dataclass(slots=True)
class Worker:
    """One worker process and what it is at."""

    slot: int
    process: subprocess.Popen[bytes]
    log_file: Path
    job: Job | None = None
    watchdog: Watchdog | None = None
    """Of the job."""
    retiring: bool = False
    """Whether it takes no further job."""
    cause: str | None = None
    """Why it ends, where it said so itself."""
    buffer: bytearray = field(default_factory=bytearray)
    """The beginning of an event whose end has not arrived."""


class LocalExecutor:
    """An open pool of workers. One that dies costs its run an attempt, and is replaced when the next job needs it."""

    def __init__(
        self,
        *,
        capacity: int,
        threads: int,
        devices: Sequence[str],
        log_dir: Path,
        plugin_files: Sequence[Path],
        nproc: int = 1,
        memory_bytes: Mapping[str, int] | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._reserve_bytes = reserve_bytes(total_memory_bytes())
        self._memory_bytes = dict(memory_bytes or {})
        self._capacity = capacity
        self._nproc = nproc
        self._threads = threads
        self._devices = devices
        self._log_dir = log_dir
        self._plugin_files = plugin_files
        self._waiting: deque[Job] = deque()
        self._workers: dict[int, Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._looked = time.monotonic()

    @property
    def capacity(self) -> int:
        """Runs at once."""
        return self._capacity

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the living workers."""
        return tuple(worker.process.pid for _, worker in sorted(self._workers.items()))

    def submit(self, job: Job) -> None:
        """Hands `job` to a free worker, starts one if there is room, or lets it wait."""
        self._waiting.append(job)
        self._dispatch()

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """Events since the last call; waits up to `timeout_s` for the first one."""
        deadline = time.monotonic() + timeout_s
        events: list[ExecutorEvent] = []
        while not events and self._workers:
            for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
                events += self._read(key.data)
            if time.monotonic() >= deadline:
                break
        if not self._workers and not events:
            time.sleep(max(0.0, deadline - time.monotonic()))
        for worker in self._workers.values():
            shorten_log(worker.log_file)
        events += self._end_hung()
        events += self._end_greedy()
        self._dispatch()
        return events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets workers commit what they are at, and waits until all are gone."""
        self._waiting.clear()
        for worker in self._workers.values():
            close_input(worker.process)
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        try:
            for worker in self._workers.values():
                worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also where a second Ctrl-C cuts the waiting short.
            for worker in list(self._workers.values()):
                if worker.process.poll() is None:
                    end_processes(worker.process.pid)
                self._forget(worker)
            self._selector.close()

    def _end_hung(self) -> list[ExecutorEvent]:
        """Kills the workers whose runs take no steps any more; they are replaced like any that died."""
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        events: list[ExecutorEvent] = []
        for worker in self._workers.values():
            if worker.job is None or worker.watchdog is None:
                continue
            worker.watchdog.passed(passed)
            if worker.watchdog.hangs:
                stopped = end_processes(worker.process.pid, asking="itself" if self._nproc == 1 else "children")
                who = f"; stopped: process {', '.join(map(str, stopped))}" if stopped else ""
                reason = f"it {worker.watchdog.finding}{who}; {worker.log_file} ends with what it was doing"
                events.append(Lost(worker.job.run_id, reason))
                worker.job, worker.retiring = None, True
        return events

    def _end_greedy(self) -> list[ExecutorEvent]:
        """Kills the worker that holds too much memory, if one does; its run has failed, as it would again."""
        available = free_memory_bytes()
        short = available < self._reserve_bytes
        if self._limit_bytes is None and not short:
            return []
        busy = {slot: worker for slot, worker in self._workers.items() if worker.job is not None}
        holdings = [
            Holding(slot, held_bytes(worker.process.pid), worker.job.memory_bytes * self._nproc)
            for slot, worker in busy.items()
            if worker.job is not None
        ]
        found = None if self._limit_bytes is None else over_limit(holdings, self._limit_bytes * self._nproc)
        if found is None and short:
            found = most_in_excess(holdings, available)
        if found is None:
            return []
        worker = busy[found[0].slot]
        assert worker.job is not None
        end_processes(worker.process.pid)
        run_id = worker.job.run_id
        worker.job, worker.retiring = None, True
        remedy = "fewer execution.executor.workers, a smaller model, or the plug-in mended"
        return [Lost(run_id, f"out of memory: {found[1]}; its worker was ended; {remedy}", final=True)]

    def _dispatch(self) -> None:
        while self._waiting:
            free = (worker for worker in self._workers.values() if worker.job is None and not worker.retiring)
            worker = next(free, None)
            if worker is None and len(self._workers) >= self._capacity:
                return
            slot = self._free_slot() if worker is None else worker.slot
            if not self._has_room(slot, self._waiting[0]):
                return
            worker = worker or self._start(slot)
            worker.job = self._waiting.popleft()
            worker.watchdog = Watchdog(worker.job.watchdog_seconds)
            assert worker.process.stdin is not None
            try:
                worker.process.stdin.write(json.dumps({"run_dir": str(worker.job.run_dir)}).encode() + b"\n")
                worker.process.stdin.flush()
            except BrokenPipeError:
                # It has just died: the end of its output says so, and `poll` reports the job as lost.
                return

    def _free_slot(self) -> int:
        return next(slot for slot in range(self._capacity) if slot not in self._workers)

    def _place(self, slot: int) -> str:
        return self._devices[slot % len(self._devices)] if self._devices else _HOST

    def _has_room(self, slot: int, job: Job) -> bool:
        """Whether `job` fits beside its neighbours into the memory there was. A job without neighbours always starts.

        What it needs is an estimate, and a run that fails says so better than one that waits for ever.
        """
        place = self._place(slot)
        neighbours = [
            worker.job for worker in self._workers.values() if worker.job and self._place(worker.slot) == place
        ]
        if not neighbours or place not in self._memory_bytes:
            return True
        processes = job.nproc if place == _HOST else 1  # on CUDA each process of a group has a device of its own
        needed = sum(neighbour.memory_bytes for neighbour in (*neighbours, job)) * processes
        return needed <= self._memory_bytes[place]

    def _start(self, slot: int) -> Worker:
        log_file = self._log_dir / f"worker-{slot}.log"
        shorten_log(log_file)
        command = [sys.executable, "-m", "archbench.training.worker"]
        if self._nproc > 1:
            command = [sys.executable, "-m", "archbench.training.launcher", str(self._nproc)]
        for path in self._plugin_files:
            command += ["--plugin", str(path)]
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(os.environ, self._threads, self._devices, slot, self._nproc),
                start_new_session=True,  # Ctrl-C in the terminal is the driver's alone
            )
        worker = Worker(slot, process, log_file)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers[slot] = worker
        return worker

    def _read(self, worker: Worker) -> list[ExecutorEvent]:
        assert worker.process.stdout is not None
        try:
            content = os.read(worker.process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        if not content:
            return self._bury(worker)
        worker.buffer += content
        *lines, rest = worker.buffer.split(b"\n")
        worker.buffer = bytearray(rest)
        events = (self._understand(worker, json.loads(line)) for line in lines)
        return [event for event in events if event is not None]

    def _understand(self, worker: Worker, message: Mapping[str, Any]) -> ExecutorEvent | None:
        job = worker.job
        if message["event"] == "rank_lost":
            worker.cause = f"lost rank {message['rank']} of {self._nproc}, which {message['cause']}"
        if job is None or message.get("run_dir") != str(job.run_dir):
            return None
        match message["event"]:
            case "alive":
                assert worker.watchdog is not None
                worker.watchdog.alive(message["pause_seconds"])
            case "progress":
                assert worker.watchdog is not None
                if message["tokens_per_s"] is None:  # something is told, no step was taken
                    worker.watchdog.alive()
                else:
                    pace_seconds = max(message["evaluation_seconds"], message["interval_seconds"])
                    worker.watchdog.heard(message["step"], pace_seconds)
                return Progress(
                    run_id=job.run_id,
                    step=message["step"],
                    total_steps=message["total_steps"],
                    loss_nats=message["loss_nats"],
                    tokens_per_s=message["tokens_per_s"],
                    note=message.get("note"),
                )
            case "ended":
                worker.job = None
                worker.retiring = bool(message.get("retires"))
                return Ended(job.run_id, RunState(message["state"]), message["reason"])
            case "stopped":
                worker.job = None
                return Lost(job.run_id, "its worker was asked to stop")
        return None

    def _bury(self, worker: Worker) -> list[ExecutorEvent]:
        """What is left to say about a worker whose output has ended."""
        self._forget(worker)
        if worker.job is None:
            return []
        return [
            Lost(
                worker.job.run_id,
                f"its worker {worker.cause or cause_of_death(worker.process.returncode)}; see {worker.log_file}",
            )
        ]

    def _forget(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        worker.process.stdout.close()
        close_input(worker.process)
        worker.process.wait()
        del self._workers[worker.slot]
