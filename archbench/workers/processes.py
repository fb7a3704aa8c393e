"""Worker processes from outside: their environment, their end, their logs."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from archbench.launch_variables import without_launchers

ANSWER_SECONDS = 0.5
"""How long a worker that hangs may take to write down where."""

MOST_LOG_BYTES = 16 * 2**20
"""A log that has grown beyond is cut down to its end."""

KEPT_LOG_BYTES = 2**20
"""What is kept of it then."""


def end_processes(pid: int, *, asking: Literal["nobody", "itself", "children"] = "nobody") -> list[int]:
    """Kills process `pid` and all that it started, ranks or others; returns those that somebody had stopped.

    Those that are asked first write to their log what each thread was doing, if they still can. Of a group that is the
    children: what starts ranks would die of the question.
    """
    import psutil  # comes with archbench[train], and plug-ins are listed without

    try:
        first = psutil.Process(pid)
        asked = {"nobody": [], "itself": [first], "children": first.children()}[asking]
        children = first.children(recursive=True)
    except psutil.Error:
        return []
    stopped: list[int] = []
    for process in (*children, first):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                stopped.append(process.pid)
    for process in asked:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGUSR1)
    if asked:
        time.sleep(ANSWER_SECONDS)
    for process in (first, *children):
        with contextlib.suppress(psutil.Error):
            process.kill()
    return stopped


def worker_environment(
    environment: Mapping[str, str], threads: int, devices: Sequence[str], slot: int, nproc: int = 1
) -> dict[str, str]:
    """The environment of worker `slot`: the threads and the one CUDA device of each of its `nproc` processes.

    What a launcher around this command has set for itself (RANK, GLOO_SOCKET_IFNAME, ...) is left out.
    """
    changed = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # Threads that spin while they wait take the cores from the other workers.
        "OMP_WAIT_POLICY": "passive",
        "PYTHONUNBUFFERED": "1",
    }
    if devices:
        places = range(slot * nproc, (slot + 1) * nproc)
        changed["CUDA_VISIBLE_DEVICES"] = ",".join(devices[place % len(devices)] for place in places)
    return {**without_launchers(environment), **changed}


def close_input(process: subprocess.Popen[bytes]) -> None:
    """Tells a worker that there are no more jobs."""
    assert process.stdin is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        return


def cause_of_death(returncode: int | None) -> str:
    """How a process ended, behind its name."""
    if returncode is not None and returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


def shorten_log(log_file: Path) -> None:
    """Cuts a log that has grown beyond `MOST_LOG_BYTES` down to its end, also while somebody appends to it.

    What a plug-in prints then neither fills the disk nor waits for anybody, as it would in a pipe.
    """
    with contextlib.suppress(OSError):
        size = log_file.stat().st_size
        if size <= MOST_LOG_BYTES:
            return
        with log_file.open("rb") as stream:
            stream.seek(size - KEPT_LOG_BYTES)
            end = stream.read(KEPT_LOG_BYTES)
        # Workers append: after this they go on from the new end, wherever they were.
        os.truncate(log_file, 0)
        with log_file.open("ab") as stream:
            stream.write(f"[{size - len(end):,} bytes were left out here: the log had grown too long]\n".encode() + end)
