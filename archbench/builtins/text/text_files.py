"""Documents out of the user's own files."""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from archbench.builtins.text.compressed import COMPRESSIONS, one_line, read_lines
from archbench.contracts.data import DatasetConfig, Document
from archbench.errors import DataError

_TEXT_SUFFIXES = (".txt", ".md", ".rst", ".text")
_JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")
_PARQUET_BATCH_ROWS = 1024


class TextFilesConfig(DatasetConfig):
    """Dataset `text_files`: a plain text file is one document, a JSON line or a Parquet row is one document each."""

    kind: Literal["text_files"] = "text_files"
    summary: ClassVar[str] = "your own .txt, .jsonl (plain, .xz, .gz, .zst) and .parquet files"

    paths: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """Files, folders (searched in full) or glob patterns (`**`: any depth), relative to the folder of the spec."""
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
        for path, name in self._files().items():
            for document in self._documents_of(path, name):
                yield from _cut(document, self.cut_bytes)

    def cache_key(self) -> str | None:
        """Names, sizes and modification times of all files."""
        facts = []
        for path in self._files():
            status = path.stat()
            facts.append([str(path.resolve()), status.st_size, status.st_mtime_ns])
        return json.dumps(facts)

    def _files(self) -> dict[Path, str]:
        """Each file once, with the name that its documents' ids begin with: the same wherever the text is stored."""
        files: dict[Path, str] = {}
        for pattern in self.paths:
            path = self._expanded(pattern)
            if path.is_dir():
                found = [file for file in sorted(path.rglob("*")) if file.is_file() and _format(file) is not None]
                missing = f"the folder has no {', '.join((*_TEXT_SUFFIXES, *_JSONL_SUFFIXES, '.parquet'))} file"
                root = path
            elif glob.has_magic(pattern) and not path.exists():
                start, rest = _split_pattern(pattern)
                root = self._expanded(start)
                found = [file for file in _matching(root, rest, pattern) if file.is_file()]
                missing = "no file matches this pattern"
            else:
                root = path.parent
                found = [path] if path.is_file() else []
                missing = "no such file"
            if not found:
                raise DataError(f"{pattern}: {missing}; data.dataset.paths are relative to {self.paths_start_at}")
            for file in found:
                files.setdefault(file, file.relative_to(root).as_posix())
        return files

    def _expanded(self, pattern: str) -> Path:
        try:
            return self.located(pattern)
        except RuntimeError as error:
            raise DataError(f"{pattern}: there is no such user; write the folder out") from error

    def _documents_of(self, path: Path, name: str) -> Iterator[Document]:
        match _format(path):
            case "text":
                yield Document(id=name, text="".join(read_lines(path)))
            case "jsonl":
                yield from self._json_lines(path, name)
            case "parquet":
                yield from self._parquet_rows(path, name)
            case _:
                raise DataError(
                    f"{path}: got a file of unknown format, expected {', '.join((*_TEXT_SUFFIXES, *_JSONL_SUFFIXES))} "
                    f"(also with {', '.join(COMPRESSIONS)}) or .parquet"
                )

    def _json_lines(self, path: Path, name: str) -> Iterator[Document]:
        for number, line in enumerate(read_lines(path), start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where}: is not JSON ({error}); each line must be one object") from error
            if not isinstance(record, dict):
                raise DataError(f"{where}: got a JSON {type(record).__name__}, expected an object")
            yield self._document(record, where, f"{name}:{number}")

    def _parquet_rows(self, path: Path, name: str) -> Iterator[Document]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [self.text_field] + ([self.id_field] if self.id_field else [])
        try:
            with pq.ParquetFile(path) as table:
                known = table.schema_arrow.names
                for column in columns:
                    if column not in known:
                        raise DataError(f"{path}: has no column {column!r}; its columns: {', '.join(known)}")
                number = 0
                for batch in table.iter_batches(_PARQUET_BATCH_ROWS, columns=columns):
                    for record in batch.to_pylist():
                        yield self._document(record, f"{path}: row {number}", f"{name}:{number}")
                        number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as Parquet: {one_line(error)}") from error

    def _document(self, record: dict[str, Any], where: str, default_id: str) -> Document:
        text = record.get(self.text_field)
        if not isinstance(text, str):
            keys = ", ".join(map(repr, record))[:200]
            got = f"a {type(text).__name__}" if self.text_field in record else f"only {keys or 'an empty object'}"
            raise DataError(f"{where}: expected text under {self.text_field!r}, got {got}; set data.dataset.text_field")
        if self.id_field is None:
            return Document(id=default_id, text=text)
        if record.get(self.id_field) is None:
            raise DataError(f"{where}: has no {self.id_field!r}; set data.dataset.id_field to a key of every record")
        return Document(id=str(record[self.id_field]), text=text)


def _split_pattern(pattern: str) -> tuple[str, str]:
    """The part of a glob pattern before its first part with a special character, and the rest."""
    parts = Path(pattern).parts
    special = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:special])), str(Path(*parts[special:]))


def _matching(root: Path, rest: str, pattern: str) -> list[Path]:
    try:
        return sorted(root.glob(rest))
    except ValueError as error:
        raise DataError(f"{pattern}: is not a glob pattern: {one_line(error)}") from error


def _format(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    if not suffixes:
        return None
    if suffixes[-1] in _TEXT_SUFFIXES:
        return "text"
    if suffixes[-1] in _JSONL_SUFFIXES:
        return "jsonl"
    return "parquet" if suffixes[-1] == ".parquet" else None


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
