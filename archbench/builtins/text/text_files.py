"""Documents out of the user's own files."""

import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from archbench.builtins.text.compressed import COMPRESSIONS, one_line, read_lines
from archbench.builtins.text.folders import (
    JSONL_SUFFIXES,
    PARQUET_SUFFIX,
    TEXT_SUFFIXES,
    ending,
    files_of_folder,
    files_of_pattern,
    format_of,
    kind_of_special_file,
    refuse_kernel_folder,
    split_pattern,
)
from archbench.builtins.text.records import RecordReader
from archbench.contracts.data import DatasetConfig, Document, ReadingLog
from archbench.errors import DataError

_PARQUET_BATCH_ROWS = 1024
_READING_VERSION = 2
"""Rises when the same files give other documents, or are refused: prepared text is then read anew."""


class TextFilesConfig(DatasetConfig):
    """Dataset `text_files`: a plain text file is one document, a JSON line or a Parquet row is one document each."""

    kind: Literal["text_files"] = "text_files"
    summary: ClassVar[str] = "your own .txt, .jsonl (plain, .xz, .gz, .bz2, .zst) and .parquet files"

    paths: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """Files, folders (searched in full) or glob patterns (`**`: any depth), relative to the folder of the spec.

    In folders and patterns hidden files, READMEs and licences are left out, and what is of another format.
    `archbench data` lists them."""
    text_field: str = "text"
    """Key or column of the text in JSON lines and Parquet files."""
    id_field: str | None = None
    """Key or column of the document's id; without one the id is file name and line or row number."""
    cut_bytes: PositiveInt | None = None
    """Cuts longer documents into pieces of about this many UTF-8 bytes, at line ends."""

    def documents(self) -> Iterator[Document]:
        """Documents in the order of `paths`; a folder's and a pattern's files in the order of their names.

        Raises DataError, with file and line, for what is missing, malformed or not UTF-8.
        """
        return self.logged_documents(ReadingLog())

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same; files that were read are noted in `log`, and files and records that were left out."""
        for path, name in self._files(log).items():
            given = 0
            for document in self._documents_of(path, name, log):
                given += 1
                yield from _cut(document, self.cut_bytes)
            log.note_file(ending(path), given)

    def cache_key(self) -> str | None:
        """Names, sizes and modification times of all files that are read; of others how many there are."""
        log = ReadingLog()
        files = self._files(log)
        facts: list[object] = [_READING_VERSION, [[*key, one.count] for key, one in log.left_out.items()]]
        for path in files:
            try:
                status = path.stat()
            except OSError as error:
                raise DataError(f"{path}: cannot be looked at: {error.strerror}") from error
            facts.append([str(path.resolve()), status.st_size, status.st_mtime_ns])
        return json.dumps(facts)

    def _files(self, log: ReadingLog) -> dict[Path, str]:
        """Each file once, with the name that its documents' ids begin with: the same wherever the text is stored."""
        files: dict[Path, str] = {}
        for pattern in self.paths:
            try:
                root, found, missing = self._found(pattern, log)
            except OSError as error:
                raise DataError(f"{pattern}: cannot be looked at: {error.strerror}") from error
            if not found:
                raise DataError(f"{pattern}: {missing}; data.dataset.paths are relative to {self.paths_start_at}")
            for file in found:
                files.setdefault(file, file.relative_to(root).as_posix())
        return files

    def _found(self, pattern: str, log: ReadingLog) -> tuple[Path, list[Path], str]:
        """Where `pattern` starts, the files that it names, and what to say if there are none."""
        path = self._expanded(pattern)
        refuse_kernel_folder(pattern, path)
        here = ReadingLog()
        if path.is_dir():
            found = files_of_folder(path, here)
            known = ", ".join((*TEXT_SUFFIXES, *JSONL_SUFFIXES, PARQUET_SUFFIX))
            missing = f"the folder has no {known} file{_left_out_words(here)}"
            root = path
        elif glob.has_magic(pattern) and not path.exists():
            start, rest = split_pattern(pattern, self._expanded)
            root = self._expanded(start)
            found = files_of_pattern(root, rest, pattern, here)
            missing = f"no file matches this pattern{_left_out_words(here)}"
        else:
            root, found, missing = path.parent, [path], "no such file"
            if not path.is_file():
                found = []
                missing = f"is {kind_of_special_file(path)}, not a file" if os.path.lexists(path) else missing
        log.add(here)
        return root, found, missing

    def _expanded(self, pattern: str) -> Path:
        try:
            return self.located(pattern)
        except RuntimeError as error:
            raise DataError(f"{pattern}: there is no such user; write the folder out") from error

    def _documents_of(self, path: Path, name: str, log: ReadingLog) -> Iterator[Document]:
        match format_of(path):
            case "text":
                yield Document(id=name, text="".join(read_lines(path)))
            case "jsonl":
                yield from self._json_lines(path, name, log)
            case "parquet":
                yield from self._parquet_rows(path, name, log)
            case _:
                raise DataError(
                    f"{path}: got a file of unknown format, expected {', '.join((*TEXT_SUFFIXES, *JSONL_SUFFIXES))} "
                    f"(also with {', '.join(COMPRESSIONS)}) or {PARQUET_SUFFIX}"
                )

    def _json_lines(self, path: Path, name: str, log: ReadingLog) -> Iterator[Document]:
        reader = RecordReader(self.text_field, self.id_field, log)
        for number, line in enumerate(read_lines(path), start=1):
            if not line.strip():
                continue
            record = _json_object(line, f"{path}:{number}")
            document = reader.document(record, f"{path}:{number}", f"{name}:{number}")
            if document is not None:
                yield document
        reader.finish()

    def _parquet_rows(self, path: Path, name: str, log: ReadingLog) -> Iterator[Document]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        reader = RecordReader(self.text_field, self.id_field, log)
        columns = [self.text_field] + ([self.id_field] if self.id_field else [])
        number = 0
        try:
            with pq.ParquetFile(path) as table:
                known = table.schema_arrow.names
                for column, key in zip(columns, ("text_field", "id_field"), strict=False):
                    if column not in known:
                        raise DataError(
                            f"{path}: has no column {column!r}; its columns: {', '.join(known)}; set data.dataset.{key}"
                        )
                for batch in table.iter_batches(_PARQUET_BATCH_ROWS, columns=columns):
                    for record in batch.to_pylist():
                        document = reader.document(record, f"{path}: row {number}", f"{name}:{number}")
                        number += 1
                        if document is not None:
                            yield document
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: holds text that is not UTF-8, at or after row {number}") from error
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as Parquet: {one_line(error)}") from error


def _json_object(line: str, where: str) -> dict[str, Any]:
    """The JSON object in `line`. Raises DataError for anything else."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: is not JSON ({error}); each line must be one object") from error
    except RecursionError as error:
        raise DataError(f"{where}: is JSON nested too deeply to be read; each line must be one object") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: got a JSON {type(record).__name__}, expected an object; each line must be one")
    return record


def _left_out_words(log: ReadingLog) -> str:
    """What a folder or pattern has instead of texts, for a message."""
    words = [f"{one.count} {one.what} ({one.reason})" for one in log.left_out.values()]
    more = f" and {len(words) - 3} other sorts" if len(words) > 3 else ""
    return f"; left out: {', '.join(words[:3])}{more}" if words else ""


def _cut(document: Document, cut_bytes: int | None) -> Iterator[Document]:
    """`document`, or pieces of at least `cut_bytes` UTF-8 bytes (the last one may be shorter), cut at line ends."""
    if cut_bytes is None:
        yield document
        return
    piece: list[str] = []
    size = number = 0
    for line in document.text.splitlines(keepends=True):
        piece.append(line)
        size += len(line.encode("utf-8", "replace"))
        if size >= cut_bytes:
            yield Document(id=f"{document.id}#{number}", text="".join(piece))
            piece, size, number = [], 0, number + 1
    if piece:
        yield Document(id=f"{document.id}#{number}", text="".join(piece))
