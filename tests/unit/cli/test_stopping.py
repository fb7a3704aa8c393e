"""What a person sees of a scan that is stopped from outside, of a broken plug-in, and in a narrow terminal."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archbench.cli import common, finish
from archbench.results.fits import FitStatus, Interval

SPEC = """\
name: trial
contenders: {gpt2: {architecture: {kind: gpt2}}}
data:
  dataset: {kind: text_files, paths: [text]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.3
scan: {sizes: [1e4], seeds: {smallest_two: 1}, tokens: 2000}
training: {seq_len: 32, batch_tokens: 64, learning_rate: 1e-3, schedule: {warmup_steps: 2}}
evaluation: {tokens: 500, points: 3}
execution: {executor: {kind: idle}}
"""

IDLE = """\
from time import sleep
from typing import Literal
from archbench.api import ExecutorConfig, hookimpl


class Idle(ExecutorConfig):
    kind: Literal["idle"] = "idle"
    capacity: int = 1

    def open(self, *, num_jobs, log_dir, plugin_files=()):
        return self

    def submit(self, job):
        print("submitted", flush=True)

    def poll(self, timeout_s):
        sleep(timeout_s)
        return []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        print("closed", flush=True)


@hookimpl
def register_executors():
    return [Idle]
"""


def started(folder: Path, *before: str) -> "subprocess.Popen[str]":
    """`archbench run`, behind the command `before`, whose run has been submitted."""
    (folder / "text").mkdir()
    for number in range(6):
        (folder / "text" / f"{number}.txt").write_text(f"document {number} " + "of some length, to be read. " * 30)
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "idle.py").write_text(IDLE)
    command = [*before, sys.executable, "-m", "archbench.cli.main"]
    command += ["run", "spec.yaml", "--plugin", "idle.py", "--cache", "c"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("submitted"):
            break
    return process


@pytest.mark.parametrize("sort", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_it_was_told_to_ignore_does_not_stop_a_scan(tmp_path: Path, sort: signal.Signals) -> None:
    """`nohup` does the first; the shell's `trap '' TERM` the second."""
    with started(tmp_path, "sh", "-c", f"trap '' {sort.name.removeprefix('SIG')}; exec \"$@\"", "sh") as process:
        process.send_signal(sort)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "closed" in out


@pytest.mark.parametrize("sort", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_scan_that_is_told_to_stop_closes_its_executor_and_says_how_to_go_on(
    tmp_path: Path, sort: signal.Signals
) -> None:
    with started(tmp_path) as process:
        process.send_signal(sort)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "closed" in out
    assert err.endswith("this goes on from here:\n  archbench run spec.yaml --plugin idle.py --cache c\n")
    assert "Traceback" not in err


def test_a_verdict_is_broken_between_words_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "- " + "reformer needs 1.30x the compute of gpt2. " * 5 + "\n- second"
    assert common.wrapped(text) == text
    monkeypatch.setattr(common, "on_screen", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = common.wrapped(text).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("- reformer")
    assert lines[1].startswith("  ")
    assert lines[-1] == "- second"
    assert [line[:8] for line in common.wrapped("    differs: " + "in-place words " * 8).splitlines()] == [
        "    diff",
        "      in",
    ]


def test_a_note_is_broken_between_words_in_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    line = "about 27 s (rough: no such run was timed here yet); Ctrl-C stops, the same command goes on"
    common.note(line)
    assert capsys.readouterr().err == line + "\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    common.note(line)
    assert capsys.readouterr().err == line.replace(" command", "\ncommand") + "\n"


def test_an_interval_without_ends_is_told_in_words() -> None:
    interval = Interval(0.1108, -math.inf, math.inf)
    law: Any = SimpleNamespace(status=FitStatus.OK, params={"alpha_C": 0.1108}, intervals={"alpha_C": interval})
    assert finish._exponent(law) == "0.1108 (no interval)"


def test_a_plugin_file_that_fails_is_told_even_where_nothing_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text("import sys; sys.exit(3)")
    assert "gpt2" in common.host_with([tmp_path / "broken.py"]).registry.architectures.entries
    assert "broken.py failed: import: SystemExit: 3" in capsys.readouterr().err
