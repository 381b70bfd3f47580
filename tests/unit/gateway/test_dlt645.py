"""DL/T 645-2007: frames by an encoder of the test's own, read back; and broken in every way."""

import base64

import pytest
from decoding import RECEIVED_AT, Reading, build, stored
from hypothesis import given
from hypothesis import strategies as st

from metrology.status import ReadingStatus

RECEIPT = int(ReadingStatus.TIME_OF_RECEIPT)
METER = "000012345678"
ALL = {"1.8.0": "{id}", "1.8.1": "{id}-1", "1.8.2": "{id}-2", "2.8.0": "{id}-R", "2.8.1": "{id}-R1"}
addresses = st.text("0123456789", min_size=12, max_size=12)
values = st.integers(0, 99_999_999)


def reversed_bcd(digits: str) -> bytes:
    return bytes(int(digits[i : i + 2], 16) for i in range(len(digits) - 2, -1, -2))


def frame(control: int, data: bytes, address: str = METER, wake: int = 4) -> bytes:
    body = bytes([0x68, *reversed_bcd(address), 0x68, control, len(data)]) + bytes((b + 0x33) % 256 for b in data)
    return b"\xfe" * wake + body + bytes([sum(body) % 256, 0x16])


def answer(data_id: str, *hundredths: int, address: str = METER, control: int = 0x91, tail: bytes = b"") -> bytes:
    data = reversed_bcd(data_id) + b"".join(reversed_bcd(f"{value:08}") for value in hundredths) + tail
    return frame(control, data, address)


def energy(serial: str, hundredths: int) -> Reading:
    return Reading("electricity", serial, RECEIVED_AT.isoformat(), hundredths * 10_000, RECEIPT)


def test_the_encoder_makes_the_published_frame():
    assert answer("00010000", 26, address="000000000161") == bytes.fromhex(
        "FEFEFEFE 68610100000000 68910833333433593333338A16"
    )


@given(
    st.lists(st.tuples(addresses, values), min_size=1, max_size=5),
    st.sampled_from(["binary", "hex", "spaced hex", "base64", "url base64"]),
    st.booleans(),
)
def test_what_is_written_is_read(meters, form, named):
    line = b"".join(answer("00010000", value, address=address) for address, value in meters)
    payload = {
        "binary": line,
        "hex": line.hex().encode(),
        "spaced hex": line.hex(" ").upper().encode(),
        "base64": base64.b64encode(line),
        "url base64": base64.urlsafe_b64encode(line).rstrip(b"="),
    }[form]
    encoding = form.split()[-1] if named else "auto"
    result = stored(build("dlt645", encoding=encoding), payload)
    assert result.readings == [energy(address, value) for address, value in meters]
    assert result.reasons == {}


@given(st.lists(values, min_size=1, max_size=49), st.sampled_from(["1", "2"]))
def test_a_block_of_all_tariffs(registers, direction):
    result = stored(build("dlt645", registers=ALL), answer(f"000{direction}FF00", *registers))
    serials = {"1": ["", "-1", "-2"], "2": ["-R", "-R1"]}[direction]
    assert result.readings == [energy(METER + s, v) for s, v in zip(serials, registers, strict=False)]


def test_an_answer_in_several_frames_is_put_together_even_within_a_register():
    registers = reversed_bcd("00000300") + reversed_bcd("00000100") + reversed_bcd("00000200")
    head = reversed_bcd("0001FF00")
    parts = [
        frame(0xB1, head + registers[:5]),
        frame(0xB2, head + registers[5:10] + b"\x01"),
        frame(0x92, head + registers[10:] + b"\x02"),
    ]
    codec = build("dlt645", registers=ALL)
    result = stored(codec, b"".join(parts))
    assert result.readings == [energy(METER, 300), energy(METER + "-1", 100), energy(METER + "-2", 200)]
    assert stored(codec, parts[0] + parts[2]).reasons == {"frame_invalid": None}
    assert stored(codec, parts[0]).reasons == {"frame_invalid": None}
    assert stored(codec, parts[1]).reasons == {"frame_invalid": None}
    other = frame(0xB2, head + registers[5:10] + b"\x01", address="000000000001")
    assert stored(codec, parts[0] + other + parts[2]).readings == []


def test_tariffs_of_former_billing_days_are_passed_over():
    assert stored(build("dlt645", registers=ALL), answer("00010001", 5) + answer("00010103", 5)).readings == []
    assert stored(build("dlt645"), answer("000100FF", 7, 6, 5, 4)).readings == [energy(METER, 7)]


def test_the_meters_clock_is_taken_where_it_is_asked_for():
    clock = frame(0x91, reversed_bcd("0400010C") + reversed_bcd("26010104081500"))
    payload = answer("00010000", 26) + clock
    at = Reading("electricity", METER, "2026-01-01T00:15:00+00:00", 260_000)
    assert stored(build("dlt645", "Asia/Shanghai", clock=True), payload).readings == [at]
    assert stored(build("dlt645", "Asia/Shanghai"), payload).readings == [energy(METER, 26)]
    broken = answer("00010000", 26) + frame(0x91, reversed_bcd("0400010C") + reversed_bcd("26139904081500"))
    assert stored(build("dlt645", "Asia/Shanghai", clock=True), broken).readings == [energy(METER, 26)]


GOOD = answer("00010000", 26)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "undecodable"),
        (b"hello", "frame_invalid"),
        (b"nothing", "undecodable"),
        (b"68 6", "undecodable"),
        (b"zz" * 20, "undecodable"),
        (GOOD[:-1], "frame_invalid"),
        (GOOD[:-3], "frame_invalid"),
        (GOOD[:-1] + b"\x17", "frame_invalid"),
        (GOOD[:6], "frame_invalid"),
        (GOOD[:-2] + bytes([GOOD[-2] ^ 1, 0x16]), "checksum_wrong"),
        (answer("00010000"), "frame_invalid"),
        (answer("00010000", 26, tail=b"\x00"), "frame_invalid"),
        (answer("00010000", 26, 27), "frame_invalid"),
        (frame(0x91, b"\x00\x00\x01"), "frame_invalid"),
        (frame(0x91, reversed_bcd("00010000") + b"\xff\xff\xff\xff"), "register_invalid"),
        (frame(0x91, reversed_bcd("00010000") + b"\x0a\x00\x00\x00"), "register_invalid"),
        (answer("00010000", 26, address="00001234567A"), "meter_invalid"),
        (frame(0xD1, b"\x02"), "meter_refused"),
    ],
)
def test_what_cannot_be_a_reading_is_rejected_with_its_reason(payload, reason):
    result = stored(build("dlt645"), payload)
    assert (result.readings, result.reasons) == ([], {reason: None})


def test_frames_beside_a_broken_one_are_kept():
    broken = bytearray(answer("00010000", 1, address="000000000002"))
    broken[-2] ^= 0x40
    payload = GOOD + bytes(broken) + answer("00010000", 3, address="000000000003") + b"\x68\x00"
    result = stored(build("dlt645"), payload)
    assert result.readings == [energy(METER, 26), energy("000000000003", 3)]
    assert result.reasons == {"checksum_wrong": [1], "frame_invalid": [3]}
    assert "row 1: byte 28: checksum" in result.details[0]


@given(st.integers(4, len(GOOD) - 1), st.integers(1, 255))
def test_no_single_changed_byte_brings_a_wrong_reading(place, change):
    payload = bytearray(GOOD)
    payload[place] ^= change
    assert stored(build("dlt645", encoding="binary"), bytes(payload)).readings == []


def test_the_sender_is_the_meter_where_it_is_one():
    codec = build("dlt645", registers=ALL)
    assert codec.decode("t", answer("00010000", 1) + answer("00020000", 2), 1).sender == METER
    assert codec.decode("t", GOOD + answer("00010000", 1, address="000000000001"), 1).sender is None


def test_more_readings_than_allowed():
    assert stored(build("dlt645", readings_max=2), GOOD * 3).reasons == {"too_many_readings": None}
