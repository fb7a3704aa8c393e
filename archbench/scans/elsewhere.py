"""Runs that other commands carry out on the same store: waited for, and taken over where their leases are silent."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from archbench.results.runs import RunState
from archbench.runs.files import DamagedFile
from archbench.runs.lease import LEASE_SECONDS, LeaseInfo, LeaseWatch, freed, read_lease
from archbench.runs.store import RunStatus, RunStore
from archbench.scans.jobs import label
from archbench.scans.planned_run import PlannedRun

LOOK_SECONDS = 2.0
"""Pause between two looks at them."""


@dataclass(slots=True)
class RunsElsewhere:
    """Those of one scan; true while there are any."""

    store: RunStore
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _runs: dict[str, PlannedRun] = field(default_factory=dict)
    _watch: LeaseWatch = field(default_factory=LeaseWatch)
    _told_tokens: dict[str, int] = field(default_factory=dict)
    """Run -> token of the holder that was last named."""
    _looked: float = -LOOK_SECONDS

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def run_ids(self) -> set[str]:
        """Of the runs that are waited for."""
        return set(self._runs)

    def wait_for(self, run: PlannedRun) -> None:
        """Leaves `run` to the process that holds it, and says which one that is."""
        self._runs[run.run_id] = run
        self._name_holder(run, self._lease(run))

    def let_go(self) -> Iterator[tuple[PlannedRun, RunStatus]]:
        """The runs that nobody is at any more, each with how it stands; it is then waited for no longer.

        Looks at the store every `LOOK_SECONDS` at most. Raises DiskRefused where a silent run cannot be taken over.
        """
        if not self._runs or self.clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self.clock()
        for run_id, run in list(self._runs.items()):
            status = self.store.status(run_id)
            if status.state is RunState.RUNNING:
                self._take_over_if_silent(run)
                continue
            del self._runs[run_id]
            yield run, status

    def _take_over_if_silent(self, run: PlannedRun) -> None:
        lease = self._lease(run)
        self._name_holder(run, lease)
        if lease is not None and freed(self.store.directory(run.run_id), lease, self._watch):
            self.tell(
                f"{label(run)}: {lease.holder} gave no sign of life for {LEASE_SECONDS:.0f} s; the run is taken over"
            )

    def _name_holder(self, run: PlannedRun, lease: LeaseInfo | None) -> None:
        """Says once of each holder that it is waited for."""
        if lease is not None and self._told_tokens.get(run.run_id) != lease.token:
            self._told_tokens[run.run_id] = lease.token
            self.tell(
                f"{label(run)}: is being trained by {lease.holder}; waiting for it, until it ends or gives no sign of "
                f"life for {LEASE_SECONDS:.0f} s"
            )

    def _lease(self, run: PlannedRun) -> LeaseInfo | None:
        try:
            return read_lease(self.store.directory(run.run_id))
        except DamagedFile:
            return None
