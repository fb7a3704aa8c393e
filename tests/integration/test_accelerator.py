"""`benchmarks/accelerator.py` on the CPU: a part of it for real, killed, interrupted, and given nothing to read."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from accelerator_parts import utilisation
from accelerator_parts.child import Records, Setting
from accelerator_parts.driver import drive
from accelerator_parts.page import markdown_page
from accelerator_parts.scale import PARTS, SCALES

from archbench.host import load_host
from archbench.testing.small_runs import small_corpus

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PATIENCE_SECONDS = 150.0
"""Processes with torch and DeepSpeed start while other tests fill the machine."""


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks" / "accelerator.py"), "--device=cpu", f"--out={out}", *options]


@contextmanager
def started(tmp_path: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """The command at work on its part `sharing`, which is the shortest; its temporary files lie in `tmp_path`."""
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        command(tmp_path / "out", "--minutes=5", f"--text={DOCS}", "--only", "sharing", *options),
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path: Path) -> dict[str, Any]:
    """The content of the results at `path`, as soon as they are there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.1)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def wait_for_children(process: psutil.Process, number: int) -> list[psutil.Process]:
    """Its descendants, once there are so many."""
    end = time.monotonic() + PATIENCE_SECONDS
    while len(children := process.children(recursive=True)) < number:
        assert time.monotonic() < end
        time.sleep(0.05)
    return children


@pytest.mark.thorough
@pytest.mark.timeout(400)  # its own five minutes, where other work fills the machine
def test_a_part_is_measured_within_its_time_and_shown_by_three_files(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        f"accelerator.{ending}" for ending in ("json", "md", "html", "log")
    }
    content = json.loads((out / "accelerator.json").read_text())
    sharing = next(part for part in content["parts"] if part["name"] == "sharing")
    assert sharing["state"] == "done", sharing
    counts = [count for count in SCALES["cpu"].processes if count <= len(os.sched_getaffinity(0))]
    assert [row["processes"] for row in sharing["rows"]] == counts
    assert all(row["tokens_per_s"] > 0.0 for row in sharing["rows"])
    others = [part for part in content["parts"] if part["name"] != "sharing"]
    assert {(part["state"], part["reason"]) for part in others} == {("left out", "not asked for")}
    assert content["ended"]
    assert content["machine"]["versions"]["torch"]
    assert content["machine"]["peak_flop_per_s"]["measured"] > 0.0
    assert str(DOCS) in content["text"]
    page = (out / "accelerator.md").read_text()
    assert page == markdown_page(content).markdown
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["Machine", *(part.title for part in PARTS), "How it was measured"]
    assert "<h2" in (out / "accelerator.html").read_text()
    assert not list((tmp_path / "tmp").iterdir())

    again = subprocess.run(command(out, "--minutes=1"), capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.endswith("holds results already; name another folder\n")


@pytest.mark.thorough
def test_a_kill_leaves_the_results_and_no_process(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        content = wait_for(tmp_path / "out" / "accelerator.json")
        children = wait_for_children(psutil.Process(process.pid), 2)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not content["ended"]
    assert content["machine"]["cpu_cores"] >= 1
    assert "goes on, or was killed" in (tmp_path / "out" / "accelerator.md").read_text()


@pytest.mark.thorough
def test_ctrl_c_names_what_was_not_measured(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait_for(tmp_path / "out" / "accelerator.json")
        children = wait_for_children(psutil.Process(process.pid), 2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    content = json.loads((tmp_path / "out" / "accelerator.json").read_text())
    sharing = next(part for part in content["parts"] if part["name"] == "sharing")
    assert sharing["state"] == "interrupted"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--minutes=1", "--text=nowhere"], "--text nowhere: is not there; expected a folder with .txt"),
        (["--minutes=1", "--text=empty"], "--text empty: holds no .txt, .md, .rst or .py file"),
        (["--minutes=0"], "--minutes: got '0', expected minutes above 0"),
        (["--minutes=nan"], "--minutes: got 'nan', expected minutes above 0"),
        (["--minutes=1", "--out=file"], "--out file: cannot be written: File exists"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(tmp_path: Path, options: list[str], problem: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    done = subprocess.run(
        command(tmp_path / "out", *options), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert problem in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Of a part on the CPU, with text to train on."""
    folder = tmp_path_factory.mktemp("parts")
    corpus = small_corpus(folder / "corpus", load_host().registry)
    return Setting(
        "sharing", "cpu", PATIENCE_SECONDS, str(folder), corpus=str(corpus.directory), peaks={"measured": 1e11}
    )


@pytest.mark.thorough
def test_utilisation_is_exact_flops_by_the_peak_and_what_finds_no_time_is_not_begun(
    setting: Setting, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    # Too little for anything that compiles.
    with closing(Records(os.open(said, os.O_WRONLY | os.O_CREAT), 22.0)) as records:
        utilisation.run(setting, records)
    events = [json.loads(line) for line in said.read_text().splitlines()]
    rows = [event["row"] for event in events if event["event"] == "row"]
    (planned,) = [event["whats"] for event in events if event["event"] == "plan"]
    assert rows
    assert all(row["status"] == "measured" for row in rows), rows
    assert {row["loop"] for row in rows} <= {utilisation.EAGER, utilisation.UNORDERED}
    assert len(rows) < len(planned)
    for row in rows:
        flops = row["tokens_per_s"] * row["exact_flops_per_token"]
        assert row["share_of_measured_peak"] == pytest.approx(flops / 1e11, rel=2e-3)  # four digits each


def is_gone(pid: int) -> bool:
    """Whether the process has ended, at once or within seconds; nobody may have asked yet how."""
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


MISBEHAVING = """
import os, signal, subprocess, time

WHATS = ["good", "dies", "hangs", "good again"]

def run(setting, records):
    records.plan(WHATS)
    for what in WHATS:
        if what in setting.begun:
            continue
        records.begin(what, {"name": what}, limit_s=1.0 if what == "hangs" else 60.0)
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hangs":
            time.sleep(600.0)
        records.row(what, {"name": what, "status": "measured"})
"""

ENDLESS = """
import subprocess, time

def run(setting, records):
    records.plan(["never"])
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    records.begin("never", {"pid": other.pid}, limit_s=600.0)
    time.sleep(600.0)
"""


def driven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, seconds: float) -> list[Mapping[str, Any]]:
    """What a part of that source said, within `seconds`."""
    (tmp_path / "some_part.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    events: list[Mapping[str, Any]] = []
    with (tmp_path / "log").open("wb") as log:
        drive(Setting("some_part", "cpu", seconds, str(tmp_path)), log, events.append)
    return events


def test_what_dies_or_hangs_costs_one_row_and_another_process_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = driven(tmp_path, monkeypatch, MISBEHAVING, PATIENCE_SECONDS)
    rows = [event["row"] for event in events if event["event"] == "row"]
    assert {row["name"]: row["status"] for row in rows} == {
        "good": "measured",
        "dies": "failed: its process was killed by SIGKILL",
        "hangs": "failed: it took longer than 1 s, and was ended",
        "good again": "measured",
    }
    assert len(rows) == 4
    assert events[-1] == {"event": "ended", "why": "done"}


@pytest.mark.thorough
def test_a_part_ends_with_its_time_and_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    events = driven(tmp_path, monkeypatch, ENDLESS, 20.0)
    assert time.monotonic() - began < 40.0
    (begun,) = [event for event in events if event["event"] == "begin"]
    assert is_gone(begun["row"]["pid"])
    assert [(event["event"], event.get("why")) for event in events[-2:]] == [
        ("left_out", "the time was over before it was measured"),
        ("ended", "time"),
    ]


def test_a_part_that_cannot_begin_has_failed_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = driven(tmp_path, monkeypatch, "raise ImportError('no such library')", PATIENCE_SECONDS)
    assert [event["event"] for event in events] == ["failed", "ended"]
    assert events[0]["reason"] == "ImportError: no such library; see accelerator.log"
    assert "no such library" in (tmp_path / "log").read_text()
