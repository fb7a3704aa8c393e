"""Several texts as one, in given shares of bytes."""

import json
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

from archbench.contracts.data import DatasetConfig, Document, NestedDataset, ReadingLog


class MixturePart(BaseModel):
    """One text of a mixture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: NestedDataset
    weight: FiniteFloat = Field(1.0, gt=0.0)
    """Its share of the bytes is its weight over the sum of all weights."""


class MixtureConfig(DatasetConfig):
    """Dataset `mixture`: documents of several datasets, interleaved so that each has its share of the bytes.

    Documents keep their ids: one that is also in another corpus is on the same side of the split there.
    """

    kind: Literal["mixture"] = "mixture"
    summary: ClassVar[str] = "several datasets as one, each with its share of the bytes"

    parts: Mapping[str, MixturePart] = Field(min_length=2)
    """Name -> dataset and weight. The order matters only between parts that are equally far behind."""
    limit_bytes: PositiveInt | None = None
    """Stops when about this many UTF-8 bytes are reached."""

    def documents(self) -> Iterator[Document]:
        """Documents until the first part has no more: repeating one, or going on without it, would change the shares.

        Each document comes from the part that is furthest behind its share, so that at every moment the bytes given
        stand in the ratio of the weights, but for one document of each part. Raises DataError as the parts do.
        """
        return self.logged_documents(ReadingLog())

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same; what the parts read and leave out is noted in `log`."""
        weights = [part.weight for part in self.parts.values()]
        streams = [part.dataset.logged_documents(log) for part in self.parts.values()]
        given = [0] * len(streams)
        while self.limit_bytes is None or sum(given) < self.limit_bytes:
            behind = min(range(len(streams)), key=lambda number: given[number] / weights[number])
            document = next(streams[behind], None)
            if document is None:
                return
            given[behind] += len(document.text.encode("utf-8", "replace"))
            yield document

    def cache_key(self) -> str | None:
        """The keys of the parts; None if one has none."""
        keys = {name: part.dataset.cache_key() for name, part in self.parts.items()}
        return None if None in keys.values() else json.dumps(keys)
