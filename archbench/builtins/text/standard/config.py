"""The standard text: documentation of packages of pinned versions, the same for everybody."""

import hashlib
import json
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import PositiveInt

from archbench.builtins.text.standard.archives import Size, archives_of
from archbench.builtins.text.standard.extraction import file_of
from archbench.builtins.text.standard.store import documents_of, fetch, store_folder
from archbench.contracts.data import DatasetConfig, Document, ReadingLog

_PARTS = 4
"""Of so many parts one is for searching a protocol, the others are for scans under it."""


class StandardTextConfig(DatasetConfig):
    """Dataset `standard_text`: English documentation out of archives of exact versions, known by their hashes.

    The same text wherever and whenever it is read, whatever is installed. It is fetched once, through pip, into the
    cache folder ($ARCHBENCH_CACHE). A document is a file, or up to 64 KiB of one.
    """

    kind: Literal["standard_text"] = "standard_text"
    summary: ClassVar[str] = (
        "English prose: documentation of packages, the same for everybody; fetched once through pip"
    )

    size: Size = "full"
    """How many of the archives: each size holds the smaller ones."""
    part: Literal["standard", "search"] = "standard"
    """`standard` for scans, three files of four; `search` for choosing what scans have in common: the other files."""
    limit_bytes: PositiveInt | None = None
    """Stops when about this many UTF-8 bytes are reached; documents come in a fixed random order."""

    def documents(self) -> Iterator[Document]:
        """The documents in the order of the hashes of their ids. Raises DataError where they cannot be fetched."""
        return self.logged_documents(ReadingLog())

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same; what is fetched is told by `log.say`, and kept below `log.cache_dir`."""
        archives, folder = archives_of(self.size), store_folder(log.cache_dir)
        fetch(archives, folder, log.say)
        documents = [one for archive in archives for one in documents_of(archive, folder) if self._is_in_part(one.id)]
        documents.sort(key=lambda document: hashlib.sha256(document.id.encode()).digest())
        total = 0
        for document in documents:
            yield document
            total += len(document.text.encode())
            if self.limit_bytes is not None and total >= self.limit_bytes:
                return

    def cache_key(self) -> str:
        """The hashes of the text: whether it was fetched does not matter once the corpus is prepared."""
        return json.dumps([archive.text_sha256 for archive in archives_of(self.size)])

    def _is_in_part(self, document_id: str) -> bool:
        word = hashlib.sha256(b"part\0" + file_of(document_id).encode()).digest()
        return (word[0] % _PARTS == 0) == (self.part == "search")
