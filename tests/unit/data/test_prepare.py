"""Documents to a corpus: split, duplicates, order, and what is refused."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from spy_tokenizer import SpyTokenizerConfig

from archbench.builtins.text.bytes_tokenizer import BytesTokenizer, BytesTokenizerConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.contracts.data import DatasetConfig, Document, Tokenizer, TokenizerConfig
from archbench.data.corpus import Corpus, MappedTokens
from archbench.data.prepare import prepare_corpus
from archbench.errors import DataError


class Listed(DatasetConfig):
    """Documents from the spec itself; without a cheap key, so that they are read every time."""

    kind: Literal["listed"] = "listed"
    texts: dict[str, str]

    def documents(self) -> Iterator[Document]:
        return (Document(name, text) for name, text in self.texts.items())


class LateLossTokenizerConfig(TokenizerConfig):
    """Bytes, that lose the umlauts of every text after the first `sound` ones."""

    kind: Literal["late_loss"] = "late_loss"
    sound: int

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        return LateLoss(self.sound)


class LateLoss(BytesTokenizer):
    def __init__(self, sound: int) -> None:
        self.left = sound

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        self.left -= len(texts)
        return super().encode_batch([text if self.left >= 0 else text.replace("ü", "u") for text in texts])


def numbered(count: int) -> dict[str, str]:
    return {f"document {number}": f"Text of document {number}, with its ümlaut." for number in range(count)}


def prepared(texts: dict[str, str], cache: Path, fraction: float = 0.2) -> Corpus:
    return prepare_corpus(Listed(texts=texts), BytesTokenizerConfig(), validation_fraction=fraction, cache_dir=cache)


def texts_in(tokens: MappedTokens) -> list[str]:
    content = tokens.window(0, tokens.num_tokens)
    pieces = np.split(content, np.flatnonzero(content == 256) + 1)
    return [BytesTokenizer().decode(piece.tolist()) for piece in pieces if len(piece)]


def test_every_document_is_in_exactly_one_split(tmp_path: Path) -> None:
    texts = numbered(100)
    corpus = prepared(texts, tmp_path)
    train, validation = texts_in(corpus.train), texts_in(corpus.validation)
    assert sorted(train + validation) == sorted(texts.values())
    # 100 draws at 0.2: 3 standard deviations are 12.
    assert 8 <= len(validation) <= 32


def test_a_document_keeps_its_split_when_others_come(tmp_path: Path) -> None:
    few, many = prepared(numbered(50), tmp_path), prepared(numbered(100), tmp_path)
    assert set(texts_in(few.validation)) < set(texts_in(many.validation))
    assert set(texts_in(few.train)) < set(texts_in(many.train))


@pytest.mark.parametrize("sound", [0, 64, 250])
def test_a_tokenizer_that_loses_validation_text_is_refused_however_late_it_begins(tmp_path: Path, sound: int) -> None:
    """Bytes per token, and so bits per byte, are of all of the validation text."""
    with pytest.raises(DataError) as caught:
        prepare_corpus(
            Listed(texts=numbered(300)),
            LateLossTokenizerConfig(sound=sound),
            validation_fraction=0.5,
            cache_dir=tmp_path,
        )
    problem = str(caught.value)
    assert "tokenizer 'late_loss' loses text: in validation document 1 of " in problem
    assert "'ümlaut.' comes back as 'umlaut.'" in problem
    assert not list((tmp_path / "corpora").iterdir()), "a corpus that must not be used was left"


def test_the_order_is_shuffled_and_does_not_depend_on_the_order_of_reading(tmp_path: Path) -> None:
    texts = numbered(60)
    forwards = prepared(texts, tmp_path / "forwards")
    backwards = prepared(dict(reversed(texts.items())), tmp_path / "backwards")
    assert forwards.corpus_hash == backwards.corpus_hash
    assert texts_in(forwards.train) == texts_in(backwards.train)
    assert texts_in(forwards.train) != [text for text in texts.values() if text in set(texts_in(forwards.train))]


def test_duplicates_and_empty_documents_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = numbered(30)
    corpus = prepared({**texts, "copy": texts["document 3"], "blank": " \n", "again": texts["document 3"]}, tmp_path)
    assert sorted(texts_in(corpus.train) + texts_in(corpus.validation)) == sorted(texts.values())
    assert (corpus.statistics.duplicates_removed, corpus.statistics.empty_removed) == (2, 1)


def test_the_tokenizer_sees_training_texts_only(tmp_path: Path) -> None:
    config = SpyTokenizerConfig(file=tmp_path / "seen.json")
    corpus = prepare_corpus(Listed(texts=numbered(40)), config, validation_fraction=0.3, cache_dir=tmp_path)
    assert json.loads(config.file.read_text()) == texts_in(corpus.train)


def test_statistics_and_document_bounds_are_exact(tmp_path: Path) -> None:
    corpus = prepared(numbered(50), tmp_path)
    train, validation = texts_in(corpus.train), texts_in(corpus.validation)
    stats = corpus.statistics
    assert stats.train_documents == len(train)
    assert stats.train_bytes == sum(len(text.encode()) for text in train)
    assert stats.train_tokens == corpus.unique_tokens == stats.train_bytes + len(train)
    assert corpus.bytes_per_token == stats.train_bytes / stats.train_tokens
    assert corpus.validation_utf8_bytes.tolist() == [len(text.encode()) for text in validation]
    assert corpus.validation_ends.tolist() == np.cumsum(corpus.validation_utf8_bytes + 1).tolist()
    assert corpus.validation_documents == len(validation)


def test_the_corpus_hash_follows_the_text_the_split_and_the_tokenizer(tmp_path: Path) -> None:
    texts = numbered(50)
    bpe = BpeTokenizerConfig(vocab_size=300)
    hashes = {
        prepared(texts, tmp_path).corpus_hash,
        prepared({**texts, "document 7": "other"}, tmp_path).corpus_hash,
        prepared(texts, tmp_path, fraction=0.5).corpus_hash,
        prepare_corpus(Listed(texts=texts), bpe, validation_fraction=0.2, cache_dir=tmp_path).corpus_hash,
    }
    assert len(hashes) == 4
    assert prepared(texts, tmp_path / "elsewhere").corpus_hash in hashes


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_a_small_dataset_is_split_all_the_same_and_says_so(tmp_path: Path, fraction: float) -> None:
    said: list[str] = []
    corpus = prepare_corpus(
        Listed(texts=numbered(3)),
        BytesTokenizerConfig(),
        validation_fraction=fraction,
        cache_dir=tmp_path,
        report=said.append,
    )
    assert {corpus.statistics.train_documents, corpus.validation_documents} == {1, 2}
    assert any("one document was moved" in line for line in said)


@pytest.mark.parametrize("texts", [{}, {"one": "text"}, {"one": "text", "two": "text", "three": ""}])
def test_too_little_text_is_refused_with_the_remedy(tmp_path: Path, texts: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"has [01] documents? that (is|are) neither .* give at least 2"):
        prepared(texts, tmp_path)
    assert not list((tmp_path / "corpora").iterdir())


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_fraction_is_refused(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(DataError, match=r"data\.validation_fraction: got .*, expected a share between 0 and 1"):
        prepared(numbered(3), tmp_path, fraction)


def test_text_that_has_no_utf8_form_is_replaced(tmp_path: Path) -> None:
    corpus = prepared({"lone surrogate": "a\ud800b", "plain": "c"}, tmp_path, 0.5)
    assert sorted(texts_in(corpus.train) + texts_in(corpus.validation)) == ["a?b", "c"]


def test_windows_wrap_round_at_the_end_of_the_stream() -> None:
    tokens = MappedTokens(np.arange(10, dtype=np.uint16))
    assert tokens.window(8, 4).tolist() == [8, 9, 0, 1]
    assert tokens.window(13, 3).tolist() == [3, 4, 5]
    assert tokens.windows(np.array([8, 2]), 3).tolist() == [[8, 9, 0], [2, 3, 4]]
