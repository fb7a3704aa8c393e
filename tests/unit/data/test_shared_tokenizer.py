"""Several texts under one tokenizer: what it is trained on, and how their corpora relate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from spy_tokenizer import SpyTokenizerConfig

from archbench.builtins.text.bytes_tokenizer import BytesTokenizer, BytesTokenizerConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.contracts.data import DatasetConfig, Document, TokenizerConfig
from archbench.data import prepare
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpora, prepare_corpus, require_same_tokenizer
from archbench.errors import DataError

ENGLISH = ("the", "ship", "sailed", "over", "water", "and", "night", "fell", "slowly", "upon", "harbour")
GERMAN = ("das", "Schiff", "fuhr", "über", "Wasser", "und", "Nacht", "senkte", "sich", "langsam", "Hafen")


class Words(DatasetConfig):
    """Documents of words in a fixed, irregular order."""

    kind: Literal["words"] = "words"
    words: tuple[str, ...]
    documents_count: int = 60
    first: int = 0
    prefix: str = ""

    def documents(self) -> Iterator[Document]:
        for number in range(self.first, self.first + self.documents_count):
            picked = (self.words[(number * number + 7 * k * k) % len(self.words)] for k in range(40))
            yield Document(f"{self.prefix}{number}", f"{self.words[0]} {number} " + " ".join(picked))

    def cache_key(self) -> str:
        return "fixed"


EN, DE = Words(words=ENGLISH), Words(words=GERMAN, documents_count=600)


def together(datasets: dict[str, DatasetConfig], tokenizer: TokenizerConfig, cache: Path) -> dict[str, Corpus]:
    return prepare_corpora(datasets, tokenizer, validation_fraction=0.2, cache_dir=cache)


def test_each_side_has_its_own_corpus_and_all_have_one_tokenizer(tmp_path: Path) -> None:
    corpora = together({"en": EN, "de": DE}, BpeTokenizerConfig(vocab_size=300), tmp_path)
    assert list(corpora) == ["en", "de"]
    assert corpora["en"].corpus_hash != corpora["de"].corpus_hash
    assert corpora["en"].directory != corpora["de"].directory
    assert corpora["en"].tokenizer_fingerprint == corpora["de"].tokenizer_fingerprint
    assert corpora["en"].dataset["words"][0] == "the"
    require_same_tokenizer(corpora)


def test_the_shared_tokenizer_writes_both_sides_shorter_than_that_of_the_other_side_alone(tmp_path: Path) -> None:
    bpe = BpeTokenizerConfig(vocab_size=300)
    shared = together({"en": EN, "de": DE}, bpe, tmp_path)["de"]
    english = prepare_corpus(EN, bpe, validation_fraction=0.2, cache_dir=tmp_path)
    from tokenizers import Tokenizer

    assert english.tokenizer_file is not None
    foreign = Tokenizer.from_file(str(english.tokenizer_file))
    sample = next(DE.documents()).text
    assert shared.tokenizer_file is not None
    own = Tokenizer.from_file(str(shared.tokenizer_file))
    assert len(own.encode(sample).ids) < len(foreign.encode(sample).ids)


def test_a_trained_tokenizer_sees_equal_bytes_of_each_side_and_no_validation_text(tmp_path: Path) -> None:
    spy = SpyTokenizerConfig(file=tmp_path / "seen.json")
    corpora = together({"en": EN, "de": DE}, spy, tmp_path / "cache")
    shown = json.loads(spy.file.read_text())
    german = sum(len(text.encode()) for text in shown if text.startswith("das"))
    english = sum(len(text.encode()) for text in shown) - german
    assert english == corpora["en"].statistics.train_bytes
    # The last text of the larger side is cut at a whole character.
    assert english - 3 <= german <= english
    held_out = [
        BytesTokenizer().decode(corpus.validation.window(0, int(corpus.validation_ends[0])).tolist())
        for corpus in corpora.values()
    ]
    assert not set(held_out) & set(shown)


def test_names_order_and_repetition_of_the_sides_do_not_matter(tmp_path: Path) -> None:
    bpe = BpeTokenizerConfig(vocab_size=300)
    first = together({"en": EN, "de": DE}, bpe, tmp_path / "a")
    other = together({"ziel": DE, "quelle": EN, "zurück": EN}, bpe, tmp_path / "b")
    assert other["ziel"].corpus_hash == first["de"].corpus_hash
    assert other["quelle"].corpus_hash == other["zurück"].corpus_hash == first["en"].corpus_hash


def test_bytes_give_each_side_the_corpus_that_it_has_alone(tmp_path: Path) -> None:
    shared = together({"en": EN, "de": DE}, BytesTokenizerConfig(), tmp_path)
    alone = prepare_corpus(DE, BytesTokenizerConfig(), validation_fraction=0.2, cache_dir=tmp_path)
    assert shared["de"].corpus_hash == alone.corpus_hash
    # One end-of-text for each document is the only token that is no byte.
    statistics = alone.statistics
    assert alone.bytes_per_token == statistics.train_bytes / (statistics.train_bytes + statistics.train_documents)


def test_the_cache_serves_all_sides_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bpe = BpeTokenizerConfig(vocab_size=300)
    first = together({"en": EN, "de": DE}, bpe, tmp_path)
    monkeypatch.setattr(prepare, "spool_documents", pytest.fail)
    again = together({"de": DE, "en": EN}, bpe, tmp_path)
    assert {name: corpus.corpus_hash for name, corpus in again.items()} == {
        name: corpus.corpus_hash for name, corpus in first.items()
    }


def said_of(datasets: dict[str, DatasetConfig], cache: Path) -> list[str]:
    said: list[str] = []
    prepare_corpora(datasets, BytesTokenizerConfig(), validation_fraction=0.2, cache_dir=cache, report=said.append)
    return said


def test_validation_text_that_the_other_side_trains_on_is_said_each_time(tmp_path: Path) -> None:
    renamed = Words(words=ENGLISH, prefix="copy of ")
    for _ in range(2):
        said = said_of({"source": renamed, "target": EN}, tmp_path)
        assert [line for line in said if "validation documents of target are also training text of source" in line]


def test_equal_documents_of_equal_ids_are_on_the_same_side_of_both_splits(tmp_path: Path) -> None:
    longer = Words(words=ENGLISH, documents_count=90)
    said = said_of({"source": longer, "target": EN}, tmp_path)
    assert not [line for line in said if "also training text" in line]


def test_different_tokenizers_are_one_line(tmp_path: Path) -> None:
    corpora = {
        "pre-training": prepare_corpus(EN, BytesTokenizerConfig(), validation_fraction=0.2, cache_dir=tmp_path),
        "target": prepare_corpus(DE, BpeTokenizerConfig(vocab_size=300), validation_fraction=0.2, cache_dir=tmp_path),
    }
    expected = r"pre-training and target have different tokenizers: 'bytes' of 257 ids \(\w{12}\) and 'bpe' of 300 ids"
    with pytest.raises(DataError, match=expected) as raised:
        require_same_tokenizer(corpora)
    assert "\n" not in str(raised.value)


def test_what_is_wrong_with_one_side_is_said_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^de: the dataset has 1 document that is neither empty nor a duplicate"):
        together({"en": EN, "de": Words(words=GERMAN, documents_count=1)}, BytesTokenizerConfig(), tmp_path)
