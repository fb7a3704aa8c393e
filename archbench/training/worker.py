"""The process that trains: `python -m archbench.training.worker [--plugin PATH]... [--run DIRECTORY]...`

Started by torchrun (`archbench.training.launcher`) it is one rank of a group; rank 0 is then the one that reads and
reports, and the others do as it says.

Without `--run` it reads jobs as JSON lines from standard input, `{"run_dir": "..."}`, and carries them out one after
another, so that torch and DeepSpeed are imported and started once. Events leave as JSON lines on what was standard
output when it started; all else that anything prints goes to standard error, which the executor points at a log file.

A stranger's plug-in is imported for the runs that need it. If such a run leaves something changed that others share
(torch's default dtype, the environment, a function of torch), this process takes no further run: `retires`.

It ends when standard input closes, which is also how it notices that its driver has died, and on SIGTERM: a run in
progress then stops after its current step with a checkpoint, or is cut off after `GRACE_SECONDS`.
"""

import argparse
import contextlib
import ctypes
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from archbench.launch_variables import GROUP, forget_launchers

GRACE_SECONDS = 15.0
"""A step that takes longer than this is cut off; its run resumes from the checkpoint before."""


_PR_SET_PDEATHSIG = 1
"""Of sys/prctl.h."""


class Events:
    """Writes events to the driver; a driver that is gone stops the worker."""

    def __init__(self, stream: BinaryIO, stop: threading.Event) -> None:
        self._stream = stream
        self._stop = stop

    def send(self, event: str, **fields: Any) -> None:
        """One JSON line."""
        try:
            self._stream.write(json.dumps({"event": event, **fields}).encode() + b"\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stop.set()


class StopRequest:
    """Asks the run in progress to stop, once, and ends the process by force if it does not."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def ask(self) -> None:
        """Sets the event; the process is gone within `GRACE_SECONDS`."""
        if self.event.is_set():
            return
        self.event.set()
        deadline = threading.Timer(GRACE_SECONDS, os._exit, args=(1,))
        deadline.daemon = True
        deadline.start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out runs until there are no more; the exit code is 1 if one of those named by `--run` failed."""
    parser = argparse.ArgumentParser(prog="python -m archbench.training.worker", description="Trains planned runs.")
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="plug-in to load, a module or a package's folder",
    )
    parser.add_argument("--run", action="append", default=[], type=Path, metavar="DIRECTORY", help="run to carry out")
    parser.add_argument(
        "--lease-wait",
        type=float,
        metavar="SECONDS",
        help="how long to wait for another process that holds a run; without it, until a dying one has let go",
    )
    options = parser.parse_args(arguments)

    # Whoever finds that the run hangs can have it say where, even from inside a library; so does one that crashes.
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    _go_first_when_memory_is_short()
    keep_niceness()
    request = StopRequest()
    events = Events(_claim_stdout(), request.event)
    one_of_many = _is_one_of_many(parser)
    if one_of_many:
        # SIGTERM keeps its default here: torchrun sends it when a peer has died, and a rank that waits for that peer
        # would never come to handle it.
        _die_with_parent()
    else:
        signal.signal(signal.SIGTERM, lambda *_: request.ask())
    jobs: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    if one_of_many and int(os.environ["RANK"]) > 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif options.run:
        for directory in (*options.run, None):
            jobs.put(directory)
    else:
        # Ctrl-C reaches the whole process group; only the driver decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_read_jobs, args=(jobs, request), daemon=True).start()

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
    # DeepSpeed calls what torch.distributed is about to rename, several times a step.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    return _serve(jobs, events, request, options.plugin, options.lease_wait)


def _serve(
    jobs: "queue.SimpleQueue[Path | None]",
    events: Events,
    request: StopRequest,
    plugin_files: Sequence[Path],
    lease_wait: float | None,
) -> int:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Read by cuBLAS when it starts; without it, matrix products on CUDA may differ from run to run.
    if os.environ.get("CUBLAS_WORKSPACE_CONFIG") != ":16:8":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    # Here and not above: the reader of standard input is to be at work before the seconds that these take.
    from archbench.errors import StoreError
    from archbench.results.runs import RunState
    from archbench.runs.directory import RunDirectory
    from archbench.runs.lease import LeaseLost
    from archbench.runs.records import Outcome
    from archbench.runs.store import directory_status
    from archbench.training.loop import Report
    from archbench.training.ranks import join_ranks
    from archbench.training.run_attempt import LEASE_WAIT_SECONDS, attempt_run
    from archbench.training.run_plugins import RunPlugins

    wait_seconds = LEASE_WAIT_SECONDS if lease_wait is None else lease_wait
    run_plugins = RunPlugins(plugin_files)
    ranks = join_ranks()
    if ranks.first:
        events.send("ready", pid=os.getpid())
    failures = 0
    while (run_dir := ranks.told(_next_job(jobs, request) if ranks.first else None)) is not None:

        def report(progress: Report, run_dir: str = run_dir) -> None:
            if progress.pause_seconds is not None:
                events.send("alive", run_dir=run_dir, pause_seconds=progress.pause_seconds)
                return
            events.send(
                "progress",
                run_dir=run_dir,
                step=progress.step,
                total_steps=progress.total_steps,
                loss_nats=progress.loss_nats,
                tokens_per_s=progress.tokens_per_s,
                evaluation_seconds=progress.evaluation_seconds,
                interval_seconds=progress.interval_seconds,
                note=progress.note,
            )

        directory = RunDirectory(Path(run_dir))
        outcome: Outcome | None = None
        refused: StoreError | None = None
        try:
            registry = run_plugins.registry_for(directory)
            outcome = attempt_run(directory, registry, report, request.event, ranks, wait_seconds=wait_seconds)
        except StoreError as error:
            refused = error
        failed = refused is not None or (outcome is not None and outcome.state is RunState.FAILED)
        # Somebody else may have brought it to its end.
        failures += failed and (refused is None or directory_status(directory).state is not RunState.DONE)
        changed = run_plugins.side_effects()
        if not failed and ranks.any(changed is not None)[0]:
            # Where one rank must go, the group must.
            changed = changed or "another rank"
        if changed is not None and outcome is not None:
            note = f"its plug-in changed {changed}; runs that follow have another worker"
            step = outcome.curve[-1].step if outcome.curve else 0
            report(Report(step, step, None, None, note))
        # The other ranks may be anywhere by now.
        retires = {"retires": True} if changed is not None or (failed and ranks.size > 1) else {}
        if outcome is not None:
            events.send("ended", run_dir=run_dir, state=outcome.state.value, reason=outcome.reason, **retires)
        elif refused is not None:
            cause = "elsewhere" if isinstance(refused, LeaseLost) else "disk"
            events.send("stopped", run_dir=run_dir, cause=cause, reason=str(refused), **retires)
        elif ranks.first and request.event.is_set():
            events.send("stopped", run_dir=run_dir)
        if retires:
            return 1
    return 1 if failures or request.event.is_set() else 0


def _is_one_of_many(parser: argparse.ArgumentParser) -> bool:
    """Whether torchrun's variables make this process a rank of several; if not, left-overs of launchers are forgotten.

    Ends the process with one line where they are half there: it would wait for ranks that nobody starts.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size in ("", "1"):
        forget_launchers(os.environ)
        return False
    missing = [name for name in GROUP if not os.environ.get(name)]
    if missing or not size.isdigit():
        wrong = f"{', '.join(missing)} not set" if missing else f"got WORLD_SIZE={size}"
        parser.error(f"{wrong}: a rank is started by torchrun; unset WORLD_SIZE for a run in one process")
    return True


def keep_niceness() -> None:
    """Lets `nice archbench run` yield to others as asked, though each worker is a session of its own.

    Linux shares cores between sessions first, and between the processes of one by their niceness
    (`/proc/sys/kernel/sched_autogroup_enabled`, sched(7)).
    """
    niceness = os.nice(0)
    # Another session is somebody's terminal, whose other commands must not yield as well.
    if niceness > 0 and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness))


def _go_first_when_memory_is_short() -> None:
    """Has the kernel, should the memory run out, end this process rather than the one that drives the scan."""
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("500")


def _next_job(jobs: "queue.SimpleQueue[Path | None]", request: StopRequest) -> str | None:
    path = None if request.event.is_set() else jobs.get()
    return None if path is None else str(path)


def _die_with_parent() -> None:
    """Has this process killed as soon as its parent is gone: at once on Linux, even if stopped; else within a second.

    A rank without torchrun's agent has nobody to end it when a peer dies.
    """
    parent = int(os.environ.get("ARCHBENCH_LAUNCHER_PID", os.getppid()))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _claim_stdout() -> BinaryIO:
    """What was standard output, for events alone; from now on file descriptor 1 is standard error."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return private


def _read_jobs(jobs: "queue.SimpleQueue[Path | None]", request: StopRequest) -> None:
    for line in sys.stdin:
        if line.strip():
            jobs.put(Path(json.loads(line)["run_dir"]))
    request.ask()
    jobs.put(None)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Past the teardown of torch's and DeepSpeed's threads, which can hang or abort.
    os._exit(status)
