"""Every bundled executor carries out runs as archbench relies on it."""

import importlib.util
from pathlib import Path

import pytest

from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.builtins.ray_execution.config import RayExecutorConfig
from archbench.runs.store import RunStore
from archbench.testing.executor import ExecutorConformance


@pytest.mark.slow
@pytest.mark.thorough
class TestLocal(ExecutorConformance):
    """Most of it is shown every day by tests of whole commands, on kills, hangs and ranks."""

    config = LocalExecutorConfig(workers=1)


@pytest.mark.slow
def test_a_worker_of_local_lets_go_of_a_run_that_is_called_off(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    store.create()
    TestLocal().test_a_job_that_is_called_off_stops_with_a_checkpoint_and_is_lost(store)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'archbench[ray]'")
@pytest.mark.timeout(900)
class TestRay(ExecutorConformance):
    config = RayExecutorConfig(address="local", max_runs=1)
