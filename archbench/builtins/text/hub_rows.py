"""Rows of data sets that the `datasets` library reads: from the Hugging Face hub, or from local files and folders."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from archbench.builtins.text.records import NO_TEXT
from archbench.contracts.data import ReadingLog
from archbench.errors import DataError, nearest

_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text", ".arrow": "arrow"}


@dataclass(frozen=True, slots=True)
class RowSource:
    """One split of a data set, and the words for what goes wrong with it."""

    kind: str
    """The dataset's kind in specs."""
    local: Path | None
    """A local file or folder; None for the hub."""
    hub_id: str
    name: str | None
    """The data set's configuration."""
    split: str
    revision: str | None
    streaming: bool
    local_key: str
    """The key of the spec that takes a local folder instead of the hub."""
    text_key: str | None = None
    """The key of the spec that names the column of the text; None where the data set's layout fixes it."""
    log: ReadingLog = field(default_factory=ReadingLog)
    """Takes what is left out."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows as column -> value. Raises DataError, in one line, where they cannot be had."""
        # The library reports every failure by another class; those of the hub are OSErrors.
        import pyarrow as pa
        from datasets.exceptions import DatasetsError

        rows = self._loaded()
        while True:
            try:
                row = next(rows, None)
            except (DatasetsError, pa.ArrowException, OSError, ValueError, LookupError, RuntimeError) as error:
                raise self._failure(error) from error
            if row is None:
                return
            yield row

    def text(self, row: dict[str, Any], number: int, column: str) -> str | None:
        """The text in `column` of row `number`; None for null, which is noted. Raises DataError for no text."""
        self.require(row, number, column)
        text = row[column]
        if text is None:
            self.log.leave_out("records", NO_TEXT, f"{self.words}: row {number}")
            return None
        if not isinstance(text, str):
            raise DataError(
                f"{self.words}: row {number}: column {column!r} holds a {type(text).__name__}, expected text; "
                + (f"set {self.text_key}" if self.text_key else "name an earlier data.dataset.revision")
            )
        return text

    def require(self, row: dict[str, Any], number: int, column: str) -> None:
        """Raises DataError where `row` has no `column`."""
        if column not in row:
            raise DataError(f"{self.words}: row {number} has no column {column!r}{nearest(column, row)}")

    def cache_key(self) -> str:
        """Names, sizes and modification times of local files; for the hub a constant.

        What was read from the hub stays as it was first read, until the spec names another revision.
        """
        if self.local is None:
            return "hub"
        found = [self.local] if self.local.is_file() else self.local.rglob("*")
        files = sorted(file for file in found if file.is_file())
        return json.dumps([[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files])

    @property
    def words(self) -> str:
        """What is read, for messages."""
        return self.hub_id if self.local is None else str(self.local)

    def _loaded(self) -> Iterator[dict[str, Any]]:
        import datasets

        local = self.local
        if local is None:
            loaded = datasets.load_dataset(
                self.hub_id, self.name, split=self.split, revision=self.revision, streaming=self.streaming
            )
        elif (local / "state.json").is_file() or (local / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(str(local))
            if isinstance(loaded, dict):
                if self.split not in loaded:
                    raise ValueError(f"no split {self.split!r}{nearest(self.split, loaded)}")
                loaded = loaded[self.split]
        elif local.is_file():
            builder = _BUILDERS.get(local.suffix.lower())
            if builder is None:
                raise ValueError(f"unknown file format {local.suffix!r}; known: {', '.join(_BUILDERS)}")
            loaded = datasets.load_dataset(builder, data_files=str(local), split="train", streaming=self.streaming)
        else:
            loaded = datasets.load_dataset(str(local.resolve()), self.name, split=self.split, streaming=self.streaming)
        yield from cast("Iterable[dict[str, Any]]", loaded)

    def _failure(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ConnectionError):
            remedy = f"check the connection, or download it elsewhere and give the folder as {self.local_key}"
        else:
            remedy = f"check {self.local_key}, name, split and revision"
        return DataError(f"dataset {self.kind} {self.words!r}: cannot be loaded: {reason}; {remedy}")
