"""Runs carried out by worker processes on this machine, each of which serves many runs one after another."""

import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

from pydantic import PositiveFloat, PositiveInt

from archbench.api import ExecutorConfig, ExecutorEvent, Job, Lost, SpecError
from archbench.builtins.execution.machine import (
    cuda_devices,
    cuda_memory_bytes,
    free_memory_bytes,
    total_memory_bytes,
    usable_cores,
)
from archbench.builtins.execution.memory_watch import Holding, held_bytes, most_in_excess, over_limit, reserve_bytes
from archbench.workers.processes import close_input, end_processes, shorten_log, worker_environment
from archbench.workers.worker_process import WorkerProcess

SHUTDOWN_SECONDS = 20.0
"""How long workers may take to commit a last checkpoint when the executor is closed; they end by themselves before."""


class LocalExecutorConfig(ExecutorConfig):
    """Executor `local`."""

    starts_groups: ClassVar[bool] = True
    reaches: ClassVar[Literal["shared folder", "this machine", "store"]] = "this machine"

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
        self,
        *,
        num_jobs: int,
        log_dir: Path,
        plugin_files: Sequence[Path] = (),
        nproc: int = 1,
        launcher: Sequence[str] = (),
        worker_options: Sequence[str] = (),
    ) -> "LocalExecutor":
        """At most `num_jobs` workers, started as jobs arrive; worker i writes to `log_dir/worker-<i>.log`.

        With `nproc` above 1 a worker is a group of so many processes, each with a core or CUDA device of its own,
        unless a `launcher` starts them elsewhere. `worker_options` are further ones of `archbench.training.worker`.
        Raises SpecError where there are CUDA devices, but fewer than a group needs.
        """
        devices = () if self.device == "cpu" else cuda_devices(os.environ)
        if self.workers != "auto":
            capacity = self.workers
        elif devices:
            capacity = len(devices) * self.runs_per_device
        else:
            capacity = max(1, usable_cores() // self.threads_per_worker)
        if launcher:
            devices = ()  # the launcher's affair
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
            launcher=launcher,
            worker_options=worker_options,
        )


_HOST = ""
"""Where runs on the CPU hold their memory, beside the names of CUDA devices."""


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
        launcher: Sequence[str] = (),
        worker_options: Sequence[str] = (),
        added_environment: Mapping[str, str] | None = None,
    ) -> None:
        self._added_environment = dict(added_environment or {})
        self._launcher = launcher
        self._worker_options = worker_options
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
        self._workers: dict[int, WorkerProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._looked = time.monotonic()
        self._called_off: list[Lost] = []

    @property
    def capacity(self) -> int:
        """Runs at once."""
        return self._capacity

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the living workers."""
        return tuple(worker.process.pid for _, worker in sorted(self._workers.items()))

    @property
    def is_warm(self) -> bool:
        """Whether a worker waits for the next job, so that none would have to be started."""
        return any(worker.free for worker in self._workers.values())

    def submit(self, job: Job) -> None:
        """Hands `job` to a free worker, starts one if there is room, or lets it wait."""
        self._waiting.append(job)
        self._dispatch()

    def cancel(self, run_id: str) -> None:
        """Takes a job back: one that waits is lost at once, one at work when its worker has stored a checkpoint."""
        waiting = [job for job in self._waiting if job.run_id == run_id]
        for job in waiting:
            self._waiting.remove(job)
            self._called_off.append(Lost(run_id, "called off before it began"))
        for worker in self._workers.values():
            if worker.job is not None and worker.job.run_id == run_id:
                worker.stop()

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """Events since the last call; waits up to `timeout_s` for the first one."""
        deadline = time.monotonic() + timeout_s
        events: list[ExecutorEvent] = [*self._called_off]
        self._called_off.clear()
        while not events and self._workers:
            for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
                heard = key.data.read()
                events += self._bury(key.data) if heard is None else heard
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
        lost = [worker.hangs_after(passed) for worker in self._workers.values()]
        return [event for event in lost if event is not None]

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
        remedy = "fewer execution.executor.workers, a smaller model, or the plug-in mended"
        reason = f"out of memory: {found[1]}; its worker was ended; {remedy}"
        return [busy[found[0].slot].end_for_good(reason)]

    def _dispatch(self) -> None:
        while self._waiting:
            worker = next((worker for worker in self._workers.values() if worker.free), None)
            if worker is None and len(self._workers) >= self._capacity:
                return
            slot = self._free_slot() if worker is None else worker.slot
            if not self._has_room(slot, self._waiting[0]):
                return
            worker = worker or self._start(slot)
            if not worker.hand(self._waiting.popleft()):
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

    def _start(self, slot: int) -> WorkerProcess:
        environment = worker_environment(os.environ, self._threads, self._devices, slot, self._nproc)
        environment |= self._added_environment
        log_file = self._log_dir / f"worker-{slot}.log"
        worker = WorkerProcess.start(
            slot,
            log_file,
            environment,
            self._plugin_files,
            self._nproc,
            launcher=self._launcher,
            options=self._worker_options,
        )
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        self._workers[slot] = worker
        return worker

    def _bury(self, worker: WorkerProcess) -> list[ExecutorEvent]:
        self._forget(worker)
        lost = worker.epitaph()
        return [] if lost is None else [lost]

    def _forget(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.output)
        worker.close()
        del self._workers[worker.slot]
