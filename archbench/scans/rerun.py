"""Runs that are in the store already, planned once more from what their directories say: no spec is needed."""

from collections.abc import Iterable
from dataclasses import dataclass

from archbench.contracts.executor import ExecutorConfig
from archbench.errors import SpecError, StoreError
from archbench.host import Host
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.store import IndexedRun, RunStore, ScanIndex, directory_status
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan


@dataclass(frozen=True, slots=True)
class Rerun:
    """Runs to carry out again."""

    plan: ScanPlan
    executor: ExecutorConfig | None
    """As the spec of the first run's scan says; None: left to plug-ins."""
    again: frozenset[str]
    """Ids of those that are done, and are trained once more for their final weights."""
    diverged: tuple[RunDirectory, ...]
    """Those whose end must be forgotten before they are trained again."""

    def forget_ends(self) -> None:
        """Takes away the records of diverged runs. Raises StoreError where somebody trains one of them."""
        for directory in self.diverged:
            lease = acquire(directory)
            try:
                directory.record_file.unlink(missing_ok=True)
            finally:
                lease.release()


def plan_rerun(directories: Iterable[RunDirectory], store: RunStore, host: Host) -> Rerun:
    """The runs in `directories` as they were planned, under the names of the scans that hold them.

    Failed and unfinished runs go on, diverged ones begin anew, done ones are trained again for their weights. Raises
    SpecError for a run that cannot be trained here or is being trained, StoreError for a damaged plan.
    """
    scans = [_scan_or_none(store, name) for name in store.scan_names()]
    named = {run.run_id: (run, scan) for scan in scans if scan is not None for run in scan.runs}
    runs: list[PlannedRun] = []
    again, diverged = set(), []
    scan: ScanIndex | None = None
    for directory in directories:
        status = directory_status(directory)
        state = status.state
        if not directory.plan_file.exists():
            raise SpecError(
                f"{directory.path}: was imported or taken from a published entry, so that there is no plan to carry out"
            )
        if state is RunState.RUNNING:
            raise SpecError(
                f"{directory.path}: is being trained, {status.reason}; `archbench run` of its spec waits for it"
            )
        plan = directory.read_plan()
        if state is RunState.DONE:
            again.add(plan.identity.run_id)
            plan = plan.model_copy(update={"execution": plan.execution.model_copy(update={"keep_weights": True})})
        if state is RunState.DIVERGED:
            diverged.append(directory)
        name, of_scan = named.get(plan.identity.run_id, (None, None))
        scan = scan or of_scan
        kind = str(plan.identity.architecture["kind"])
        known = name or IndexedRun(contender=kind, size_index=0, seed=plan.identity.seed, run_id=plan.identity.run_id)
        runs.append(
            PlannedRun(
                contender=known.contender,
                size_index=known.size_index,
                plan=plan,
                run_id=plan.identity.run_id,
                study=known.study,
                role=known.role,
                labels=known.labels,
            )
        )
    index = ScanIndex(
        name="rerun",
        description="",
        baseline=None,
        runs=tuple(run.indexed() for run in runs),
        spec=scan.spec if scan else {},
        environment={},
    )
    return Rerun(ScanPlan(index, tuple(runs), {}), _executor(index, host), frozenset(again), tuple(diverged))


def _scan_or_none(store: RunStore, name: str) -> ScanIndex | None:
    """A damaged scan only costs its runs their names."""
    try:
        return store.scan(name)
    except StoreError:
        return None


def _executor(index: ScanIndex, host: Host) -> ExecutorConfig | None:
    written = index.spec.get("execution", {}).get("executor", "auto")
    if not isinstance(written, dict):
        return None
    return host.registry.executors[str(written.get("kind"))].config.model_validate(written)
