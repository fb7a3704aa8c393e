"""Documents to a prepared corpus, once: the cache is addressed by content, whole or absent, and safe to share."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, Tokenizer, TokenizerConfig
from archbench.data.corpus import (
    FORMAT,
    MANIFEST,
    TOKENIZER_FILE,
    TRAIN_FILE,
    VALIDATION_FILE,
    VALIDATION_INDEX_FILE,
    Corpus,
    CorpusStatistics,
    canonical_sha256,
    corpus_hash_of,
    file_sha256,
    open_corpus,
    sealed,
    token_dtype,
    verify_corpus,
)
from archbench.data.documents import SpooledDocuments, spool_documents
from archbench.errors import DataError
from archbench.units import human_bytes, human_count

_ENCODE_BATCH_BYTES = 4 << 20
_FULL_CHECK_LIMIT_BYTES = 1 << 30
"""Below this a cached corpus is read and hashed in full before use, at about a second per GiB."""

Report = Callable[[str], None]


@runtime_checkable
class SerializableTokenizer(Protocol):
    """A tokenizer that the `tokenizers` library can store."""

    def to_json(self) -> str:
        """The content of a tokenizer.json."""
        ...


def _silent(message: str) -> None:
    """Reports nothing."""


def prepare_corpus(
    dataset: DatasetConfig,
    tokenizer: TokenizerConfig,
    *,
    validation_fraction: float,
    cache_dir: Path,
    report: Report = _silent,
) -> Corpus:
    """The corpus of `dataset` under `tokenizer`, from `cache_dir` if it is there, else prepared and stored there.

    `validation_fraction` is the share of documents held out. A damaged cache is reported and prepared anew.
    Raises DataError where the text is too little or cannot be read, or the disk is full (nothing half-made stays).
    """
    # Imported here: reading commands need no lock, and come up faster without.
    from filelock import FileLock

    if not 0.0 < validation_fraction < 1.0:
        raise DataError(f"data.validation_fraction: got {validation_fraction}, expected a share between 0 and 1")
    request, fixes_content = _request_key(dataset, tokenizer, validation_fraction)
    try:
        for folder in ("index", "locks", "corpora"):
            (cache_dir / folder).mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / "locks" / f"{request}.lock"):
            if fixes_content and (cached := _cached(cache_dir, request, report)) is not None:
                return cached
            corpus = _build(dataset, tokenizer, validation_fraction, cache_dir, request, report)
            if fixes_content:
                _remember(cache_dir, request, corpus)
            return corpus
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{cache_dir}: the disk is full; free space there or choose another cache folder"
            ) from error
        where = f"{error.filename}: " if error.filename else ""
        raise DataError(f"{where}{error.strerror or error}, while the corpus is prepared in {cache_dir}") from error


def _request_key(dataset: DatasetConfig, tokenizer: TokenizerConfig, fraction: float) -> tuple[str, bool]:
    """A hash of all that is asked for, and whether it also fixes the text and the tokenizer."""
    dataset_key = dataset.cache_key()
    key = canonical_sha256(
        {"dataset": [_described(dataset), dataset_key], "request": _tokenizer_request(tokenizer, fraction)}
    )
    return key, dataset_key is not None and tokenizer.cache_key() is not None


def _content_key(spooled: SpooledDocuments, tokenizer: TokenizerConfig, fraction: float) -> str:
    """A hash of the text itself and of what is done with it."""
    return canonical_sha256({"text": spooled.content_sha256, "request": _tokenizer_request(tokenizer, fraction)})


def _tokenizer_request(tokenizer: TokenizerConfig, fraction: float) -> list[Any]:
    return [FORMAT, _described(tokenizer), tokenizer.cache_key(), fraction]


def _described(config: ComponentConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _cached(cache_dir: Path, key: str, report: Report) -> Corpus | None:
    """The corpus remembered under `key`, checked; None if there is none or it is damaged, which is reported."""
    index_file = cache_dir / "index" / f"{key}.json"
    try:
        directory = cache_dir / "corpora" / str(json.loads(index_file.read_bytes())["corpus_hash"])
        return _checked(directory) if directory.is_dir() else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        report(f"{index_file}: is not a cache entry; the corpus is prepared anew")
        return None
    except DataError as error:
        report(f"{str(error).split('; delete')[0]}; it is prepared anew")
        return None


def _remember(cache_dir: Path, key: str, corpus: Corpus) -> None:
    _write_durably(cache_dir / "index" / f"{key}.json", json.dumps({"corpus_hash": corpus.corpus_hash}).encode())


def _checked(directory: Path) -> Corpus:
    corpus = open_corpus(directory)
    if corpus.train.ids.nbytes + corpus.validation.ids.nbytes <= _FULL_CHECK_LIMIT_BYTES:
        verify_corpus(corpus)
    return corpus


def _build(
    dataset: DatasetConfig,
    tokenizer: TokenizerConfig,
    fraction: float,
    cache_dir: Path,
    request: str,
    report: Report,
) -> Corpus:
    corpora, prefix = cache_dir / "corpora", f".{request[:16]}-"
    for leftover in corpora.glob(f"{prefix}*"):  # of a preparation that was killed; the lock says that it is over
        shutil.rmtree(leftover, ignore_errors=True)
    working = Path(tempfile.mkdtemp(dir=corpora, prefix=prefix))
    try:
        report(f"reading the documents of dataset {dataset.kind!r}")
        spooled = spool_documents(dataset.documents(), working / "documents.spool", fraction)
        if spooled.split_was_forced:
            report(
                f"data.validation_fraction {fraction} of {len(spooled.starts)} documents leaves one side of the "
                "split empty; one document was moved there"
            )
        content_key = _content_key(spooled, tokenizer, fraction)
        tokenizer_is_fixed = tokenizer.cache_key() is not None
        if tokenizer_is_fixed and (cached := _cached(cache_dir, content_key, report)) is not None:
            return cached
        manifest = _write_corpus(working, dataset, tokenizer, spooled, report)
        spooled.path.unlink()
        _fsync_directory(working)
        corpus = _commit(working, corpora / manifest["corpus_hash"])
        if tokenizer_is_fixed:
            _remember(cache_dir, content_key, corpus)
        return corpus
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _write_corpus(
    working: Path,
    dataset: DatasetConfig,
    tokenizer: TokenizerConfig,
    spooled: SpooledDocuments,
    report: Report,
) -> dict[str, Any]:
    prepared = tokenizer.prepare(text for text, _ in spooled.texts(spooled.train))
    text_bytes = int(spooled.lengths.sum())
    report(f"tokenising {len(spooled.starts)} documents ({human_bytes(text_bytes)}) with {tokenizer.kind!r}")
    train_ends = _write_tokens(working / TRAIN_FILE, prepared, spooled, spooled.train)
    validation_ends = _write_tokens(working / VALIDATION_FILE, prepared, spooled, spooled.validation)
    validation_bytes = spooled.lengths[spooled.validation]
    index = np.stack([validation_ends, validation_bytes], axis=1).astype("<i8")
    _write_durably(working / VALIDATION_INDEX_FILE, index.tobytes())
    if isinstance(prepared, SerializableTokenizer):
        _write_durably(working / TOKENIZER_FILE, prepared.to_json().encode())
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
    files = [path for path in sorted(working.iterdir()) if path != spooled.path]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files},
        "vocab_size": prepared.vocab_size,
        "end_of_text": prepared.end_of_text,
        "tokenizer_fingerprint": prepared.fingerprint,
        "statistics": asdict(statistics),
        "dataset": _described(dataset),
        "tokenizer": _described(tokenizer),
    }
    manifest = sealed({**manifest, "corpus_hash": corpus_hash_of(manifest)})
    _write_durably(working / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode())
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


def _commit(working: Path, destination: Path) -> Corpus:
    """Renames `working` to `destination`, unless an equal corpus already stands there."""
    if destination.exists():
        try:
            return _checked(destination)
        except DataError:
            shutil.rmtree(destination)
    try:
        working.rename(destination)
    except OSError as error:  # another preparation of the same text came first
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    _fsync_directory(destination.parent)
    return _checked(destination)


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
