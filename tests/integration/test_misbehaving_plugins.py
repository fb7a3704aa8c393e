"""Plug-ins that do what no plug-in should: each is named in one line, and the runs beside it keep their bits."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import records

PLUGIN = Path(__file__).parent / "misbehaving" / "misbehaving.py"

SPEC = """
name: {name}
baseline: sound
contenders:
{contenders}
  sound: {{architecture: {{kind: controlled}}}}
data:
  dataset: {{kind: text_files, paths: ["{folder}/text/*.txt"]}}
  tokenizer: {{kind: bytes}}
  validation_fraction: 0.2
scan: {{sizes: [1e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 5120}}
training: {{seq_len: 32, batch_tokens: 256, learning_rate: 3e-3, schedule: {{warmup_steps: 2}}}}
evaluation: {{tokens: 1000, points: 4, prefix_audit_positions: 32}}
execution:
  executor: {{kind: local, workers: {workers}, device: cpu, worker_memory_gib: 1.5}}
  device: cpu
  watchdog_seconds: 6
"""

FAILS = {
    "raises": "RuntimeError: no such luck; the traceback is in the worker's log",
    "raises_in_build": "RuntimeError: no such luck; the traceback is in the worker's log",
    "raises_base_exception": "Sabotage: not to be held; the traceback is in the worker's log",
    "interrupts": "KeyboardInterrupt: no message; the traceback is in the worker's log",
    "exits": "SystemExit: enough; the traceback is in the worker's log",
    "returns_nan": "the validation loss of the untrained model is not finite",
    "adds_columns": "architecture 'misbehaving': logits have the shape (256, 265), expected (256, 264); ",
    "drops_a_position": "hidden states have the shape (8, 31, 20), expected (8, 32, 20)",
    "returns_a_tensor": "encode returned Tensor, expected Encoded(hidden, state)",
    "hides_parameters": "num_params says",
    "drops_parameters": "num_params says",
    "hides_flops": "FLOPs per token of a training step, torch counts",
}
"""What fails its runs, and what is told of it."""

CHANGES = {
    "changes_generators": None,
    "changes_dtype": "its plug-in changed torch's default dtype; runs that follow have another worker",
    "changes_folder": "its plug-in changed the working directory; runs that follow have another worker",
    "replaces_a_function": "its plug-in changed torch.nn.functional.gelu; runs that follow have another worker",
}
"""What leaves the worker changed, and what is told of it; None where the next run sets it for itself."""

EVERY_DAY = {"raises_base_exception", "returns_nan", "adds_columns", "changes_generators", "changes_dtype"}
"""Of both, one of each sort: raised, computed, refused, set anew by the next run, left changed."""

ENDS_WORKERS = {"dies": "lost 3 times, last: its worker ended with exit code 7; see"}
MORE_ENDS = {
    "fills_memory": "of memory; execution.executor.worker_memory_gib allows 1.5 GiB; its worker was ended",
    "crashes": "lost 3 times, last: its worker was killed by SIGSEGV; see",
    "hangs": "lost 3 times, last: it hung after step",
}
"""What ends or holds its worker, and what is told of it. Each costs three starts of a worker."""

SECONDS = 1500
"""A worker starts in five seconds, or in a minute on a machine that has much else to do."""


def write_spec(folder: Path, name: str, hows: list[str], workers: int = 1) -> Path:
    """A spec of one size; the sound contender comes last, so that its run follows the others in their worker."""
    text = folder / "text"
    text.mkdir(exist_ok=True)
    rng = random.Random(0)
    for number in range(20):
        (text / f"{number}.txt").write_text(" ".join(rng.choices(["a", "scan", "of", "sizes", "tells", "loss"], k=800)))
    lines = "\n".join(f"  {how}: {{architecture: {{kind: misbehaving, how: {how}}}}}" for how in hows)
    spec = folder / f"{name}.yaml"
    spec.write_text(SPEC.format(name=name, folder=folder, contenders=lines, workers=workers))
    return spec


def archbench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(folder / "state")}
    environment["ARCHBENCH_CACHE"] = str(folder / "cache")
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS)


def run(folder: Path, spec: Path) -> subprocess.CompletedProcess[str]:
    return archbench(folder, "run", str(spec), "--plugin", str(PLUGIN), "--runs", spec.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("misbehaving")


@pytest.fixture(scope="module")
def sound(folder: Path) -> tuple[str, bytes]:
    """Id and record of the sound contender's run where nobody is beside it."""
    alone = run(folder, write_spec(folder, "alone", []))
    assert alone.returncode == 0, alone.stderr
    ((run_id, record),) = records(folder / "alone").items()
    return run_id, record


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize(
    "hows",
    [
        pytest.param(EVERY_DAY, id="some"),
        pytest.param(FAILS.keys() | CHANGES.keys(), id="all", marks=pytest.mark.thorough),
    ],
)
def test_failing_and_meddling_plugins_are_named_and_the_sound_run_keeps_its_bits(
    folder: Path, sound: tuple[str, bytes], hows: set[str]
) -> None:
    fails, changes = ({how: words for how, words in told.items() if how in hows} for told in (FAILS, CHANGES))
    name = f"together-{len(hows)}"
    together = run(folder, write_spec(folder, name, [*fails, *changes, "leaks"]))
    assert together.returncode == 1, together.stderr
    assert "Traceback" not in together.stdout + together.stderr
    failed = [line for line in together.stderr.splitlines() if line.startswith(("failed: ", "diverged: "))]
    assert len(failed) == len(fails)
    for how, words in fails.items():
        assert [words in line for line in failed if f" {how} size" in line] == [True], failed
    for how, said in changes.items():
        told = [line for line in together.stdout.splitlines() if line.startswith(f"{how} size")]
        assert [said is not None and said in line for line in told] == [True] * (said is not None), told
    run_id, record = sound
    assert records(folder / name)[run_id] == record

    for words in (
        "failed in run_finished: Sabotage: in a hook",
        "changed the environment (ARCHBENCH_CACHE), which was",
    ):
        assert together.stderr.count(words) == 1
    (leaks,) = [line for line in together.stdout.splitlines() if "from later tokens" in line]
    assert leaks.startswith("- Mind: leaks: ")
    report = (folder / "reports" / name / "report.md").read_text()
    status = archbench(folder, "status", str(folder / f"{name}.yaml"), "--runs", name)
    for words in ("Sabotage: not to be held", "logits have the shape (256, 265)"):
        assert words in report
        assert words in status.stdout.replace("\n", " ")
    assert "leaks: its models gain" in report


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("ends", [ENDS_WORKERS, pytest.param(MORE_ENDS, marks=pytest.mark.thorough)], ids=" ".join)
@pytest.mark.thorough
def test_plugins_that_end_or_hold_their_worker_fail_beside_a_sound_run(
    folder: Path, sound: tuple[str, bytes], ends: dict[str, str]
) -> None:
    name = f"deadly-{'-'.join(ends)}"
    together = run(folder, write_spec(folder, name, [*ends, "prints", "raises"], workers=2))
    assert together.returncode == 1, together.stderr
    assert "Traceback" not in together.stdout + together.stderr
    failed = [line for line in together.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == len(ends) + 1
    for how, words in ends.items():
        assert [words in line for line in failed if f" {how} size" in line] == [True], failed
    run_id, record = sound
    assert records(folder / name)[run_id] == record
    logs = (folder / name / "logs").glob("worker-*.log")
    assert sum(log.stat().st_size for log in logs) < 40e6, "100 MB were printed"
    status = json.loads(archbench(folder, "status", "--runs", name, "--json").stdout)
    assert status[0]["counts"] == {"done": 2, "failed": len(ends) + 1}


AT_IMPORT = {
    "raise_base_exception": (
        "class Sabotage(BaseException): pass\nraise Sabotage('not to be held')",
        0,
        "failed: import: Sabotage: not to be held",
    ),
    "exit": ("import sys\nsys.exit(5)", 0, "failed: import: SystemExit: 5"),
    "die": ("import os\nos._exit(7)", 7, "ended this process (import); leave it out"),
    "crash": ("import ctypes\nctypes.string_at(0)", -11, "ended this process (import); leave it out"),
    "meddle": (
        "import os\nos.environ['OMP_NUM_THREADS'] = '64'\nos.chdir('/')",
        0,
        "changed the environment (OMP_NUM_THREADS), which was put back",
    ),
    "tell_badly": (
        "class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute",
        0,
        "failed: import: Mute: no message",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("raise_base_exception", "die", "meddle") else pytest.param(name, marks=pytest.mark.thorough)
        for name in AT_IMPORT
    ],
)
def test_plugin_that_misbehaves_at_import_is_named(tmp_path: Path, name: str) -> None:
    source, code, words = AT_IMPORT[name]
    (tmp_path / f"{name}.py").write_text(source)
    listed = archbench(tmp_path, "plugins", "list", "--plugin", f"{name}.py")
    assert listed.returncode == code, listed.stderr
    assert words in listed.stdout + listed.stderr
    assert f"{name}.py" in listed.stdout + listed.stderr
    assert "Traceback" not in listed.stderr


def test_plugin_that_prints_leaves_standard_output_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("print('hello')")
    listed = archbench(tmp_path, "plugins", "list", "--json", "--plugin", "loud.py")
    assert json.loads(listed.stdout)["plugins"]
    assert "hello" in listed.stderr


def test_spec_that_needs_a_plugin_that_does_not_load_ends_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('no licence')")
    spec = write_spec(tmp_path, "needs", ["raises"])
    ran = archbench(tmp_path, "run", str(spec), "--plugin", "broken.py")
    assert ran.returncode == 3
    assert "architecture 'misbehaving' is not registered" in ran.stderr
    assert "plug-in 'broken.py' failed: import: SystemExit: no licence" in ran.stderr
    assert "Traceback" not in ran.stderr


DATASET = """
from typing import Literal
from archbench.api import DatasetConfig, Document, hookimpl

class Sabotage(BaseException): pass

class Broken(DatasetConfig):
    kind: Literal["broken"] = "broken"
    def documents(self):
        yield Document("1", "text")
        raise {error}

@hookimpl
def register_datasets():
    return [Broken]
"""


@pytest.mark.parametrize(
    "error",
    [
        "Sabotage('no text')",
        *(pytest.param(f"{name}('no text')", marks=pytest.mark.thorough) for name in ("ValueError", "SystemExit")),
    ],
)
def test_dataset_that_raises_while_a_scan_is_planned_is_named(tmp_path: Path, error: str) -> None:
    (tmp_path / "broken.py").write_text(DATASET.format(error=error))
    spec = write_spec(tmp_path, "needs", [])
    text = spec.read_text()
    found = text.index("dataset:"), text.index("  tokenizer:")
    spec.write_text(f"{text[: found[0]]}dataset: {{kind: broken}}\n{text[found[1] :]}")
    planned = archbench(tmp_path, "plan", str(spec), "--plugin", "broken.py")
    assert planned.returncode == 3, planned.stderr
    assert "plug-in" in planned.stderr
    assert "broken.py' failed: " in planned.stderr
    assert planned.stderr.count("no text") == 1
    assert "Traceback" not in planned.stderr
