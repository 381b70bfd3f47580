"""The native codec with the conversion behind it: golden payloads, an independent encoder, and arbitrary bytes."""

import json
import struct
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Assembly, assemble, is_serial
from gateway.codec.native import decode_native
from gateway.codec.rows import MessageRejected
from gateway.decode import Message, decode
from gateway.identity import IdentityMap
from gateway.settings import GatewaySettings
from gateway.sources import Sources

GOLDEN = Path(__file__).parent / "golden"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SETTINGS = GatewaySettings(register_max=Decimal("4e12"), register_min=Decimal("-4e12"))
NOW_US = (datetime(2027, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
SOURCES = Sources(SETTINGS)
NOBODY = IdentityMap(1, {"city": 1}, {"city": {}}, np.full(1, -1, dtype=np.int8))


def assembled(payload: bytes) -> Assembly:
    """What a payload comes to; no meter is registered, so its good rows are pending."""
    with suppress(MessageRejected):  # nothing else may be raised; `decode` would hide it
        decode_native(payload, SETTINGS.readings_per_message_max)
    return assemble([decode(Message("mp/v1/city/g/readings", payload, NOW_US), SOURCES)], NOBODY, SETTINGS, 7)


@pytest.mark.parametrize("expected_file", sorted(GOLDEN.glob("*.expected.json")), ids=lambda path: path.name)
def test_golden_payload(expected_file):
    expected = json.loads(expected_file.read_text())
    name = expected_file.name.removesuffix(".expected.json")
    text = GOLDEN / f"{name}.json"
    payload = text.read_bytes() if text.exists() else bytes.fromhex((GOLDEN / f"{name}.cbor.hex").read_text())
    result = assembled(payload)
    rows = [
        [p.serial, (EPOCH + timedelta(microseconds=p.observed_us)).isoformat(), p.register_micro, p.status]
        for p in result.pending
    ]
    assert rows == expected.get("rows", [])
    assert {p.medium for p in result.pending} == ({expected["medium"]} if rows else set())
    rejected = {row.reason: row.rows and list(row.rows) for row in result.quarantine}
    message = {expected["message"]: None} if "message" in expected else {}
    assert rejected == expected.get("rejected", message)
    assert result.readings_in == len(result.pending) + result.rejected


def test_every_golden_payload_has_its_expectation():
    payloads = {
        path.name.split(".")[0] for path in GOLDEN.iterdir() if path.is_file() and ".expected." not in path.name
    }
    assert payloads == {path.name.split(".")[0] for path in GOLDEN.glob("*.expected.json")}


# An encoder of its own: JSON by string formatting, CBOR by hand (RFC 8949, 3), nothing shared with the decoder.
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -:.+"


def _json_value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(_json_value, value)) + "]"
    if isinstance(value, str):
        units = struct.unpack(f">{len(value.encode('utf-16-be')) // 2}H", value.encode("utf-16-be"))
        return '"' + "".join(chr(u) if chr(u) in _PLAIN else f"\\u{u:04x}" for u in units) + '"'
    return repr(value)


def _json_message(message: dict[str, Any]) -> bytes:
    return ("{" + ", ".join(f"{_json_value(k)} : {_json_value(v)}" for k, v in message.items()) + "}").encode()


def _cbor_head(major: int, n: int) -> bytes:
    for limit, code, form in (
        (24, None, ""),
        (2**8, 24, ">B"),
        (2**16, 25, ">H"),
        (2**32, 26, ">I"),
        (2**64, 27, ">Q"),
    ):
        if n < limit:
            return bytes([major << 5 | n]) if code is None else bytes([major << 5 | code]) + struct.pack(form, n)
    raise OverflowError(n)


def _cbor(value: Any) -> bytes:
    if isinstance(value, dict):
        return _cbor_head(5, len(value)) + b"".join(_cbor(k) + _cbor(v) for k, v in value.items())
    if isinstance(value, list):
        return _cbor_head(4, len(value)) + b"".join(map(_cbor, value))
    if isinstance(value, str):
        return _cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    return _cbor_head(0, value) if value >= 0 else _cbor_head(1, -1 - value)


SERIALS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=12).filter(
    lambda serial: serial not in (".", "..")  # no address could name them
)
TIMES_MS = st.integers(946_684_800_000, 1_798_000_000_000)
READINGS = st.lists(
    st.tuples(SERIALS, TIMES_MS, st.integers(-(10**12), 10**12), st.integers(0, 32_767)), min_size=1, max_size=30
)


def _time_text(ms: int, offset_min: int) -> str:
    local = EPOCH + timedelta(milliseconds=ms, minutes=offset_min)
    sign = "-" if offset_min < 0 else "+"
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}"
    return f"{text}{sign}{abs(offset_min) // 60:02d}:{abs(offset_min) % 60:02d}"


@settings(deadline=None)
@given(
    READINGS,
    st.sampled_from([_json_message, _cbor]),
    st.sampled_from([None, -720, 0, 330, 845]),
    st.booleans(),
    st.booleans(),
)
def test_what_is_encoded_is_decoded(readings, encode, offset_min, as_text, share_time):
    if share_time:
        readings = [(serial, readings[0][1], thousandths, status) for serial, _, thousandths, status in readings]
    times = [ms if offset_min is None else _time_text(ms, offset_min) for _, ms, _, _ in readings]
    registers = [thousandths / 1000 for _, _, thousandths, _ in readings]
    message = {
        "v": 1,
        "medium": "water",
        "unit": "m3",
        "observed_at": times[0] if share_time else times,
        "meter": [serial for serial, _, _, _ in readings],
        "register": [f"{register:.3f}" for register in registers] if as_text else registers,
        "status": [status for _, _, _, status in readings],
    }
    result = assembled(encode(message))
    assert [row.detail for row in result.quarantine] == []
    got = [(row.serial, row.observed_us, row.register_micro, row.status) for row in result.pending]
    assert got == [(serial, ms * 1000, thousandths * 1000, status) for serial, ms, thousandths, status in readings]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
COLUMN = JUNK | st.lists(JUNK, min_size=2, max_size=2)
COLUMNS = ("observed_at", "meter", "register", "status")
FIELDS = st.fixed_dictionaries(
    {"v": st.just(1), "medium": st.just("water"), "unit": st.just("m3")},
    optional=dict.fromkeys(COLUMNS, COLUMN) | {"id": JUNK},
)


@settings(deadline=None)
@given(FIELDS | JUNK)
def test_junk_in_any_field_gives_rows_or_a_reason(message):
    result = assembled(cbor2.dumps(message))
    assert result.readings_in == len(result.pending) + result.rejected
    says_nothing = isinstance(message, dict) and [] in [message.get(name) for name in COLUMNS]
    assert result.pending or result.quarantine or says_nothing


@settings(deadline=None)
@given(FIELDS, st.data())
def test_damaged_payloads_give_rows_or_a_reason(message, data):
    payload = bytearray(data.draw(st.sampled_from([cbor2.dumps(message), json.dumps(message, default=str).encode()])))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    result = assembled(bytes(payload))
    assert result.readings_in == len(result.pending) + result.rejected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"{" + tail))
def test_arbitrary_bytes_give_rows_or_a_rejection(payload):
    with suppress(MessageRejected):
        rows = decode_native(payload, 100)
        assert len(rows.meter) == len(rows.observed_at) == len(rows.register) == len(rows.status) <= 100


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"\x81" * 1_000_000,
        b"\x9f" * 1_000_000,
        b"\x9b\x7f" + b"\xff" * 7,
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xbb" + b"\xff" * 8,
        b"\xa1\x61v\xc2\x5a\x00\x0f\x00\x00" + b"\xff" * 0xF0000,
        b'{"v":1,"medium":"water","unit":"m3","observed_at":0,"meter":"W","register":' + b"9" * 1_000_000 + b"}",
        b"{" + b",".join(b'"%d":1' % number for number in range(50_000)) + b',"z":1,"z":1}',
        cbor2.dumps({"v": 1, "x": cbor2.CBORTag(5, [2**62, 1])}),
        cbor2.dumps({"v": 1, "x": cbor2.CBORTag(4, [2**62, 1])}),
        cbor2.dumps({"v": 1, "x": cbor2.CBORTag(35, "(" * 5000)}),
        cbor2.dumps({"v": 1, "x": cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)])}),
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_hostile_payload_takes_no_time(payload):
    started = time.perf_counter()
    result = assembled(payload)
    assert time.perf_counter() - started < 1.0
    assert len(result.quarantine) == 1


def test_bounds_of_readings_a_message():
    message = {"v": 1, "medium": "water", "unit": "m3", "observed_at": 0, "meter": ["W"] * 101, "register": 1}
    with pytest.raises(MessageRejected, match="101 readings, 100 are allowed") as caught:
        decode_native(json.dumps(message).encode(), 100)
    assert caught.value.readings == 101


def test_decimal_strings_are_exact_where_floats_are_not():
    message = {"v": 1, "medium": "water", "unit": "m3", "observed_at": 1_767_226_500_000, "meter": ["A", "B"]}
    payload = json.dumps(message | {"register": ["9007199254.740993", 9007199254.740993]}).encode()
    result = assembled(payload)
    assert [row.register_micro for row in result.pending] == [int(Fraction("9007199254.740993") * 10**6)]
    assert [(row.reason, row.rows) for row in result.quarantine] == [("register_inexact", (1,))]


@pytest.mark.parametrize(
    "twice",
    [
        '"meter":"W1","meter":"W2"',
        '"meter":"W1","register":[1],"meter":"W1"',
        '"meter":"W1","x":{"a":1,"a":2},"meter":"W1"',
        r'"meter":"W1","m\u0065ter":"W2"',
        '"meter" : "W1",\n"meter"\t:"W2"',
        '"meter":"W1","register":7',
        '"meter":"W1","status":0,"status":0',
        '"meter":"W1","id":"a","id":5',
    ],
)
def test_a_key_that_stands_twice_is_refused_as_it_says_two_things(twice: str) -> None:
    payload = f'{{"v":1,"medium":"water","unit":"L","observed_at":"2026-01-01T00:00:00Z",{twice},"register":305}}'
    with pytest.raises(MessageRejected, match="stands twice"):
        decode_native(payload.encode(), 10)


@pytest.mark.parametrize("head", ["a8", "b808", "b90008", "bf", "d9d9f7a8", "d9d9f7bf"])
def test_a_key_that_stands_twice_in_cbor_is_refused_too(head: str) -> None:
    message = {"v": 1, "medium": "water", "unit": "L", "observed_at": 0, "meter": "W1", "register": 305, "id": "x"}
    pairs = b"".join(cbor2.dumps(key) + cbor2.dumps(value) for key, value in message.items())
    once, twice = pairs + cbor2.dumps("status") + b"\0", pairs + cbor2.dumps("register") + cbor2.dumps(306)
    end = b"\xff" if head.endswith("bf") else b""
    assert decode_native(bytes.fromhex(head) + once + end, 10).register[0] == 305
    with pytest.raises(MessageRejected, match="stands twice"):
        decode_native(bytes.fromhex(head) + twice + end, 10)


@pytest.mark.parametrize("encode", [lambda message: json.dumps(message).encode(), cbor2.dumps])
@pytest.mark.parametrize(("levels", "is_taken"), [(8, True), (9, False), (100, False), (900, False)])
def test_the_limit_of_nesting_holds_in_fields_that_are_not_known_as_well(encode, levels, is_taken) -> None:
    deep: object = 0
    for _ in range(levels - 1):  # the message itself is a level
        deep = [deep]
    message = {"v": 1, "medium": "water", "unit": "L", "observed_at": 0, "meter": "W1", "register": 305, "x": deep}
    sources = Sources(GatewaySettings(nesting_max=8))
    decoded = decode(Message("mp/v1/city/g/readings", encode(message), NOW_US), sources)
    assert (decoded.rows is not None) == is_taken
    assert is_taken or (decoded.rejection and decoded.rejection.reason == "too_deep")


def test_blanks_before_json_are_no_cbor() -> None:
    payload = b' \r\n\t{"v":1,"medium":"water","unit":"L","observed_at":0,"meter":"W1","register":305}\n'
    assert list(decode_native(payload, 10).meter) == ["W1"]


def test_a_meter_that_is_called_like_a_key_is_no_repetition() -> None:
    payload = b'{"v":1,"medium":"water","unit":"L","observed_at":"2026-01-01T00:00:00Z","meter":"meter","register":305}'
    assert list(decode_native(payload, 10).meter) == ["meter"]


@pytest.mark.parametrize("serial", [".", "..", " W1", "W1 ", "a/readings", "\t", ""])
def test_serials_that_no_registry_could_hold_are_refused_and_others_kept(serial: str) -> None:
    assert not is_serial(serial)
    assert is_serial("ä/ö?#% x")
