"""The slow way of the native codec: a message with values of wrong types, value by value; its good rows are kept."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, Never, TypeVar

import cbor2

from gateway.codec.document import is_deeper
from gateway.codec.rows import MessageRejected, RowReject, Rows
from gateway.reasons import Reason, show
from metrology.errors import InvalidInputError
from metrology.quantities import Medium, micro_per_unit, parse_medium

T = TypeVar("T")
VERSION = 1
_COLUMNS = ("observed_at", "meter", "register", "status")
_NEEDED = ("v", "medium", "unit", "observed_at", "meter", "register")
_SELF_DESCRIBED = bytes.fromhex("d9d9f7")  # tag 55799
_LENGTH_FOLLOWS, _INDEFINITE = 24, 31
_EXACT_INT = 2**53
_NO_TIME: str | int = 0
_NO_REGISTER: float | str = 0.0
# Times, big numbers and decimal fractions (RFC 8949, 3.4) have a use here, and 55799 marks CBOR as such. Others, among
# them patterns, shared and cyclic references and binary fractions of any exponent, would cost time or memory.
_REFUSED_TAGS = (5, 25, 28, 29, 30, 35, 36, 37, 43000, 256, 258, 260, 261)


def load_json(payload: bytes, nesting_max: int) -> Mapping[str, Any]:
    """The JSON object of a payload that could not be decoded into its types. Raises MessageRejected."""
    try:
        # The standard module reads NaN, Infinity and numbers beyond a float's range: a row's fault, not the message's.
        loaded = json.loads(payload.decode(), object_pairs_hook=_without_repetition)
    except RecursionError:
        raise _too_deep(nesting_max) from None
    except ValueError as error:
        raise MessageRejected(Reason.UNDECODABLE, f"JSON: {show(error)}") from None
    if is_deeper(loaded, nesting_max):
        raise _too_deep(nesting_max)
    return _as_map(loaded, "JSON")


def _too_deep(nesting_max: int) -> MessageRejected:
    return MessageRejected(Reason.TOO_DEEP, f"over {nesting_max} levels")


def load_cbor(payload: bytes, nesting_max: int) -> Mapping[str, Any]:
    """The CBOR map of a payload. Raises MessageRejected."""
    if not payload:
        raise MessageRejected(Reason.UNDECODABLE, "the payload is empty")
    try:
        # Some faulty items raise what the library did not foresee; whatever it is, the payload can't be read.
        loaded = cbor2.loads(payload, semantic_decoders=_DECODERS, max_depth=nesting_max)
    except (Exception, RecursionError) as error:
        if "nesting depth" in str(error):
            raise _too_deep(nesting_max) from None
        raise MessageRejected(Reason.UNDECODABLE, f"CBOR: {show(error)}") from None
    message = _as_map(loaded, "CBOR")
    if _pairs_of(payload, nesting_max) != len(message):  # the library takes the last of equal keys without a word
        raise MessageRejected(Reason.UNDECODABLE, "CBOR: a key stands twice in one map")
    return message


def _pairs_of(payload: bytes, nesting_max: int) -> int:
    """How many pairs the outermost map of a well-formed payload holds (RFC 8949, 3 and 3.2.2)."""
    payload = payload.removeprefix(_SELF_DESCRIBED)
    info = payload[0] & 0x1F
    if info < _LENGTH_FOLLOWS:
        return info
    if info < _INDEFINITE:
        return int.from_bytes(payload[1 : 1 + (1 << info - _LENGTH_FOLLOWS)])
    decoder = cbor2.CBORDecoder(BytesIO(payload[1:]), semantic_decoders=_DECODERS, max_depth=nesting_max)
    items = 0
    try:
        while True:
            decoder.decode()
            items += 1
    except cbor2.CBORDecodeError:  # the break that ends it
        return items // 2


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; one that names a key twice says two things, and none of them may be picked."""
    items = dict(pairs)
    if len(items) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {show(twice)} stands twice in one object")
    return items


def _refuse_tag(*_: object) -> Never:
    raise ValueError("a tag that has no use in readings")


_DECODERS: dict[int, Callable[..., Any]] = dict.fromkeys(_REFUSED_TAGS, _refuse_tag)


def _as_map(loaded: object, form: str) -> Mapping[str, Any]:
    if not isinstance(loaded, Mapping):
        raise MessageRejected(Reason.UNDECODABLE, f"{form}: {type(loaded).__name__} instead of a map")
    return loaded


def rows_of(message: Mapping[str, Any], readings_max: int) -> Rows:
    """The rows of a decoded message, values of a wrong type rejected by row. Raises MessageRejected."""
    version = message.get("v", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise MessageRejected(Reason.VERSION_UNSUPPORTED, f"v = {show(version)}")
    missing = [name for name in _NEEDED if name not in message]
    if missing:
        raise MessageRejected(Reason.FIELD_MISSING, f"missing: {', '.join(missing)}")
    n = _row_count(message, readings_max)
    medium, unit = _medium_and_unit(message, n)
    rejects: list[RowReject] = []
    return Rows(
        medium,
        unit,
        _column(message["meter"], n, _meter, "", Reason.METER_INVALID, rejects),
        _column(message["observed_at"], n, _observed_at, _NO_TIME, Reason.OBSERVED_AT_INVALID, rejects),
        _column(message["register"], n, _register, _NO_REGISTER, Reason.REGISTER_INVALID, rejects),
        _column(message.get("status", 0), n, _status, 0, Reason.STATUS_INVALID, rejects),
        rejects,
    )


def describe_lengths(message: Mapping[str, Any]) -> str:
    """The lengths of the message's columns, for people."""
    return ", ".join(f"{name} has {len(message[name])}" for name in _COLUMNS if isinstance(message.get(name), list))


def _row_count(message: Mapping[str, Any], readings_max: int) -> int:
    lengths = {len(message[name]) for name in _COLUMNS if isinstance(message.get(name), list)}
    n = max(lengths, default=1)
    if len(lengths) > 1:
        raise MessageRejected(Reason.LENGTHS_DIFFER, describe_lengths(message), n)
    if n > readings_max:
        raise MessageRejected(Reason.TOO_MANY_READINGS, f"{n} readings, {readings_max} are allowed", n)
    return n


def _medium_and_unit(message: Mapping[str, Any], n: int) -> tuple[Medium, str]:
    for name in ("medium", "unit"):
        if not isinstance(message[name], str):
            raise MessageRejected(Reason.FIELD_INVALID, f"{name} = {show(message[name])} is no text", n)
    try:
        medium = parse_medium(message["medium"])
    except InvalidInputError as error:
        raise MessageRejected(Reason.FIELD_INVALID, str(error), n) from None
    try:
        micro_per_unit(message["unit"], medium)
    except InvalidInputError as error:
        raise MessageRejected(Reason.UNIT_INVALID, str(error), n) from None
    return medium, message["unit"]


def _column(
    value: Any, n: int, convert: Callable[[Any], T | None], filler: T, reason: Reason, rejects: list[RowReject]
) -> list[T]:
    column: list[T] = []
    for row, item in enumerate(value if isinstance(value, list) else [value] * n):
        converted = convert(item)
        if converted is None:
            rejects.append(RowReject(row, reason, show(item)))
            converted = filler
        column.append(converted)
    return column


def _meter(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _observed_at(value: Any) -> str | int | None:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)  # some CBOR encoders know integers of 32 bits only
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _register(value: Any) -> float | str | None:
    if isinstance(value, str | float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < _EXACT_INT:
            return float(value)
        return str(value) if value.bit_length() < 128 else "out of range"
    return str(value) if isinstance(value, Decimal) else None


def _status(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
