"""A scan that is stopped, or whose processes are killed, ends by the same command with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SPEC = """
name: small
baseline: softmax
contenders:
  softmax: {{architecture: {{kind: controlled}}}}
data:
  dataset: {{kind: text_files, paths: ["{folder}/text/*.txt"]}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.2
scan: {{sizes: [1e4, 2e4, 4e4], seeds: {{default: 1, smallest_two: 1}}, tokens: {tokens}}}
training: {{seq_len: 32, batch_tokens: 256, learning_rate: 3e-3, schedule: {{warmup_steps: 5}}}}
evaluation: {{tokens: 1000, points: 4, prefix_audit_positions: 8}}
execution: {{executor: {{kind: local, workers: 2, device: cpu}}, device: cpu, checkpoint_seconds: 0.3}}
"""


def write_spec(folder: Path, tokens: float) -> Path:
    text = folder / "text"
    text.mkdir()
    rng = random.Random(0)
    for number in range(20):
        (text / f"{number}.txt").write_text(" ".join(rng.choices(["a", "scan", "of", "sizes", "tells", "loss"], k=800)))
    spec = folder / "small.yaml"
    spec.write_text(SPEC.format(folder=folder, tokens=tokens))
    return spec


class Command:
    """`archbench run` on a store of its own."""

    def __init__(self, folder: Path, spec: Path, runs: str) -> None:
        self.folder, self.spec, self.runs = folder, spec, folder / runs

    def start(self) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-m", "archbench.cli.main", "run", str(self.spec)]
        for name in ("reports", "leaderboard"):
            arguments += [f"--{name}", str(self.folder / name)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(self.folder / "state")}
        return subprocess.Popen(
            [*arguments, "--runs", str(self.runs), "--cache", str(self.folder / "cache")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> tuple[int, str]:
        process = self.start()
        output, _ = process.communicate(timeout=250)
        return process.returncode, output

    def wait_for(self, pattern: str, process: subprocess.Popen[str]) -> None:
        """Until the store holds a file of that `pattern`, or the command has ended."""
        deadline = time.monotonic() + 120
        while not list(self.runs.glob(pattern)) and process.poll() is None:
            assert time.monotonic() < deadline, f"no {pattern} in {self.runs}"
            time.sleep(0.02)

    def records(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.runs.glob("*/record.json")}


@pytest.mark.slow
@pytest.mark.thorough
def test_a_scan_that_is_interrupted_and_killed_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, tokens=4e4)
    undisturbed = Command(tmp_path, spec, "undisturbed")
    code, output = undisturbed.finish()
    assert code == 0, output

    disturbed = Command(tmp_path, spec, "disturbed")
    process = disturbed.start()
    disturbed.wait_for("*/checkpoints/*", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "goes on from here" in output
    assert "Traceback" not in output

    process = disturbed.start()
    disturbed.wait_for("*/record.json", process)
    process.kill()
    process.communicate()

    process = disturbed.start()
    workers: list[psutil.Process] = []
    while not workers and process.poll() is None:
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if "archbench.training.worker" in child.cmdline()]
    time.sleep(random.Random(1).random() * 4)
    for worker in workers[:1]:
        worker.kill()
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output

    assert disturbed.records() == undisturbed.records()
    assert len(disturbed.records()) == 3
    code, output = disturbed.finish()
    assert code == 0, output
    assert "all 3 runs are in the store; nothing to train" in output


@pytest.mark.slow
@pytest.mark.thorough
def test_two_commands_on_one_store_train_no_run_twice(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, tokens=2e4)
    command = Command(tmp_path, spec, "runs")
    processes = [command.start(), command.start()]
    outputs = [process.communicate(timeout=250)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert len(command.records()) == 3
    logs = "".join(path.read_text() for path in (command.runs / "logs").glob("*.log"))
    assert logs.count(": begins at step ") == 3
