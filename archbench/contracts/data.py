"""What datasets and tokenizers offer. Importing this loads neither torch nor datasets."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf, SerializeAsAny

from archbench.contracts.config import ComponentConfig, ComponentSlot


@dataclass(frozen=True, slots=True)
class Document:
    """One text with an id that stays the same when other documents come or go."""

    id: str
    text: str


class DatasetConfig(ComponentConfig):
    """A source of documents. Splitting, deduplication and caching are archbench's part, not the dataset's."""

    @abstractmethod
    def documents(self) -> Iterator[Document]:
        """All documents, in a reproducible order. Raises DataError with file and remedy where something is wrong."""

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
