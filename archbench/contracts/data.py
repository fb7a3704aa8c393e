"""What datasets and tokenizers offer. Importing this loads neither torch nor datasets."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf, SerializeAsAny

from archbench.contracts.config import ComponentConfig, ComponentSlot


@dataclass(frozen=True, slots=True)
class Document:
    """One text with an id that stays the same when other documents come or go."""

    id: str
    text: str


@dataclass(slots=True)
class LeftOut:
    """Files, folders or records of one sort that a dataset did not read, for one reason."""

    what: str
    """What they are: the ending of files, `folders`, `records`."""
    reason: str
    count: int
    first: str
    """Where the first of them is."""


@dataclass(slots=True)
class FilesRead:
    """Files of one ending that were read."""

    ending: str
    files: int = 0
    documents: int = 0


def _unheard(line: str) -> None:
    """Tells nobody."""


@dataclass(slots=True)
class ReadingLog:
    """What a dataset read and what it left out, in the order in which it came upon it."""

    read: dict[str, FilesRead] = field(default_factory=dict)
    """By ending."""
    left_out: dict[tuple[str, str], LeftOut] = field(default_factory=dict)
    """By what it is and why."""
    say: Callable[[str], None] = field(default=_unheard, compare=False, repr=False)
    """Tells the user at once what goes on, where that takes long."""
    cache_dir: Path | None = field(default=None, compare=False)
    """Where a dataset may keep what it fetches, in a folder of its own; None: in the user's cache folder."""

    def note_file(self, ending: str, documents: int) -> None:
        """Counts one file of `ending` that was read and gave `documents`."""
        seen = self.read.setdefault(ending, FilesRead(ending))
        seen.files += 1
        seen.documents += documents

    def leave_out(self, what: str, reason: str, where: str) -> None:
        """Counts one thing of the sort `what` that is not read; `where` it is, for the first of its kind."""
        # A file's name may hold bytes that are no text; what is printed must be.
        shown = where.encode("utf-8", "backslashreplace").decode()
        self.left_out.setdefault((what, reason), LeftOut(what, reason, 0, shown)).count += 1

    def add(self, other: "ReadingLog") -> None:
        """Takes in what `other` holds."""
        for file in other.read.values():
            mine = self.read.setdefault(file.ending, FilesRead(file.ending))
            mine.files += file.files
            mine.documents += file.documents
        for key, one in other.left_out.items():
            self.left_out.setdefault(key, LeftOut(one.what, one.reason, 0, one.first)).count += one.count


class DatasetConfig(ComponentConfig):
    """A source of documents. Splitting, deduplication and caching are archbench's part, not the dataset's."""

    @abstractmethod
    def documents(self) -> Iterator[Document]:
        """All documents, in a reproducible order. Raises DataError with file and remedy where something is wrong."""

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same documents; what is read and what is left out is noted in `log` on the way.

        For a dataset that leaves nothing out in silence there is nothing to note.
        """
        return self.documents()

    def cache_key(self) -> str | None:
        """A cheap key that changes whenever the documents might (versions, sizes, times); None: read every time.

        It only saves reading the text again: a run is identified by the hash of the text itself.
        """
        return None


NestedDataset = Annotated[SerializeAsAny[InstanceOf[DatasetConfig]], ComponentSlot("datasets")]
"""A dataset in the config of another one. Its key must be `dataset`: by that a spec knows what to look up."""


class Tokenizer(Protocol):
    """Text to token ids in [0, vocab_size). The end-of-text token that separates documents is among them."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, the end-of-text token included."""
        ...

    @property
    def end_of_text(self) -> int:
        """Id of the token behind each document."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the ids, in hex."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text, without end-of-text tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`."""
        ...


class TokenizerConfig(ComponentConfig):
    """How a tokenizer comes about."""

    modules: ClassVar[tuple[str, ...]] = ()
    """Packages that `prepare` imports and a plain installation lacks: asked for before any text is read."""

    @abstractmethod
    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        """The tokenizer, trained on `training_texts` if it is of a kind that is trained.

        Raises DataError with the remedy where it cannot be had.
        """

    def cache_key(self) -> str | None:
        """A cheap key that changes whenever the tokenizer made from the same texts might; None: made every time.

        Like a dataset's it only saves time. A tokenizer that its config and the texts decide returns a constant.
        """
        return None
