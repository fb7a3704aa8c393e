from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from archbench.data.corpus import Corpus
from archbench.host import load_host
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.runs.records import Outcome
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.loop import Report
from archbench.training.run_attempt import attempt_run

Plan = Callable[..., RunDirectory]
CarryOut = Callable[..., Outcome | None]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_host().registry


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), registry)


@pytest.fixture
def plan(tmp_path: Path, corpus: Corpus, registry: Registry) -> Plan:
    """Plans a small run in `tmp_path/<folder>`."""

    def make(folder: str = "runs", **changes: Any) -> RunDirectory:
        (tmp_path / folder).mkdir(exist_ok=True)
        return plan_small_run(tmp_path / folder, corpus, registry, **changes)

    return make


@pytest.fixture
def train_to_end(registry: Registry) -> CarryOut:
    """Carries out a planned run in this process."""

    def run(
        directory: RunDirectory, stop: Event | None = None, report: Callable[[Report], None] = lambda report: None
    ) -> Outcome | None:
        return attempt_run(directory, registry, report, stop or Event())

    return run
