"""A run that trains, as the page of `archbench view` is told of it while it does."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from view_pages import serving

from archbench.results.runs import RunState
from archbench.runs.records import read_record
from archbench.runs.store import RunStore
from archbench.training import loop
from archbench.view import server as server_module
from archbench.view.catalogue import catalogue_of


def test_a_run_is_told_from_its_first_steps_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plan: Any, train_to_end: Any
) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(server_module, "LOOK_SECONDS", 0.1)
    store = RunStore(tmp_path / "store")
    directory = store.prepare(plan("planned").read_plan())
    seen: list[dict[str, Any]] = []
    with serving(catalogue_of(store.root, tmp_path / "reports")) as client, ThreadPoolExecutor(1) as trainer:
        version = client.enter().json("api/scan?name=")["version"]
        trained = trainer.submit(train_to_end, directory, None, lambda report: time.sleep(0.2))
        for _, news in client.events("", version):
            seen += news["rows"]
            if seen[-1]["state"] == "done":
                break
        assert trained.result(60).state is RunState.DONE
    steps = [row["step"] for row in seen if row["state"] == "running" and row["step"]]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 3
    assert any(row["loss"] for row in seen if row["state"] == "running")
    record = read_record(directory, contender="x", size_index=0)
    assert seen[-1]["loss"] == record.final_loss_nats
