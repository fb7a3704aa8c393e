"""Documents out of any data set on the Hugging Face hub, or of files that its `datasets` library reads."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import PositiveInt

from archbench.builtins.text.hub_rows import RowSource
from archbench.contracts.data import DatasetConfig, Document, ReadingLog


class HuggingFaceConfig(DatasetConfig):
    """Dataset `huggingface`: one split of a data set on the hub, or of a local file or folder."""

    kind: Literal["huggingface"] = "huggingface"
    summary: ClassVar[str] = "a split of a data set on the Hugging Face hub, streamed; or of a local file or folder"

    path: str
    """Id on the hub, or a local file or folder, relative to that of the spec: data files, or what
    `Dataset.save_to_disk` wrote."""
    name: str | None = None
    """The data set's configuration."""
    split: str = "train"
    revision: str | None = None
    """Branch, tag or commit on the hub; name a commit so that others get the same text."""
    text_field: str = "text"
    id_field: str | None = None
    """Column of the document's id; without one the id is the row's number."""
    streaming: bool = True
    """Reads rows as they come; otherwise the whole split is downloaded first and kept in the library's own cache."""
    max_documents: PositiveInt | None = None
    """Stops after this many rows."""

    def documents(self) -> Iterator[Document]:
        """One document per row that has text. Raises DataError where the data set cannot be had."""
        return self.logged_documents(ReadingLog())

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same; rows whose text is null are noted in `log`."""
        source = self._source(log)
        for number, row in enumerate(source.rows()):
            if self.max_documents is not None and number >= self.max_documents:
                return
            text = source.text(row, number, self.text_field)
            if text is None:
                continue
            if self.id_field is not None:
                source.require(row, number, self.id_field)
            yield Document(id=str(row[self.id_field]) if self.id_field else f"{self.split}:{number}", text=text)

    def cache_key(self) -> str | None:
        """Names, sizes and modification times of local files; for the hub a constant."""
        return self._source(ReadingLog()).cache_key()

    def _source(self, log: ReadingLog) -> RowSource:
        local = self.located(self.path)
        return RowSource(
            kind=self.kind,
            local=local if local.exists() else None,
            hub_id=self.path,
            name=self.name,
            split=self.split,
            revision=self.revision,
            streaming=self.streaming,
            local_key="data.dataset.path",
            text_key="data.dataset.text_field",
            log=log,
        )
