"""Every JSON codec under arbitrary documents and damaged payloads: no crash, no hang, no wrong reading."""

import json
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batch import Assembly, assemble
from gateway.codec.numbers import exact_decimal
from gateway.codec.paths import MISSING, Place, compile_path, find_items, find_value
from gateway.codec.rows import MessageRejected
from gateway.codec.times import TimeRejected, read_time
from gateway.decode import Message, decode
from gateway.identity import IdentityMap
from gateway.settings import GatewaySettings
from gateway.sources import Sources
from metrology.status import ReadingStatus

GOLDEN = Path(__file__).parent / "golden_json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW_US = 1_772_366_400_000_000  # 2026-03-01T12:00:00Z
NOBODY = IdentityMap(1, {"city": 1}, {"city": {}}, np.full(1, -1, dtype=np.int8))


def _cases() -> dict[str, tuple[str, bytes, Sources, GatewaySettings]]:
    """Golden payloads by name with their topic and source, without their rules of identity."""
    cases = {}
    for file in sorted(GOLDEN.glob("*.expected.json")):
        expected = json.loads(file.read_text())
        source = {"name": "s", "topic_filter": "#", "utility": "city"} | expected["source"]
        source.pop("identity", None)
        if expected["topic"].startswith("$"):
            source["topic_filter"] = expected["topic"]
        chosen = GatewaySettings(sources=[source], register_min="-4e12", register_max="4e12", nesting_max=16)
        payload = file.with_name(file.name.replace(".expected.json", ".json")).read_bytes()
        cases[file.name.removesuffix(".expected.json")] = (expected["topic"], payload, Sources(chosen), chosen)
    return cases


CASES = _cases()


def assembled(name: str, payload: bytes) -> Assembly:
    """What a payload comes to under a case's source; a codec may raise nothing but MessageRejected."""
    topic, _, sources, chosen = CASES[name]
    route = sources.route(topic)
    assert route is not None
    with suppress(MessageRejected):  # `decode` would hide anything else
        route.source.codec.decode(topic, payload, NOW_US)
    result = assemble([decode(Message(topic, payload, NOW_US), sources)], NOBODY, chosen, 1)
    assert result.readings_in == len(result.pending) + result.rejected
    return result


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["0", "1e5"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3),
    max_leaves=6,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, member in members for place in _places(member, (*at, key)))]


def _replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _replaced(value[at[0]], at[1:], new)
    return copy


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_junk_in_any_place_gives_rows_or_a_reason(name, data):
    payload = CASES[name][1]
    try:
        document = json.loads(payload)
    except ValueError:
        return
    for _ in range(data.draw(st.integers(1, 3))):
        document = _replaced(document, data.draw(st.sampled_from(_places(document))), data.draw(JUNK))
    assembled(name, json.dumps(document).encode())


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_damaged_payloads_give_rows_or_a_reason(name, data):
    payload = bytearray(CASES[name][1])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1))
        if data.draw(st.booleans()):
            payload[place] = data.draw(st.integers(0, 255))
        else:
            del payload[place : place + data.draw(st.integers(1, 9))]
            payload = payload or bytearray(b" ")
    assembled(name, bytes(payload))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.binary(max_size=80) | JUNK.map(lambda junk: json.dumps(junk).encode()))
def test_arbitrary_payloads_give_rows_or_a_reason(name, payload):
    assembled(name, payload)


@pytest.mark.parametrize("name", sorted({case.split(".")[0]: case for case in CASES}.values()))
@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1_000_000,
        b'{"Device":' * 100_000,
        b'{"values":[' + b"1," * 400_000 + b"1]}",
        b"9" * 1_000_000,
        b"1" + b"0" * 300 + b"e999999999",
        b'{"value":1e999999999,"reading":1e-999999999,"total_m3":1e99}',
        b'"' + b"\\u0000" * 100_000 + b'"',
        b'{"Time":"' + b"2" * 500_000 + b'"}',
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_hostile_payloads_take_no_time(name, payload):
    started = time.process_time()  # others share the machine
    assembled(name, payload)
    assert time.process_time() - started < 3.0


# Decode -> re-encode: what readings say is written again by encoders that share nothing with the codecs.
READINGS = st.lists(
    st.tuples(
        st.text("0123456789ABCDEFabcdef-_", min_size=1, max_size=16),
        st.integers(946_684_800, 1_772_366_400),
        st.integers(0, 10**12),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda reading: reading[0],
)


def thousandths(count: int) -> str:
    """A count of thousandths as a decimal text."""
    return f"{count // 1000}.{count % 1000:03d}"


@settings(deadline=None)
@given(READINGS, st.booleans())
def test_huawei_batches_come_back_as_they_were_sent(readings, as_text):
    services = []
    for meter, second, count in readings:
        at = (EPOCH + timedelta(seconds=second)).strftime("%Y%m%dT%H%M%SZ")
        value = f'"{thousandths(count)}"' if as_text else thousandths(count)
        body = f'[{{"service_id":"analog","properties":{{"TotWh":{value}}},"event_time":"{at}"}}]'
        services.append(f'{{"device_id":"{meter}","services":{body}}}')
    result = assembled("huawei_iotda.batch", f'{{"devices":[{",".join(services)}]}}'.encode())
    assert [row.detail for row in result.quarantine] == []
    got = [(row.serial, row.observed_us // 10**6, row.register_micro) for row in result.pending]
    assert got == [(meter, second, count * 1000) for meter, second, count in readings]


@settings(deadline=None)
@given(READINGS)
def test_thingsboard_telemetry_comes_back_as_it_was_sent(readings):
    devices = [
        f'"{meter}":[{{"ts":{second * 1000},"values":{{"total_kwh":{thousandths(count)}}}}}]'
        for meter, second, count in readings
    ]
    result = assembled("thingsboard.two_devices", ("{" + ",".join(devices) + "}").encode())
    got = [(row.serial, row.observed_us // 10**6, row.register_micro) for row in result.pending]
    assert got == [(meter, second, count * 1000) for meter, second, count in readings]
    assert result.rejected == 0


# What stands for the register in a preset's golden payload, and its thousandth in millionths of the stored unit.
REGISTERS = {
    "wmbusmeters.warm_water": ("5.548", 1000),
    "rtlamr2mqtt.reading": ("001234.567", 1000),
    "glow.electricity": ("6613.405", 1000),
    "glow.gas_volume": ("598.377", 1000),
    "tasmota_sml.summer": ("34507.4761", 1000),
    "chirpstack.network_time": ("1250", 1),  # L
    "alibaba_alink.post": ("23.6", 1000),
    "jomjol.value": ("11.234", 1000),
    "vzlogger.bare": ("34507476.1", 1),  # Wh
    "vzlogger.with_time": ("34507476.1", 1),
    "amsreader.list3": ("12345.67", 1000),
}


@pytest.mark.parametrize("name", REGISTERS)
@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 10**9))
def test_registers_of_presets_come_back_as_they_were_sent(name, count):
    literal, micro = REGISTERS[name]
    topic, payload, _, chosen = CASES[name]
    assert literal.encode() in payload
    sent = payload.replace(literal.encode(), thousandths(count).encode(), 1)
    sources = Sources(chosen)  # some remember what they have seen
    result = assemble([decode(Message(topic, sent, NOW_US), sources)], NOBODY, chosen, 1)
    assert [row.detail for row in result.quarantine] == []
    assert result.pending[0].register_micro == count * micro


@pytest.mark.parametrize(
    ("name", "literal", "unit_micro"),
    [
        ("rtl_433_ert.scm_gas", "562456", Fraction(28_316_846_592, 10**6)),  # cubic feet
        ("rtl_433_ert.scmplus_electricity", "6883", Fraction(10_000)),  # hundredths of a kWh
        ("rtl_433_ert.idm_water", "1000", Fraction(3_785_411_784, 10**6)),  # US gallons
    ],
)
@settings(deadline=None, max_examples=50)
@given(count=st.integers(0, 2**32 - 1))
def test_counts_of_ert_meters_come_back_as_they_were_sent(name, literal, unit_micro, count):
    payload = CASES[name][1].replace(literal.encode(), str(count).encode(), 1)
    (row,) = assembled(name, payload).pending
    assert row.register_micro == round(count * unit_micro)


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 10**9)] * 4))
def test_tariffs_of_dsmr_reader_are_summed_exactly(counts):
    names = ("delivered_1", "delivered_2", "returned_1", "returned_2")
    sent = {f"electricity_{name}": thousandths(count) for name, count in zip(names, counts, strict=True)}
    payload = json.dumps(json.loads(CASES["dsmr_reader.electricity_and_gas"][1]) | sent).encode()
    rows = assembled("dsmr_reader.electricity_and_gas", payload).pending
    first, second, third, fourth = counts
    assert [row.register_micro // 1000 for row in rows] == [first + second, third + fourth, 107]


@settings(deadline=None)
@given(READINGS, st.sampled_from(["Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]))
def test_local_times_name_the_moment_that_the_clock_showed(readings, zone_name):
    """Written by zoneinfo's own conversion, read back: the same moment, or the other one of an ambiguous hour."""
    zone = ZoneInfo(zone_name)
    for _, second, _ in readings:
        moment = EPOCH + timedelta(seconds=second)
        text = moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
        read = read_time(text, "iso", zone, (second + 1) * 10**6)
        assert read.ms == second * 1000 or read.status & ReadingStatus.TIME_AMBIGUOUS
        assert bool(read.status & ReadingStatus.TIME_AMBIGUOUS) == _is_ambiguous(moment.astimezone(zone))


def _is_ambiguous(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


@settings(max_examples=300, deadline=None)
@given(
    st.integers(315_532_800_000, 3_786_912_000_000).map(
        lambda ms: (EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=None)
    ),
    st.sampled_from(["", "Z", "+08:00", "-0330", "+05"]),
    st.booleans(),
)
def test_iso_times_are_those_of_the_standard_library(local, offset, basic):
    text = local.isoformat(timespec="milliseconds") + offset
    if basic:
        text = re.sub(r"(?<=\d)[:-](?=\d\d)", "", text[:19]) + text[19:]
    expected = datetime.fromisoformat(text)
    zone = ZoneInfo("Etc/UTC")
    aware = expected if expected.tzinfo else expected.replace(tzinfo=zone)
    assert read_time(text, "iso", zone, None).ms == (aware - EPOCH) // timedelta(milliseconds=1)


@settings(max_examples=300, deadline=None)
@given(JUNK, st.sampled_from(["iso", "epoch_s", "epoch_ms", "%d.%m.%Y %H:%M"]))
def test_junk_for_a_time_is_a_time_or_told(value, form):
    with suppress(TimeRejected):
        read_time(value, form, ZoneInfo("Europe/Berlin"), NOW_US)


@settings(max_examples=300, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.integers() | st.text(max_size=12))
def test_numbers_keep_every_digit_or_are_none(value):
    number = exact_decimal(value)
    if number is None:
        assert not isinstance(value, int | Decimal) or abs(Fraction(value)) > 10**25
        return
    assert Fraction(number) == Fraction(value.strip() if isinstance(value, str) else value)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", [{"a": {"x.y": [1, {"b": 2}]}, "c": [[3], [4, 5]]}]),
        ('a."x.y"[1].b', [2]),
        ("c[*][*]", [3, 4, 5]),
        ("c[*][1]", [5]),
        ("*.b", []),
        ("c[9]", []),
        ("a.x", []),
    ],
)
def test_paths_lead_to_their_places(path, found):
    document = {"a": {"x.y": [1, {"b": 2}]}, "c": [[3], [4, 5]]}
    assert [place.value for place in find_items(document, compile_path(path))] == found


@pytest.mark.parametrize("text", ["a..b", ".a", "[x]", "a[", ".", "a.", "$x", "$key0x", "a]b", '"a', "[-1]"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ValueError, match="is no path"):
        compile_path(text)


@pytest.mark.parametrize("text", ["b", "^", "^.a", "$topic9", "$topic0", "$key", "$key0", "$.a.b", "[0]"])
def test_paths_that_lead_nowhere(text):
    assert find_value(compile_path(text), Place({"a": 1}), {"a": 1}, "t/u") is MISSING


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text):
    with suppress(ValueError):
        find_value(compile_path(text), Place({"a": [1]}), {"a": [1]}, "t/u")
        list(find_items({"a": [1]}, compile_path(text)))
