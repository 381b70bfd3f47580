"""CJ/T 188: frames by an encoder of the test's own, read back; and broken in every way."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from decoding import RECEIVED_AT, Reading, build, stored
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from metrology.status import ReadingStatus

SHANGHAI = ZoneInfo("Asia/Shanghai")
METER = "00112233445566"
AT = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(700_000_000, 1_798_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def little_endian(digits: str) -> bytes:
    return bytes.fromhex(digits)[::-1]


def frame(data: bytes, meter_type: int = 0x10, control: int = 0x81, address: str = METER) -> bytes:
    body = bytes([0x68, meter_type]) + little_endian(address) + bytes([control, len(data)]) + data
    return b"\xfe\xfe" + body + bytes([sum(body) % 256, 0x16])


def meter_data(
    flow: str = "00123456",
    unit: int = 0x2C,
    at: datetime | None = AT,
    status: int = 0,
    di: bytes = b"\x1f\x90",
    clock: bytes = b"",
) -> bytes:
    shown = at.astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S") if at else "0" * 14
    billing_day = little_endian("00000001") + bytes([unit])
    flow_now = little_endian(flow) + bytes([unit])
    return di + b"\x07" + flow_now + billing_day + (clock or little_endian(shown)) + status.to_bytes(2, "little")


@given(
    st.integers(0, 99_999_999),
    st.sampled_from([(0x29, 1), (0x2C, 1000)]),
    moments,
    st.sampled_from([(0x10, "water"), (0x11, "water"), (0x19, "water"), (0x30, "gas"), (0x39, "gas")]),
    st.text("0123456789", min_size=14, max_size=14),
    st.integers(0, 0xFFFF),
    st.sampled_from([b"\x1f\x90", b"\x90\x1f"]),
)
def test_what_is_written_is_read(hundredths, unit, moment, kind, address, bits, di):
    payload = frame(meter_data(f"{hundredths:08}", unit[0], moment, bits, di), kind[0], address=address)
    result = stored(build("cjt188", "Asia/Shanghai"), payload)
    status = (ReadingStatus.HARDWARE_FAULT if bits & 2 else 0) | (ReadingStatus.BATTERY if bits & 4 else 0)
    micro = hundredths * unit[1] * 10
    if micro > 10**18:
        assert result.reasons == {"register_out_of_range": [0]}
    else:
        assert result.readings == [Reading(kind[1], address, moment.isoformat(), micro, int(status))]


@pytest.mark.parametrize(
    "clock", [bytes(7), b"\xff" * 7, little_endian("20261301000000"), little_endian("20260230000000")]
)
def test_a_clock_that_was_never_set_gives_the_time_of_receipt(clock):
    (reading,) = stored(build("cjt188", "Asia/Shanghai"), frame(meter_data(clock=clock))).readings
    status = ReadingStatus.TIME_OF_RECEIPT | ReadingStatus.CLOCK_INVALID
    assert reading == Reading("water", METER, RECEIVED_AT.isoformat(), 1_234_560_000, int(status))


def test_clocks_may_be_left_aside():
    (reading,) = stored(build("cjt188", "UTC", clock=False), frame(meter_data())).readings
    assert (reading.observed_at, reading.status) == (RECEIVED_AT.isoformat(), int(ReadingStatus.TIME_OF_RECEIPT))


def test_units_and_decimals_of_a_maker():
    codec = build("cjt188", "Asia/Shanghai", decimals=3, units={"2B": Decimal(100)})
    (reading,) = stored(codec, frame(meter_data("00001234", 0x2B))).readings
    assert reading.register_micro == 123_400


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "undecodable"),
        (b"nothing", "undecodable"),
        (frame(meter_data())[:-1], "frame_invalid"),
        (frame(meter_data())[:9], "frame_invalid"),
        (frame(meter_data())[:-1] + b"\x15", "frame_invalid"),
        (frame(meter_data()[:-1]), "frame_invalid"),
        (frame(meter_data() + b"\x00"), "frame_invalid"),
        (frame(meter_data("0000000A")), "register_invalid"),
        (frame(meter_data("FFFFFFFF")), "register_invalid"),
        (frame(meter_data(unit=0x05)), "unit_invalid"),
        (frame(meter_data(unit=0x2B)), "unit_invalid"),
        (frame(meter_data(), address="AAAAAAAAAAAAAA"), "meter_invalid"),
        (frame(meter_data(), 0x20), "medium_unknown"),
        (frame(meter_data(), 0x40), "medium_unknown"),
        (frame(b"\x07\x00\x00", control=0xC1), "meter_refused"),
    ],
)
def test_what_cannot_be_a_reading_is_rejected_with_its_reason(payload, reason):
    result = stored(build("cjt188", "Asia/Shanghai"), payload)
    assert (result.readings, result.reasons) == ([], {reason: None})


def test_frames_beside_a_broken_one_are_kept_and_other_data_passed_over():
    broken = bytearray(frame(meter_data()))
    broken[-2] ^= 1
    history = frame(b"\x20\xd1\x07" + little_endian("00000001") + b"\x2c")
    payload = history + bytes(broken) + frame(meter_data(unit=0x35)) + frame(meter_data())
    result = stored(build("cjt188", "Asia/Shanghai"), payload)
    assert [reading.register_micro for reading in result.readings] == [1_234_560_000]
    assert result.reasons == {"checksum_wrong": [0], "unit_invalid": [1]}
    assert "unit code 35" in result.details[1]


@given(st.integers(2, len(frame(meter_data())) - 1), st.integers(1, 255))
def test_no_single_changed_byte_brings_a_wrong_reading(place, change):
    payload = bytearray(frame(meter_data()))
    payload[place] ^= change
    assert stored(build("cjt188", "Asia/Shanghai", encoding="binary"), bytes(payload)).readings == []


def test_the_time_zone_must_be_set_where_clocks_count():
    with pytest.raises(GatewayError, match="time_zone is not set"):
        build("cjt188", "UTC")
    assert (
        stored(build("cjt188", "Etc/UTC"), frame(meter_data())).readings[0].observed_at.startswith("2026-01-01T08:00")
    )


@pytest.mark.parametrize(
    "options",
    [
        {"units": {"2c": 1}},
        {"units": {"2C": 0}},
        {"status_bits": {16: "leak"}},
        {"status_bits": {3: "wet"}},
        {"decimals": 9},
        {"colour": 1},
    ],
)
def test_options_that_can_not_be_meant_are_refused(options):
    with pytest.raises(GatewayError, match=next(iter(options))):
        build("cjt188", "Asia/Shanghai", **options)
