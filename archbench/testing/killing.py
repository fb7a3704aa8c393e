"""Runs that are killed with SIGKILL on purpose, to see that they end with the bits of an undisturbed one.

A process that has imported torch, DeepSpeed and all plug-ins forks one child for each attempt, so that an attempt costs
the run and not the imports. It kills the child after a given time, or the child kills itself just before the n-th
operation that changes the file system: between two of those lies every state that a crash can leave behind.

    with KillServer(log_file) as server:
        attempt = server.attempt(directory, Kill(after_seconds=0.3))
"""

import importlib
import json
import mmap
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from archbench.registry import Registry
from archbench.runs.directory import RunDirectory

_RESUME = "archbench.training.progress:resume"

PHASES: Mapping[str, str] = {
    "archbench.training.assembly:assemble": "set-up",
    _RESUME: "resuming",
    "archbench.training.loop:train_step": "step",
    "archbench.training.evaluation:evaluate": "evaluation",
    "archbench.training.checkpoint:save": "commit",
    "archbench.training.prefix_audit:audit_prefixes": "audit",
    "archbench.runs.records:write_timings": "record",
    "archbench.runs.records:write_record": "record",
}
"""Functions by `module:name`, and what a run is doing inside of them."""

OPERATIONS = ("mkdir", "fsync", "rename", "replace", "rmdir", "unlink")
"""Functions of `os` before which a child may kill itself. Contents are written between them, never in place."""

PRELOADED = ("archbench.training.run_attempt", "deepspeed")
"""Imported once, for all children; neither starts a thread, which a fork would lose."""

_BETWEEN = "between"
POLL_SECONDS = 0.002
_PHASE, _GOES_ON = 0, 1
"""Bytes that a child shares with the process that forked it."""
_NAMES = (_BETWEEN, *sorted(set(PHASES.values())))


@dataclass(frozen=True, slots=True)
class Kill:
    """When an attempt is killed; with neither it is left in peace."""

    after_seconds: float | None = None
    """From the moment at which the run goes on from its checkpoint, or begins."""
    before_operation: int | None = None
    """Number of the file operation, from 1, just before which the process kills itself."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt at a run ended."""

    killed: bool
    phase: str
    """What the run was doing when it was killed; `between` where that has no name in `PHASES`."""
    exit_code: int
    """0 if the run is done; meaningless where it was killed."""
    seconds: float
    """From the moment at which the run went on to its end; 0 if it did not get there."""


class KillServer:
    """The process that forks attempts. `log_file` receives what they print."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        # One thread: a fork copies no other.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "archbench.testing.killing"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        return self

    def attempt(self, directory: RunDirectory, kill: Kill | None = None) -> Attempt:
        """Carries out the run in `directory` in a process of its own until it ends or is killed."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"run_dir": str(directory.path), **asdict(kill or Kill())}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that forks attempts has died; see {self._log_file}")
        return Attempt(**json.loads(answer))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass(slots=True)
class KillCount:
    """What a series of kills did to the runs of one plan."""

    kills_by_phase: dict[str, int]
    runs_compared: int = 0
    runs_unequal: int = 0

    @property
    def kills(self) -> int:
        """All of them."""
        return sum(self.kills_by_phase.values())


def kill_often(server: KillServer, make_run: Callable[[str], RunDirectory], kills: int, *, seed: int) -> KillCount:
    """Kills runs of one plan `kills` times in all and compares every record with an undisturbed run's.

    `make_run(name)` plans the run anew in a folder of that name. Every third kill comes before a random file operation,
    the others at random moments of the time that the undisturbed run took. A run that ended before it could be killed
    is compared, and the next one begins; so is the last one, which is left in peace after the last kill.
    """
    rng = random.Random(seed)
    reference = make_run("undisturbed")
    undisturbed = _ended_well(server.attempt(reference))
    expected = reference.record_file.read_bytes()
    count = KillCount({})
    directory = make_run("killed-0")
    while True:
        kill = None
        if count.kills < kills:
            moment = Kill(after_seconds=rng.uniform(0.0, undisturbed.seconds))
            kill = Kill(before_operation=rng.randint(1, 100)) if count.kills % 3 == 2 else moment
        attempt = server.attempt(directory, kill)
        if attempt.killed:
            count.kills_by_phase[attempt.phase] = count.kills_by_phase.get(attempt.phase, 0) + 1
            continue
        _ended_well(attempt)
        count.runs_compared += 1
        count.runs_unequal += directory.record_file.read_bytes() != expected
        if kill is None:
            return count
        directory = make_run(f"killed-{count.runs_compared}")


def _ended_well(attempt: Attempt) -> Attempt:
    if attempt.killed or attempt.exit_code:
        raise RuntimeError(f"an attempt that was not killed did not end well: {attempt}")
    return attempt


def serve() -> None:
    """Carries out the orders on standard input, one JSON line each, and answers each by one."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    from archbench.host import load_host

    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    for module in PRELOADED:
        importlib.import_module(module)
    registry = load_host().registry
    shared = mmap.mmap(-1, 2)
    for line in sys.stdin:
        order = json.loads(line)
        _warm_up(Path(order["run_dir"]), registry)
        shared[_PHASE] = shared[_GOES_ON] = 0
        child = os.fork()
        if child == 0:
            _attempt(Path(order["run_dir"]), registry, order["before_operation"], shared)
        answers.write(json.dumps(asdict(_await(child, order["after_seconds"], shared))) + "\n")
        answers.flush()


def _warm_up(path: Path, registry: Registry) -> None:
    """Has this process import and measure what a first run of that kind would, once for all children."""
    import torch

    from archbench.flops.peaks import measured_matmul_peak

    torch.set_num_threads(1)
    measured_matmul_peak("cpu", torch.float32)
    identity = RunDirectory(path).read_plan().identity
    architecture = registry.architectures[str(identity.architecture["kind"])].config.model_validate(
        dict(identity.architecture)
    )
    objective = registry.objectives[str(identity.objective["kind"])].config.model_validate(dict(identity.objective))
    architecture.build(identity.dims, objective.attention)


def _await(child: int, kill_after_seconds: float | None, shared: mmap.mmap) -> Attempt:
    """Kills the child in time, and says how it ended."""
    descriptor = os.pidfd_open(child)
    began: float | None = None
    try:
        while not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            if began is None and shared[_GOES_ON]:
                began = time.monotonic()
            if began is not None and kill_after_seconds is not None:
                if not select.select([descriptor], [], [], kill_after_seconds)[0]:
                    os.kill(child, signal.SIGKILL)
                kill_after_seconds = None
    finally:
        os.close(descriptor)
    status = os.waitpid(child, 0)[1]
    return Attempt(
        killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        phase=_NAMES[shared[_PHASE]],
        exit_code=os.waitstatus_to_exitcode(status),
        seconds=0.0 if began is None else time.monotonic() - began,
    )


def _attempt(path: Path, registry: Registry, before_operation: int | None, shared: mmap.mmap) -> None:
    """The child: never returns."""
    status = 1
    try:
        from archbench.results.runs import RunState
        from archbench.training.run_attempt import attempt_run

        sys.setprofile(_profile(before_operation, shared))
        outcome = attempt_run(RunDirectory(path), registry, lambda report: None, threading.Event())
        sys.setprofile(None)
        print(path.name[:12], outcome and (outcome.state.value, outcome.reason), file=sys.stderr)
        status = 0 if outcome is not None and outcome.state is RunState.DONE else 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def _profile(before_operation: int | None, shared: mmap.mmap) -> Callable[[FrameType, str, Any], None]:
    """Notes the phase in shared memory, and kills the process before the wanted file operation."""
    codes = {_code(where): _NAMES.index(name) for where, name in PHASES.items()}
    resume = _code(_RESUME)
    operations = frozenset(getattr(os, name) for name in OPERATIONS)
    outer: list[int] = []
    left = before_operation

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        if event == "c_call":
            if left is not None and argument in operations:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        elif frame.f_code in codes:
            if event == "call":
                outer.append(shared[_PHASE])
                shared[_PHASE] = codes[frame.f_code]
            elif event == "return":
                shared[_GOES_ON] |= frame.f_code is resume
                shared[_PHASE] = outer.pop()

    return profile


def _code(where: str) -> Any:
    module, _, name = where.partition(":")
    function = getattr(importlib.import_module(module), name)
    return getattr(function, "__wrapped__", function).__code__


if __name__ == "__main__":
    serve()
