"""The page and the tutorial for notebooks run as they stand, each in one namespace, as a reader runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from doc_blocks import ROOT, blocks_of

from archbench.notebook.comparison import Comparisons
from archbench.notebook.forecast import Forecasts
from archbench.notebook.laws import Laws
from archbench.notebook.runs import Runs
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, synthetic_records
from archbench.testing.synthetic_store import store_records

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
PAGE = ROOT / "docs" / "notebook.md"
LAW = SyntheticLaw(E=1.7, A=40.0, alpha=0.3, B=60.0, beta=0.25, noise_std=0.002)


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return found


def test_the_tutorial_holds_no_outputs() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_the_tutorial_runs_from_its_first_cell_to_its_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert isinstance(names["law"], Laws)
    assert names["law"][""].status.value == "ok"
    assert isinstance(names["forecast"], Forecasts)
    assert isinstance(names["answer"], Comparisons)
    printed = capsys.readouterr().out
    assert "say --scale params=1e9" in printed
    assert "row 4" in printed


def table(folder: Path) -> None:
    """Runs of two architectures, each of one learning rate, by a law that is known."""
    generator = np.random.default_rng(0)
    rows = []
    for model, worse in (("gpt2", 1.0), ("llama", 0.97)):
        for n in (1e5, 2e5, 4e5, 8e5, 1.6e6, 3.2e6, 6.4e6):
            for d in (1e7, 3e7, 1e8):
                loss = worse * LAW.loss(n, d) * float(np.exp(0.002 * generator.standard_normal()))
                rows.append(
                    {"model": model, "n": n, "d": d, "flops": 6 * n * d, "loss": loss, "dataset": "c4", "lr": 3e-4}
                )
    pd.DataFrame(rows).to_csv(folder / "runs.csv", index=False)


@pytest.mark.thorough
def test_every_block_of_the_page_runs_after_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path)
    records = synthetic_records("gpt2", SyntheticLaw(noise_std=0.003))
    records += synthetic_records("reformer", SyntheticLaw(A=13, noise_std=0.003), seed=1)
    store_records(RunStore(tmp_path / "runs"), "reformer", records)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks_of(PAGE):
        assert block.language == "python"
        exec(compile(block.text, block.where, "exec"), names)
    assert isinstance(names["runs"], Runs)
    assert isinstance(names["answer"], Comparisons)
    assert {pair.contender for pair in names["answer"].compared.comparisons} == {"llama"}
