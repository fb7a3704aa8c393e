"""`archbench plan` of text that is not at hand, and of evaluations that ask for more than there is."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archbench.cli.main import cli
from archbench.errors import DataError

SPEC = """
name: planned
contenders: {gpt2: {architecture: {kind: gpt2}}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: [text]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.1
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1e5}
training: {seq_len: 64, batch_tokens: 1024, learning_rate: 1e-3, schedule: {kind: cosine, warmup_steps: 10}}
"""
GPU_SPECS = sorted((Path(__file__).parents[3] / "specs" / "gpu").glob("*.yaml"))


def planned(folder: Path, *options: str) -> Result:
    (folder / "spec.yaml").write_text(SPEC)
    where = ("--cache", str(folder / "cache"), "--runs", str(folder / "runs"))
    return CliRunner().invoke(cli, ["plan", str(folder / "spec.yaml"), *where, *options])


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    for number in range(30):
        (tmp_path / "text" / f"{number}.txt").write_text(f"{number} " + "the ship sailed over the water " * 30)
    return tmp_path


def test_an_evaluation_costs_no_more_than_there_is_to_evaluate(folder: Path) -> None:
    all_of_it, beyond = (
        as_json(planned(folder, "--json", "-o", f"evaluation.tokens={tokens}"))["runs"][0]["estimated_seconds"]
        for tokens in ("1e5", "1e9")
    )
    assert beyond == all_of_it


def test_text_that_cannot_be_had_is_planned_by_its_stated_counts_and_marked(folder: Path) -> None:
    missing = ("-o", "data.dataset.paths=[nowhere]")
    assert isinstance(planned(folder, *missing).exception, DataError)
    stated = ("-o", "data.stated={vocab_size: 257, tokens: {main: 1e6}}")
    result = planned(folder, *missing, *stated)
    assert result.exit_code == 0
    assert "nowhere: no such file" in result.stderr
    assert "text: about 900,000 training tokens, vocabulary 257, as data.stated says; the text was not read" in (
        result.stdout
    )
    found = as_json(planned(folder, *missing, *stated, "--json"))
    assert found["text_is_stated"]
    assert found["environment"]["data"]["corpus_hash"].startswith("stated-")


def test_stated_counts_give_the_plan_that_the_text_gives(folder: Path) -> None:
    read = as_json(planned(folder, "--json"))
    assert not read["text_is_stated"]
    stated = "data.stated={vocab_size: 257, tokens: {main: 28100}}"
    again = as_json(planned(folder, "--json", "-o", stated))
    assert [run["run_id"] for run in again["runs"]] == [run["run_id"] for run in read["runs"]], "the text is at hand"
    unread = as_json(planned(folder, "--json", "--stated", "-o", stated))
    for key in ("non_embedding_params", "exact_flops", "tokens", "dims", "seed"):
        assert [run[key] for run in unread["runs"]] == [run[key] for run in read["runs"]], key
    assert not {run["run_id"] for run in unread["runs"]} & {run["run_id"] for run in read["runs"]}


def test_without_stated_counts_there_is_nothing_to_plan_by(folder: Path) -> None:
    error = planned(folder, "--stated").exception
    assert isinstance(error, DataError)
    assert "data.stated: is not there; to plan without the text, state its counts" in str(error)


@pytest.mark.parametrize("path", GPU_SPECS[::6], ids=lambda path: path.stem)
def test_specs_for_accelerators_are_planned_without_a_network(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a plan by stated counts asks for no connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    where = ("--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs"))
    found = as_json(CliRunner().invoke(cli, ["plan", str(path), "--stated", "--json", *where]))
    assert found["text_is_stated"]
    assert found["runs"]
