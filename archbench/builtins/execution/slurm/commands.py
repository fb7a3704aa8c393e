"""Slurm's own commands, as a person would type them."""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence

from archbench.api import PluginError

_PATIENCE_SECONDS = 120.0
"""Of one command; sbatch tries again by itself while the controller is away."""

_LIVING = frozenset(
    {
        "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED", "REQUEUE_HOLD",
        "REQUEUE_FED", "RESIZING", "SIGNALING", "STAGE_OUT", "RESV_DEL_HOLD", "SPECIAL_EXIT",
    }
)  # fmt: skip
"""States of a job that may still do something."""


_ENDED = ("Invalid job id", "already completing or completed")


def require_slurm() -> None:
    """Raises PluginError where there is no sbatch: nothing is then carried out elsewhere in its stead."""
    if shutil.which("sbatch") is None:
        raise PluginError(
            "executor slurm: there is no sbatch on PATH; run this where Slurm's commands are (a login node), or choose "
            "another one, such as execution.executor {kind: local}"
        )


def submit(text: str) -> str:
    """The number of the job array that the script `text` becomes. Raises PluginError with what sbatch says."""
    require_slurm()
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=text, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"executor slurm: sbatch gave no answer in {_PATIENCE_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise PluginError(f"executor slurm: sbatch refused the job: {_last_line(done.stderr)}")
    return done.stdout.strip().partition(";")[0]  # behind it may stand the cluster


def states() -> Mapping[str, frozenset[str]] | None:
    """Job array -> states of its tasks, of all that the controller still knows of this user; None without an answer."""
    try:
        done = subprocess.run(
            ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%F %T"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    found: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        job, _, state = line.strip().partition(" ")
        found[job].add(state.strip())
    return {job: frozenset(of_tasks) for job, of_tasks in found.items()}


def is_living(of_tasks: frozenset[str]) -> bool:
    """Whether any task in these states may still do something."""
    return not _LIVING.isdisjoint(of_tasks)


def cancel(jobs: Sequence[str], *, only_pending: bool = False) -> None:
    """Ends `jobs`, or those of their tasks that have not begun; those that have ended are passed over.

    Raises PluginError where Slurm cannot be asked.
    """
    if not jobs:
        return
    require_slurm()
    try:
        done = subprocess.run(
            ["scancel", "--quiet", *(["--state=PENDING"] if only_pending else []), *jobs],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"executor slurm: scancel gave no answer in {_PATIENCE_SECONDS:.0f} s") from error
    # A job that has ended is an error to scancel, which --quiet says nothing of.
    if done.returncode != 0 and done.stderr.strip() and not any(ended in done.stderr for ended in _ENDED):
        raise PluginError(f"executor slurm: scancel refused: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
