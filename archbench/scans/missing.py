"""Which runs of a scan are still to be trained, and which checkpoints none of them begins from any more."""

import contextlib
import shutil
from collections.abc import Callable, Collection, Sequence

from archbench.errors import StoreError
from archbench.results.runs import RunState
from archbench.runs.remote.holding import drop_folder
from archbench.runs.remote.working_folder import mirror_of
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.units import counted


def missing_runs(runs: Sequence[PlannedRun], store: RunStore, again: Collection[str] = ()) -> list[PlannedRun]:
    """The runs to train: those that have not ended, and ended ones whose weights are gone and needed to begin from.

    Ended runs in `again` are trained once more for their weights, too, if these are not there.
    """
    ended = (RunState.DONE, RunState.DIVERGED)
    missing = {run.run_id: run for run in runs if store.status(run.run_id).state not in ended}
    begins = {run.plan.identity.start.run_id for run in missing.values() if run.plan.identity.start is not None}
    for run in runs:
        if (run.run_id in begins or run.run_id in again) and store.directory(run.run_id).lacks_weights(run.plan):
            missing[run.run_id] = run
    return [run for run in runs if run.run_id in missing]


def without_damaged(
    missing: Sequence[PlannedRun], damaged: Collection[str], tell: Callable[[str], None]
) -> list[PlannedRun]:
    """`missing` without the runs `damaged`, and without those that begin from them; how many is told."""
    gone = set(damaged)
    kept = list(missing)
    while stranded := [run for run in kept if run.run_id in gone or not gone.isdisjoint(run.after)]:
        gone |= {run.run_id for run in stranded}
        kept = [run for run in kept if run.run_id not in gone]
    if gone:
        tell(f"{counted(len(gone), 'run')} left out, since what is stored of them is damaged")
    return kept


def discard_kept(runs: Sequence[PlannedRun], store: RunStore) -> None:
    """Removes the checkpoints of trunks all of whose branches have ended."""
    awaited = {
        branch.run_id for run in missing_runs(runs, store) if (branch := run.plan.execution.branch_from) is not None
    }
    mirror = mirror_of(store.root)
    for run in runs:
        if run.plan.execution.keep_steps and run.run_id not in awaited:
            directory = store.directory(run.run_id)
            shutil.rmtree(directory.kept_dir, ignore_errors=True)
            if mirror is not None and mirror.head(directory.path.name).folder(directory.kept_dir.name):
                with contextlib.suppress(StoreError):  # it costs room alone, and the next command tries again
                    drop_folder(mirror, run.run_id, f"{directory.kept_dir.name}/")
