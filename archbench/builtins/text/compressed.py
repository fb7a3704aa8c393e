"""Lines of text files, plain or compressed, with errors that name file and line."""

import gzip
import io
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from archbench.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = (".xz", ".gz", ".zst")
"""Last suffixes that name a compression."""

_CHUNK_BYTES = 1 << 17


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 file with their line ends, decompressed by its last suffix.

    Raises DataError, with file and line number, for what is unreadable, cut off or not UTF-8.
    """
    number = 0
    try:
        with _open_binary(path) as stream:
            # Split at line feeds only: JSON text may hold the other characters that str.splitlines cuts at.
            for number, line in enumerate(stream, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: is not UTF-8 ({error.reason}); convert the file") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: cannot be read after line {number}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The message of `error` without line breaks; its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _open_binary(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".xz":
            return lzma.open(path)
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
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
