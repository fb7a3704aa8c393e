"""What TensorBoard and Weights & Biases read back is what the run's record holds."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archbench.api import Progress, RunRecord, RunState
from archbench.builtins.tools.tracked import hyperparameters
from archbench.host import default_host
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

DETAILS = {
    "identity": {"training": {"peak_learning_rate": 0.003, "schedule": {"kind": "cosine"}}, "dims": {"d_model": 32}},
    "timings": {"tokens_per_second": 5000.0, "peak_memory_bytes": 1 << 30, "energy_joules": None},
}
RECORD = replace(synthetic_records("gpt2", SyntheticLaw())[0], details=DETAILS)


def open_tracker(kind: str, folder: Path, **settings: Any) -> Any:
    config = default_host().registry.trackers[kind].config.model_validate({"kind": kind, **settings})
    return config.open(scan="trial", folder=folder)


def test_hyperparameters_are_plain_values_under_dotted_names() -> None:
    found = hyperparameters(RECORD)
    assert found["training.schedule.kind"] == "cosine"
    assert found["dims.d_model"] == 32
    assert found["non_embedding_params"] == RECORD.non_embedding_params
    assert all(isinstance(value, str | int | float) for value in found.values())
    assert hyperparameters(replace(RECORD, state=RunState.DIVERGED, reason="why"))["reason"] == "why"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_the_curve_the_costs_and_the_hyperparameters_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tracker = open_tracker("tensorboard", tmp_path / "default", dir=str(tmp_path / "events"))
    for step in (10, 20):
        tracker.progressed(Progress(RECORD.run_id, step, 100, 3.0 - step / 100, 1000.0))
    tracker.progressed(Progress("b" * 64, 1, 100, None, None))
    tracker.run_ended(RECORD)
    tracker.close()
    folder = tmp_path / "events" / "trial"
    (run,) = (path for path in folder.iterdir() if path.name != "live")
    assert run.name.startswith(f"gpt2-n{RECORD.non_embedding_params}-seed{RECORD.seed}-")
    read = scalars(run)
    expected = [(point.step, point.validation_loss_nats) for point in RECORD.curve]
    assert [step for step, _ in read["loss/validation_nats"]] == [step for step, _ in expected]
    # Event files hold single precision.
    assert [value for _, value in read["loss/validation_nats"]] == pytest.approx([v for _, v in expected], rel=1e-6)
    assert read["cost/kaplan_flops"][-1][1] == pytest.approx(RECORD.curve[-1].kaplan_flops, rel=1e-6)
    assert read["measured/tokens_per_second"] == [(RECORD.curve[-1].step, 5000.0)]
    assert "measured/energy_joules" not in read
    live = scalars(folder / "live" / RECORD.run_id[:8])
    assert [step for step, _ in live["live/train_nats"]] == [10, 20]
    assert [value for _, value in live["live/train_nats"]] == pytest.approx([2.9, 2.8], rel=1e-6)
    assert hyperparameters_in(run)["training.peak_learning_rate"] == 0.003


def hyperparameters_in(folder: Path) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    (file,) = folder.iterdir()
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            if value.tag == SESSION_START_INFO_TAG:
                info = parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
                return {name: getattr(item, str(item.WhichOneof("kind"))) for name, item in info.hparams.items()}
    raise AssertionError("no hyperparameters in the event file")


def test_a_run_that_never_began_is_written_without_a_curve(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tracker = open_tracker("tensorboard", tmp_path)
    tracker.run_ended(replace(RECORD, curve=(), state=RunState.FAILED, reason="out of memory", details={}))
    tracker.close()
    (run,) = (tmp_path / "trial").iterdir()
    assert hyperparameters_in(run)["reason"] == "out of memory"


JSON_LINES = """
import json, os
from pathlib import Path

_file = None

def init(project, name, group, config, folder):
    global _file
    _file = (Path(folder) / f"{name}.jsonl").open("w")
    _file.write(json.dumps({"project": project, "group": group, "config": config}) + "\\n")

def log(values, step):
    _file.write(json.dumps({"step": step, **values}) + "\\n")

def finish():
    _file.close()
"""


@pytest.fixture
def json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of somebody's own with wandb's three functions."""
    (tmp_path / "json_lines_tracker.py").write_text(JSON_LINES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "json_lines_tracker", raising=False)
    return "json_lines_tracker"


def test_any_module_with_wandbs_functions_is_given_whole_runs_in_order(tmp_path: Path, json_lines: str) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    tracker = open_tracker("wandb", tmp_path, module=json_lines, init={"folder": str(folder)})
    other: RunRecord = replace(RECORD, run_id="f" * 64)
    for record in (RECORD, other):
        tracker.progressed(Progress(record.run_id, 1, 2, 3.0, 1.0))
        tracker.run_ended(record)
    tracker.close()
    files = sorted(folder.iterdir())
    assert len(files) == 2
    for file in files:
        head, *points = map(json.loads, file.read_text().splitlines())
        assert (head["project"], head["group"]) == ("archbench", "trial")
        assert head["config"]["contender"] == "gpt2"
        assert [point["step"] for point in points] == [point.step for point in RECORD.curve]
        assert [point["loss/validation_nats"] for point in points] == [p.validation_loss_nats for p in RECORD.curve]
        assert points[-1]["measured/tokens_per_second"] == 5000.0


def test_a_module_that_is_missing_or_another_one_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No module named 'no_such_tracker'"):
        open_tracker("wandb", tmp_path, module="no_such_tracker")
    with pytest.raises(Exception, match="module 'json' has no function 'init'"):
        open_tracker("wandb", tmp_path, module="json")


@pytest.mark.slow
def test_wandb_itself_stores_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    tracker = open_tracker("wandb", tmp_path / "logs", init={"mode": "offline"})
    tracker.run_ended(RECORD)
    tracker.close()
    assert wandb.run is None, "the run was finished"
    (file,) = (tmp_path / "logs").rglob("run-*.wandb")
    content = file.read_bytes()
    assert b"loss/validation_nats" in content
    assert b"training.peak_learning_rate" in content
