"""Shells complete what a person would type, at once, and never print an error into the command line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.cli.completion import SHELLS, completion
from archbench.runs.store import RunStore, ScanIndex


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = RunStore(tmp_path / "runs")
    store.create()
    for name in ("demo", "other"):
        store.save_scan(ScanIndex(name=name, description="", baseline=None, runs=(), spec={}, environment={}))
    run = tmp_path / "runs" / "0123456789abcdef"
    run.mkdir()
    (run / "plan.json").write_text("{}")
    (tmp_path / "specs").mkdir()
    for name in ("specs/quick.yaml", "specs/slow.yml", "mine.yaml", "notes.txt"):
        (tmp_path / name).write_text("name: x\n")
    return tmp_path


CALLS = """
import io, json, os, sys
from archbench.cli.main import main
offers, standard = [], sys.stdout
for line in json.loads(sys.argv[1]):
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = line, str(line.count(" "))
    sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")
    try:
        main([])
    except SystemExit:
        sys.stdout.flush()
        offers.append(sys.stdout.buffer.getvalue().decode())
print(json.dumps(offers), file=standard)
sys.exit(9 if {'torch', 'transformers', 'pandas', 'scipy'} & set(sys.modules) else 0)
"""


def offered(folder: Path, *lines: str) -> list[list[str]]:
    """What bash would be offered for the last word of each of `lines`, asked of one process."""
    environment = {**os.environ, "_ARCHBENCH_COMPLETE": "bash_complete"}
    command = [sys.executable, "-c", CALLS, json.dumps(lines)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [[text.partition(",")[2] for text in said.splitlines() if text] for said in json.loads(done.stdout)]


OFFERS = {
    "archbench run specs/": ["specs/quick.yaml", "specs/slow.yml"],
    "archbench run quick": ["quickstart"],
    "archbench run mi": ["mine.yaml"],
    "archbench specs copy protocol/ids_5": ["protocol/ids_512"],
    "archbench run specs/q": ["specs/quick.yaml"],
    "archbench plan m": ["mine.yaml", "mamba2", "modern", "modernbert"],
    "archbench status d": ["demo"],
    "archbench report o": ["other"],
    "archbench runs show 01": ["0123456789abcdef"],
    "archbench runs rerun 9": [],
    "archbench export 0": ["0123456789abcdef"],
    "archbench compare --scan de": ["demo"],
    "archbench run mine.yaml --tracker tens": ["tensorboard"],
    "archbench completion z": ["zsh"],
    "archbench plugins show reform": ["reformer"],
    "archbench runs pr": ["prune"],
    "archbench run nothing": ["nothing"],  # left to the shell
}


def test_arguments_are_completed_without_loading_torch(folder: Path) -> None:
    assert dict(zip(OFFERS, offered(folder, *OFFERS), strict=True)) == OFFERS


def test_a_damaged_store_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "runs" / "scans" / "demo.json").write_text("{")
    assert offered(folder, "archbench compare x") == [[]]


def test_completing_answers_at_once(folder: Path) -> None:
    seconds = []
    for _ in range(2):
        began = time.process_time() + sum(os.times()[2:4])
        offered(folder, "archbench status d")
        seconds.append(time.process_time() + sum(os.times()[2:4]) - began)
    # CPU seconds, so that a busy machine does not count; Python and click's own start take a fifth of it.
    assert min(seconds) < 1.0


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_that_asks_archbench(shell: str) -> None:
    result = CliRunner().invoke(completion, [shell])
    assert result.exit_code == 0
    assert f"_ARCHBENCH_COMPLETE={shell}_complete" in result.output


def test_bash_takes_the_script(tmp_path: Path) -> None:
    script = CliRunner().invoke(completion, ["bash"]).output
    done = subprocess.run(
        ["bash", "-c", script + "\ncomplete -p archbench"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "_archbench_completion" in done.stdout, done.stderr
