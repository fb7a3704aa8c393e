"""Documents on their way to a corpus: exact duplicates removed, split, and put into a fixed random order."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.data import Document
from archbench.errors import DataError

_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class SpooledDocuments:
    """Texts in one file, so that a corpus may be larger than the memory, with the split of their numbers."""

    path: Path
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    train: NDArray[np.int64]
    """Numbers of the training documents, in the order of the training stream."""
    validation: NDArray[np.int64]
    content_sha256: str
    """Of all ids and texts kept, in the order of reading, in hex."""
    duplicates_removed: int
    empty_removed: int
    split_was_forced: bool
    """Whether no hash fell on one side, so that one document was moved there."""
    text_hashes: bytes
    """The first 16 bytes of each text's SHA-256, one after the other."""

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the training documents."""
        return int(self.lengths[self.train].sum())

    def text_hashes_of(self, numbers: NDArray[np.int64]) -> set[bytes]:
        """Hashes of the texts of the documents `numbers`."""
        return {self.text_hashes[start : start + _HASH_BYTES] for start in (numbers * _HASH_BYTES).tolist()}

    def texts(self, numbers: NDArray[np.int64]) -> Iterator[tuple[str, int]]:
        """Text and UTF-8 length of the documents `numbers`, in that order."""
        with self.path.open("rb") as stream:
            for number in numbers:
                stream.seek(int(self.starts[number]))
                content = stream.read(int(self.lengths[number]))
                yield content.decode(), len(content)


def spool_documents(documents: Iterable[Document], path: Path, validation_fraction: float) -> SpooledDocuments:
    """Writes `documents` to `path`, leaving out empty ones and exact duplicates, and splits them.

    A document is for validation if the hash of its id falls below `validation_fraction`, so that it stays on its side
    when others come or go. Raises DataError where fewer than two different documents exist.
    """
    seen: set[bytes] = set()
    starts, lengths = array("q"), array("q")
    split_words, order_words = array("Q"), array("Q")
    text_hashes = bytearray()
    content_digest = hashlib.sha256()
    duplicates = empty = position = 0
    with path.open("wb") as stream:
        for document in documents:
            # A lone surrogate, which JSON can carry, has no UTF-8 form.
            content = document.text.encode("utf-8", "replace")
            if not content.strip():
                empty += 1
                continue
            text_hash = hashlib.sha256(content).digest()[:_HASH_BYTES]
            if text_hash in seen:
                duplicates += 1
                continue
            seen.add(text_hash)
            text_hashes += text_hash
            stream.write(content)
            starts.append(position)
            lengths.append(len(content))
            position += len(content)
            identity = document.id.encode("utf-8", "replace")
            content_digest.update(hashlib.sha256(identity).digest() + text_hash)
            split_words.append(_word(b"split", identity))
            order_words.append(_word(b"order", identity, text_hash))
    if len(starts) < 2:
        raise DataError(
            f"the dataset has {len(starts)} document{'s' if len(starts) != 1 else ''} that "
            f"{'are' if len(starts) != 1 else 'is'} neither empty nor a duplicate; validation takes whole documents, "
            "so give at least 2 (dataset text_files cuts a long file into several with cut_bytes)"
        )
    words = np.frombuffer(split_words, dtype=np.uint64)
    is_validation = words < np.uint64(min(validation_fraction * 2.0**64, 2.0**64 - 2048))
    forced = bool(is_validation.all() or not is_validation.any())
    if forced:
        is_validation[:] = is_validation[0]
        is_validation[np.argmin(words) if not is_validation[0] else np.argmax(words)] = not is_validation[0]
    order = np.argsort(np.frombuffer(order_words, dtype=np.uint64), kind="stable").astype(np.int64)
    return SpooledDocuments(
        path=path,
        starts=np.array(starts, dtype=np.int64),
        lengths=np.array(lengths, dtype=np.int64),
        train=order[~is_validation[order]],
        validation=order[is_validation[order]],
        content_sha256=content_digest.hexdigest(),
        duplicates_removed=duplicates,
        empty_removed=empty,
        split_was_forced=forced,
        text_hashes=bytes(text_hashes),
    )


def _word(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"\0".join(parts)).digest()[:8], "big")
