"""How archbench carries out runs by itself: worker processes on this machine."""

from archbench.api import ExecutorConfig, hookimpl
from archbench.builtins.execution.local import LocalExecutorConfig


@hookimpl
def register_executors() -> list[type[ExecutorConfig]]:
    """The local executor."""
    return [LocalExecutorConfig]


@hookimpl
def select_executor(num_jobs: int) -> ExecutorConfig:
    """The local executor, for any number of jobs."""
    return LocalExecutorConfig()
