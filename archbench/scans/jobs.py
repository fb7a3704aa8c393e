"""A planned run as whoever carries it out has it: as a job, by name, and as a failure where its workers died."""

from archbench.contracts.executor import Job
from archbench.results.runs import SIZE_SCAN, RunState, purpose, size_number
from archbench.results.tuning import TRIAL
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStore
from archbench.scans.memory import expected_memory_bytes
from archbench.scans.planned_run import PlannedRun
from archbench.spec.identity import RunPlan
from archbench.units import human_count

MAX_ATTEMPTS = 3
"""Times that a run is submitted before its loss is taken for a failure."""

POLL_SECONDS = 0.5
"""How long an executor may wait for something to tell."""


def job_of(run: PlannedRun, store: RunStore, *, scan: str = "", seconds: float | None = None) -> Job:
    """`run` as executors are given it; `seconds`: what it is expected to take."""
    execution = run.plan.execution
    return Job(
        run.run_id,
        store.directory(run.run_id).path.resolve(),
        run.exact_flops,
        nproc=execution.nproc,
        memory_bytes=expected_memory_bytes(run.plan),
        watchdog_seconds=execution.watchdog_seconds,
        name=label(run),
        scan=scan,
        contender=run.contender,
        size_index=run.size_index,
        cores=execution.threads,
        devices={"cpu": 0, "cuda": execution.nproc}.get(execution.device),
        seconds=seconds,
    )


def store_failure(directory: RunDirectory, plan: RunPlan, reason: str) -> None:
    """Has the store say that the run failed, where its workers died before they could.

    Raises StoreError where somebody else has the run, or the store cannot be written.
    """
    lease = acquire(directory)
    try:
        with lease.held():
            write_record(directory, plan, Outcome(RunState.FAILED, reason=reason))
    finally:
        lease.release()


def label(run: PlannedRun) -> str:
    """The run's name in messages."""
    num_params = run.plan.facts.non_embedding_params
    name = f"{run.contender} size {size_number(run.size_index)} ({num_params:,} parameters) seed {run.seed}"
    if run.role == TRIAL:
        name += f" trial at rate {run.plan.identity.training.peak_learning_rate:.3g}, {human_count(run.tokens)} tokens"
    elif run.study != SIZE_SCAN:
        training, facts = run.plan.identity.training, run.plan.facts
        name += f", {purpose(run)}: {human_count(facts.unique_tokens)} different tokens, batch {training.batch_tokens}"
    elif run.one_of_budgets:
        name += f", {human_count(run.tokens)} tokens"
    return name
