"""One worker process as its executor sees it: the job it is at, what it says, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from archbench.contracts.executor import Ended, ExecutorEvent, Job, Lost, Progress
from archbench.results.runs import RunState
from archbench.workers.json_lines import JsonLines
from archbench.workers.processes import cause_of_death, close_input, end_processes, shorten_log
from archbench.workers.watchdog import Watchdog


@dataclass(slots=True)
class WorkerProcess:
    """A process, or a group of them, that carries out one run after another."""

    slot: int
    process: subprocess.Popen[bytes]
    log_file: Path
    nproc: int = 1
    """Processes of the group."""
    launched: bool = False
    """Whether the process is none that trains, but what starts those."""
    job: Job | None = None
    watchdog: Watchdog | None = None
    """Of the job."""
    retiring: bool = False
    """Whether it takes no further job."""
    cause: str | None = None
    """Why it ends, where it said so itself."""
    lines: JsonLines = field(init=False)
    """Of its events."""

    def __post_init__(self) -> None:
        self.lines = JsonLines(self.output)

    @classmethod
    def start(
        cls,
        slot: int,
        log_file: Path,
        environment: Mapping[str, str],
        plugin_files: Sequence[Path] = (),
        nproc: int = 1,
        *,
        launcher: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> "WorkerProcess":
        """A worker that waits for its first job; what it prints is added to `log_file`.

        `environment` is all that it gets of one (`worker_environment` makes it). With `nproc` above 1, or a
        `launcher`, it is a group of so many ranks here, which `launcher` starts in place of archbench's torchrun group
        on this machine. `options` are further ones of `archbench.training.worker`. Raises OSError where it cannot be
        started.
        """
        shorten_log(log_file)
        command = [sys.executable, "-m", "archbench.training.worker"]
        if nproc > 1 or launcher:
            command = [*(launcher or (sys.executable, "-m", "archbench.training.launcher")), str(nproc)]
        command += options
        for path in plugin_files:
            command += ["--plugin", str(path)]
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C in the terminal is the driver's alone
            )
        return cls(slot, process, log_file, nproc, launched=nproc > 1 or bool(launcher))

    @property
    def output(self) -> IO[bytes]:
        """Its events, one line of JSON each, without waiting."""
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def free(self) -> bool:
        """Whether it takes a job."""
        return self.job is None and not self.retiring

    def hand(self, job: Job) -> bool:
        """Gives it `job`; False where it has just died, which the end of its output tells."""
        self.job, self.watchdog = job, Watchdog(job.watchdog_seconds)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"run_dir": str(job.run_dir)}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def read(self) -> list[ExecutorEvent] | None:
        """What it has said since the last call; None where its output has ended."""
        messages = self.lines.read()
        if messages is None:
            return None
        events = (self._understand(message) for message in messages)
        return [event for event in events if event is not None]

    def hangs_after(self, seconds: float) -> Lost | None:
        """Lets `seconds` pass; where its run has taken no step for too long, the worker is killed and the run lost."""
        if self.job is None or self.watchdog is None:
            return None
        self.watchdog.passed(seconds)
        if not self.watchdog.hangs:
            return None
        stopped = end_processes(self.process.pid, asking="children" if self.launched else "itself")
        who = f"; stopped: process {', '.join(map(str, stopped))}" if stopped else ""
        return self._loses(f"it {self.watchdog.finding}{who}; {self.log_file} ends with what it was doing")

    def stop(self) -> None:
        """Has it store a checkpoint of its run and end; its output says when, or its death, within 15 seconds or so."""
        self.retiring = True
        close_input(self.process)

    def end_for_good(self, reason: str) -> Lost:
        """Kills it; its run would come to the same end again. Raises AssertionError where it has no job."""
        end_processes(self.process.pid)
        return self._loses(reason, final=True)

    def epitaph(self) -> Lost | None:
        """What is left to say of its job once it has died."""
        if self.job is None:
            return None
        cause = self.cause or cause_of_death(self.process.returncode)
        return Lost(self.job.run_id, f"its worker {cause}; see {self.log_file}")

    def close(self) -> None:
        """Waits for its end, which must be under way, and gives back its pipes."""
        self.output.close()
        close_input(self.process)
        self.process.wait()

    def _loses(self, reason: str, *, final: bool = False) -> Lost:
        assert self.job is not None
        lost = Lost(self.job.run_id, reason, final=final)
        self.job, self.retiring = None, True
        return lost

    def _understand(self, message: Mapping[str, Any]) -> ExecutorEvent | None:
        job = self.job
        if message["event"] == "rank_lost":
            self.cause = f"lost rank {message['rank']} of {self.nproc}, which {message['cause']}"
        if job is None or message.get("run_dir") != str(job.run_dir):
            return None
        assert self.watchdog is not None
        match message["event"]:
            case "alive":
                self.watchdog.alive(message["pause_seconds"])
            case "progress":
                if message["tokens_per_s"] is None:  # something is told, no step was taken
                    self.watchdog.alive()
                else:
                    pace_seconds = max(message["evaluation_seconds"], message["interval_seconds"])
                    self.watchdog.heard(message["step"], pace_seconds)
                return Progress(
                    run_id=job.run_id,
                    step=message["step"],
                    total_steps=message["total_steps"],
                    loss_nats=message["loss_nats"],
                    tokens_per_s=message["tokens_per_s"],
                    note=message.get("note"),
                )
            case "ended":
                self.job = None
                self.retiring |= bool(message.get("retires"))
                return Ended(job.run_id, RunState(message["state"]), message["reason"])
            case "stopped":
                self.job = None
                self.retiring |= bool(message.get("retires"))
                cause = message.get("cause")
                return Lost(
                    job.run_id,
                    message.get("reason") or "its worker was asked to stop",
                    elsewhere=cause == "elsewhere",
                    store_failed=cause == "disk",
                )
        return None
