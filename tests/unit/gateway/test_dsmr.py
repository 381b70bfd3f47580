"""DSMR P1 telegrams: written by an encoder of the test's own (bit by bit CRC), read back; and broken in every way."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from decoding import RECEIVED_AT, Reading, build, stored
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from metrology.status import ReadingStatus

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SERIAL = "E0047001"


def crc_bit_by_bit(data: bytes) -> int:
    """x16 + x15 + x2 + 1 by polynomial division of the reflected bits."""
    remainder = 0
    for byte in data:
        for i in range(8):
            bit = (byte >> i & 1) ^ (remainder & 1)
            remainder = (remainder >> 1) ^ (0xA001 if bit else 0)
    return remainder


def stamp(moment: datetime) -> str:
    local = moment.astimezone(AMSTERDAM)
    return local.strftime("%y%m%d%H%M%S") + ("S" if local.dst() else "W")


def telegram(*lines: str, crc: bool = True) -> bytes:
    data = "\r\n".join(["/TST5 test", "", *lines, "!"]).encode()
    return data + (f"{crc_bit_by_bit(data):04X}\r\n".encode() if crc else b"\r\n")


def meter(*lines: str, at: str = "260101011500W", serial: str = SERIAL) -> bytes:
    return telegram(f"0-0:1.0.0({at})", f"0-0:96.1.1({serial.encode().hex()})", *lines)


TARIFFS = ("1-0:1.8.1(000001.001*kWh)", "1-0:1.8.2(000002.002*kWh)")
kwh = st.integers(0, 999_999_999).map(lambda wh: f"{wh // 1000:06}.{wh % 1000:03}")
serials = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=17)
moments = st.integers(946_771_200, 1_798_588_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(serials, moments, st.lists(kwh, min_size=2, max_size=4), serials, moments, kwh, st.sampled_from([3, 7]))
@example(
    "0",
    datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
    ["0.001", "9.999"],
    "G",
    datetime(2025, 10, 26, 1, tzinfo=UTC),
    "1",
    3,
)
def test_what_is_written_is_read(serial, moment, tariffs, sub_serial, sub_moment, volume, device_type):
    payload = meter(
        *(f"1-0:1.8.{t}({value}*kWh)" for t, value in enumerate(tariffs, 1)),
        f"0-4:24.1.0({device_type:03})",
        f"0-4:96.1.0({sub_serial.encode().hex().upper()})",
        f"0-4:24.2.1({stamp(sub_moment)})({volume}*m3)",
        at=stamp(moment),
        serial=serial,
    )
    result = stored(build("dsmr_p1"), payload)
    total = sum(int(Decimal(value) * 1_000_000) for value in tariffs)
    medium = {3: "gas", 7: "water"}[device_type]
    assert result.readings == [
        Reading("electricity", serial, moment.isoformat(), total),
        Reading(medium, sub_serial, sub_moment.isoformat(), int(Decimal(volume) * 1_000_000)),
    ]
    assert result.reasons == {}


def test_the_hour_that_occurs_twice_is_told_by_its_letter():
    codec = build("dsmr_p1")
    times = [stored(codec, meter(*TARIFFS, at=f"25102602{end}")).readings[0].observed_at for end in ("3000S", "3000W")]
    assert times == ["2025-10-26T00:30:00+00:00", "2025-10-26T01:30:00+00:00"]


def test_a_clock_left_in_winter_time_is_right():
    (reading,) = stored(build("dsmr_p1"), meter(*TARIFFS, at="260701120000W")).readings
    assert reading.observed_at == "2026-07-01T11:00:00+00:00"


@pytest.mark.parametrize(("received_at", "expected"), [("00:35", "00:30"), ("01:25", "01:30"), ("09:00", "01:30")])
def test_without_its_letter_a_time_of_the_double_hour_is_flagged(received_at, expected):
    gas = ("0-1:24.1.0(03)", "0-1:96.1.0(3031)", "0-1:24.3.0(251026023000)(00)(60)(1)(0-1:24.2.1)(m3)", "(00001.001)")
    at = datetime.fromisoformat(f"2025-10-26T{received_at}:00+00:00")
    result = stored(build("dsmr_p1"), telegram(*gas, crc=False), received_at=at)
    flag = int(ReadingStatus.TIME_AMBIGUOUS)
    assert result.readings == [Reading("gas", "01", f"2025-10-26T{expected}:00+00:00", 1_001_000, flag)]


def test_line_ends_changed_on_the_way_keep_the_crc_right():
    payload = meter(*TARIFFS).replace(b"\r\n", b"\n")
    assert stored(build("dsmr_p1"), payload).readings[0].register_micro == 3_003_000


def test_the_meters_own_total_goes_before_the_sum():
    result = stored(build("dsmr_p1"), meter("1-0:1.8.0(0000004000*Wh)", *TARIFFS))
    assert result.readings[0].register_micro == 4_000_000


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("1-0:1.8.1(000001.001*kWh)",), "register_invalid"),  # the second tariff is missing: no sum
        (("1-0:1.8.1(000001.001*kWh)", "1-0:1.8.3(000001.001*kWh)"), "register_invalid"),
        (("1-0:1.8.1(000001.001*kWh)", "1-0:1.8.2(1001*Wh)"), "unit_invalid"),
        (("1-0:1.8.1(000001.001*kWh)", "1-0:1.8.2(00000A.001*kWh)"), "register_invalid"),
        (("1-0:1.8.0(000001.001*m3)",), "unit_invalid"),
        (("1-0:1.8.0(000001.001)",), "register_invalid"),
        (("1-0:1.8.0(000001.001*kWh)", "1-0:1.8.0(000001.002*kWh)"), "frame_invalid"),
        (("1-0:1.8.0(000001.001*kWh",), "frame_invalid"),
        (("0-1:24.1.0(003)", "0-1:96.1.0(3031)", "0-1:24.2.1(632525252525S)(00000.000)"), "observed_at_invalid"),
        (("0-1:24.1.0(003)", "0-1:96.1.0(3031)", "0-1:24.2.1(260101000000W)(00000.000*L*)"), "register_invalid"),
        (("0-1:24.1.0(003)", "0-1:96.1.0(3031)", "0-1:24.2.1(260101000000W)(00000.000*GJ)"), "unit_invalid"),
        (("0-1:24.1.0(003)", "0-1:24.2.1(260101000000W)(00000.000*m3)"), "meter_invalid"),
        (("0-1:24.1.0(099)", "0-1:96.1.0(3031)", "0-1:24.2.1(260101000000W)(00000.000*m3)"), "medium_unknown"),
        (("0-1:96.1.0(3031)", "0-1:24.2.1(260101000000W)(00000.000*m3)"), "medium_unknown"),
    ],
)
def test_what_cannot_be_a_reading_is_rejected_with_its_reason(lines, reason):
    result = stored(build("dsmr_p1"), meter(*lines))
    assert (result.readings, result.reasons) == ([], {reason: None})


def test_a_bad_gas_meter_does_not_take_the_electricity_meter_with_it():
    lines = ("0-1:24.1.0(003)", "0-1:96.1.0(3031)", "0-1:24.2.1(632525252525S)(00000.000)")
    result = stored(build("dsmr_p1"), meter(*TARIFFS, *lines))
    assert [reading.serial for reading in result.readings] == [SERIAL]
    assert result.reasons == {"observed_at_invalid": [1]}
    assert "0-1:24.2.1 '632525252525S'" in result.details[0]


def test_a_belgian_telegram_names_its_meters_in_its_own_way():
    """e-MUCS P1: sub-meters' identifiers in 96.1.1, gas that is not converted in 24.2.3."""
    lines = (
        "0-0:96.1.4(50217)",
        *TARIFFS,
        "0-1:24.1.0(003)",
        "0-1:96.1.1(37464C4F32313230313037393738)",
        "0-1:24.2.3(260101010500W)(00112.384*m3)",
        "0-2:24.1.0(007)",
        "0-2:96.1.1(3853455430303030323030303136)",
        "0-2:24.2.1(260101010900W)(00872.234*m3)",
    )
    result = stored(build("dsmr_p1", "Europe/Brussels"), meter(*lines))
    assert result.readings[1:] == [
        Reading("gas", "7FLO2120107978", "2026-01-01T00:05:00+00:00", 112_384_000),
        Reading("water", "8SET0000200016", "2026-01-01T00:09:00+00:00", 872_234_000),
    ]


def test_heat_is_passed_over():
    lines = ("0-1:24.1.0(004)", "0-1:96.1.0(3031)", "0-1:24.2.1(260101000000W)(00000.000*GJ)")
    result = stored(build("dsmr_p1"), meter(*TARIFFS, *lines))
    assert (len(result.readings), result.reasons) == (1, {})


def test_a_telegram_cut_off_by_the_next_one_is_told_and_the_next_is_read():
    whole = meter(*TARIFFS)
    result = stored(build("dsmr_p1"), whole[:80] + b"\r\n" + whole + meter(*TARIFFS, serial="E2"))
    assert [reading.serial for reading in result.readings] == [SERIAL, "E2"]
    assert result.reasons == {"frame_invalid": [0]}


@pytest.mark.parametrize("payload", [b"", b"!", b"/", b"hello", meter(*TARIFFS)[:-8], b"!" * 9, b"\xff/\x00!"])
def test_without_a_whole_telegram_the_message_is_rejected(payload):
    assert stored(build("dsmr_p1"), payload).reasons == {"frame_invalid": None}


@given(st.data())
def test_no_changed_byte_passes_the_crc(data):
    payload = bytearray(meter(*TARIFFS))
    place = data.draw(st.integers(0, payload.index(b"!") - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    result = stored(build("dsmr_p1", crc="required"), bytes(payload))
    # A changed `/` leaves no telegram, a new `!` another end; anything else is seen by the CRC.
    assert result.readings == []
    assert set(result.reasons) <= {"checksum_wrong", "frame_invalid"}


def test_a_retained_telegram_without_a_time_says_nothing_about_when():
    codec = build("dsmr_p1")
    rows = codec.decode("t", telegram(f"0-0:96.1.1({SERIAL.encode().hex()})", *TARIFFS, crc=False), None)
    assert (rows.meter, rows.skipped) == ([], 1)


def test_the_time_zone_must_be_set():
    with pytest.raises(GatewayError, match="time_zone is not set"):
        build("dsmr_p1", "UTC")


@pytest.mark.parametrize("registers", [{}, {"1.7.0": "{id}"}, {"1.8.0": "fixed"}, {"1.8.0": "{id}", "2.8.0": "{id}"}])
def test_registers_that_can_not_be_meant_are_refused(registers):
    with pytest.raises(GatewayError, match="registers"):
        build("dsmr_p1", registers=registers)


def test_time_of_receipt_is_flagged():
    payload = telegram(f"0-0:96.1.1({SERIAL.encode().hex()})", *TARIFFS, crc=False)
    at = RECEIVED_AT - timedelta(hours=3)
    expected = Reading("electricity", SERIAL, at.isoformat(), 3_003_000, int(ReadingStatus.TIME_OF_RECEIPT))
    assert stored(build("dsmr_p1"), payload, received_at=at).readings == [expected]
