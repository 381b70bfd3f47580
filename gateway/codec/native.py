"""The native payload: JSON (an object) or CBOR (a map), columns of equal length, a scalar stands for every row.

A well-formed message is decoded straight into its types; only one that isn't is looked at value by value, so that its
good rows are kept.
"""

from typing import Any

import msgspec

from gateway.codec import lenient
from gateway.codec.registry import CodecKind, NoOptions
from gateway.codec.rows import CodecContext, MessageRejected, Rows
from gateway.reasons import Reason
from metrology.errors import InvalidInputError
from metrology.quantities import UNITS, Medium, micro_per_unit

VERSION = 1
NESTING_MAX = 32
STATUS_MAX = 0x7FFF


class NativePayload(msgspec.Struct):
    """The message as documented. Fields that it doesn't know are passed over, so that senders may add some."""

    v: int
    medium: Medium
    unit: str
    observed_at: list[str | int] | str | int
    meter: list[str] | str
    register: list[float | str] | float | str
    status: list[int] | int | msgspec.UnsetType = msgspec.UNSET
    id: str | int | msgspec.UnsetType = msgspec.UNSET


_json = msgspec.json.Decoder(NativePayload)
# msgspec takes the last of equal keys without a word.
_KEYS = tuple(f'"{field.name}"'.encode() for field in msgspec.structs.fields(NativePayload))
_NEEDED = sum(field.required for field in msgspec.structs.fields(NativePayload))
_BLANKS = (b" ", b"\t", b"\n", b"\r")


def decode_native(payload: bytes, readings_max: int, nesting_max: int = NESTING_MAX) -> Rows:
    """The rows of a native payload. Raises MessageRejected where nothing of it can be used."""
    if payload[:1] in _BLANKS:  # no CBOR map begins so, and JSON may
        payload = payload.lstrip()
    if payload[:1] == b"{":
        try:
            message = _json.decode(payload)
            if not _is_plain(message, payload) and _needs_a_closer_look(payload, nesting_max):
                lenient.load_json(payload, nesting_max)  # refuses either
        except (ValueError, RecursionError):  # of msgspec, or of text that is no UTF-8
            return lenient.rows_of(lenient.load_json(payload, nesting_max), readings_max)
    else:
        loaded = lenient.load_cbor(payload, nesting_max)
        try:
            message = msgspec.convert(loaded, NativePayload)
        except msgspec.ValidationError:
            return lenient.rows_of(loaded, readings_max)
    if message.v != VERSION:
        raise MessageRejected(Reason.VERSION_UNSUPPORTED, f"v = {message.v}")
    return _as_rows(message, readings_max)


def _is_plain(message: NativePayload, payload: bytes) -> bool:
    """True where its texts are as many as its fields' names and values, as with nearly all single readings.

    Then no name stands twice, and there is no other field: each would be a text more.
    """
    kinds = (type(message.observed_at), type(message.meter), type(message.register), type(message.id))
    names = _NEEDED + (message.status is not msgspec.UNSET) + (message.id is not msgspec.UNSET)
    texts = names + 2 + kinds.count(str)  # medium and unit
    return payload.count(b'"') == 2 * texts and b"\\" not in payload


def _needs_a_closer_look(payload: bytes, nesting_max: int) -> bool:
    """True where a key may stand twice, or something may lie too deep; sometimes true of good payloads."""
    lists = payload.count(b"[")
    if lists + payload.count(b"{") > nesting_max:
        return True
    outside = _outside_lists(payload) if lists else payload
    return b"\\" in outside or max(map(outside.count, _KEYS)) > 1


def _outside_lists(payload: bytes) -> bytes:
    """The payload without what its lists hold: its keys stand outside, and long lists take time to look through."""
    first, *parts = payload.split(b"[", len(_KEYS) + 1)
    if not parts or len(parts) > len(_KEYS):
        return payload
    # Brackets within a text only make more of it be looked at.
    return first + b"".join(part[part.find(b"]") + 1 :] for part in parts)


def _as_rows(message: NativePayload, readings_max: int) -> Rows:
    flags = 0 if message.status is msgspec.UNSET else message.status
    columns: tuple[Any, ...] = (message.meter, message.observed_at, message.register, flags)
    n = _row_count(columns, readings_max)
    if message.unit not in UNITS[message.medium]:
        try:
            micro_per_unit(message.unit, message.medium)
        except InvalidInputError as error:
            raise MessageRejected(Reason.UNIT_INVALID, str(error), n) from None
    meter, observed_at, register, status = (column if type(column) is list else (column,) * n for column in columns)
    return Rows(message.medium, message.unit, meter, observed_at, register, status)


def _row_count(columns: tuple[Any, ...], readings_max: int) -> int:
    """The rows of the message. Raises MessageRejected where its lists differ in length or are too long."""
    lengths = {len(column) for column in columns if type(column) is list}
    if not lengths:
        return 1
    n = max(lengths)
    if len(lengths) > 1:
        named = dict(zip(("meter", "observed_at", "register", "status"), columns, strict=True))
        raise MessageRejected(Reason.LENGTHS_DIFFER, lenient.describe_lengths(named), n)
    if n > readings_max:
        raise MessageRejected(Reason.TOO_MANY_READINGS, f"{n} readings, {readings_max} are allowed", n)
    return n


class NativeCodec:
    """The native payload as a source's codec."""

    def __init__(self, _options: NoOptions, context: CodecContext) -> None:
        self._readings_max = context.readings_max
        self._nesting_max = context.nesting_max

    def decode(self, _topic: str, payload: bytes, _received_us: int | None) -> Rows:
        """See Codec."""
        return decode_native(payload, self._readings_max, self._nesting_max)


NATIVE = CodecKind(
    summary="Meterproof's own payload, JSON or CBOR in columns (docs/architecture.md)",
    options=NoOptions,
    build=NativeCodec,
)
