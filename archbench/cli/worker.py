"""`archbench worker`: trains what is planned in a store, one run after another, on this machine."""

import os
import platform
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import host_with, plugin_option, written_runs_option
from archbench.cli.main import EXIT_INTERRUPTED
from archbench.cli.places import writable_mirror
from archbench.cli.run import EXIT_RUNS_FAILED
from archbench.cli.terminal import echo
from archbench.errors import StoreError
from archbench.extras import require_training
from archbench.runs.probe import probe_store
from archbench.runs.remote.working_folder import kept_fresh
from archbench.runs.store import RunStore
from archbench.units import counted

if TYPE_CHECKING:
    from archbench.contracts.executor import Executor
    from archbench.runs.remote.mirror import Mirror

EXIT_MORE_LEFT = 75
"""EX_TEMPFAIL of sysexits.h: it had to stop, and something may be left."""

_STOPPING_SECONDS = 30.0
"""What a last step, its checkpoint and the end of processes are given before the time is up, of a long enough time."""
_STOPPING_SHARE = 0.25
_STARTING_SECONDS = 60.0
"""So long before that no further run is begun: it would hardly take a step."""
_STARTING_SHARE = 0.1

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


class Duration(click.ParamType[float]):
    """A time such as `55m`, `1h30m` or `90` (seconds)."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(value) if value else None
        if found is None:
            self.fail(f"got {value!r}, expected a time such as 55m, 1h30m or 90s", param, ctx)
        seconds = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True))
        if seconds <= 0:
            self.fail(f"got {value!r}, expected more than no time", param, ctx)
        return float(seconds)


@click.command()
@written_runs_option
@click.option(
    "--scan",
    "scans",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.specs_and_scans,
    help="Only runs of this scan; may be repeated. Without it, of every scan in the store.",
)
@click.option(
    "--until-empty", is_flag=True, help="Leave when there is nothing left to take, rather than wait for more."
)
@click.option(
    "--time-limit",
    type=Duration(),
    metavar="TIME",
    help="Be gone after so long, such as 55m: the run at work is stored as a checkpoint in time.",
)
@click.option(
    "--ranks",
    type=click.Choice(["torchrun", "srun"]),
    default="torchrun",
    show_default=True,
    help="What starts the ranks of a run in several processes: torchrun here, or srun on the nodes of a Slurm job.",
)
@plugin_option
@click.pass_context
def worker(
    ctx: click.Context,
    runs_dir: Path,
    scans: tuple[str, ...],
    until_empty: bool,
    time_limit: float | None,
    ranks: str,
    plugin_files: tuple[Path, ...],
) -> None:
    """Train what is planned in a store, one run after another.

    Any number of workers share a store, on as many machines as see its folder: each run has a lease, and is trained by
    one of them. `archbench run` plans runs and, with an executor such as slurm, starts workers by itself.

    SIGTERM and SIGUSR1 store the run at work as a checkpoint and end the worker with exit code 75, as --time-limit
    does: something may be left to do.

    \b
    Examples:
      archbench worker --runs /shared/runs --until-empty
      archbench worker --scan quickstart --time-limit 55m
      archbench worker --runs s3://my-runs/scans --until-empty
    """
    require_training("`archbench worker` trains models")
    host_with(plugin_files)  # says what is wrong with them before anything is trained
    store = RunStore(runs_dir)
    if not store.scans_dir.is_dir():
        raise StoreError(f"{store.place}: holds no scan; `archbench run SPEC` makes one")
    for name in scans:
        store.scan(name)
    store.create()
    mirror = writable_mirror(runs_dir)
    if mirror is None:
        probe_store(store.root)
    stop = _Stop()
    for sort in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(sort, stop.told)
    files = [path.resolve() for path in plugin_files]
    with kept_fresh(runs_dir, _tell):
        outcome = _work(store, mirror, scans, stop, until_empty, time_limit, ranks, files)
    if outcome is not None:
        ctx.exit(outcome)


class _Stop(threading.Event):
    """Is set when the process is told to leave."""

    interrupted = False

    def told(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal. A second Ctrl-C does not wait."""
        if number == signal.SIGINT:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
        self.set()


def _work(
    store: RunStore,
    mirror: "Mirror | None",
    scans: tuple[str, ...],
    stop: _Stop,
    until_empty: bool,
    time_limit: float | None,
    ranks: str,
    plugin_files: list[Path],
) -> int:
    """The exit code."""
    from archbench.builtins.execution.local import LocalExecutorConfig
    from archbench.scans.mirrored_executor import MirroredExecutor
    from archbench.scans.pilot import Pilot

    began = time.monotonic()
    log_dir = store.logs_dir / f"worker-{platform.node() or 'localhost'}-{os.getpid()}"
    launcher = (sys.executable, "-m", "archbench.training.srun_launcher") if ranks == "srun" else ()

    def open_executor(nproc: int) -> "Executor":
        # Another worker that takes a run at the same moment is not waited for: there are others.
        opened = LocalExecutorConfig(workers=1 if nproc == 1 else nproc).open(
            num_jobs=1,
            log_dir=log_dir,
            plugin_files=plugin_files,
            nproc=nproc,
            launcher=launcher,
            worker_options=("--lease-wait", "0"),
        )
        return opened if mirror is None else MirroredExecutor(opened, mirror, log_dir, _tell)

    pilot = Pilot(store, scans, open_executor, _tell, stop, until_empty, skip=_number_among_pilots())
    if time_limit is not None:
        pilot.deadline = began + time_limit - min(_STOPPING_SECONDS, _STOPPING_SHARE * time_limit)
        pilot.last_start = pilot.deadline - min(_STARTING_SECONDS, _STARTING_SHARE * time_limit)
    outcome = pilot.work()
    done, failed = counted(outcome.num_done, "run"), outcome.num_failed
    echo(f"{outcome.ending}: {done} done" + (f", {failed} failed" if failed else ""))
    if stop.interrupted:
        return EXIT_INTERRUPTED
    if outcome.ending == "told to stop":
        return EXIT_MORE_LEFT
    return EXIT_RUNS_FAILED if failed else 0


def _number_among_pilots() -> int:
    """This worker's number in a job array, whose workers begin at the same moment; 0 for one by itself."""
    number = os.environ.get("SLURM_ARRAY_TASK_ID", "0")
    return int(number) if number.isdigit() else 0


def _tell(line: str) -> None:
    echo(f"{time.strftime('%H:%M:%S')} {line}")
