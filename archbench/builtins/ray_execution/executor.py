"""Executor `ray` as the driver of a scan sees it: a process that speaks to Ray, and what follows when that dies."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from archbench.api import ArchbenchError, ExecutorEvent, Job, Lost, PluginError, Progress, StoreError
from archbench.builtins.ray_execution.messages import Settings, event_of, job_content, to_line
from archbench.workers.json_lines import JsonLines
from archbench.workers.processes import cause_of_death, close_input, end_processes, shorten_log

OPEN_SECONDS = 300.0
"""How long a cluster may take to be reached, and its nodes to answer."""

PATIENCE_SECONDS = 180.0
"""How long a cluster that was lost may take to come back: its head is started again, by somebody or something."""

SHUTDOWN_SECONDS = 40.0
"""How long the runs at work may take to commit a checkpoint when the executor is closed, on all nodes."""

_UNOPENED_SECONDS = 5.0
"""The same where nothing has begun."""

_ERRORS: Mapping[str, type[ArchbenchError]] = {"store": StoreError, "plugin": PluginError}


class RayExecutor:
    """An open connection to a cluster. A gateway that dies, or its cluster, costs runs no attempt."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._capacity = 1
        self._jobs: dict[str, Job] = {}
        """Those taken on that have not ended."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: JsonLines | None = None
        """What the process says."""
        self._selector = selectors.DefaultSelector()
        self._opened = False
        """Whether the gateway of now has its cluster."""
        self._patient_until = 0.0
        """When a cluster that was lost is waited for no longer."""
        self._log_file = Path(settings.log_dir) / "ray.log"
        try:
            self._start(settings)
            self._await_open()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    @property
    def capacity(self) -> int:
        """How many runs it takes at once; rises as nodes join."""
        return self._capacity

    @property
    def gateway_pid(self) -> int | None:
        """The process that speaks to Ray."""
        return None if self._process is None else self._process.pid

    def submit(self, job: Job) -> None:
        """Takes on `job`."""
        self._jobs[job.run_id] = job
        self._send({"submit": job_content(job)})

    def cancel(self, run_id: str) -> None:
        """Takes a job back: one that waits is not begun, one at work stores a checkpoint and stops."""
        self._send({"cancel": run_id})

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """Events since the last call; waits up to `timeout_s` for the first one.

        Raises PluginError or StoreError where a node that joined may not train, or the cluster is lost for good.
        """
        deadline = time.monotonic() + timeout_s
        events: list[ExecutorEvent] = []
        while not events:
            for content in self._heard(max(0.0, deadline - time.monotonic())):
                events += self._understood(content)
            if time.monotonic() >= deadline:
                break
        shorten_log(self._log_file)
        return events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the runs at work commit what they are at, and waits until all are gone."""
        if self._process is not None:
            close_input(self._process)
            try:
                self._process.wait(SHUTDOWN_SECONDS if self._opened else _UNOPENED_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                # Also where a second Ctrl-C cuts the waiting short.
                if self._process.poll() is None:
                    end_processes(self._process.pid)
                self._let_go()
        self._selector.close()

    def _start(self, settings: Settings) -> None:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "archbench.builtins.ray_execution.gateway"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C in the terminal is the driver's alone
            )
        self._lines = JsonLines(self._output)
        self._selector.register(self._output, selectors.EVENT_READ)
        self._opened = False
        self._send(asdict(settings))

    @property
    def _output(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def _await_open(self) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        while not self._opened:
            heard = self._heard(1.0)
            if any(content["event"] == "gone" for content in heard):
                raise PluginError(f"executor 'ray' {heard[-1]['cause']} while it connected; see {self._log_file}")
            for content in heard:
                self._understood(content)
            if time.monotonic() > deadline:
                raise PluginError(
                    f"execution.executor.address: got {self._settings.address}, which did not answer within "
                    f"{OPEN_SECONDS:.0f} s; see {self._log_file}"
                )

    def _send(self, content: Mapping[str, Any]) -> None:
        """Tells the gateway, if there is one; where it has died, the end of its output tells."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(to_line(content))
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def _heard(self, timeout_s: float) -> list[Mapping[str, Any]]:
        """What the gateway has said, whole lines; `gone` where it has ended."""
        if self._process is None or self._lines is None or not self._selector.select(timeout_s):
            return []
        heard = self._lines.read()
        if heard is None:
            self._process.wait()
            cause = cause_of_death(self._process.returncode)
            self._let_go()
            return [{"event": "gone", "cause": cause}]
        return heard

    def _understood(self, content: Mapping[str, Any]) -> list[ExecutorEvent]:
        match content["event"]:
            case "open" | "capacity":
                self._opened = True
                self._capacity = int(content["capacity"])
                return []
            case "refused":
                raise _ERRORS[content["kind"]](content["line"])
            case "gone":
                return self._lose_all(str(content["cause"]))
        event = event_of(content)
        if event.run_id not in self._jobs:
            return []
        if not isinstance(event, Progress):
            del self._jobs[event.run_id]
        return [event]

    def _lose_all(self, cause: str) -> list[ExecutorEvent]:
        """The runs go on elsewhere once the cluster is back; none of them did anything wrong."""
        now = time.monotonic()
        if self._opened:
            self._patient_until = now + PATIENCE_SECONDS
        elif now >= self._patient_until:
            raise PluginError(
                f"executor 'ray' lost its cluster, {self._settings.address}, and could not connect again; see "
                f"{self._log_file}; finished runs are kept, and the same command goes on"
            )
        lost = [
            Lost(run_id, f"the way to Ray's cluster is lost: its process {cause}; see {self._log_file}", preempted=True)
            for run_id in self._jobs
        ]
        self._jobs.clear()
        self._start(replace(self._settings, patience_seconds=max(1.0, self._patient_until - now)))
        return [*lost]

    def _let_go(self) -> None:
        if self._process is None:
            return
        self._selector.unregister(self._output)
        self._output.close()
        close_input(self._process)
        self._process.wait()
        self._process = None
