"""Tokenizers of the `tokenizers` library: byte-level BPE trained here, and tokenizers that exist already."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from archbench.contracts.data import Tokenizer, TokenizerConfig
from archbench.errors import DataError

if TYPE_CHECKING:
    import tokenizers

_NUM_BYTES = 256
_USUAL_END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
_LOSS_CHECK_TEXTS = 64
_LOSS_CHECK_CHARACTERS = 20_000


class LibraryTokenizer:
    """A tokenizer of the `tokenizers` library, used for text alone: special tokens in a text are mere characters."""

    def __init__(self, inner: "tokenizers.Tokenizer", *, end_of_text: int, vocab_size: int, fingerprint: str) -> None:
        inner.no_truncation()
        inner.no_padding()
        inner.encode_special_tokens = True
        self._inner = inner
        self.end_of_text = end_of_text
        self.vocab_size = vocab_size
        self.fingerprint = fingerprint

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text, without special tokens."""
        encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; end-of-text becomes nothing."""
        text: str = self._inner.decode([int(id_) for id_ in ids if id_ != self.end_of_text], skip_special_tokens=False)
        return text

    def to_json(self) -> str:
        """The content of a tokenizer.json."""
        content: str = self._inner.to_str()
        return content


class BpeTokenizerConfig(TokenizerConfig):
    """Tokenizer `bpe`: byte-level byte-pair encoding (Sennrich et al. 2016, Radford et al. 2019), trained here."""

    kind: Literal["bpe"] = "bpe"
    summary: ClassVar[str] = "byte-level BPE, trained on the training split"
    modules: ClassVar[tuple[str, ...]] = ("tokenizers",)
    added_later = frozenset({"sample_bytes"})

    vocab_size: int = Field(4096, gt=_NUM_BYTES + 1)
    """Most ids, bytes and end-of-text included; a small text yields fewer."""
    sample_bytes: PositiveInt | None = None
    """Trains on the first documents that hold so many UTF-8 bytes; None: on the whole training text."""

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        """The trained tokenizer; the same texts give the same one. End-of-text is its last id."""
        from tokenizers import Tokenizer as Inner
        from tokenizers import decoders, models, pre_tokenizers, trainers

        inner = Inner(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size - 1,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(_first(training_texts, self.sample_bytes), trainer)
        end_of_text = inner.get_vocab_size()
        return LibraryTokenizer(
            inner,
            end_of_text=end_of_text,
            vocab_size=end_of_text + 1,
            fingerprint=hashlib.sha256(inner.to_str().encode()).hexdigest(),
        )

    def cache_key(self) -> str:
        """A constant: the texts and the size decide."""
        return "bpe"


def _first(texts: Iterable[str], num_bytes: int | None) -> Iterator[str]:
    """Whole texts until `num_bytes` are reached; all for None."""
    total = 0
    for text in texts:
        yield text
        total += len(text.encode())
        if num_bytes is not None and total >= num_bytes:
            return


class PretrainedTokenizerConfig(TokenizerConfig):
    """Tokenizer `pretrained`: a tokenizer.json from a file, a folder or the hub, which keeps every byte of a text."""

    kind: Literal["pretrained"] = "pretrained"
    summary: ClassVar[str] = "an existing tokenizer.json: a file, a folder, or an id on the Hugging Face hub"
    modules: ClassVar[tuple[str, ...]] = ("tokenizers",)

    path: str
    """A tokenizer.json, a folder that holds one (relative to that of the spec), or an id on the hub such as
    `openai-community/gpt2`."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    end_of_text: str | None = None
    """Its token behind each document; None: the usual one that it knows, else one more id is added."""

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        """The tokenizer. Raises DataError if it cannot be had, or changes one of the first texts in coding."""
        from tokenizers import Tokenizer as Inner

        path = self._local_file() or self._downloaded()
        content = path.read_bytes()
        try:
            inner = Inner.from_buffer(content)
        except Exception as error:  # the library raises nothing narrower
            raise DataError(
                f"{path}: is not a tokenizer of the tokenizers library: {_one_line(error)}; give its tokenizer.json"
            ) from error
        vocabulary: dict[str, int] = inner.get_vocab(with_added_tokens=True)
        size = max(vocabulary.values(), default=-1) + 1
        end_of_text = self._end_of_text(path, vocabulary, size)
        tokenizer = LibraryTokenizer(
            inner,
            end_of_text=end_of_text,
            vocab_size=max(size, end_of_text + 1),
            fingerprint=hashlib.sha256(content + f"\0{end_of_text}".encode()).hexdigest(),
        )
        _refuse_loss(path, tokenizer, training_texts)
        return tokenizer

    def cache_key(self) -> str:
        """The file's hash; for the hub a constant: what was first fetched stays."""
        path = self._local_file()
        return hashlib.sha256(path.read_bytes()).hexdigest() if path else "hub"

    def _end_of_text(self, path: Path, vocabulary: dict[str, int], size: int) -> int:
        if self.end_of_text is None:
            return next((vocabulary[token] for token in _USUAL_END_OF_TEXT if token in vocabulary), size)
        if self.end_of_text not in vocabulary:
            raise DataError(
                f"data.tokenizer.end_of_text: {path} has no token {self.end_of_text!r}; name one of its tokens, "
                "or leave it out"
            )
        return vocabulary[self.end_of_text]

    def _local_file(self) -> Path | None:
        path = self.located(self.path)
        if path.is_dir():
            path = path / "tokenizer.json"
        if path.is_file():
            return path
        # An id on the hub is `name` or `owner/name`.
        if path.name.endswith(".json") or self.path.startswith((".", "/", "~")) or self.path.count("/") > 1:
            raise DataError(f"{path}: no such tokenizer file; data.tokenizer.path is relative to {self.paths_start_at}")
        return None

    def _downloaded(self) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError

        try:
            return Path(hf_hub_download(self.path, "tokenizer.json", revision=self.revision))
        except (OSError, HFValidationError) as error:
            raise DataError(
                f"tokenizer {self.path!r} cannot be fetched from the hub: {_one_line(error)}; check the id and the "
                "connection, or give the path of a local tokenizer.json"
            ) from error


def _refuse_loss(path: Path, tokenizer: LibraryTokenizer, texts: Iterable[str]) -> None:
    """Bits per byte count the bytes of the text, so the tokens must hold all of them."""
    sample = [text[:_LOSS_CHECK_CHARACTERS] for text in itertools.islice(texts, _LOSS_CHECK_TEXTS)]
    for text, ids in zip(sample, tokenizer.encode_batch(sample), strict=True):
        decoded = tokenizer.decode(ids.tolist())
        if decoded != text:
            place = next((i for i, (a, b) in enumerate(zip(text, decoded, strict=False)) if a != b), len(decoded))
            raise DataError(
                f"{path}: loses text: {text[place : place + 20]!r} comes back as {decoded[place : place + 20]!r}; "
                "bits per byte need a tokenizer that keeps every byte, such as a byte-level BPE"
            )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
