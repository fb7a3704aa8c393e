"""What carries out runs: a process pool here, a cluster's queue in somebody's plug-in."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

from archbench.contracts.config import ComponentConfig
from archbench.results.runs import RunState


@dataclass(frozen=True, slots=True)
class Job:
    """One run to carry out: `run_dir` holds its `plan.json`, and receives everything that it leaves behind."""

    run_id: str
    run_dir: Path
    train_flops: float
    """Exact FLOPs planned: longest first keeps all workers busy to the end."""
    nproc: int = 1
    """Processes that train it together, the same for all jobs of one executor."""
    memory_bytes: int = 0
    """Most memory that each process is expected to hold, on the device or of the host; 0 where nobody knows."""
    watchdog_seconds: float = 60.0
    """A run that takes no step for so long hangs; `ExecutionSettings.watchdog_seconds` says it in full."""
    name: str = ""
    """The run as messages call it: contender, size, seed, study; for a queue's listing."""
    scan: str = ""
    """The scan that it is a run of; its list stands in the store."""
    contender: str = ""
    size_index: int | None = None
    """The rung of the contender's ladder, from 0."""
    cores: int = 1
    """CPU threads that each process trains with."""
    devices: int | None = None
    """CUDA devices that the run needs, all processes together; None: one for each process where there are any."""
    seconds: float | None = None
    """Wall-clock seconds that it is expected to take from its first step; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A job stands in a queue that goes on without this process, which knows it by `ticket`."""

    run_id: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A run took steps."""

    run_id: str
    step: int
    total_steps: int
    loss_nats: float | None
    tokens_per_s: float | None
    note: str | None = None
    """Something that a person should be told, in one line."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run came to an end: `done`, `failed` or `diverged`, with the reason in one line."""

    run_id: str
    state: RunState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Whatever carried out the run died; the run can be submitted again and resumes from its last checkpoint."""

    run_id: str
    reason: str
    final: bool = False
    """Whether it would only be lost again: the run has failed for this reason."""
    elsewhere: bool = False
    """Whether another process has the run, and this one has let go of it."""
    store_failed: bool = False
    """Whether the disk refused what the run stores: no other run would fare better."""
    preempted: bool = False
    """Whether its place was taken from it, by somebody with a better claim or a node that went down: no fault of the
    run, and none of its three attempts."""


ExecutorEvent = Queued | Progress | Ended | Lost


class Executor(Protocol):
    """An open executor. Leaving its context ends what still runs; runs resume when they are submitted again.

    It may offer more: see `CancellingExecutor` and `QueueingExecutor`.
    """

    @property
    def capacity(self) -> int:
        """How many jobs it takes on at once."""
        ...

    def submit(self, job: Job) -> None:
        """Takes on `job`; events about it come from `poll`."""
        ...

    def poll(self, timeout_s: float) -> Sequence[ExecutorEvent]:
        """Events since the last call; waits up to `timeout_s` for the first one."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class CancellingExecutor(Protocol):
    """An executor that can let go of one job. Without it, a job that is called off goes on to its end."""

    def cancel(self, run_id: str) -> None:
        """Takes a job back: one that waits is not begun, one at work stores a checkpoint and stops; `Lost` says when.

        A job that it does not have is no error: it may have ended meanwhile.
        """
        ...


@runtime_checkable
class QueueingExecutor(CancellingExecutor, Executor, Protocol):
    """An executor whose jobs go on without the process that submitted them; its config says `outlives_driver`.

    Progress and ends of its runs are read from the store, where workers write them. `poll` tells what only the queue
    knows: `Queued` of a job that it has taken, and `Lost` of one for which nothing is there any more.
    """

    def adopt(self, job: Job, ticket: str) -> bool:
        """Takes on a job that an earlier process has submitted, without submitting it again.

        False where the queue does not know `ticket` any more: the job is then submitted anew.
        """
        ...

    def detach(self) -> None:
        """Hands to the queue what still waits here; leaving the context then lets all jobs go on.

        `poll` tells the last tickets afterwards, without waiting.
        """
        ...


class ExecutorConfig(ComponentConfig):
    """How runs are carried out. Nothing here enters a run id."""

    starts_groups: ClassVar[bool] = False
    """Whether it can start several processes for one job; `open` then takes `nproc`, how many."""

    outlives_driver: ClassVar[bool] = False
    """Whether what `open` returns is a `QueueingExecutor`."""

    reaches: ClassVar[Literal["shared folder", "this machine", "store"]] = "shared folder"
    """What carries out its runs: anything that sees the store's folder; processes of this machine that end with the
    command; or workers that are given the store's address (`archbench worker --runs`). The last two serve a store that
    is no shared folder as well."""

    @abstractmethod
    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> Executor:
        """An executor for about `num_jobs` jobs, whose processes write what they print to `log_dir`.

        `plugin_files` are plug-in modules given by path, which the processes load too.
        """

    def expected_capacity(self) -> int | None:
        """How many runs will go on at once, for estimates; None where that is not known before it is open."""
        return None

    def withdraw(self, tickets: Sequence[str]) -> None:
        """Takes off the queue what earlier processes have submitted under `tickets`, without opening an executor.

        Tickets that the queue does not know any more are passed over. Raises PluginError where it cannot be asked.
        """

    def submission(self, *, jobs: Sequence[Job], runs_dir: Path, plugin_files: Sequence[Path] = ()) -> str | None:
        """What a queue would be handed for `jobs`, one at least, in the store `runs_dir`; `archbench plan` prints it.

        None: nothing that a person would want to read. Raises SpecError where that cannot be said. Nothing is
        submitted, and the queue's commands need not be there.
        """
        return None
