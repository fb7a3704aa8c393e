"""What happens where the memory does not suffice: the same batch in more pieces.

`micro_batch_rows: auto` takes the whole batch at once. A run that cannot goes on with half of its rows at a time, or
the next divisor below, down to one. The number is kept beside the run, so that an attempt after a kill cuts the batch
as the one before did and ends with the same bits.
"""

import gc
import logging
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from archbench.errors import ArchbenchError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, DiskRefused, read_json, to_json, write_atomically
from archbench.spec.identity import RunPlan

log = logging.getLogger(__name__)

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "bad_alloc")
"""In what libraries say of an allocation that was refused, in lower case or as they write it."""


class OutOfMemory(ArchbenchError):  # noqa: N818  (a state of the machine; the message tells it as one)
    """A run does not fit into the memory as it is cut now."""

    def __init__(self, details: str, step: int = 0) -> None:
        super().__init__(f"out of memory: {details or 'no details'}")
        self.details = details
        self.step = step


@dataclass(frozen=True, slots=True)
class Halving:
    """The batch was cut anew."""

    step: int
    """Steps that had been taken."""
    rows: int
    """Rows of one forward pass from then on."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """How a run's batch is cut."""

    batch_rows: int
    """Rows to be cut: of the whole batch, or of one rank's share."""
    rows: int
    """Rows of one forward pass."""
    asked: bool
    """Whether the spec fixes that number, so that it is not changed here."""
    halvings: tuple[Halving, ...] = ()

    def smaller(self, step: int) -> "MicroBatch | None":
        """Half the rows, or the next divisor of the batch below; None where there is none or the spec forbids it."""
        if self.asked or self.rows == 1:
            return None
        rows = max(rows for rows in range(1, self.rows // 2 + 1) if self.batch_rows % rows == 0)
        return replace(self, rows=rows, halvings=(*self.halvings, Halving(step, rows)))

    def applied_to(self, plan: RunPlan) -> RunPlan:
        """`plan` with that number of rows."""
        execution = plan.execution.model_copy(update={"micro_batch_rows": self.rows})
        return plan.model_copy(update={"execution": execution})

    def remedy(self) -> str:
        """What a person can do where not even this fits."""
        fewer = "fewer execution.executor.workers or a device with more memory"
        if self.asked:
            return f"with execution.micro_batch_rows: {self.rows}; take auto or a lower number, {fewer}"
        return f"with one row at a time; take a shorter training.seq_len, smaller scan.sizes, {fewer}"


def planned_micro_batch(directory: RunDirectory, plan: RunPlan) -> MicroBatch:
    """How the batch of `plan` is cut: as the spec asks, else as an earlier attempt found, else not at all."""
    rows = plan.identity.training.batch_tokens // plan.identity.dims.seq_len // plan.execution.nproc
    asked = plan.execution.micro_batch_rows
    if asked is not None:
        return MicroBatch(rows, asked, asked=True)
    whole = MicroBatch(rows, rows, asked=False)
    try:
        found = read_json(directory.memory_file) if directory.memory_file.exists() else None
        halvings = tuple(Halving(**halving) for halving in found["halvings"]) if found else ()
    except (DamagedFile, KeyError, TypeError) as error:
        log.warning("%s: passed over: %s", directory.memory_file, error)
        return whole
    return replace(whole, rows=halvings[-1].rows, halvings=halvings) if halvings else whole


def store_micro_batch(directory: RunDirectory, cut: MicroBatch) -> None:
    """Keeps `cut` for later attempts."""
    write_atomically(directory.memory_file, to_json({"halvings": dumped(cut.halvings)}))


def forget_micro_batch(directory: RunDirectory) -> None:
    """A run that has ended tells in its timings how its batch was cut; one that failed tries all of it again."""
    try:
        directory.memory_file.unlink(missing_ok=True)
    except OSError as error:
        raise DiskRefused(f"{directory.memory_file}: cannot be removed: {error.strerror}") from error


def dumped(halvings: Sequence[Halving]) -> list[dict[str, Any]]:
    """`halvings` as JSON values."""
    return [asdict(halving) for halving in halvings]


def is_exhaustion(error: BaseException) -> bool:
    """Whether `error` says that an allocation was refused, by torch on any device, by Python or by a library."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(word.lower() in str(error).lower() for word in _WORDS)


def released(error: BaseException) -> str:
    """What `error` says, in one line, after letting go of all that the frames of its traceback hold."""
    message = " ".join(str(error).split())[:200]
    traceback.clear_frames(error.__traceback__)
    error.__traceback__ = None
    return message


def free_memory() -> None:
    """Gives back what is not used any more, so that a smaller piece finds room."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
