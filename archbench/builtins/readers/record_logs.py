"""Two ways to lay records one after another in a file: TensorFlow's (TFRecord) and LevelDB's log.

Both put a checksum before a record, so that damage is told with the number of the record. A file that ends within a
record is no damage: its writer was ended there, or still writes.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from archbench.api import SpecError

_CASTAGNOLI = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_BLOCK_BYTES = 32 * 1024
_HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
"""What part of a record a fragment in LevelDB's log is."""


def _castagnoli_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _castagnoli_table()


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted so that a checksum of checksums is none."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def tf_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each record. Raises SpecError for the first that is damaged."""
    with path.open("rb") as stream:
        number = 0
        while len(head := stream.read(12)) == 12:
            number += 1
            length, check = struct.unpack("<QI", head)
            if masked_crc32c(head[:8]) != check:
                if number == 1:
                    raise SpecError(f"{path}: record 1: is damaged, or the file is no event file of TensorBoard")
                raise _damaged(path, number)
            # The size is believed only now: a damaged one may ask for more than there is memory.
            data, tail = stream.read(length), stream.read(4)
            if len(data) < length or len(tail) < 4:
                return
            if masked_crc32c(data) != int.from_bytes(tail, "little"):
                raise _damaged(path, number)
            yield number, data


def leveldb_records(path: Path, header_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each record after a file header. Raises SpecError for the first that is damaged.

    A record is cut into fragments at the ends of blocks of 32 KiB; a rest of fewer than 7 bytes is left zero.
    """
    content = path.read_bytes()
    at, number, pieces = header_bytes, 0, bytearray()
    within = False
    while at + _HEADER.size <= len(content):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _HEADER.size:
            at += left
            continue
        check, length, kind = _HEADER.unpack_from(content, at)
        data = content[at + _HEADER.size : at + _HEADER.size + length]
        if kind == 0 and length == 0 and check == 0:
            return  # space that was set aside and never written
        if _HEADER.size + length > left or kind not in (FULL, FIRST, MIDDLE, LAST):
            raise _damaged(path, number + 1)
        if len(data) < length:
            return
        if zlib.crc32(data, zlib.crc32(bytes([kind]))) != check or within != (kind in (MIDDLE, LAST)):
            raise _damaged(path, number + 1)
        at += _HEADER.size + length
        pieces += data
        within = kind in (FIRST, MIDDLE)
        if not within:
            number += 1
            yield number, bytes(pieces)
            pieces.clear()


def _damaged(path: Path, number: int) -> SpecError:
    return SpecError(f"{path}: record {number}: is damaged (its checksum or length is wrong); copy the file again")
