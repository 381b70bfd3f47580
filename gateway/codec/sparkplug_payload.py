"""Sparkplug B payloads: the metrics of a message, and the request for a rebirth (Sparkplug 3.0.0, chapter 6)."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from gateway.codec.protobuf import (
    ProtobufError,
    Wire,
    bytes_field,
    float32,
    float64,
    read_fields,
    signed,
    varint_field,
)
from gateway.codec.rows import MessageRejected
from gateway.reasons import Reason

REBIRTH = "Node Control/Rebirth"
_BOOLEAN = 11
_FIELDS_BESIDE_MAX = 1000  # of a message beside its metrics: the standard has 4, and leaves room for more
# Bits of the integer types by data type; negative ones travel in two's complement.
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED_BITS = {5: 8, 6: 16, 7: 32, 8: 64}
_FLOAT_EXACT = 2.0**24  # beyond, a float32 tells whole numbers apart no more


class ValueField(IntEnum):
    """Fields of a metric that hold its value."""

    INT = 10
    LONG = 11
    FLOAT = 12
    DOUBLE = 13
    BOOLEAN = 14
    STRING = 15


@dataclass(slots=True)
class Metric:
    """One metric as sent; times [ms since 1970 UTC]. `alias` is None, and `name` empty, where it isn't sent."""

    name: str = ""
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int = 0
    is_null: bool = False
    quality: int | None = None
    field: ValueField | None = None
    raw: int | bytes = 0


@dataclass(slots=True)
class Payload:
    """A message's contents; `seq` is its number within the edge node's session, None where it isn't sent."""

    timestamp_ms: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    seq: int | None = None

    def number_of(self, name: str) -> int | None:
        """The integer of the metric of that name, such as bdSeq."""
        for metric in self.metrics:
            if metric.name == name and isinstance(metric.raw, int) and metric.field:
                return metric.raw
        return None


def read_payload(data: bytes, metrics_max: int) -> Payload:
    """The payload of a message. Raises MessageRejected."""
    payload = Payload()
    try:
        for count, (number, wire, value) in enumerate(read_fields(data)):
            if number == 1:
                payload.timestamp_ms = _integer(number, wire, value)
            elif number == 2:
                payload.metrics.append(_metric(_message(number, wire, value)))
            elif number == 3:
                payload.seq = _integer(number, wire, value)
            if len(payload.metrics) > metrics_max or count > metrics_max + _FIELDS_BESIDE_MAX:
                raise MessageRejected(Reason.TOO_MANY_READINGS, f"more than {metrics_max} metrics", metrics_max + 1)
    except (ProtobufError, UnicodeDecodeError) as error:
        raise MessageRejected(Reason.UNDECODABLE, f"Sparkplug payload: {error}") from None
    return payload


def _metric(data: bytes) -> Metric:
    metric = Metric()
    for number, wire, value in read_fields(data):
        if number == 1:
            metric.name = _message(number, wire, value).decode()
        elif number == 2:
            metric.alias = _integer(number, wire, value)
        elif number == 3:
            metric.timestamp_ms = _integer(number, wire, value)
        elif number == 4:
            metric.datatype = _integer(number, wire, value)
        elif number == 7:
            metric.is_null = _integer(number, wire, value) != 0
        elif number == 9:
            metric.quality = _quality(_message(number, wire, value))
        elif number in ValueField._value2member_map_:
            metric.field = ValueField(number)
            metric.raw = value
            _check_wire(metric.field, wire)
    return metric


def _quality(properties: bytes) -> int | None:
    """The property Quality of a property set: keys and values in two lists of one order."""
    keys: list[bytes] = []
    values: list[bytes] = []
    for number, wire, value in read_fields(properties):
        if number == 1:
            keys.append(_message(number, wire, value))
        elif number == 2:
            values.append(_message(number, wire, value))
    if b"Quality" not in keys or len(keys) != len(values):
        return None
    for number, wire, value in read_fields(values[keys.index(b"Quality")]):
        if number == 3 and wire == Wire.VARINT and isinstance(value, int):
            return value
    return None


def register_of(metric: Metric, datatype: int) -> str | float | None:
    """The metric's value as a register (decimal text, or a float64), None where it is none.

    A float32 becomes the shortest decimal that it stands for; beyond 2**24 it holds no register exactly.
    """
    raw = metric.raw
    if isinstance(raw, int):
        return _whole_number(raw, datatype) if metric.field in (ValueField.INT, ValueField.LONG) else None
    if metric.field == ValueField.STRING:
        return raw.decode(errors="replace")
    if metric.field == ValueField.DOUBLE:
        return float64(raw)
    value = np.float32(float32(raw))
    return str(np.format_float_positional(value, trim="-")) if abs(value) < _FLOAT_EXACT else None


def _whole_number(raw: int, datatype: int) -> str | None:
    if datatype in _SIGNED_BITS:
        return str(signed(raw, _SIGNED_BITS[datatype]))
    bits = _UNSIGNED_BITS.get(datatype)
    if bits is None:  # no BIRTH told the type: the number is certain only where signed and unsigned ones agree
        return str(raw) if raw < 1 << 31 else None
    return str(raw) if raw < 1 << bits else None


def rebirth_request(now_ms: int) -> bytes:
    """The payload of an NCMD that asks an edge node for its BIRTH messages."""
    metric = (
        bytes_field(1, REBIRTH.encode())
        + varint_field(3, now_ms)
        + varint_field(4, _BOOLEAN)
        + varint_field(ValueField.BOOLEAN, 1)
    )
    return varint_field(1, now_ms) + bytes_field(2, metric)


def _integer(number: int, wire: Wire, value: int | bytes) -> int:
    if wire != Wire.VARINT or not isinstance(value, int):
        raise ProtobufError(f"field {number} is of wire type {wire}, not a number")
    return value


def _message(number: int, wire: Wire, value: int | bytes) -> bytes:
    if wire != Wire.BYTES or not isinstance(value, bytes):
        raise ProtobufError(f"field {number} is of wire type {wire}, not text or a message")
    return value


def _check_wire(value_field: ValueField, wire: Wire) -> None:
    wires = {ValueField.FLOAT: Wire.FIXED32, ValueField.DOUBLE: Wire.FIXED64, ValueField.STRING: Wire.BYTES}
    if wire != wires.get(value_field, Wire.VARINT):
        raise ProtobufError(f"field {value_field} is of wire type {wire}")
