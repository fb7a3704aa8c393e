"""Lines of text files, plain or compressed, with errors that name file and line."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from archbench.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = (".xz", ".gz", ".bz2", ".zst")
"""Last suffixes that name a compression."""

_CHUNK_BYTES = 1 << 17


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 file with their line ends, decompressed by its last suffix.

    Raises DataError, with file and line number, for what is unreadable, cut off, binary or not UTF-8.
    """
    number, first, line = 0, b"", b""
    try:
        if path.suffix.lower() in COMPRESSIONS and path.stat().st_size == 0:
            raise DataError(f"{path}: is empty, 0 bytes, which is no {path.suffix} file; fetch it again, or delete it")
        with _open_binary(path) as stream:
            # Split at line feeds only: JSON text may hold the other characters that str.splitlines cuts at.
            for number, line in enumerate(stream, start=1):
                first = first or line
                if b"\0" in line:
                    what = _not_text(first, line) or "holds NUL bytes, which no text has; leave it out or mend it"
                    raise DataError(f"{path}:{number}: {what}")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        remedy = f"is not UTF-8 ({error.reason}); convert the file, for example: iconv -f LATIN1 -t UTF-8"
        raise DataError(f"{path}:{number}: {_not_text(first, line) or remedy}") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read after line {number}: {one_line(error)}") from error


_DECOMPRESS, _LEAVE_OUT = "decompress it, or name it by its format", "leave it out"
_MAGIC = {
    b"\x1f\x8b": ("gzip data", _DECOMPRESS),
    b"\xfd7zXZ\0": ("xz data", _DECOMPRESS),
    b"(\xb5/\xfd": ("zstd data", _DECOMPRESS),
    b"BZh": ("bzip2 data", _DECOMPRESS),
    b"PK\x03\x04": ("a zip archive or an office document", _LEAVE_OUT),
    b"PAR1": ("Parquet data", "name it .parquet"),
    b"%PDF": ("a PDF", _LEAVE_OUT),
    b"\x89PNG": ("an image", _LEAVE_OUT),
    b"\xff\xd8\xff": ("an image", _LEAVE_OUT),
    b"\x7fELF": ("a program", _LEAVE_OUT),
    b"SQLite format 3": ("a database", _LEAVE_OUT),
}
"""First bytes of what people take for text because of its name: what it is, and what to do."""
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _not_text(first: bytes, line: bytes) -> str | None:
    """What a file that cannot be read as text is by its `first` line, and what to do; None where that says nothing."""
    for start, (words, remedy) in _MAGIC.items():
        if first.startswith(start):
            return f"holds {words}, not text; {remedy}"
    if first.startswith(_UTF_16_MARKS):
        return "is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8"
    zeros = line.count(0)
    for offset, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if zeros > len(line) / 4 and line[offset::2].count(0) > 0.9 * zeros:
            return f"holds NUL bytes as {name} without a byte order mark does; convert it: iconv -f {name} -t UTF-8"
    return None


def one_line(error: BaseException) -> str:
    """The message of `error` without line breaks; its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _open_binary(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".xz":
            return lzma.open(path)
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case ".bz2":
            return cast("IO[bytes]", bz2.open(path))
        case ".zst":
            return cast("IO[bytes]", io.BufferedReader(_ZstdStream(path), _CHUNK_BYTES))
        case _:
            return path.open("rb")


class _ZstdStream(io.RawIOBase):
    """A decompressed file of zstd frames. zstandard's own reader takes a file that was cut off for a whole one."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._library = zstandard.ZstdDecompressor()
        self._file = path.open("rb")
        self._frame = self._library.decompressobj()
        self._frame_is_open = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        while not self._ready and (chunk := self._file.read(_CHUNK_BYTES)):
            self._ready = memoryview(self._decompressed(chunk))
        if not self._ready and self._frame_is_open:
            raise EOFError("compressed file ended before the end of its data")
        taken = min(len(target), len(self._ready))
        target[:taken], self._ready = self._ready[:taken], self._ready[taken:]
        return taken

    def _decompressed(self, chunk: bytes) -> bytes:
        pieces = []
        while chunk:
            self._frame_is_open = True
            try:
                pieces.append(self._frame.decompress(chunk))
            except self._error as error:
                raise OSError(one_line(error)) from error
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data
                self._frame, self._frame_is_open = self._library.decompressobj(), False
        return b"".join(pieces)

    def close(self) -> None:
        self._file.close()
        super().close()
