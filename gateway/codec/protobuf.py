"""The wire format of Protocol Buffers (protobuf.dev, Encoding): reading fields, and writing the simple ones."""

import struct
from collections.abc import Iterator
from enum import IntEnum

_VARINT_BYTES_MAX = 10
_UINT64 = (1 << 64) - 1


class Wire(IntEnum):
    """How a field's value is sent. The groups of version 1 (3 and 4) are refused."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class ProtobufError(ValueError):
    """The bytes are no message."""


def read_fields(data: bytes) -> Iterator[tuple[int, Wire, int | bytes]]:
    """Number, wire type and value of each field in order: an unsigned integer, or the bytes. Raises ProtobufError."""
    position, end = 0, len(data)
    while position < end:
        key, position = _read_varint(data, position)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29 or wire not in (0, 1, 2, 5):
            raise ProtobufError(f"byte {position}: field {number} of wire type {wire}")
        value: int | bytes
        if wire == Wire.VARINT:
            value, position = _read_varint(data, position)
        else:
            size = 8 if wire == Wire.FIXED64 else 4
            if wire == Wire.BYTES:
                size, position = _read_varint(data, position)
            if size > end - position:
                raise ProtobufError(f"byte {position}: field {number} of {size} bytes, {end - position} are left")
            value = data[position : position + size]
            position += size
        yield number, Wire(wire), value


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[position : position + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value > _UINT64:
                break
            return value, position + i + 1
    raise ProtobufError(f"byte {position}: a number is cut off or larger than 64 bits")


def float32(data: bytes) -> float:
    """The four bytes as a number."""
    return float(struct.unpack("<f", data)[0])


def float64(data: bytes) -> float:
    """The eight bytes as a number."""
    return float(struct.unpack("<d", data)[0])


def signed(value: int, bits: int) -> int:
    """An unsigned integer's lowest bits in two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def varint(value: int) -> bytes:
    """An unsigned integer as sent."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_field(number: int, value: int) -> bytes:
    """A field with an unsigned integer."""
    return varint(number << 3 | Wire.VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field with bytes: a text or a message."""
    return varint(number << 3 | Wire.BYTES) + varint(len(value)) + value
