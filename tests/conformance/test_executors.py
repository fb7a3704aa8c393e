"""Every bundled executor carries out runs as archbench relies on it."""

import pytest

from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.testing.executor import ExecutorConformance


@pytest.mark.slow
class TestLocal(ExecutorConformance):
    config = LocalExecutorConfig(workers=1)
