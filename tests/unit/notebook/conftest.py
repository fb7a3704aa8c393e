"""A store of made-up runs and a published table, and what commands say of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archbench.cli.main import cli
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, synthetic_records
from archbench.testing.synthetic_store import store_records

RUNDATA = Path(__file__).parents[2] / "golden" / "rundata"


@pytest.fixture(scope="session")
def published() -> Path:
    """Runs of one group on three data sets (rundata/README.md)."""
    return RUNDATA / "mlfoundations_runs.csv"


@pytest.fixture(scope="session")
def printed() -> Callable[..., Any]:
    """What a command prints with `--json`: printed("fit", "runs.csv")."""

    def run(*arguments: object) -> Any:
        result = CliRunner().invoke(cli, [*map(str, arguments), "--json"], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def said() -> Callable[..., str]:
    """What a command prints without `--json`."""

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Two scans: `pair` of two contenders, `three` of three, of which two have other names."""
    store = RunStore(tmp_path_factory.mktemp("notebook") / "runs")
    law = SyntheticLaw(noise_std=0.003)
    other = SyntheticLaw(A=13, noise_std=0.003)
    store_records(store, "pair", synthetic_records("gpt2", law) + synthetic_records("reformer", other, seed=1))
    three = [*synthetic_records("base", law, seed=2), *synthetic_records("left", other, seed=3)]
    store_records(store, "three", [*three, *synthetic_records("right", law, seed=4)], corpus="d" * 64)
    return store
