"""One run in its directory: taken up under a lease, trained, and its end stored. The boundary at which errors stop."""

import logging
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event

from archbench.errors import ArchbenchError, StoreError, in_one_line
from archbench.registry import Registry
from archbench.results.runs import RunState
from archbench.runs import lease as leases
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, DiskRefused, is_full
from archbench.runs.queue import discard_mark
from archbench.runs.records import Outcome, read_outcome, write_record, write_timings
from archbench.spec.identity import RunPlan
from archbench.training import checkpoint
from archbench.training.assembly import Assembly, assemble, components_of
from archbench.training.loop import UNREMARKABLE_SECONDS, Interrupted, Report, Upkeep, train
from archbench.training.measurement import arithmetic, reset_peak_memory
from archbench.training.memory import (
    MicroBatch,
    OutOfMemory,
    forget_micro_batch,
    free_memory,
    is_exhaustion,
    planned_micro_batch,
    released,
    store_micro_batch,
)
from archbench.training.progress import Progress, commit, resume
from archbench.training.ranks import ALONE, Ranks
from archbench.training.reference_lines import lines_of, longest_seconds
from archbench.training.run_costs import measured_costs
from archbench.training.torch_settings import configure_torch
from archbench.training.weights import keep_weights

log = logging.getLogger(__name__)

LEASE_WAIT_SECONDS = 30.0
"""How long a worker waits for the one before it, whose driver may just have died, to let go of the run.

Where that one cannot be looked at, it waits until it has seen whether its lease still changes."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One rank's attempt at a run under a lease."""

    directory: RunDirectory
    plan: RunPlan
    registry: Registry
    lease: leases.Lease
    report: Callable[[Report], None]
    stop: Event
    ranks: Ranks


def attempt_run(
    directory: RunDirectory,
    registry: Registry,
    report: Callable[[Report], None],
    stop: Event,
    ranks: Ranks = ALONE,
    *,
    wait_seconds: float = LEASE_WAIT_SECONDS,
) -> Outcome | None:
    """Trains the run in `directory` to its end, from its newest checkpoint, and stores record and timings.

    A run that has ended well is not trained again, unless for final weights that are to be kept and are not there; a
    failed one is. What goes wrong with the run is not raised: the outcome says `failed` with the reason in one line,
    and the traceback is logged. None if the run was asked to stop on the way. Raises LeaseLost where another process
    has the run and keeps it for `wait_seconds`, and DiskRefused where the disk takes nothing more: neither is an end of
    the run.

    Called by all ranks of a group. Rank 0 says how the run ended; another one does so only where it is the one that
    failed. A group in which a run failed is out of step, and of no further use.
    """
    if not ranks.first:
        return _assist(directory, registry, stop, ranks)
    try:
        lease = leases.acquire(directory, wait_seconds=wait_seconds)
    except (leases.LeaseLost, DiskRefused):
        ranks.told(None)
        raise
    except ArchbenchError as error:
        ranks.told(None)
        return Outcome(RunState.FAILED, reason=str(error))
    try:
        with lease.beating():
            return _lead(directory, registry, report, stop, ranks, lease)
    except (leases.LeaseLost, DiskRefused) as error:
        log.warning("run %s: %s", directory.path.name, error)
        raise
    except ArchbenchError as error:
        # The store itself is the problem: nothing is written.
        log.exception("run %s", directory.path.name)
        return Outcome(RunState.FAILED, reason=str(error))
    finally:
        lease.release()


def _lead(
    directory: RunDirectory,
    registry: Registry,
    report: Callable[[Report], None],
    stop: Event,
    ranks: Ranks,
    lease: leases.Lease,
) -> Outcome | None:
    """What rank 0 does under `lease`; see `attempt_run`."""
    ended = _ended(directory)
    plan = directory.read_plan()
    # A run that had ended well and is only repeated for its weights keeps its record.
    kept = ended is not None and ended.state is not RunState.FAILED
    if kept and not directory.lacks_weights(plan):
        ranks.told(None)
        return ended
    ranks.told(str(lease.token))
    outcome = _train_contained(_Attempt(directory, plan, registry, lease, report, stop, ranks))
    if outcome is not None and outcome.state is RunState.FAILED:
        ranks.claim_failure()
        if not kept:
            with lease.held():
                write_record(directory, plan, outcome)
    return outcome


def _assist(directory: RunDirectory, registry: Registry, stop: Event, ranks: Ranks) -> Outcome | None:
    """Trains along with rank 0, under its lease. An outcome only where it is for this rank to say that the run failed.

    A rank may fail where the others do not, and leave them waiting for it: only it knows why.
    """
    token = ranks.told(None)
    if token is None:
        return None
    outcome: Outcome | None
    try:
        plan = directory.read_plan()
        lease = leases.shared(directory, int(token))
        outcome = _train_contained(_Attempt(directory, plan, registry, lease, lambda report: None, stop, ranks))
        if outcome is None or outcome.state is not RunState.FAILED:
            return None
        ranks.claim_failure()
        with lease.held():
            ended = _ended(directory)
            if ended is None or ended.state is RunState.FAILED:
                write_record(directory, plan, outcome)
        return outcome
    except (leases.LeaseLost, DiskRefused):
        ranks.claim_failure()
        raise
    except ArchbenchError as error:
        log.exception("run %s", directory.path.name)
        ranks.claim_failure()
        return Outcome(RunState.FAILED, reason=str(error))


def _ended(directory: RunDirectory) -> Outcome | None:
    """How the run ended; None while it has not, or where its record is damaged: it is then trained again."""
    try:
        return read_outcome(directory)
    except DamagedFile as error:
        log.warning("%s", error)
        return None


def _train_contained(attempt: _Attempt) -> Outcome | None:
    """The outcome of training; `failed` where a plug-in or a library raised. StoreErrors pass through.

    Raises DiskRefused for a full disk, whoever met it: a library's cache may lie there as well.
    """
    name = attempt.directory.path.name
    try:
        return _train_fitting(attempt)
    except Interrupted as error:
        log.info("run %s: %s", name, error)
        return None
    except StoreError:
        raise
    except ArchbenchError as error:
        log.exception("run %s", name)
        return Outcome(RunState.FAILED, reason=str(error))
    except BaseException as error:  # the executor's boundary: a plug-in may raise anything, or call sys.exit
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            raise
        if is_full(error):
            raise DiskRefused(
                f"{attempt.directory.path}: the disk is full: {in_one_line(error)}; free space there and in "
                f"{tempfile.gettempdir()}"
            ) from error
        log.exception("run %s", name)
        return Outcome(RunState.FAILED, reason=failure_reason(error))


def _train_fitting(attempt: _Attempt) -> Outcome:
    """`_train`, with the batch cut into more pieces each time that the memory does not suffice.

    Raises OutOfMemory where it cannot be cut further.
    """
    directory, plan = attempt.directory, attempt.plan
    cut = planned_micro_batch(directory, plan)
    while True:
        try:
            return _train(attempt, cut)
        except Exception as error:
            if not is_exhaustion(error):
                raise
            log.warning("run %s", directory.path.name, exc_info=True)
            details = released(error)
            exhausted = error if isinstance(error, OutOfMemory) else OutOfMemory(details)
        smaller = cut.smaller(exhausted.step)
        with attempt.lease.held():
            if smaller is None:
                forget_micro_batch(directory)
            else:
                store_micro_batch(directory, smaller)
        if smaller is None:
            raise OutOfMemory(f"{exhausted.details} {cut.remedy()}", exhausted.step)
        cut = smaller
        if attempt.ranks.size > 1:
            # The others wait for this one where it has left them: only a new group can go on.
            raise OutOfMemory(f"{exhausted.details}; the same command goes on with {cut.rows} rows at a time")
        free_memory()
        note = f"{exhausted}; goes on from step {exhausted.step} with {cut.rows} of {cut.batch_rows} rows at a time"
        attempt.report(Report(exhausted.step, plan.identity.training.total_steps, None, None, note))


def _train(attempt: _Attempt, cut: MicroBatch) -> Outcome:
    began = time.perf_counter()
    directory, plan, lease = attempt.directory, attempt.plan, attempt.lease
    configure_torch(plan.execution.threads)
    assembly = assemble(cut.applied_to(plan), attempt.registry, directory, attempt.ranks)
    try:
        reset_peak_memory(assembly.device)
        progress = resume(directory, assembly)
        log.info("run %s: begins at step %d", directory.path.name, progress.step)
        if progress.attempts == 1 and any(directory.checkpoints_dir.glob("step-*")):
            note = "its checkpoints are damaged, or of another nproc, stage or arithmetic: it begins anew; see the log"
            attempt.report(Report(0, plan.identity.training.total_steps, None, None, note))
        if assembly.remark is not None:
            attempt.report(Report(progress.step, plan.identity.training.total_steps, None, None, assembly.remark))
        ready = time.perf_counter()
        try:
            upkeep = Upkeep(directory, lease, attempt.report, attempt.stop)
            outcome = train(assembly, progress, upkeep)
        except Exception as error:
            if not is_exhaustion(error):
                raise
            raise _saved(released(error), attempt, assembly, progress) from None
        keeping = plan.execution.keep_weights and outcome.state is RunState.DONE
        if keeping:
            upkeep.before_storing(assembly, progress)
        weights = assembly.engine.weights() if keeping else {}
        if not attempt.ranks.first:
            return outcome
        if keeping:
            lease.check()
            keep_weights(directory, plan.identity.run_id, weights, lease.held)
        components = components_of(plan.identity, attempt.registry)
        lines: dict[str, float] = {}
        lines_seconds = 0.0
        if outcome.state is RunState.DONE:
            if (seconds := longest_seconds(assembly, progress)) > UNREMARKABLE_SECONDS:
                upkeep.alive(assembly, progress, seconds)
            lines, lines_seconds = lines_of(assembly, progress)
        measured = measured_costs(plan, cut, assembly, progress) | {
            "plugins": {role: component.origin() for role, component in components.items()},
            "setup_seconds": round(ready - began, 3),
            "reference_lines_seconds": round(lines_seconds, 3),
            "wall_seconds_last_attempt": round(time.perf_counter() - began, 3),
        }
        outcome = replace(outcome, arithmetic=arithmetic(assembly.device, plan.execution), reference_lines=lines)
        with lease.held():
            write_timings(directory, outcome.curve, measured)
            write_record(directory, plan, outcome)
            checkpoint.discard_all(directory)
            forget_micro_batch(directory)
            discard_mark(directory)
        return outcome
    finally:
        assembly.engine.close()


def _saved(details: str, attempt: _Attempt, assembly: Assembly, progress: Progress) -> OutOfMemory:
    """The error to raise where memory was exhausted, after a checkpoint of the steps that were taken.

    Without one, the run goes on from the checkpoint before: where parameters were being changed, or where not even
    this finds room.
    """
    free_memory()
    step = progress.started_at
    try:
        if assembly.ranks.size == 1 and not progress.updating and progress.finite_checks.problem(progress.step) is None:
            commit(attempt.directory, attempt.lease, assembly, progress)
            step = progress.step
    except Exception as error:
        if not is_exhaustion(error):
            raise
        name = attempt.directory.path.name
        log.warning("run %s: no memory for a checkpoint of step %d: %s", name, progress.step, error)
    return OutOfMemory(details, step)


def failure_reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    return f"{in_one_line(error)}; the traceback is in the worker's log"
