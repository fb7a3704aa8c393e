"""`--runs` with the address of a store, and `execution.store`: what commands make of them, and what they refuse."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archbench.cli.main import exit_code_of
from archbench.runs.remote import working_folder
from archbench.runs.remote.mirror import Mirror
from archbench.runs.remote.opening import open_objects
from archbench.runs.store import RunStore, ScanIndex

SPEC = """\
name: tiny
baseline: gpt2
contenders: {gpt2: {architecture: {kind: gpt2}}}
data: {dataset: {kind: text_files, paths: [text.txt]}, tokenizer: {kind: bytes}}
scan: {sizes: [5000], tokens: 40000}
training: {seq_len: 32, batch_tokens: 256, learning_rate: 0.003}
execution: {store: {url: %s}}
"""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store that holds a scan without runs; this process has followed none yet, nor does it afterwards."""
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    url = f"file://{tmp_path / 'store'}"
    (tmp_path / "store").mkdir()
    driver = RunStore(tmp_path / "driver")
    driver.create()
    path = driver.save_scan(ScanIndex(name="tiny", description="", baseline=None, runs=(), spec={}, environment={}))
    assert Mirror(driver.root, open_objects(url)).push_scan(path)
    yield url
    for folder in list(working_folder._opened):
        working_folder.close(folder)


def test_commands_that_read_take_a_url_for_a_folder(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["status", "--runs", url, "--json"], debug=False) == 0
    assert '"tiny"' in capsys.readouterr().out
    assert exit_code_of(["runs", "list", "--runs", url], debug=False) == 0


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("http://bucket/x", 2, "got 'http://bucket/x', expected s3://BUCKET/FOLDER"),
        ("file://relative/x", 2, "expected file:/// and a folder's whole path"),
        ("file:///not/there/at/all", 4, "there is no such folder, nor one to make it in"),
    ],
)
def test_a_store_that_is_none_is_one_line(
    url: str, place: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(["status", "--runs", place], debug=False) == code
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_spec_and_a_command_that_name_different_stores_are_refused(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC % f"file://{tmp_path / 'other'}")
    assert exit_code_of(["plan", str(spec), "--runs", url], debug=False) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_a_url_that_is_none_is_told_with_its_place_in_the_spec(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC % "ftp://x/y")
    assert exit_code_of(["plan", str(spec)], debug=False) == 2
    told = capsys.readouterr().err
    assert "tiny.yaml:7: execution.store.url" in told
    assert "expected s3://BUCKET/FOLDER" in told


def test_a_worker_says_that_a_store_holds_no_scan(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    code = exit_code_of(["worker", "--runs", f"file://{tmp_path / 'empty'}", "--scan", "tiny"], debug=False)
    assert code == 4
    assert f"file://{tmp_path / 'empty'}: holds no scan 'tiny'" in capsys.readouterr().err
