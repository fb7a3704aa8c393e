"""A prepared corpus: two memory-mapped token streams and what is known about them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.data import ReadingLog
from archbench.errors import DataError

FORMAT = 1
MANIFEST = "manifest.json"
TRAIN_FILE = "train.bin"
VALIDATION_FILE = "validation.bin"
VALIDATION_INDEX_FILE = "validation_index.bin"
TOKENIZER_FILE = "tokenizer.json"

_HASH_CHUNK_BYTES = 1 << 20
_REMEDY = "delete the folder {directory}; the next command that needs it prepares it anew"


@dataclass(frozen=True, slots=True)
class MappedTokens:
    """A stream of tokens in a memory-mapped file, or in any array."""

    ids: NDArray[np.unsignedinteger[Any]]

    @property
    def num_tokens(self) -> int:
        """Length of the stream."""
        return int(self.ids.shape[0])

    def window(self, start: int, length: int) -> NDArray[np.int64]:
        """Tokens [start, start + length), wrapping round at the end of the stream."""
        start %= self.num_tokens
        if start + length <= self.num_tokens:
            piece = self.ids[start : start + length]
        else:
            piece = self.ids[np.arange(start, start + length) % self.num_tokens]
        return piece.astype(np.int64)

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """`window` at each of `starts`: [len(starts), length]."""
        pieces: NDArray[np.unsignedinteger[Any]] = self.ids[(starts[:, None] + np.arange(length)) % self.num_tokens]
        return pieces.astype(np.int64)


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """What went into a corpus. Bytes are UTF-8 bytes of text; tokens include one end-of-text per document."""

    train_documents: int
    train_bytes: int
    train_tokens: int
    validation_documents: int
    validation_bytes: int
    validation_tokens: int
    duplicates_removed: int
    empty_removed: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Training and validation tokens, ready for batches. Documents stand in a fixed random order."""

    directory: Path
    corpus_hash: str
    """SHA-256 of both token streams, the validation documents' bounds and the tokenizer's fingerprint, in hex."""
    text_vocab_size: int
    """Ids of the tokenizer, end-of-text included; special tokens of an objective come behind."""
    end_of_text: int
    tokenizer_fingerprint: str
    train: MappedTokens
    validation: MappedTokens
    validation_ends: NDArray[np.int64]
    """[documents]: where each validation document ends in `validation`, its end-of-text included."""
    validation_utf8_bytes: NDArray[np.int64]
    """[documents]: UTF-8 bytes of each validation document's text."""
    statistics: CorpusStatistics
    dataset: Mapping[str, Any]
    """The dataset's config as it was when the corpus was prepared."""
    tokenizer: Mapping[str, Any]
    """The tokenizer's config."""
    reading: ReadingLog | None = None
    """What was read and left out when this text was asked for; None where that is not known, as for a corpus that is
    opened by its folder. The same corpus may come of different files."""

    @property
    def unique_tokens(self) -> int:
        """Tokens of the training split."""
        return self.train.num_tokens

    @property
    def validation_documents(self) -> int:
        """Number of validation documents."""
        return int(self.validation_ends.shape[0])

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of training text per training token."""
        return self.statistics.train_bytes / self.statistics.train_tokens

    @property
    def tokenizer_file(self) -> Path | None:
        """The tokenizer as the `tokenizers` library stores it; None for one of another sort."""
        path = self.directory / TOKENIZER_FILE
        return path if path.is_file() else None


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The little-endian type in which ids below `vocab_size` are stored."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's content, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_sha256(value: Any) -> str:
    """SHA-256 of `value` as JSON with sorted keys, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def corpus_hash_of(manifest: Mapping[str, Any]) -> str:
    """The corpus hash that follows from a manifest: tokens, their split and the tokenizer, not where they come from."""
    files = (TRAIN_FILE, VALIDATION_FILE, VALIDATION_INDEX_FILE)
    return canonical_sha256(
        {
            "format": FORMAT,
            "files": {name: manifest["files"][name]["sha256"] for name in files},
            "tokenizer_fingerprint": manifest["tokenizer_fingerprint"],
            "vocab_size": manifest["vocab_size"],
            "end_of_text": manifest["end_of_text"],
        }
    )


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """`manifest` with the hash of its own content, by which a damaged manifest is found."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return {**content, "manifest_sha256": canonical_sha256(content)}


def open_corpus(directory: Path) -> Corpus:
    """The corpus in `directory`. Raises DataError, naming the file and the remedy, if it is missing or damaged.

    Checked are the manifest's own hash and every file's size; `verify_corpus` also reads every byte.
    """
    manifest = _read_manifest(directory)
    for name, expected in manifest["files"].items():
        path = directory / name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _damaged(path, f"cannot be read ({error.strerror})") from error
        if size != expected["bytes"]:
            raise _damaged(path, f"has {size} bytes, expected {expected['bytes']}")
    dtype = token_dtype(manifest["vocab_size"])
    index = np.fromfile(directory / VALIDATION_INDEX_FILE, dtype="<i8").astype(np.int64).reshape(-1, 2)
    return Corpus(
        directory=directory,
        corpus_hash=manifest["corpus_hash"],
        text_vocab_size=manifest["vocab_size"],
        end_of_text=manifest["end_of_text"],
        tokenizer_fingerprint=manifest["tokenizer_fingerprint"],
        train=_mapped(directory / TRAIN_FILE, dtype),
        validation=_mapped(directory / VALIDATION_FILE, dtype),
        validation_ends=index[:, 0],
        validation_utf8_bytes=index[:, 1],
        statistics=CorpusStatistics(**manifest["statistics"]),
        dataset=manifest["dataset"],
        tokenizer=manifest["tokenizer"],
    )


def verify_corpus(corpus: Corpus) -> None:
    """Reads every byte of the corpus. Raises DataError, naming the file, if one has changed since it was prepared."""
    for name, expected in _read_manifest(corpus.directory)["files"].items():
        path = corpus.directory / name
        try:
            found = file_sha256(path)
        except OSError as error:
            raise _damaged(path, f"cannot be read ({error.strerror})") from error
        if found != expected["sha256"]:
            raise _damaged(path, f"has SHA-256 {found[:12]}…, expected {expected['sha256'][:12]}…")


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("manifest_sha256") != sealed(manifest)["manifest_sha256"]:
        raise _damaged(path, "does not match its own hash")
    if manifest["format"] != FORMAT:
        raise _damaged(path, f"has format {manifest['format']}, expected {FORMAT}")
    return manifest


def _mapped(path: Path, dtype: np.dtype[np.unsignedinteger[Any]]) -> MappedTokens:
    # A plain view: indexing a np.memmap object makes new memmap objects, at several times the cost.
    return MappedTokens(np.asarray(np.memmap(path, dtype=dtype, mode="r")))


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: {what}: the prepared corpus is damaged; {_REMEDY.format(directory=path.parent)}")
