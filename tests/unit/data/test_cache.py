"""The cache of prepared corpora: used when it is whole, found out when it is not, never half-made."""

import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from counted_text import Counted, corpus_hash_of, prepared

from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig, LibraryTokenizer
from archbench.data import prepare
from archbench.data.corpus import MANIFEST, TRAIN_FILE, VALIDATION_FILE, open_corpus, verify_corpus
from archbench.data.prepare import prepare_corpus
from archbench.errors import DataError


@pytest.fixture
def dataset(tmp_path: Path) -> Counted:
    return Counted(marks=tmp_path / "marks")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_second_call_reads_no_document(dataset: Counted, cache: Path) -> None:
    first, second = prepared(dataset, cache), prepared(dataset, cache)
    assert dataset.times_read == 1
    assert (first.directory, first.corpus_hash, first.statistics) == (
        second.directory,
        second.corpus_hash,
        second.statistics,
    )


def test_another_key_reads_again_but_equal_text_is_tokenised_once(
    dataset: Counted, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(dataset, cache)
    monkeypatch.setattr(prepare, "write_corpus", pytest.fail)
    assert prepared(dataset.model_copy(update={"key": "newer"}), cache).corpus_hash == first.corpus_hash
    assert prepared(dataset.model_copy(update={"key": None}), cache).corpus_hash == first.corpus_hash
    assert dataset.times_read == 3


def test_a_prepared_corpus_opens_by_its_directory(dataset: Counted, cache: Path) -> None:
    corpus = prepared(dataset, cache)
    again = open_corpus(corpus.directory)
    verify_corpus(again)
    assert corpus.directory == cache / "corpora" / corpus.corpus_hash
    assert again.train.window(0, 50).tolist() == corpus.train.window(0, 50).tolist()
    assert again.dataset["kind"] == "counted"
    assert again.tokenizer == {"kind": "bytes"}


def test_a_trained_tokenizer_is_kept_with_its_corpus(dataset: Counted, cache: Path) -> None:
    from tokenizers import Tokenizer

    config = BpeTokenizerConfig(vocab_size=270)
    corpus = prepare_corpus(dataset, config, validation_fraction=0.2, cache_dir=cache)
    assert corpus.tokenizer_file is not None
    kept = LibraryTokenizer(
        Tokenizer.from_file(str(corpus.tokenizer_file)),
        end_of_text=corpus.end_of_text,
        vocab_size=corpus.text_vocab_size,
        fingerprint=corpus.tokenizer_fingerprint,
    )
    first_document = int(corpus.validation_ends[0])
    assert kept.decode(corpus.validation.window(0, first_document).tolist()).startswith("text ")


@pytest.mark.parametrize("name", [TRAIN_FILE, VALIDATION_FILE, "validation_index.bin", MANIFEST])
def test_a_truncated_file_is_named_when_the_corpus_is_opened(dataset: Counted, cache: Path, name: str) -> None:
    corpus = prepared(dataset, cache)
    truncate(corpus.directory / name)
    with pytest.raises(DataError, match=rf"{name}: .* damaged; delete the folder {corpus.directory}; ") as raised:
        open_corpus(corpus.directory)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [TRAIN_FILE, MANIFEST])
def test_a_missing_file_is_named(dataset: Counted, cache: Path, name: str) -> None:
    corpus = prepared(dataset, cache)
    (corpus.directory / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: cannot be read \(No such file or directory\)"):
        open_corpus(corpus.directory)


@pytest.mark.parametrize("name", [TRAIN_FILE, VALIDATION_FILE, "validation_index.bin"])
def test_a_flipped_bit_is_found_by_the_full_check(dataset: Counted, cache: Path, name: str) -> None:
    corpus = prepared(dataset, cache)
    flip_a_bit(corpus.directory / name)
    with pytest.raises(DataError, match=rf"{name}: has SHA-256 .*, expected "):
        verify_corpus(corpus)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink], ids=["truncated", "bit-flipped", "deleted"])
@pytest.mark.parametrize("name", [TRAIN_FILE, VALIDATION_FILE, MANIFEST])
def test_a_damaged_cache_is_prepared_anew_and_said_to_be(
    dataset: Counted, cache: Path, name: str, damage: Callable[[Path], None]
) -> None:
    before = prepared(dataset, cache)
    content = (before.directory / TRAIN_FILE).read_bytes()
    damage(before.directory / name)
    said: list[str] = []
    after = prepared(dataset, cache, said.append)
    assert name in said[0]
    assert "prepared anew" in said[0]
    assert after.corpus_hash == before.corpus_hash
    assert (after.directory / TRAIN_FILE).read_bytes() == content
    verify_corpus(after)


def test_a_damaged_index_entry_is_prepared_anew(dataset: Counted, cache: Path) -> None:
    before = prepared(dataset, cache)
    for entry in (cache / "index").iterdir():
        entry.write_text("{")
    said: list[str] = []
    assert prepared(dataset, cache, said.append).corpus_hash == before.corpus_hash
    assert "is not a cache entry" in said[0]


def test_a_deleted_corpus_is_prepared_anew(dataset: Counted, cache: Path) -> None:
    corpus = prepared(dataset, cache)
    for file in corpus.directory.iterdir():
        file.unlink()
    corpus.directory.rmdir()
    assert prepared(dataset, cache).corpus_hash == corpus.corpus_hash


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    dataset: Counted, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"the disk is full; free space there; choose another folder with --cache or"):
        prepared(dataset, cache)
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    monkeypatch.undo()
    verify_corpus(prepared(dataset, cache))


def test_a_cache_folder_that_cannot_be_made_is_named(dataset: Counted, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/?.*: (Not a directory|File exists)"):
        prepared(dataset, tmp_path / "file")


def test_what_a_killed_preparation_left_is_cleared_away(dataset: Counted, cache: Path) -> None:
    corpus = prepared(dataset, cache)
    request = next(path.stem for path in (cache / "locks").iterdir())
    leftover = cache / "corpora" / f".{request[:16]}-left"
    leftover.mkdir()
    (leftover / "documents.spool").write_text("half")
    truncate(corpus.directory / TRAIN_FILE)
    prepared(dataset, cache)
    assert [path.name for path in (cache / "corpora").iterdir()] == [corpus.corpus_hash]


def test_processes_that_prepare_the_same_text_at_once_agree(dataset: Counted, cache: Path) -> None:
    jobs = [(dataset.model_copy(update={"key": key}), cache) for key in ("a", "a", None, "b")]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        hashes = pool.starmap(corpus_hash_of, jobs)
    assert len(set(hashes)) == 1
    assert [path.name for path in (cache / "corpora").iterdir()] == [hashes[0]]
    verify_corpus(open_corpus(cache / "corpora" / hashes[0]))


def test_the_manifest_lists_every_file_with_size_and_hash(dataset: Counted, cache: Path) -> None:
    corpus = prepared(dataset, cache)
    manifest = json.loads((corpus.directory / MANIFEST).read_bytes())
    others = {path.name: path.stat().st_size for path in corpus.directory.iterdir() if path.name != MANIFEST}
    assert {name: facts["bytes"] for name, facts in manifest["files"].items()} == others
