"""Drives the process of a part from outside: what it says, its end when the time is over, another one when it dies."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from accelerator_parts.child import Setting
from archbench.workers.processes import cause_of_death, end_processes

BENCHMARKS = Path(__file__).parents[1]
RESTART_SECONDS = 20.0
"""With less left a process that died is not replaced."""

Hear = Callable[[Mapping[str, Any]], None]


def drive(setting: Setting, log: BinaryIO, hear: Hear) -> None:
    """Carries out the part of `setting` within its seconds; `hear` is told each event, and `ended` once at last.

    `ended` says `why`: `done`, `time`, `failed` or, where a process died before it began anything, `died`. A process
    that dies, retires, or is longer at one figure than its limit is replaced by one that goes on behind that figure,
    which is told as a row that failed. Every process is gone when this returns or raises.
    """
    end = time.monotonic() + setting.seconds
    while True:
        left = end - time.monotonic()
        attempt = _Attempt(replace(setting, seconds=left), log)
        with contextlib.closing(attempt):
            why = attempt.follow(end, hear)
        fresh = attempt.begun[len(setting.begun) :]
        setting = replace(setting, begun=tuple(attempt.begun))
        if why in ("done", "time", "failed"):
            hear({"event": "ended", "why": why})
            return
        if not fresh:
            hear({"event": "failed", "reason": f"its process {why}; see accelerator.log"})
            hear({"event": "ended", "why": "died"})
            return
        if end - time.monotonic() < RESTART_SECONDS:
            hear({"event": "ended", "why": "time"})
            return


class _Attempt:
    """One process of a part."""

    def __init__(self, setting: Setting, log: BinaryIO) -> None:
        self.begun = list(setting.begun)
        self._open: Mapping[str, Any] | None = None
        self._cell_end = float("inf")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "TOKENIZERS_PARALLELISM": "false",
            # As archbench's worker sets it: cuBLAS repeats its sums bit by bit only with a workspace of its own.
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "HF_HUB_OFFLINE": "1",
            # Compiled anew each time: what compiling takes is measured.
            "TORCHINDUCTOR_CACHE_DIR": str(Path(setting.folder) / "inductor"),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accelerator_parts.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is the driver's alone
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asdict(setting)).encode() + b"\n")
            self._process.stdin.flush()

    def follow(self, end: float, hear: Hear) -> str:
        """Tells what it says; `done`, `failed`, `time` at the monotonic time `end`, or how the process ended."""
        for event in self._events(end):
            if event is None:
                return self._overdue(end, hear)
            match event["event"]:
                case "begin":
                    self._open = event
                    self._cell_end = time.monotonic() + event["limit_s"]
                    self.begun.append(event["what"])
                case "row" | "left_out":
                    self._open, self._cell_end = None, float("inf")
            hear(event)
            if event["event"] in ("done", "failed"):
                return str(event["event"])
        why = cause_of_death(self._process.wait())
        self._fail_open(f"failed: its process {why}", hear)
        return why

    def close(self) -> None:
        """Kills the process and all that it started."""
        end_processes(self._process.pid)
        self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what outlived a process that had died by itself
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def _overdue(self, end: float, hear: Hear) -> str:
        if time.monotonic() >= end:
            if self._open is not None:
                hear(
                    {"event": "left_out", "what": self._open["what"], "why": "the time was over before it was measured"}
                )
            return "time"
        assert self._open is not None, "only what was begun has a limit"
        limit = self._open["limit_s"]
        self._fail_open(f"failed: it took longer than {limit:.0f} s, and was ended", hear)
        return f"was ended after {limit:.0f} s"

    def _fail_open(self, status: str, hear: Hear) -> None:
        if self._open is not None:
            row = {**self._open["row"], "status": status}
            hear({"event": "row", "what": self._open["what"], "row": row})
            self._open = None

    def _events(self, end: float) -> Iterator[dict[str, Any] | None]:
        """Events as they come; None when it is `end`, or too late for what was begun."""
        assert self._process.stdout is not None
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                wait = min(end, self._cell_end) - time.monotonic()
                if wait <= 0.0:
                    yield None
                    return
                if not selector.select(wait):
                    continue
                read = os.read(self._process.stdout.fileno(), 1 << 16)
                if not read:
                    return
                *lines, rest = (rest + read).split(b"\n")
                yield from (json.loads(line) for line in lines)
