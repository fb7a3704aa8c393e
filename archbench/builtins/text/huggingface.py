"""Documents out of the Hugging Face hub, or of files that its `datasets` library reads."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, cast

from pydantic import PositiveInt

from archbench.contracts.data import DatasetConfig, Document
from archbench.errors import DataError, nearest

_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text", ".arrow": "arrow"}


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
        """One document per row. Raises DataError where the data set cannot be had, or a row has no text."""
        # The library reports every failure by another class; those of the hub are OSErrors.
        import pyarrow as pa
        from datasets.exceptions import DatasetsError

        rows = self._rows()
        for number in itertools.count():
            if self.max_documents is not None and number >= self.max_documents:
                return
            try:
                row = next(rows, None)
            except (DatasetsError, pa.ArrowException, OSError, ValueError, LookupError, RuntimeError) as error:
                raise self._failure(error) from error
            if row is None:
                return
            yield self._document(row, number)

    def cache_key(self) -> str | None:
        """Names, sizes and modification times of local files; for the hub a constant.

        What was read from the hub stays as it was first read, until the spec names another `revision`.
        """
        path = self.located(self.path)
        if not path.exists():
            return "hub"
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        return json.dumps([[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files])

    def _rows(self) -> Iterator[dict[str, Any]]:
        import datasets

        path = self.located(self.path)
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(str(path))
            if isinstance(loaded, dict):
                if self.split not in loaded:
                    raise ValueError(f"no split {self.split!r}{nearest(self.split, loaded)}")
                loaded = loaded[self.split]
        elif path.is_file():
            builder = _BUILDERS.get(path.suffix.lower())
            if builder is None:
                raise ValueError(f"unknown file format {path.suffix!r}; known: {', '.join(_BUILDERS)}")
            loaded = datasets.load_dataset(builder, data_files=str(path), split="train", streaming=self.streaming)
        else:
            name = str(path.resolve()) if path.is_dir() else self.path
            loaded = datasets.load_dataset(
                name, self.name, split=self.split, revision=self.revision, streaming=self.streaming
            )
        yield from cast("Iterable[dict[str, Any]]", loaded)

    def _document(self, row: dict[str, Any], number: int) -> Document:
        for field in (self.text_field, self.id_field):
            if field is not None and field not in row:
                raise DataError(f"{self.path}: row {number} has no column {field!r}{nearest(field, row)}")
        text = row[self.text_field]
        if not isinstance(text, str):
            raise DataError(
                f"{self.path}: row {number}: column {self.text_field!r} holds a {type(text).__name__}, expected text; "
                "set data.dataset.text_field"
            )
        return Document(id=str(row[self.id_field]) if self.id_field else f"{self.split}:{number}", text=text)

    def _failure(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ConnectionError):
            remedy = "check the connection, or download it elsewhere and give the folder as data.dataset.path"
        else:
            remedy = "check data.dataset.path, name, split and revision"
        return DataError(f"dataset huggingface {self.path!r}: cannot be loaded: {reason}; {remedy}")
