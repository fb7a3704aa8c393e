"""Runs whose numbers are none are told, listed, and left out; the runs beside them do not notice."""

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import records

PLUGIN = Path(__file__).parent / "poison" / "poisoned.py"
RUN = ("run", "--plugin", str(PLUGIN))
SPEC = """
name: poisoned
baseline: sound
contenders:
  sound: {{architecture: {{kind: controlled}}}}
{poisoned}
data:
  dataset: {{kind: text_files, paths: ["{folder}/text/*.txt"]}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.2
scan: {{sizes: [1e4, 2e4, 4e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 5120}}
training: {{seq_len: 32, batch_tokens: 256, learning_rate: 3e-3, schedule: {{warmup_steps: 2}}}}
evaluation: {{tokens: 1000, points: 4, prefix_audit_positions: 8}}
execution: {{executor: {{kind: local, workers: 2, device: cpu}}, device: cpu}}
"""


def write_spec(folder: Path, name: str, poisons: list[str]) -> Path:
    text = folder / "text"
    text.mkdir(exist_ok=True)
    rng = random.Random(0)
    for number in range(20):
        (text / f"{number}.txt").write_text(" ".join(rng.choices(["a", "scan", "of", "sizes", "tells", "loss"], k=800)))
    lines = "\n".join(
        f"  {where}: {{architecture: {{kind: poisoned, where: {where}, in_step: 9}}}}" for where in poisons
    )
    spec = folder / f"{name}.yaml"
    spec.write_text(SPEC.format(folder=folder, poisoned=lines))
    return spec


def archbench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(folder / "state")}
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=250)


@pytest.mark.thorough
@pytest.mark.slow
def test_poisoned_runs_are_listed_and_left_out_and_sound_ones_keep_their_bits(tmp_path: Path) -> None:
    poisons = ["loss", "gradient", "weight", "evaluation"]
    alone = archbench(
        tmp_path, *RUN, str(write_spec(tmp_path, "alone", [])), "--runs", "alone", "--tracker", "tensorboard"
    )
    assert alone.returncode == 0, alone.stderr
    if importlib.util.find_spec("tensorboard") is None:
        assert "warning: tracker 'tensorboard': PluginError: No module named 'tensorboard'" in alone.stdout
    else:
        shown = {path.parent.name for path in (tmp_path / "alone" / "logs" / "tensorboard").rglob("*tfevents*")}
        assert {run_id[:8] for run_id in records(tmp_path / "alone")} <= {name[-8:] for name in shown}
    spec = write_spec(tmp_path, "together", poisons)
    together = archbench(tmp_path, *RUN, str(spec), "--runs", "together")
    assert together.returncode == 1, together.stderr
    assert "Traceback" not in together.stderr
    told = together.stdout + together.stderr
    assert told.count("diverged: loss size") == 3
    for words in (
        "the training loss is not finite in step 9",
        "a gradient is not finite in step 9, whose loss is",
        "a weight is not finite after step",
        "the validation loss is not finite after step",
    ):
        assert words in told

    sound = records(tmp_path / "alone")
    every = records(tmp_path / "together")
    assert (len(sound), len(every)) == (3, 15)
    assert sound.items() <= every.items()
    states = [json.loads(content)["state"] for run_id, content in every.items() if run_id not in sound]
    assert states == ["diverged"] * 12

    report = next((tmp_path / "reports").rglob("report.md")).read_text()
    assert "a gradient is not finite in step 9" in report
    status = archbench(tmp_path, "status", "--runs", "together", "--json")
    assert status.returncode == 0, status.stderr
    assert status.stdout.count("is not finite") == 12
