"""The layout of one run's directory; the directory is the truth about the run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from archbench.errors import StoreError
from archbench.runs.files import DamagedFile
from archbench.runs.sealed import read_sealed, refuse_newer, write_sealed
from archbench.spec.identity import IDENTITY_FORMAT, RunPlan

ID_DIGITS = 16
"""Hex digits of the run id that name a directory of a store: 64 bits, and a collision is noticed."""

_SHORT_ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
_PLAN_REMEDY = "`archbench run` on its spec writes it anew and trains nothing twice"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths inside a run directory, and its plan."""

    path: Path

    @property
    def plan_file(self) -> Path:
        """Identity, facts and execution settings; written before the run starts."""
        return self.path / "plan.json"

    @property
    def record_file(self) -> Path:
        """State, learning curve and audit of an ended run: the same bytes whenever the run is repeated."""
        return self.path / "record.json"

    @property
    def timings_file(self) -> Path:
        """What was measured rather than computed: device seconds by step, hardware, versions, peak memory."""
        return self.path / "timings.json"

    @property
    def lease_file(self) -> Path:
        """Who carries out the run at present."""
        return self.path / "lease.json"

    @property
    def queue_file(self) -> Path:
        """In whose queue the run waits, or that it was called off: see `archbench.runs.queue`."""
        return self.path / "queue.json"

    @property
    def memory_file(self) -> Path:
        """How the batch had to be cut for want of memory; only while the run goes on."""
        return self.path / "memory.json"

    @property
    def trace_file(self) -> Path:
        """What the run tells of itself on the way, for whoever watches: see `archbench.runs.trace`."""
        return self.path / "trace.jsonl"

    @property
    def remote_file(self) -> Path:
        """What a store without a shared folder has of the run: see `archbench.runs.remote.head`."""
        return self.path / "remote.json"

    @property
    def checkpoints_dir(self) -> Path:
        """Committed checkpoints, the newest two."""
        return self.path / "checkpoints"

    @property
    def kept_dir(self) -> Path:
        """Checkpoints of the steps in `keep_steps`, from which other runs branch off."""
        return self.path / "kept"

    @property
    def weights_dir(self) -> Path:
        """The final weights, where the plan says `keep_weights`."""
        return self.path / "weights"

    def sibling(self, run_id: str) -> "RunDirectory":
        """The directory of another run in the same store."""
        return RunDirectory(self.path.parent / run_id[: len(self.path.name)])

    def may_hold(self, run_id: str) -> bool:
        """Whether a file about the run `run_id` belongs here: directories of a store are named by the id's digits."""
        name = self.path.name
        return _SHORT_ID.fullmatch(name) is None or run_id.startswith(name)

    def lacks_weights(self, plan: RunPlan) -> bool:
        """Whether `plan` asks for final weights that are not there, nor in the store that this folder follows."""
        return plan.execution.keep_weights and not self.has_weights

    @property
    def has_weights(self) -> bool:
        """Whether final weights are there, or in the store that this folder follows."""
        return self.weights_dir.is_dir() or self.stored_bytes(self.weights_dir.name) > 0

    def stored_bytes(self, folder: str = "") -> int:
        """Bytes that a store without a shared folder has of the run, or of a folder of it; 0 where none is followed."""
        try:
            files = read_sealed(self.remote_file, "it is fetched anew").content["files"]
            prefix = f"{folder}/" if folder else ""
            return sum(int(one["disk_bytes"]) for path, one in files.items() if path.startswith(prefix))
        except (StoreError, KeyError, TypeError, ValueError, AttributeError):
            return 0

    def write_plan(self, plan: RunPlan) -> None:
        """Creates the directory, if need be, and stores `plan`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be created: {error.strerror}; choose another --runs") from error
        write_sealed(self.plan_file, plan.model_dump(mode="json"))

    def read_plan(self) -> RunPlan:
        """The stored plan.

        Raises StoreError where it is missing, NewerFormat where a later version wrote it, DamagedFile where it is not
        what was written.
        """
        content = read_sealed(self.plan_file, _PLAN_REMEDY).content
        if isinstance(identity := content.get("identity"), Mapping):
            refuse_newer(f"{self.plan_file}: its identity", identity.get("format"), IDENTITY_FORMAT)
        try:
            plan = RunPlan.model_validate(content)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise DamagedFile(f"{self.plan_file}: is damaged: {where}: {problem['msg']}; {_PLAN_REMEDY}") from error
        if not self.may_hold(plan.identity.run_id):
            found = plan.identity.run_id[:ID_DIGITS]
            raise DamagedFile(f"{self.plan_file}: is damaged: it plans the run {found}; {_PLAN_REMEDY}")
        return plan
