"""Bundled specs are taken by name wherever one stands; a file goes before them, and a copy is a spec of one's own."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from archbench import bundled_specs
from archbench.cli.common import SPEC
from archbench.cli.main import cli
from archbench.cli.run import _same_command, run
from archbench.cli.status import scan_name
from archbench.errors import SpecError
from archbench.host import default_host
from archbench.runs.store import RunStore, ScanIndex
from archbench.spec.load import load_spec

ROOT = Path(__file__).parents[3]
OWN = """\
name: mine
contenders: {gpt2: {architecture: {kind: gpt2}}}
data: {dataset: {kind: installed_docs}, tokenizer: {kind: bytes}}
scan: {sizes: [1e4], tokens: 4000}
training: {seq_len: 32, batch_tokens: 64, learning_rate: 1e-3}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which there is no `specs/`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def resolved(word: str) -> Any:
    result = invoke("plan", word, "--resolved", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("name", "scan"),
    [("quickstart", "quickstart"), ("gpu/gpt2", "gpu-gpt2"), ("protocol/ids_512", "protocol_ids_512")],
)
def test_a_bundled_spec_is_taken_by_its_name(name: str, scan: str) -> None:
    assert resolved(name)["name"] == scan
    assert load_spec(ROOT / "specs" / f"{name}.yaml", default_host().registry).resolved() == resolved(name)


def test_every_spec_of_the_repository_has_a_name() -> None:
    files = set((ROOT / "specs").rglob("*.yaml"))
    assert set(bundled_specs.bundled_specs().values()) == files


def test_a_file_of_that_very_name_goes_before_a_bundled_spec(folder: Path) -> None:
    (folder / "quickstart").write_text(OWN)
    assert resolved("quickstart")["name"] == "mine"


def test_a_folder_of_that_name_does_not(folder: Path) -> None:
    (folder / "quickstart").mkdir()
    assert resolved("quickstart")["name"] == "quickstart"


def test_a_file_beside_the_bundled_spec_is_meant_with_its_ending_alone_and_told(folder: Path) -> None:
    (folder / "quickstart.yaml").write_text(OWN)
    result = invoke("plan", "quickstart", "--resolved")
    assert "name: quickstart" in result.stdout
    assert "quickstart is the bundled spec; quickstart.yaml, which is here too" in result.stderr
    assert resolved("quickstart.yaml")["name"] == "mine"


@pytest.mark.parametrize("word", ["quikstart", "specs/quickstart.yaml", "quickstart.yml"])
def test_a_word_that_means_no_spec_names_the_nearest_bundled_one(word: str) -> None:
    result = invoke("plan", word)
    assert isinstance(result.exception, SpecError)
    assert str(result.exception) == f"{word}: no such file; did you mean 'quickstart', which is bundled?"


def test_a_word_like_no_bundled_spec_is_told_where_they_are_listed() -> None:
    result = invoke("plan", "zzz.yaml")
    assert "`archbench specs` lists" in str(result.exception)


def test_status_and_report_find_the_scan_of_a_bundled_spec_that_was_run(folder: Path) -> None:
    store = RunStore(folder / "runs")
    store.create()
    for name in ("gpu-gpt2", "bert"):
        store.save_scan(ScanIndex(name=name, description="", baseline=None, runs=(), spec={}, environment={}))
    assert invoke("status", "gpu/gpt2").stdout.startswith("gpu-gpt2: ")
    assert invoke("status", "bert").stdout.startswith("bert: ")
    assert "holds no scan 'llama'" in str(invoke("report", "llama").exception)
    assert scan_name(store, Path("gpu/gpt2"), ["name=other"]) == "other"


@pytest.mark.parametrize("word", ["quickstart", str(ROOT / "specs" / "quickstart.yaml"), "mine.yaml"])
def test_an_interrupted_run_is_told_the_command_as_it_was_given(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["archbench", "run", word, "--runs", "elsewhere"])
    context = click.Context(run)
    context.params["spec"] = SPEC.convert(word, None, context)
    assert _same_command(context) == f"archbench run {word} --runs elsewhere"


def test_the_list_says_what_each_asks_and_costs() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("specs", "list", "--json").stdout)}
    assert list(rows) == list(bundled_specs.bundled_specs())
    quickstart = rows["quickstart"]
    assert quickstart["contenders"] == ["gpt2", "llama"]
    # Two seeds of both at 5 and 10 thousand parameters, one at 20 and 40, on 800 thousand tokens each.
    assert quickstart["runs"] == 12
    assert quickstart["kaplan_flops"] == pytest.approx(6 * 8e5 * 2 * (2 * 5e3 + 2 * 1e4 + 2e4 + 4e4))
    assert "Llama against GPT-2, four small sizes" in invoke("specs").stdout


def test_a_copy_is_the_spec_with_its_comments(folder: Path) -> None:
    result = invoke("specs", "copy", "quickstart")
    assert result.stdout.strip() == "quickstart.yaml"
    text = (folder / "quickstart.yaml").read_text()
    assert "# archbench run quickstart.yaml" in text
    assert "# Under two minutes" in text
    assert resolved("quickstart.yaml") == resolved("quickstart")


@pytest.mark.parametrize("name", ["protocol/ids_512", "tuning/mamba2", "tuning/tuned"])
def test_a_copy_of_a_spec_that_extends_others_stands_alone(name: str, folder: Path) -> None:
    assert invoke("specs", "copy", name, "mine.yaml").exit_code == 0
    assert "extends" not in (folder / "mine.yaml").read_text()
    assert resolved("mine.yaml") == resolved(name)


def test_a_copy_overwrites_nothing_and_an_unknown_name_has_a_nearest(folder: Path) -> None:
    (folder / "quickstart.yaml").write_text("mine")
    assert "exists already" in str(invoke("specs", "copy", "quickstart").exception)
    assert (folder / "quickstart.yaml").read_text() == "mine"
    assert "did you mean 'quickstart'?" in str(invoke("specs", "copy", "quikstart").exception)


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    assert "cannot be written" in str(invoke("specs", "copy", "quickstart", "gone/mine.yaml").exception)
