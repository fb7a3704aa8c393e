"""`archbench data`: what it shows, and what it says of mistakes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archbench.cli.main import cli
from archbench.errors import DataError

SPEC = """
name: two
contenders: {gpt2: {architecture: {kind: gpt2}}}
data:
  name: english
  dataset: {kind: text_files, paths: [en]}
  texts:
    german: {kind: text_files, paths: [de]}
  tokenizer: TOKENIZER
  validation_fraction: 0.2
scan: {sizes: [1e4], tokens: 1e5}
training: {seq_len: 64, batch_tokens: 1024, learning_rate: 1e-3}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language, text in (("en", "the ship sailed over the water "), ("de", "das Schiff fuhr über das Wasser ")):
        (tmp_path / language).mkdir()
        for number in range(30):
            (tmp_path / language / f"{number}.txt").write_text(f"{number} {text * (number % 5 + 1)}", encoding="utf-8")
    return tmp_path


def called(folder: Path, tokenizer: str, *options: str) -> Result:
    spec = folder / "spec.yaml"
    spec.write_text(SPEC.replace("TOKENIZER", tokenizer))
    return CliRunner().invoke(cli, ["data", str(spec), "--cache", str(folder / "cache"), *options])


def test_texts_are_listed_with_their_bytes_per_token(folder: Path) -> None:
    result = called(folder, "{kind: bytes}", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found["texts"]) == ["english", "german"]
    for name, language in (("english", "en"), ("german", "de")):
        text = found["texts"][name]
        whole = sum(path.stat().st_size for path in (folder / language).iterdir())
        # With bytes a token is a byte, or the end of a document.
        tokens = text["train_tokens"] + text["validation_tokens"]
        assert tokens == whole + 30
        assert text["bytes_per_token"] == pytest.approx(text["train_bytes"] / text["train_tokens"])
    assert found["tokenizer"]["vocab_size"] == 257


def test_a_trained_tokenizer_has_more_bytes_per_token_on_both_sides(folder: Path) -> None:
    found = json.loads(called(folder, "{kind: bpe, vocab_size: 300}", "--json").stdout)
    assert min(text["bytes_per_token"] for text in found["texts"].values()) > 2.0


def test_the_table_has_a_line_for_each_text(folder: Path) -> None:
    lines = called(folder, "{kind: bytes}").stdout.splitlines()
    assert lines[0].split()[:3] == ["text", "dataset", "documents"]
    assert lines[1].startswith("english  text_files")
    assert lines[2].startswith("german   text_files")
    assert lines[3].startswith("tokenizer bytes of 257 ids (")


def test_a_missing_folder_is_one_line_with_its_text_and_place(folder: Path) -> None:
    for path in (folder / "de").iterdir():
        path.unlink()
    (folder / "de").rmdir()
    result = called(folder, "{kind: bytes}")
    assert isinstance(result.exception, DataError)
    assert f"german: de: no such file; data.dataset.paths are relative to {folder}" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_what_was_read_and_left_out_is_listed_also_from_the_cache(folder: Path) -> None:
    (folder / "en" / "README.md").write_text("about")
    (folder / "en" / "table.csv").write_text("a,b")
    (folder / "en" / "rows.jsonl").write_text('{"text": "good"}\n{"text": null}\n{"text": "good"}\n{"text": ""}\n')
    for _ in range(2):
        lines = called(folder, "{kind: bytes}").stdout.splitlines()
        assert [line.removeprefix("english: ") for line in lines if line.startswith("english: ")] == [
            "read      .txt: 30 files, 30 documents",
            "read      .jsonl: 1 file, 3 documents",
            "left out  .md: 1 (about the folder, no text of it; name the file in paths to read it), "
            f"{folder}/en/README.md",
            f"left out  .csv: 1 (no format that text_files reads), {folder}/en/table.csv",
            f"left out  records: 1 (no text (null)), {folder}/en/rows.jsonl:2",
            "left out  documents: 1 (empty)",
            "left out  documents: 1 (the same as an earlier one)",
        ]
    found = json.loads(called(folder, "{kind: bytes}", "--json").stdout)["texts"]
    assert found["german"]["left_out"] == []
    assert found["german"]["read"] == [{"ending": ".txt", "files": 30, "documents": 30}]
    assert [(row["what"], row["count"]) for row in found["english"]["left_out"]] == [
        (".md", 1), (".csv", 1), ("records", 1)
    ]  # fmt: skip


def test_files_that_come_to_be_left_out_change_neither_text_nor_hash(folder: Path) -> None:
    before = json.loads(called(folder, "{kind: bytes}", "--json").stdout)["texts"]["english"]
    (folder / "en" / "LICENSE.txt").write_text("all rights")
    (folder / "en" / ".cache").mkdir()
    (folder / "en" / ".cache" / "draft.txt").write_text("draft")
    after = json.loads(called(folder, "{kind: bytes}", "--json").stdout)["texts"]["english"]
    assert after["corpus_hash"] == before["corpus_hash"]
    assert [row["what"] for row in after["left_out"]] == ["folders", ".txt"]
