"""A tokenised corpus on the disk: two token streams, the validation documents' bounds, the tokenizer, a manifest."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.data import DatasetConfig, Tokenizer, TokenizerConfig
from archbench.data.cache import Report
from archbench.data.corpus import (
    FORMAT,
    MANIFEST,
    TOKENIZER_FILE,
    TRAIN_FILE,
    VALIDATION_FILE,
    VALIDATION_INDEX_FILE,
    CorpusStatistics,
    corpus_hash_of,
    file_sha256,
    sealed,
    token_dtype,
)
from archbench.data.documents import SpooledDocuments
from archbench.durable import write_whole
from archbench.errors import DataError
from archbench.units import human_bytes, human_count

_ENCODE_BATCH_BYTES = 4 << 20


@runtime_checkable
class SerializableTokenizer(Protocol):
    """A tokenizer that the `tokenizers` library can store."""

    def to_json(self) -> str:
        """The content of a tokenizer.json."""
        ...


def write_corpus(
    working: Path,
    dataset: DatasetConfig,
    tokenizer: TokenizerConfig,
    prepared: Tokenizer,
    spooled: SpooledDocuments,
    report: Report,
) -> dict[str, Any]:
    """Writes the corpus of `spooled` under the tokenizer `prepared` into the empty folder `working`; its manifest.

    `dataset` and `tokenizer` are the configs, which the manifest keeps. Raises DataError for ids out of range, and for
    a validation document that its tokens do not hold whole.
    """
    text_bytes = int(spooled.lengths.sum())
    report(f"tokenising {len(spooled.starts)} documents ({human_bytes(text_bytes)}) with {tokenizer.kind!r}")
    train_ends = _write_tokens(working / TRAIN_FILE, prepared, spooled, spooled.train)
    validation_ends = _write_tokens(working / VALIDATION_FILE, prepared, spooled, spooled.validation)
    _refuse_loss(working / VALIDATION_FILE, tokenizer.kind, prepared, spooled, validation_ends)
    validation_bytes = spooled.lengths[spooled.validation]
    index = np.stack([validation_ends, validation_bytes], axis=1).astype("<i8")
    write_whole(working / VALIDATION_INDEX_FILE, index.tobytes())
    if isinstance(prepared, SerializableTokenizer):
        write_whole(working / TOKENIZER_FILE, prepared.to_json().encode())
    statistics = CorpusStatistics(
        train_documents=len(spooled.train),
        train_bytes=int(spooled.lengths[spooled.train].sum()),
        train_tokens=int(train_ends[-1]),
        validation_documents=len(spooled.validation),
        validation_bytes=int(validation_bytes.sum()),
        validation_tokens=int(validation_ends[-1]),
        duplicates_removed=spooled.duplicates_removed,
        empty_removed=spooled.empty_removed,
    )
    files = sorted(working.iterdir())
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files},
        "vocab_size": prepared.vocab_size,
        "end_of_text": prepared.end_of_text,
        "tokenizer_fingerprint": prepared.fingerprint,
        "statistics": asdict(statistics),
        "dataset": dataset.model_dump(mode="json"),
        "tokenizer": tokenizer.model_dump(mode="json"),
    }
    manifest = sealed({**manifest, "corpus_hash": corpus_hash_of(manifest)})
    write_whole(working / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode())
    report(
        f"corpus of {human_count(statistics.train_tokens)} training and "
        f"{human_count(statistics.validation_tokens)} validation tokens; "
        f"{spooled.duplicates_removed} duplicates removed"
    )
    return manifest


def _write_tokens(
    path: Path, tokenizer: Tokenizer, spooled: SpooledDocuments, numbers: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Writes the documents `numbers`, each followed by end-of-text; where each ends in the stream."""
    dtype = token_dtype(tokenizer.vocab_size)
    lengths: list[int] = []
    with path.open("wb") as stream:
        for texts in _batches_of_texts(spooled, numbers):
            encoded = tokenizer.encode_batch(texts)
            pieces: list[NDArray[np.int64]] = []
            closing = np.array([tokenizer.end_of_text], dtype=np.int64)
            for ids in encoded:
                pieces += (ids, closing)
                lengths.append(len(ids) + 1)
            tokens = np.concatenate(pieces)
            if tokens.min() < 0 or tokens.max() >= tokenizer.vocab_size:
                raise DataError(
                    f"the tokenizer gave id {int(tokens.max())}, expected ids below its vocab_size "
                    f"{tokenizer.vocab_size}; this is a defect of the tokenizer"
                )
            stream.write(tokens.astype(dtype).tobytes())
        stream.flush()
        os.fsync(stream.fileno())
    return np.cumsum(np.array(lengths, dtype=np.int64))


def _refuse_loss(
    path: Path, kind: str, tokenizer: Tokenizer, spooled: SpooledDocuments, ends: NDArray[np.int64]
) -> None:
    """Bits per byte count every byte of the validation text: the tokens as they are stored must hold all of them.

    Raises DataError, with the place, for the first document that does not come back from `path` as it was.
    """
    stored = np.fromfile(path, dtype=token_dtype(tokenizer.vocab_size))
    starts = np.concatenate([[0], ends[:-1]])
    documents = zip(spooled.texts(spooled.validation), starts.tolist(), ends.tolist(), strict=True)
    for number, ((text, _), start, end) in enumerate(documents):
        decoded = tokenizer.decode(stored[start : end - 1].tolist())
        if decoded == text:
            continue
        place = next((i for i, (a, b) in enumerate(zip(text, decoded, strict=False)) if a != b), len(decoded))
        place = min(place, len(text))
        raise DataError(
            f"tokenizer {kind!r} loses text: in validation document {number + 1} of {len(ends)}, at character "
            f"{place + 1:,}, {text[place : place + 20]!r} comes back as {decoded[place : place + 20]!r}; bits per byte "
            "need a tokenizer that keeps every byte, such as a byte-level BPE"
        )


def _batches_of_texts(spooled: SpooledDocuments, numbers: NDArray[np.int64]) -> Iterator[list[str]]:
    texts: list[str] = []
    size = 0
    for text, num_bytes in spooled.texts(numbers):
        texts.append(text)
        size += num_bytes
        if size >= _ENCODE_BATCH_BYTES:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts
