"""Runs carried out by pilots in a Slurm queue: an array of jobs, each a worker that takes one run after another."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

from archbench.api import ExecutorConfig, ExecutorEvent, Job, Lost, PluginError, Queued
from archbench.builtins.execution.slurm import commands
from archbench.builtins.execution.slurm.batch import TEMPLATE, Needs, batch_text, read_template
from archbench.builtins.execution.slurm.profile import DEFAULT, SlurmProfile, read_profile
from archbench.runs.binding import address_of, url_of
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import read_lease
from archbench.runs.queue import call_off
from archbench.runs.store import directory_status

log = logging.getLogger(__name__)

PREEMPTED = frozenset({"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"})
"""Ends of a job that are no fault of what it ran."""

NODE_LOGS = Path("/tmp")
"""Where a pilot's script prints on a node that sees no folder of the store; its worker's logs go to the store."""

CALLED_OFF_SECONDS = 2.0
"""Pause between two looks at whether a run that was called off has stopped."""


class SlurmExecutorConfig(ExecutorConfig):
    """Executor `slurm`."""

    starts_groups: ClassVar[bool] = True
    outlives_driver: ClassVar[bool] = True
    reaches: ClassVar[Literal["shared folder", "this machine", "store"]] = "store"

    kind: Literal["slurm"] = "slurm"
    summary: ClassVar[str] = "pilots in a Slurm queue, each of which trains one run after another"

    profile: str = DEFAULT
    """What the site needs: `NAME` is the file slurm/NAME.yaml of archbench's folder in the user's settings
    (~/.config/archbench); a path is that file."""
    script: str | None = None
    """A file in place of the script that sbatch is given; `@worker@` in it stands for the command that trains."""

    def open(
        self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = (), nproc: int = 1
    ) -> "SlurmExecutor":
        """Takes on all of `num_jobs` jobs at once; pilot i of job array J writes to `log_dir/slurm-J_i.log`.

        Raises SpecError where profile or script cannot be read, PluginError where there is no Slurm.
        """
        profile, template = self._read()
        commands.require_slurm()
        log_dir.mkdir(parents=True, exist_ok=True)
        return SlurmExecutor(
            profile, template, num_jobs=num_jobs, log_dir=log_dir.resolve(), plugin_files=plugin_files, nproc=nproc
        )

    def expected_capacity(self) -> int:
        """As many as the profile allows pilots. Raises SpecError where it cannot be read."""
        return read_profile(self.profile).array_parallelism

    def withdraw(self, tickets: Sequence[str]) -> None:
        """Cancels these job arrays. Raises PluginError where Slurm cannot be asked."""
        commands.cancel(tickets)

    def submission(self, *, jobs: Sequence[Job], runs_dir: Path, plugin_files: Sequence[Path] = ()) -> str:
        """The script that sbatch would be given. Raises SpecError where profile or script cannot be read."""
        profile, template = self._read()
        runs_dir = runs_dir.resolve()
        return batch_text(profile, needs_of(jobs, profile, runs_dir, runs_dir / "logs", plugin_files), template)

    def _read(self) -> tuple[SlurmProfile, str]:
        template = TEMPLATE if self.script is None else read_template(self.located(self.script))
        return read_profile(self.profile), template


def needs_of(
    jobs: Sequence[Job], profile: SlurmProfile, runs_dir: Path, log_dir: Path, plugin_files: Sequence[Path]
) -> Needs:
    """What an array for `jobs`, one at least, must ask for."""
    return Needs(
        scan=jobs[0].scan,
        runs_dir=address_of(runs_dir),
        # Of a store that is no shared folder, the folder here is none that a node has.
        log_dir=log_dir if url_of(runs_dir) is None else NODE_LOGS,
        num_pilots=min(len(jobs), profile.array_parallelism),
        nproc=max(job.nproc for job in jobs),
        cores=max(job.cores for job in jobs),
        devices=max(job.devices or 0 for job in jobs),
        plugin_files=plugin_files,
    )


class SlurmExecutor:
    """An open queue. Its pilots tell how runs get on through the store; Slurm is asked only whether they are there."""

    def __init__(
        self,
        profile: SlurmProfile,
        template: str,
        *,
        num_jobs: int,
        log_dir: Path,
        plugin_files: Sequence[Path],
        nproc: int,
    ) -> None:
        self._profile = profile
        self._template = template
        self._capacity = max(1, num_jobs)
        self._log_dir = log_dir
        self._plugin_files = plugin_files
        self._nproc = nproc
        self._waiting: list[Job] = []
        self._queued: dict[str, tuple[Job, str]] = {}
        """Run -> its job, and the job array whose pilots may train it."""
        self._called_off: dict[str, Job] = {}
        self._tickets: set[str] = set()
        self._known: Mapping[str, frozenset[str]] | None = None
        """The last answer of Slurm."""
        self._next_question = 0.0
        self._next_look = 0.0
        self._detached = False

    @property
    def capacity(self) -> int:
        """All jobs: the queue holds them."""
        return self._capacity

    def submit(self, job: Job) -> None:
        """Lets `job` wait for the next `poll`, which makes one array of all that came together."""
        self._waiting.append(job)

    def adopt(self, job: Job, ticket: str) -> bool:
        """Whether the job array `ticket` has living pilots, which then are to train `job`."""
        if self._known is None:
            self._ask()
        if not commands.is_living((self._known or {}).get(ticket, frozenset())):
            return False
        self._queued[job.run_id] = (job, ticket)
        self._tickets.add(ticket)
        return True

    def cancel(self, run_id: str) -> None:
        """Has pilots pass the run over, and the one that is at it store a checkpoint and go on to others."""
        waiting = [job for job in self._waiting if job.run_id == run_id]
        self._waiting = [job for job in self._waiting if job.run_id != run_id]
        found = self._queued.pop(run_id, None)
        for job in (*waiting, *([found[0]] if found else [])):
            call_off(RunDirectory(job.run_dir))
            self._called_off[run_id] = job

    def detach(self) -> None:
        """Leaves the pilots in the queue; `poll` has the tickets of those submitted last."""
        self._detached = True

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """Tickets of what was submitted, and runs for which no pilot is left; waits `timeout_s` without any."""
        events: list[ExecutorEvent] = [*self._submit_waiting(), *self._stopped(), *self._without_pilots()]
        if not events:
            time.sleep(timeout_s)
        return events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the pilots, which store a checkpoint of what they are at, unless they are to go on.

        Where all runs have ended, those at work find that by themselves; the rest is taken off the queue.
        """
        if self._detached:
            return
        try:
            commands.cancel(sorted(self._tickets), only_pending=kind is None and not self._queued_still())
        except PluginError as problem:
            # What ends a scan is not to be hidden behind this.
            log.warning("%s; pilots may go on: %s", problem, ", ".join(sorted(self._tickets)))

    def _queued_still(self) -> bool:
        """Whether anything may still be at a run that was not told to have ended."""
        directories = (RunDirectory(job.run_dir) for job, _ in self._queued.values())
        return any(not directory_status(directory).state.ended for directory in directories)

    def _submit_waiting(self) -> list[ExecutorEvent]:
        if not self._waiting:
            return []
        jobs, self._waiting = self._waiting, []
        runs_dir = jobs[0].run_dir.parent
        needs = needs_of(jobs, self._profile, runs_dir, self._log_dir, self._plugin_files)
        ticket = commands.submit(batch_text(self._profile, needs, self._template))
        self._tickets.add(ticket)
        self._queued |= {job.run_id: (job, ticket) for job in jobs}
        self._next_question = time.monotonic() + self._profile.poll_seconds
        return [Queued(job.run_id, ticket) for job in jobs]

    def _stopped(self) -> list[ExecutorEvent]:
        """Runs that were called off and that nobody is at any more."""
        if not self._called_off or time.monotonic() < self._next_look:
            return []
        self._next_look = time.monotonic() + CALLED_OFF_SECONDS
        events: list[ExecutorEvent] = []
        for run_id, job in list(self._called_off.items()):
            lease = read_lease(RunDirectory(job.run_dir))
            if lease is None or not lease.alive:
                del self._called_off[run_id]
                events.append(Lost(run_id, "called off"))
        return events

    def _ask(self) -> Mapping[str, frozenset[str]] | None:
        """What Slurm knows of jobs now; None where it gives no answer."""
        self._next_question = time.monotonic() + self._profile.poll_seconds
        answer = commands.states()
        self._known = self._known if answer is None else answer
        return answer

    def _without_pilots(self) -> list[ExecutorEvent]:
        """Runs whose array has ended; nothing is concluded while the controller gives no answer."""
        if not self._queued or time.monotonic() < self._next_question:
            return []
        answer = self._ask()
        if answer is None:
            return []
        events: list[ExecutorEvent] = []
        for run_id, (_, ticket) in list(self._queued.items()):
            found = answer.get(ticket, frozenset())
            if commands.is_living(found):
                continue
            del self._queued[run_id]
            how = f" ({', '.join(sorted(found)).lower()})" if found else ""
            reason = f"the pilots of Slurm job {ticket} have left{how}; see {self._log_dir}/slurm-{ticket}_*.log"
            events.append(Lost(run_id, reason, preempted=not PREEMPTED.isdisjoint(found)))
        return events
