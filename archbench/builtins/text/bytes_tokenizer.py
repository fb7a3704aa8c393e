"""UTF-8 bytes as tokens: nothing to train, and the smallest vocabulary that writes every text."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.data import Tokenizer, TokenizerConfig

_NUM_BYTES = 256


class BytesTokenizer:
    """Ids 0 to 255 are bytes; 256 is end-of-text."""

    vocab_size = _NUM_BYTES + 1
    end_of_text = _NUM_BYTES
    fingerprint = hashlib.sha256(b"archbench bytes: UTF-8, end-of-text 256").hexdigest()

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The UTF-8 bytes of each text."""
        return [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; end-of-text becomes nothing, broken UTF-8 the replacement character."""
        return bytes(value for value in ids if value < _NUM_BYTES).decode("utf-8", "replace")


class BytesTokenizerConfig(TokenizerConfig):
    """Tokenizer `bytes`."""

    kind: Literal["bytes"] = "bytes"
    summary: ClassVar[str] = "UTF-8 bytes and end-of-text: 257 ids, nothing to train"

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        """The tokenizer; `training_texts` are not read."""
        return BytesTokenizer()

    def cache_key(self) -> str:
        """A constant."""
        return "bytes"
