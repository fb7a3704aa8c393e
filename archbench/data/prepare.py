"""Documents to prepared corpora, once: several texts may share one tokenizer, trained on all of them together."""

import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archbench.containment import kept_around
from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, ReadingLog, TokenizerConfig
from archbench.data.cache import Report, cached, commit, remember
from archbench.data.corpus import FORMAT, Corpus, canonical_sha256
from archbench.data.documents import SpooledDocuments, spool_documents
from archbench.data.write import write_corpus
from archbench.durable import fsync_directory
from archbench.errors import DataError
from archbench.extras import require
from archbench.units import human_bytes

_CHOOSE_CACHE = "; choose another folder with --cache or $ARCHBENCH_CACHE"


def _concerns(error: OSError, folder: Path) -> bool:
    """Whether `error` is about `folder`: something in it, or a folder above it that cannot be made."""
    if not isinstance(error.filename, str):
        return False
    place, folder = Path(error.filename).absolute(), folder.absolute()
    return place.is_relative_to(folder) or folder.is_relative_to(place)


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
    prepared = prepare_corpora(
        {"": dataset}, tokenizer, validation_fraction=validation_fraction, cache_dir=cache_dir, report=report
    )
    return prepared[""]


def prepare_corpora(
    datasets: Mapping[str, DatasetConfig],
    tokenizer: TokenizerConfig,
    *,
    validation_fraction: float,
    cache_dir: Path,
    report: Report = _silent,
) -> dict[str, Corpus]:
    """Name -> corpus, each in its own folder with its own hash, and all with one and the same tokenizer.

    A tokenizer that is trained sees equally many bytes of the training text of each different dataset: as many as the
    smallest has. Names and order do not matter to it. Validation text is never shown to it. Otherwise as
    `prepare_corpus`; what goes wrong with one of several datasets is said with its name.
    """
    # Imported here: reading commands need no lock, and come up faster without.
    from filelock import FileLock

    if not 0.0 < validation_fraction < 1.0:
        raise DataError(f"data.validation_fraction: got {validation_fraction}, expected a share between 0 and 1")
    sides = _different(datasets)
    request, fixes_content = _request_key(sides, tokenizer, validation_fraction)
    try:
        for folder in ("index", "locks", "corpora"):
            (cache_dir / folder).mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / "locks" / f"{request}.lock"):
            entry = cached(cache_dir, request, report) if fixes_content else None
            if entry is not None:
                corpora: Sequence[Corpus] = entry.corpora
            else:
                builder = _Builder(sides, tokenizer, validation_fraction, cache_dir, request, report)
                corpora, remarks = builder.build()
                if fixes_content:
                    remember(cache_dir, request, corpora, remarks)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"{cache_dir}: the disk is full; free space there{_CHOOSE_CACHE}") from error
        where = f"{error.filename}: " if error.filename else ""
        remedy = _CHOOSE_CACHE if _concerns(error, cache_dir) else ""
        raise DataError(
            f"{where}{error.strerror or error}, while the corpus is prepared in {cache_dir}{remedy}"
        ) from error
    by_dataset = dict(zip((_dataset_key(dataset) for dataset in sides.values()), corpora, strict=True))
    return {name: by_dataset[_dataset_key(dataset)] for name, dataset in datasets.items()}


def require_same_tokenizer(corpora: Mapping[str, Corpus]) -> None:
    """Raises DataError where two of `corpora`, by name, were cut into tokens by different tokenizers."""
    items = list(corpora.items())
    for name, corpus in items[1:]:
        first_name, first = items[0]
        if corpus.tokenizer_fingerprint != first.tokenizer_fingerprint:
            raise DataError(
                f"{first_name} and {name} have different tokenizers: {_tokenizer_words(first)} and "
                f"{_tokenizer_words(corpus)}; expected one for both, since weights and losses per token carry over "
                "only then; prepare both under one tokenizer"
            )


def _tokenizer_words(corpus: Corpus) -> str:
    kind = corpus.tokenizer.get("kind", "unknown")
    return f"{kind!r} of {corpus.text_vocab_size} ids ({corpus.tokenizer_fingerprint[:12]})"


def _described(config: ComponentConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _dataset_key(dataset: DatasetConfig) -> str:
    return canonical_sha256([_described(dataset), dataset.cache_key()])


def _different(datasets: Mapping[str, DatasetConfig]) -> dict[str, DatasetConfig]:
    """`datasets` without repetitions, in an order that does not depend on names."""
    by_key: dict[str, tuple[str, DatasetConfig]] = {}
    for name, dataset in datasets.items():
        try:
            by_key.setdefault(_dataset_key(dataset), (name, dataset))
        except DataError as error:
            raise _labelled(name, error) from error
    return dict(by_key[key] for key in sorted(by_key))


def _labelled(name: str, error: DataError) -> DataError:
    return DataError(f"{name}: {error}") if name else error


def _request_key(sides: Mapping[str, DatasetConfig], tokenizer: TokenizerConfig, fraction: float) -> tuple[str, bool]:
    """A hash of all that is asked for, and whether it also fixes the text and the tokenizer."""
    keys = [[_described(dataset), dataset.cache_key()] for dataset in sides.values()]
    key = canonical_sha256({"datasets": keys, "request": _tokenizer_request(tokenizer, fraction)})
    return key, all(key is not None for _, key in keys) and tokenizer.cache_key() is not None


def _content_key(spooled: Sequence[SpooledDocuments], tokenizer: TokenizerConfig, fraction: float) -> str:
    """A hash of the texts themselves and of what is done with them."""
    texts = [side.content_sha256 for side in spooled]
    return canonical_sha256({"texts": texts, "request": _tokenizer_request(tokenizer, fraction)})


def _tokenizer_request(tokenizer: TokenizerConfig, fraction: float) -> list[Any]:
    return [FORMAT, _described(tokenizer), tokenizer.cache_key(), fraction]


class _Builder:
    """Prepares corpora that the cache does not have, in a working folder that is gone afterwards."""

    def __init__(
        self,
        sides: Mapping[str, DatasetConfig],
        tokenizer: TokenizerConfig,
        fraction: float,
        cache_dir: Path,
        request: str,
        report: Report,
    ) -> None:
        self._sides = sides
        self._tokenizer = tokenizer
        self._fraction = fraction
        self._cache_dir = cache_dir
        self._request = request
        self._report = report
        self._logs = {name: ReadingLog(say=self._labelled_report(name), cache_dir=cache_dir) for name in sides}

    def build(self) -> tuple[Sequence[Corpus], Sequence[str]]:
        """The corpora in the order of the sides, and remarks about them."""
        require(f"tokenizer {self._tokenizer.kind!r} takes a library", *self._tokenizer.modules)
        corpora, prefix = self._cache_dir / "corpora", f".{self._request[:16]}-"
        for leftover in corpora.glob(f"{prefix}*"):  # of a preparation that was killed; the lock says that it is over
            shutil.rmtree(leftover, ignore_errors=True)
        working = Path(tempfile.mkdtemp(dir=corpora, prefix=prefix))
        try:
            spooled = [self._spooled(name, working / f"{number}.spool") for number, name in enumerate(self._sides)]
            key = _content_key(spooled, self._tokenizer, self._fraction)
            tokenizer_is_fixed = self._tokenizer.cache_key() is not None
            if tokenizer_is_fixed and (entry := cached(self._cache_dir, key, self._report)) is not None:
                return self._with_logs(entry.corpora), entry.remarks
            remarks = list(_shared_text(list(self._sides), spooled))
            for remark in remarks:
                self._report(remark)
            made = self._with_logs(self._written(working, spooled))
            if tokenizer_is_fixed:
                remember(self._cache_dir, key, made, remarks)
            return made, remarks
        finally:
            shutil.rmtree(working, ignore_errors=True)

    def _labelled_report(self, name: str) -> Report:
        return lambda line: self._report(f"{name}: {line}" if name else line)

    def _with_logs(self, corpora: Sequence[Corpus]) -> list[Corpus]:
        """`corpora`, in the order of the sides, with what was read and left out this time."""
        return [replace(corpus, reading=log) for corpus, log in zip(corpora, self._logs.values(), strict=True)]

    def _spooled(self, name: str, path: Path) -> SpooledDocuments:
        dataset, label = self._sides[name], f"{name}: " if name else ""
        self._report(f"{label}reading the documents of dataset {dataset.kind!r}")
        try:
            with kept_around(dataset, lambda line: self._report(f"{label}dataset {dataset.kind!r} {line}")):
                spooled = spool_documents(dataset.logged_documents(self._logs[name]), path, self._fraction)
        except DataError as error:
            raise _labelled(name, error) from error
        if self._logs[name].left_out:
            self._report(f"{label}left out: {left_out_words(self._logs[name])}; `archbench data` lists them")
        if spooled.split_was_forced:
            self._report(
                f"{label}data.validation_fraction {self._fraction} of {len(spooled.starts)} documents leaves one side "
                "of the split empty; one document was moved there"
            )
        return spooled

    def _written(self, working: Path, spooled: Sequence[SpooledDocuments]) -> list[Corpus]:
        if len(spooled) > 1:
            share = min(side.train_bytes for side in spooled)
            self._report(
                f"one tokenizer {self._tokenizer.kind!r} for {len(spooled)} texts; if it is trained, it sees "
                f"{human_bytes(share)} of each"
            )
        with kept_around(self._tokenizer, lambda line: self._report(f"tokenizer {self._tokenizer.kind!r} {line}")):
            return self._tokenised(working, spooled)

    def _tokenised(self, working: Path, spooled: Sequence[SpooledDocuments]) -> list[Corpus]:
        tokenizer = self._tokenizer.prepare(_balanced_texts(spooled))
        made = []
        for number, (dataset, side) in enumerate(zip(self._sides.values(), spooled, strict=True)):
            folder = working / str(number)
            folder.mkdir()
            manifest = write_corpus(folder, dataset, self._tokenizer, tokenizer, side, self._report)
            side.path.unlink()
            fsync_directory(folder)
            made.append(commit(folder, self._cache_dir / "corpora" / manifest["corpus_hash"]))
        return made


def left_out_words(log: ReadingLog) -> str:
    """What `log` says was left out, most first: `12 .csv, 3 folders, 1 records`."""
    counts: Counter[str] = Counter()
    for one in log.left_out.values():
        counts[one.what] += one.count
    return ", ".join(f"{count:,} {what}" for what, count in counts.most_common())


def _balanced_texts(spooled: Sequence[SpooledDocuments]) -> Iterator[str]:
    """Training texts of all sides, equally many bytes of each: at every moment the side that gave least goes on.

    With one side these are its training texts. With several the last text of a side may be cut. The order follows
    from the texts alone, not from where they are stored.
    """
    sides = [side for _, side in sorted({side.content_sha256: side for side in spooled}.items())]
    share = min(side.train_bytes for side in sides)
    streams = [side.texts(side.train) for side in sides]
    given = [0] * len(sides)
    while (least := min(given)) < share:
        number = given.index(least)
        text, num_bytes = next(streams[number])
        given[number] += num_bytes
        if given[number] > share:
            text = text.encode()[: num_bytes - (given[number] - share)].decode("utf-8", "ignore")
        yield text


def _shared_text(names: Sequence[str], spooled: Sequence[SpooledDocuments]) -> Iterator[str]:
    """One line for each ordered pair of texts of which one's validation documents stand in the other's training text.

    Documents of equal id are on one side of the split in both; these are equal texts under different ids.
    """
    for name, side in zip(names, spooled, strict=True):
        held_out = side.text_hashes_of(side.validation)
        for other_name, other in zip(names, spooled, strict=True):
            if other is not side and (shared := len(held_out & other.text_hashes_of(other.train))):
                yield (
                    f"{shared} of {len(held_out)} validation documents of {name} are also training text of "
                    f"{other_name}, under other ids; a model trained on {other_name} has seen them"
                )
