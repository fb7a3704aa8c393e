"""What carries out runs: a process pool here, a cluster's queue in somebody's plug-in."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol, Self

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


ExecutorEvent = Progress | Ended | Lost


class Executor(Protocol):
    """An open executor. Leaving its context ends what still runs; runs resume when they are submitted again."""

    @property
    def capacity(self) -> int:
        """How many jobs it carries out at once."""
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


class ExecutorConfig(ComponentConfig):
    """How runs are carried out. Nothing here enters a run id."""

    starts_groups: ClassVar[bool] = False
    """Whether it can start several processes for one job; `open` then takes `nproc`, how many."""

    @abstractmethod
    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = ()) -> Executor:
        """An executor for about `num_jobs` jobs, whose processes write what they print to `log_dir`.

        `plugin_files` are plug-in modules given by path, which the processes load too.
        """
