"""How archbench carries out runs by itself: worker processes on this machine, pilots in a Slurm queue."""

from archbench.api import ExecutorConfig, hookimpl
from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.builtins.execution.slurm.executor import SlurmExecutorConfig


@hookimpl
def register_executors() -> list[type[ExecutorConfig]]:
    """The local executor, and the one that hands runs to Slurm."""
    return [LocalExecutorConfig, SlurmExecutorConfig]


@hookimpl
def select_executor(num_jobs: int) -> ExecutorConfig:
    """The local executor, for any number of jobs."""
    return LocalExecutorConfig()
