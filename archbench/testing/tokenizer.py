"""The conformance suite that every tokenizer passes, archbench's own and strangers' alike."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from pydantic import PrivateAttr, ValidationError

from archbench.api import DatasetConfig, Document, Tokenizer, TokenizerConfig
from archbench.data.prepare import prepare_corpus
from archbench.testing.torch_free import torch_libraries_loaded_by

HARD_TEXTS = (
    "\n\n\t x  y ",
    "Größe 中文 🙂\u2028",
    "<|endoftext|> [SEP] </s> <pad>",
    "\x00\x01\x7f",
    "e\u0301 and \u00e9",
    "a" * 5000,
    "  leading and trailing  ",
    "UPPER lower 0123456789",
)
"""What tokenizers like to normalise, merge or drop."""

_WORDS = ("the", "Law", "of", "scaling", "naïve", "東京", "x=1;", "\n", "—")


class Texts(DatasetConfig):
    """Documents as given."""

    kind: Literal["texts"] = "texts"
    texts: tuple[str, ...]

    def documents(self) -> Iterator[Document]:
        """The texts, by number."""
        return (Document(str(number), text) for number, text in enumerate(self.texts))


class Remembering(TokenizerConfig):
    """Another tokenizer, and what was made of it: it sees the training split alone."""

    kind: Literal["remembering"] = "remembering"
    _of: TokenizerConfig = PrivateAttr()
    _made: list[Tokenizer] = PrivateAttr(default_factory=list)

    @classmethod
    def what(cls, config: TokenizerConfig) -> "Remembering":
        """Remembers the tokenizer that is made by `config`."""
        remembering = cls()
        remembering._of = config
        return remembering

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        """The other one's."""
        self._made.append(self._of.prepare(training_texts))
        return self._made[-1]

    @property
    def made(self) -> Tokenizer:
        """The last one."""
        return self._made[-1]


class TokenizerConformance:
    """What archbench relies on in a tokenizer. Subclass it with a `config`, and pytest runs the whole suite.

    ```python
    class TestMyTokenizer(TokenizerConformance):
        config = MyTokenizerConfig(vocab_size=1000)
    ```
    """

    config: ClassVar[TokenizerConfig]
    """The tokenizer under test, with its settings."""

    num_texts: ClassVar[int] = 300
    """Documents beside the hard ones: a fault may show after the first batch only."""

    def texts(self) -> list[str]:
        """Seeded texts of words and signs of several scripts, the hard ones among them."""
        draw = random.Random(0)
        made = [f"{number}: " + " ".join(draw.choices(_WORDS, k=40)) for number in range(self.num_texts)]
        return [*made, *HARD_TEXTS]

    def prepared(self) -> Tokenizer:
        """The tokenizer, trained on the texts if it is of a kind that is trained."""
        return self.config.prepare(self.texts())

    # The config

    def test_config_survives_a_round_trip(self) -> None:
        """Specs and corpora keep configs as plain data; unknown keys are refused."""
        kind = type(self.config)
        assert kind.model_validate_json(self.config.model_dump_json()) == self.config, "model_dump_json loses something"
        with pytest.raises(ValidationError):
            kind.model_validate({**self.config.model_dump(), "no_such_setting": 1})

    def test_importing_loads_no_torch(self) -> None:
        """Plans know tokenizers without loading torch."""
        loaded = torch_libraries_loaded_by(self.config, "config.cache_key()")
        assert loaded == [], f"importing {type(self.config).__module__} loaded {loaded}"

    # The ids

    def test_ids_are_below_the_vocabulary_and_no_text_has_the_end_of_text(self) -> None:
        """Ids are int64; the one between documents stands for nothing that a text can hold."""
        tokenizer = self.prepared()
        assert 0 <= tokenizer.end_of_text < tokenizer.vocab_size, "end_of_text is not below vocab_size"
        for text, ids in zip(self.texts(), tokenizer.encode_batch(self.texts()), strict=True):
            assert ids.dtype == np.int64, f"ids are {ids.dtype}, not int64"
            assert all(0 <= one < tokenizer.vocab_size for one in ids.tolist()), f"{text[:20]!r} has ids out of range"
            assert tokenizer.end_of_text not in ids.tolist(), f"{text[:20]!r} has end-of-text among its ids"

    def test_a_text_has_the_same_ids_alone_and_among_others(self) -> None:
        """How texts are batched is no part of what a run is identified by."""
        tokenizer, texts = self.prepared(), self.texts()
        together = tokenizer.encode_batch(texts)
        for number in range(0, len(texts), 17):
            (alone,) = tokenizer.encode_batch(texts[number : number + 1])
            assert alone.tolist() == together[number].tolist(), f"text {number} has other ids alone than among others"

    def test_the_fingerprint_is_that_of_the_ids(self) -> None:
        """The same texts give the same tokenizer; one that gives other ids has another fingerprint."""
        first, again = self.prepared(), self.prepared()
        assert first.fingerprint == again.fingerprint, "prepared twice, it has two fingerprints"
        assert _ids(first, self.texts()) == _ids(again, self.texts()), "prepared twice, it gives other ids"
        other = self.config.prepare([text[::-1] for text in self.texts()])
        if _ids(other, self.texts()) != _ids(first, self.texts()):
            assert other.fingerprint != first.fingerprint, "one fingerprint stands for two tokenizers"

    # The text

    def test_every_text_comes_back(self) -> None:
        """Byte for byte, the last of many texts as the first: a loss is measured on all of the text."""
        tokenizer = self.prepared()
        for number, (text, ids) in enumerate(zip(self.texts(), tokenizer.encode_batch(self.texts()), strict=True)):
            back = tokenizer.decode(ids.tolist())
            assert back == text, f"text {number} of {len(self.texts())}, {text[:40]!r}, comes back as {back[:40]!r}"

    def test_bytes_counted_are_the_bytes_of_the_text(self, tmp_path: Path) -> None:
        """Bits per byte divide by the UTF-8 bytes of the validation documents, whose tokens hold just these bytes."""
        texts, remembering = self.texts(), Remembering.what(self.config)
        dataset = Texts(texts=tuple(texts))
        corpus = prepare_corpus(dataset, remembering, validation_fraction=0.5, cache_dir=tmp_path)
        ends = corpus.validation_ends.tolist()
        held_out = []
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            ids = corpus.validation.window(start, end - start)
            assert ids[-1] == corpus.end_of_text, "a document does not end in end-of-text"
            held_out.append(remembering.made.decode(ids[:-1].tolist()))
        assert set(held_out) <= set(texts), "validation tokens hold what is none of the texts"
        counted = corpus.validation_utf8_bytes.tolist()
        assert counted == [len(text.encode()) for text in held_out], "bytes counted are not the bytes of the text"
        total = corpus.statistics.train_bytes + corpus.statistics.validation_bytes
        assert total == sum(len(text.encode()) for text in texts), "bytes of both splits are not the bytes of all texts"


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [ids.tolist() for ids in tokenizer.encode_batch(texts)]
