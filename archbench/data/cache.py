"""The cache of prepared corpora: addressed by content, checked before use, whole or absent, and safe to share."""

import errno
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archbench.contracts.data import FilesRead, LeftOut, ReadingLog
from archbench.data.corpus import Corpus, open_corpus, verify_corpus
from archbench.durable import fsync_directory, write_whole
from archbench.errors import DataError

FULL_CHECK_LIMIT_BYTES = 1 << 30
"""Below this a cached corpus is read and hashed in full before use, at about a second per GiB."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was prepared for one request: corpora in the request's order, and what a user should know of them."""

    corpora: tuple[Corpus, ...]
    remarks: tuple[str, ...]


def cached(cache_dir: Path, key: str, report: Report) -> Entry | None:
    """What is remembered under `key`, checked; None if there is nothing or it is damaged, which is reported."""
    index_file = cache_dir / "index" / f"{key}.json"
    try:
        content = json.loads(index_file.read_bytes())
        directories = [cache_dir / "corpora" / str(hash_) for hash_ in content["corpus_hashes"]]
        if not all(directory.is_dir() for directory in directories):
            return None
        readings = [_reading_of(one) for one in content.get("readings", [None] * len(directories))]
        corpora = [replace(checked(one), reading=log) for one, log in zip(directories, readings, strict=True)]
        entry = Entry(tuple(corpora), tuple(map(str, content["remarks"])))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        report(f"{index_file}: is not a cache entry; the corpus is prepared anew")
        return None
    except DataError as error:
        report(f"{str(error).split('; delete')[0]}; it is prepared anew")
        return None
    for remark in entry.remarks:
        report(remark)
    return entry


def remember(cache_dir: Path, key: str, corpora: Sequence[Corpus], remarks: Sequence[str]) -> None:
    """Keeps under `key` which corpora were prepared, and of what."""
    content = {
        "corpus_hashes": [corpus.corpus_hash for corpus in corpora],
        "remarks": list(remarks),
        "readings": [_as_json(corpus.reading) for corpus in corpora],
    }
    write_whole(cache_dir / "index" / f"{key}.json", json.dumps(content).encode())


def _as_json(log: ReadingLog | None) -> dict[str, Any] | None:
    if log is None:
        return None
    return {
        "read": [asdict(one) for one in log.read.values()],
        "left_out": [asdict(one) for one in log.left_out.values()],
    }


def _reading_of(content: Any) -> ReadingLog | None:
    """What `_as_json` made `content` of. Raises ValueError, TypeError or KeyError for anything else."""
    if content is None:
        return None
    read, left_out = [FilesRead(**one) for one in content["read"]], [LeftOut(**one) for one in content["left_out"]]
    return ReadingLog({one.ending: one for one in read}, {(one.what, one.reason): one for one in left_out})


def checked(directory: Path) -> Corpus:
    """The corpus in `directory`; up to a size every byte is read. Raises DataError where it is damaged."""
    corpus = open_corpus(directory)
    if corpus.train.ids.nbytes + corpus.validation.ids.nbytes <= FULL_CHECK_LIMIT_BYTES:
        verify_corpus(corpus)
    return corpus


def commit(working: Path, destination: Path) -> Corpus:
    """Renames `working` to `destination`, unless an equal corpus already stands there."""
    if destination.exists():
        try:
            return checked(destination)
        except DataError:
            shutil.rmtree(destination)
    try:
        working.rename(destination)
    except OSError as error:  # another preparation of the same text came first
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    fsync_directory(destination.parent)
    return checked(destination)
