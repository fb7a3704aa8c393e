"""Runs on a cluster of Ray: four boxes that somebody joined, KubeRay, Anyscale, SkyPilot."""

from archbench.api import ExecutorConfig, hookimpl
from archbench.builtins.ray_execution.config import RayExecutorConfig


@hookimpl
def register_executors() -> list[type[ExecutorConfig]]:
    """The executor on Ray; Ray itself is imported by a process of its own, once the executor is opened."""
    return [RayExecutorConfig]
