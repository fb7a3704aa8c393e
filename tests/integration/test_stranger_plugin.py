"""A stranger's package, installed by pip, is scanned and ranked like a bundled one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "stranger"

SPEC = """
name: stranger
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  average: {architecture: {kind: average_attention}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: ["text.jsonl"], text_field: text}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan:
  sizes: [1e4, 2e4, 4e4]
  seeds: {default: 1, smallest_two: 2}
  tokens: 8192
training: {seq_len: 32, batch_tokens: 512, learning_rate: 3e-3, schedule: {kind: cosine, warmup_steps: 2}}
evaluation: {tokens: 2048, points: 8, prefix_audit_positions: 8}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the stranger's package, apart from the environment of the tests."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(PACKAGE)], check=True, timeout=120)
    return target


def archbench(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line with the stranger's package on the path."""
    environment = {**os.environ, "PYTHONPATH": str(site), "ARCHBENCH_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.thorough
@pytest.mark.slow
def test_a_strangers_architecture_is_listed_scanned_and_ranked(site: Path, tmp_path: Path) -> None:
    sources = sorted((Path(__file__).parents[2] / "archbench").rglob("*.py"))
    with (tmp_path / "text.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"text": path.read_text()}) + "\n" for path in sources)
    (tmp_path / "spec.yaml").write_text(SPEC)

    listed = archbench(site, tmp_path, "plugins", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)["plugins"]}
    assert plugins["stranger_aan"]["distribution"] == "stranger-aan"
    assert plugins["stranger_aan"]["version"] == "1.2.3"
    assert plugins["stranger_aan"]["registered"] == {"architecture": ["average_attention"]}

    ran = archbench(site, tmp_path, "run", "spec.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    leaderboard = (tmp_path / "results" / "leaderboard" / "README.md").read_text()
    assert "average" in leaderboard
    entry = (tmp_path / "results" / "leaderboard" / "entries" / "stranger--average.json").read_text()
    assert "stranger-aan" in entry
    assert "1.2.3" in entry


def test_a_spec_that_needs_an_absent_plugin_says_which(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    ran = archbench(tmp_path, tmp_path, "plan", "spec.yaml")
    assert ran.returncode == 3
    assert "architecture 'average_attention' is not registered" in ran.stderr
    assert "Traceback" not in ran.stderr
