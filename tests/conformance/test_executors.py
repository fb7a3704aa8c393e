"""Every bundled executor carries out runs as archbench relies on it."""

import importlib.util

import pytest

from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.builtins.ray_execution.config import RayExecutorConfig
from archbench.testing.executor import ExecutorConformance


@pytest.mark.slow
@pytest.mark.thorough
class TestLocal(ExecutorConformance):
    """Most of it is shown every day by tests of whole commands, on kills, hangs and ranks."""

    config = LocalExecutorConfig(workers=1)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'archbench[ray]'")
@pytest.mark.timeout(900)
class TestRay(ExecutorConformance):
    config = RayExecutorConfig(address="local", max_runs=1)
