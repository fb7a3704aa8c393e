"""Tokenizers keep what the suite asks for, and the suite catches what it is there to catch."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from archbench.api import Tokenizer, TokenizerConfig
from archbench.builtins.text.bytes_tokenizer import BytesTokenizer, BytesTokenizerConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.errors import DataError
from archbench.testing.tokenizer import TokenizerConformance


class TestBytes(TokenizerConformance):
    config = BytesTokenizerConfig()


class TestBpe(TokenizerConformance):
    config = BpeTokenizerConfig(vocab_size=400)


class Faulty(BytesTokenizer):
    """Bytes, but."""

    fault: ClassVar[str]
    prepared: ClassVar[int] = 0

    def __init__(self) -> None:
        type(self).prepared += 1
        self.fingerprint = str(self.prepared) if self.fault == "fingerprint" else BytesTokenizer.fingerprint

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        ids = super().encode_batch(texts)
        match self.fault:
            case "late loss":
                return [one if number < 64 else one[:-1] for number, one in enumerate(ids)]
            case "padding":
                longest = max(map(len, ids))
                return [np.pad(one, (0, longest - len(one)), constant_values=256) for one in ids]
            case "type":
                return [one.astype(np.int32) for one in ids]  # type: ignore[misc]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text = super().decode(ids)
        return text.strip() if self.fault == "strips" else text


class FaultyConfig(TokenizerConfig):
    kind: Literal["faulty"] = "faulty"

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        return Faulty()


class FaultySuite(TokenizerConformance):
    __test__ = False
    config = FaultyConfig()


@pytest.mark.parametrize(
    ("fault", "test", "told"),
    [
        ("late loss", FaultySuite.test_every_text_comes_back, "text 64 of 308"),
        ("late loss", FaultySuite.test_a_text_has_the_same_ids_alone_and_among_others, "has other ids alone"),
        ("strips", FaultySuite.test_every_text_comes_back, "comes back as"),
        ("padding", FaultySuite.test_ids_are_below_the_vocabulary_and_no_text_has_the_end_of_text, "end-of-text among"),
        ("type", FaultySuite.test_ids_are_below_the_vocabulary_and_no_text_has_the_end_of_text, "not int64"),
        ("fingerprint", FaultySuite.test_the_fingerprint_is_that_of_the_ids, "it has two fingerprints"),
    ],
)
def test_a_faulty_tokenizer_is_caught(
    monkeypatch: pytest.MonkeyPatch, fault: str, test: Callable[[TokenizerConformance], None], told: str
) -> None:
    monkeypatch.setattr(Faulty, "fault", fault, raising=False)
    with pytest.raises(AssertionError, match=told):
        test(FaultySuite())


def test_bytes_that_are_lost_end_the_preparation_of_a_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Faulty, "fault", "late loss", raising=False)
    with pytest.raises(DataError, match="loses text"):
        FaultySuite().test_bytes_counted_are_the_bytes_of_the_text(tmp_path)
