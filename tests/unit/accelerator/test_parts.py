"""What of `benchmarks/accelerator.py` needs no device: shares of time, peaks, texts, the page, outcomes of tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerator_parts import texts
from accelerator_parts.ladder import seconds_per_token
from accelerator_parts.page import markdown_page
from accelerator_parts.peaks import datasheet_peak
from accelerator_parts.results import PartResult, Results
from accelerator_parts.scale import PARTS, SCALES, seconds_for
from hypothesis import given
from hypothesis import strategies as st

from archbench.report.html.page import Page, render_page

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
HEADINGS = ["Machine", *(part.title for part in PARTS), "How it was measured"]


@given(st.floats(0.0, 1e5), st.lists(st.floats(0.0, 1.0), min_size=len(PARTS), max_size=len(PARTS)))
def test_no_part_is_given_more_than_is_left_or_less_than_it_needs(seconds: float, used: list[float]) -> None:
    left, given_to = seconds, {}
    for index, part in enumerate(PARTS):
        given = seconds_for(part, PARTS[index + 1 :], left)
        if given is None:
            assert left < part.least_seconds
            continue
        assert part.least_seconds <= given <= left
        given_to[part.name] = given
        left -= used[index] * given
    if seconds >= sum(part.least_seconds for part in PARTS):
        assert set(given_to) == {part.name for part in PARTS}


def test_nine_minutes_are_divided_by_the_shares() -> None:
    left = 500.0
    for index, part in enumerate(PARTS):
        given = seconds_for(part, PARTS[index + 1 :], left)
        assert given == pytest.approx(500.0 * part.share)
        left -= given


def test_shares_are_whole() -> None:
    assert sum(part.share for part in PARTS) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA H200", "bf16", 989e12),
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA L40", "bf16", None),  # no L4
        ("NVIDIA H200", "fp32", None),
        ("Tesla V100-SXM2-16GB", "bf16", None),
    ],
)
def test_the_peak_of_a_datasheet_is_that_of_the_device(name: str, precision: str, peak: float | None) -> None:
    assert datasheet_peak(name, precision) == peak


def test_the_ladder_is_priced_by_what_a_step_takes_at_two_sizes() -> None:
    scale = SCALES["cuda"]
    # 1 us a token and 0.1 us for each million parameters.
    rates = {size: 1.0 / (1e-6 + 1e-13 * float(size)) for size in ("1e7", "8.5e7")}
    expected = len(scale.ladder) * 1e-6 + 1e-13 * sum(scale.ladder)
    assert seconds_per_token(scale, rates, {"measured": 1e15}) == pytest.approx(expected)
    assert seconds_per_token(scale, {}, {"measured": 1e15}) > 0.0


# Texts


def test_a_folder_of_texts_is_read_in_a_fixed_order_up_to_the_limit(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for number in range(20):
        (folder / "deep" / f"{number}.py").write_text(f"x = {number}\n" * 100)
    (folder / ".hidden" / "a.txt").write_text("hidden")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "note.md").write_text("# A note\n")
    target = tmp_path / "text.jsonl"
    all_of_it = texts.folder_text(folder, 10**6, target)
    documents = [json.loads(line) for line in target.read_text().splitlines()]
    assert {one["id"] for one in documents} == {"note.md", *(f"deep/{number}.py" for number in range(20))}
    assert "1 files left out" in all_of_it.source
    texts.folder_text(folder, 2000, tmp_path / "part.jsonl")
    part = [json.loads(line) for line in (tmp_path / "part.jsonl").read_text().splitlines()]
    assert part == documents[: len(part)]
    assert 2000 <= sum(len(one["text"]) for one in part) < 4000


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is not there; expected a folder"),
        ({}, "holds no .txt, .md, .rst or .py file"),
        ({"data.csv": b"1,2"}, "holds no .txt, .md, .rst or .py file"),
        ({"a.txt": b"\xff\xfe"}, "no file there holds text in UTF-8 (1 cannot be read)"),
        ({"a.txt": b" \n"}, "no file there holds text in UTF-8 (0 cannot be read)"),
    ],
)
def test_a_folder_without_text_is_refused_in_one_line(
    tmp_path: Path, content: dict[str, bytes] | None, problem: str
) -> None:
    folder = tmp_path / "texts"
    if content is not None:
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    with pytest.raises(texts.TextProblem) as caught:
        texts.folder_text(folder, 1000, tmp_path / "text.jsonl")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


# Results and page


def content_of(*events: dict[str, Any], part: str, **machine: Any) -> dict[str, Any]:
    """What `accelerator.json` holds after `part` has said `events`."""
    results = Results("python benchmarks/accelerator.py --minutes 9", 9.0, "0.1.0, commit 1234", "2026-01-01 00:00:00")
    results.device = "cuda" if "accelerator" in machine else "cpu"
    results.machine = {
        "cpu": "A processor | of somebody",
        "cpu_cores": 2,
        "memory_bytes": 2**34,
        "platform": "Linux",
        "load_average": 0.1,
        "num_devices": 1,
        "versions": {"python": "3.12.3", "torch": "2.11.0"},
        "precision": "bf16",
        "peak_flop_per_s": {"measured": 8e14, "datasheet": 9.89e14},
        **machine,
    }
    result = results.part(part)
    result.state, result.given_seconds, result.seconds = "under way", 100.0, 99.0
    for event in events:
        result.hear(event)
    return results.as_json()


def row(what: str, status: str = "measured", **figures: Any) -> dict[str, Any]:
    return {"event": "row", "what": what, "row": {"status": status, **figures}}


def test_the_page_has_a_section_for_every_part_whatever_came_of_it() -> None:
    fast = {"tokens_per_s": 5.5e5, "share_of_datasheet_peak": 0.476, "share_of_measured_peak": 0.589}
    content = content_of(
        {"event": "conditions", "conditions": {"goal_share_of_peak": 0.5, "seq_len": 1024}},
        {"event": "plan", "whats": ["eager, 8", "eager, 16", "compiled, 8"]},
        row("eager, 8", loop="eager", micro_batch_rows=8, peak_memory_bytes=2**33, **fast),
        row("eager, 16", "out of memory", loop="eager", micro_batch_rows=16),
        {"event": "ended", "why": "time"},
        part="utilisation",
        accelerator="NVIDIA H200",
        accelerator_memory_bytes=2**37,
        driver="580.159",
        compute_capability="9.0",
    )
    page = markdown_page(json.loads(json.dumps(content)))
    headings = [line.removeprefix("## ") for line in page.markdown.splitlines() if line.startswith("## ")]
    assert headings == HEADINGS
    assert page.markdown.startswith("# archbench on NVIDIA H200\n")
    assert "- GPT-2 at full size: cut short, 1 left out; best 550,000 tokens/s, 47.6% of the datasheet's peak and" in (
        page.markdown
    )
    assert "(goal 50%), eager, 8 rows a pass" in page.markdown
    assert "| eager | 8 | 550,000 | 47.6% | 58.9% | 8.0 GiB | measured |" in page.markdown
    assert "| eager | 16 | – | – | – | – | out of memory |" in page.markdown
    assert "- no time was left: compiled, 8" in page.markdown
    assert "| driver | 580.159 |" in page.markdown
    html = render_page(Page(page.title, "", page.lead, page.parts), lambda source: None)
    assert all(f">{heading}</h2>" in html for heading in HEADINGS)


def test_the_page_of_a_cpu_says_that_no_gpu_was_measured_and_an_unfinished_one_that_it_is() -> None:
    page = markdown_page(content_of(part="zero"))
    assert "not what a GPU does" in page.lead
    assert "goes on, or was killed" in page.lead
    assert "# archbench on A processor &#124; of somebody" in page.markdown


def test_failed_tests_are_listed_and_the_others_counted() -> None:
    content = content_of(
        row("a", "passed", test="tests/a", seconds=1.0),
        row("b", "failed", test="tests/b", reason="AssertionError: 1 | 2", seconds=2.0),
        row("c", "skipped", test="tests/c", reason="no CUDA device"),
        row("d", "failed: its process was killed by SIGSEGV", test="tests/d"),
        {"event": "ended", "why": "done"},
        part="gpu_tests",
    )
    page = markdown_page(content).markdown
    assert "- Tests marked gpu: done; 1 passed, 2 failed, 1 skipped" in page
    assert "- skipped: 1 (no CUDA device)" in page
    assert "| tests/b | AssertionError: 1 &#124; 2 | 2 |" in page
    assert "| tests/d |" in page


def test_both_loops_of_an_architecture_stand_in_one_line() -> None:
    common = {"architecture": "gpt2", "objective": "causal_lm", "size": 1e7, "non_embedding_params": 10_000_000}
    content = content_of(
        row("gpt2 eager", loop="eager", tokens_per_s=1000.0, **common),
        row("gpt2 compiled", loop="compiled", tokens_per_s=1500.0, warm_up_seconds=30.0, **common),
        row("llama", "failed: RuntimeError: no", architecture="llama", objective="causal_lm", size=1e7, loop="eager"),
        part="architectures",
    )
    page = markdown_page(content).markdown
    assert "| gpt2 | causal_lm | 10,000,000 | 1,000 | 1,500 | 1.50 | 30 | – |" in page
    assert "| llama | causal_lm | – | – | – | – | – | eager: failed: RuntimeError: no |" in page


def test_a_part_whose_process_never_spoke_says_so() -> None:
    part = PartResult("zero", "ZeRO stages", state="under way")
    part.hear({"event": "ended", "why": "time"})
    assert (part.state, part.reason) == ("cut short", "its process was not ready when the time was over")


# Outcomes of tests

SUITE = """
import pytest

pytestmark = pytest.mark.gpu

def test_good(): pass

def test_bad(): assert 1 == 2

@pytest.mark.skip(reason="no device")
def test_left_out(): pass

@pytest.fixture
def broken():
    yield
    raise ValueError("tear-down")

def test_ends_badly(broken): pass

def test_device(): raise RuntimeError("CUDA error: an illegal memory access was encountered")

def test_behind_it(): pass
"""

DRIVER = """
import os, sys, pytest
from accelerator_parts.child import Records, Setting
from accelerator_parts.gpu_tests import Watcher
records = Records(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 60.0)
watcher = Watcher(records, Setting("gpu_tests", "cpu", 60.0, ".", begun=tuple(sys.argv[1:])))
pytest.main(["-q", "-p", "no:cacheprovider", "test_suite.py"], plugins=[watcher])
"""


def outcomes(folder: Path, *begun: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Status by test of SUITE, and the last row."""
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a device\n")
    subprocess.run(
        [sys.executable, "-c", DRIVER, *begun],
        cwd=folder,
        env={"PYTHONPATH": f"{BENCHMARKS}:{':'.join(sys.path)}"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    events = [json.loads(line) for line in (folder / "said").read_text().splitlines()]
    rows = [event["row"] for event in events if event["event"] == "row"]
    return {one["test"].partition("::")[2]: one["status"] for one in rows}, rows[-1]


def test_each_gpu_test_has_its_outcome_and_an_error_of_the_device_ends_the_process(tmp_path: Path) -> None:
    found, last = outcomes(tmp_path)
    assert found == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_left_out": "skipped",
        "test_ends_badly": "failed",
        "test_device": "failed",
    }
    assert last["reason"] == "RuntimeError: CUDA error: an illegal memory access was encountered"


def test_the_next_process_goes_on_behind_what_was_begun(tmp_path: Path) -> None:
    begun = [f"test_suite.py::test_{name}" for name in ("good", "bad", "left_out", "ends_badly", "device")]
    assert outcomes(tmp_path, *begun)[0] == {"test_behind_it": "passed"}
