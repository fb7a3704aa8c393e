"""Messages in protobuf's wire format, without their schema: field numbers and raw values.

Two formats are logs of protobuf messages: TensorBoard's event files and W&B's offline files. The few fields that hold
metrics have had their numbers since those formats began (protobuf never gives a number a second meaning), so nothing
of either tool is needed to read them. Format: https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

Field = tuple[int, int, int, bytes]
"""Number, wire type, the unsigned integer of a varint (else 0), the bytes of any other (else empty)."""


class DamagedError(ValueError):
    """The bytes are no message."""


def fields(message: bytes) -> Iterator[Field]:
    """The fields of `message` in their order. Raises DamagedError."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if not number:
            raise DamagedError(f"a field has the number 0 at byte {at}")
        if wire_type == VARINT:
            value, at = _varint(message, at)
            yield number, wire_type, value, b""
            continue
        if wire_type == BYTES:
            length, at = _varint(message, at)
        elif wire_type in (FIXED64, FIXED32):
            length = 8 if wire_type == FIXED64 else 4
        else:
            raise DamagedError(f"a field has the unknown type {wire_type} at byte {at}")
        if at + length > len(message):
            raise DamagedError(f"field {number} ends after the message")
        yield number, wire_type, 0, message[at : at + length]
        at += length


def parts(message: bytes, number: int) -> list[bytes]:
    """Every value of the field `number` that is bytes: a text, or a message in it. Raises DamagedError."""
    return [raw for found, kind, _, raw in fields(message) if found == number and kind == BYTES]


def part(message: bytes, number: int) -> bytes | None:
    """The last value of the field `number` that is bytes; None where there is none. Raises DamagedError."""
    found = parts(message, number)
    return found[-1] if found else None


def text(message: bytes, number: int) -> str:
    """The field `number` as text, empty where there is none. Raises DamagedError."""
    try:
        return (part(message, number) or b"").decode()
    except UnicodeDecodeError:
        raise DamagedError(f"field {number} is no text") from None


def integer(message: bytes, number: int) -> int:
    """The field `number` as a signed integer of 64 bits, 0 where there is none. Raises DamagedError."""
    found = [value for one, kind, value, _ in fields(message) if one == number and kind == VARINT]
    last = found[-1] if found else 0
    return last - (1 << 64) if last >> 63 else last


def floats(message: bytes, number: int) -> list[float]:
    """The values of the field `number` of type float, one by one or packed. Raises DamagedError."""
    return _numbers(message, number, FIXED32, "<f")


def doubles(message: bytes, number: int) -> list[float]:
    """The values of the field `number` of type double, one by one or packed. Raises DamagedError."""
    return _numbers(message, number, FIXED64, "<d")


def _numbers(message: bytes, number: int, wire_type: int, form: str) -> list[float]:
    raw = b"".join(raw for found, kind, _, raw in fields(message) if found == number and kind in (wire_type, BYTES))
    if len(raw) % struct.calcsize(form):
        raise DamagedError(f"field {number} holds part of a number")
    return [value for (value,) in struct.iter_unpack(form, raw)]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if at >= len(message):
            raise DamagedError("the message ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise DamagedError(f"a number has no end at byte {at}")
