"""An architecture in one file, or in the folder of a package, goes the whole way; its source identifies its runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archbench.testing.small_runs import write_small_text

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"

SPEC = """
name: single
contenders: {mine: {architecture: {kind: average_attention}}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: ["text.jsonl"], text_field: text}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [1e4, 2e4], seeds: {default: 1, smallest_two: 1}, tokens: 4096}
training: {seq_len: 32, batch_tokens: 512, learning_rate: 3e-3, schedule: {kind: cosine, warmup_steps: 2}}
evaluation: {tokens: 1024, points: 3, prefix_audit_positions: 4}
"""


def archbench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ARCHBENCH_CACHE": str(cwd / "cache"),
        "XDG_STATE_HOME": str(cwd / "state"),
    }
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)


def planned(cwd: Path, plugin: str) -> list[dict[str, Any]]:
    ran = archbench(cwd, "plan", "single.yaml", "--plugin", plugin, "--json")
    assert ran.returncode == 0, ran.stderr
    runs: list[dict[str, Any]] = json.loads(ran.stdout)["runs"]
    return runs


@pytest.mark.slow
@pytest.mark.thorough
def test_a_file_and_the_module_beside_it_are_scanned_reported_and_told_apart_when_they_change(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(\"\"\"Average attention.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "mine").mkdir()
    beside = tmp_path / "mine" / "activation_beside.py"
    beside.write_text("from torch.nn.functional import gelu as activation\n")
    plugin = tmp_path / "mine" / "mine.py"
    imports = "        from torch import nn\n"
    with_beside = example.replace(imports, f"{imports}        from activation_beside import activation\n")
    plugin.write_text(with_beside.replace("nn.functional.gelu(", "activation("))
    write_small_text(tmp_path / "text.jsonl")
    (tmp_path / "single.yaml").write_text(SPEC)

    ran = archbench(tmp_path, "run", "single.yaml", "--plugin", "./mine/mine.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    first = planned(tmp_path, "mine/mine.py")
    assert [run["state"] for run in first] == ["done", "done"]
    run_id = first[0]["run_id"]

    record = next((tmp_path / "runs").glob(f"{run_id[:16]}*/record.json")).read_text()
    assert re.search(r'"distribution": "file",\s+"numerics": 1,\s+"version": "sha256:[0-9a-f]{16}"', record)
    assert "mine.py" not in record
    shown = archbench(tmp_path, "runs", "show", run_id[:12])
    assert re.search(r"architecture plug-in: mine.py \(file sha256:[0-9a-f]{16}\), source [0-9a-f]{12}", shown.stdout)
    assert "objective plug-in: objectives (archbench " in shown.stdout
    told = json.loads(archbench(tmp_path, "runs", "show", run_id[:12], "--json").stdout)["plugins"]
    assert told["architecture"]["plugin"] == "mine.py"

    reported = archbench(tmp_path, "report", "single.yaml", "--plugin", str(plugin))
    assert reported.returncode == 0, reported.stderr
    report = (tmp_path / "reports" / "single" / "report.md").read_text()
    assert re.search(r"\| mine +\| architecture +\| mine.py \(file sha256:", report)
    assert str(tmp_path) not in report.replace(str(tmp_path / "runs"), "")
    assert archbench(tmp_path, "status", "single.yaml").returncode == 0

    before = record
    again = archbench(tmp_path, "run", "single.yaml", "--plugin", str(plugin))
    assert again.returncode == 0, again.stderr
    assert next((tmp_path / "runs").glob(f"{run_id[:16]}*/record.json")).read_text() == before

    beside.write_text("from torch.nn.functional import relu as activation\n")
    changed = planned(tmp_path, "mine/mine.py")
    assert [run["state"] for run in changed] == ["planned", "planned"]
    assert not {run["run_id"] for run in first} & {run["run_id"] for run in changed}

    plugin.unlink()
    gone = archbench(tmp_path, "run", "single.yaml", "--plugin", "mine/mine.py")
    assert gone.returncode == 3
    assert (
        gone.stderr
        == "archbench: mine/mine.py: no such plug-in; give the path of a Python module or of a package's folder\n"
    )


@pytest.mark.thorough
@pytest.mark.slow
def test_a_package_that_is_not_installed_is_scanned_by_its_folder(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "stranger", tmp_path / "package")
    write_small_text(tmp_path / "text.jsonl")
    (tmp_path / "single.yaml").write_text(SPEC)
    ran = archbench(tmp_path, "run", "single.yaml", "--plugin", "package")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    first = planned(tmp_path, "./package")
    assert [run["state"] for run in first] == ["done", "done"]
    told = json.loads(archbench(tmp_path, "runs", "show", first[0]["run_id"][:12], "--json").stdout)["plugins"]
    origin = told["architecture"]
    assert (origin["plugin"], origin["distribution"]) == ("package", "file")
    assert origin["version"] == f"sha256:{origin['source_sha256'][:16]}"

    model = tmp_path / "package" / "src" / "stranger_aan" / "model.py"
    model.write_text(model.read_text() + "# a comment\n")
    assert not {run["run_id"] for run in first} & {run["run_id"] for run in planned(tmp_path, "package")}

    empty = archbench(tmp_path, "plan", "single.yaml", "--plugin", "cache")
    assert empty.returncode == 3
    assert empty.stderr == (
        "archbench: cache: is a folder without a pyproject.toml; give that of a package, or a module\n"
    )
