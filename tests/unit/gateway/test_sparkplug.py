"""Sparkplug B: messages by an encoder of the test's own; sessions, gaps, deaths, and requests for a rebirth."""

import struct
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from decoding import RECEIVED_AT, Reading, build, stored, us_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.protobuf import ProtobufError, read_fields, varint
from gateway.codec.rows import MessageRejected
from gateway.codec.sparkplug import SparkplugCodec
from gateway.codec.sparkplug_payload import read_payload
from gateway.errors import GatewayError

RULE = {"metric": "Total", "medium": "water", "unit": "m3"}
MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
AT = "2026-01-01T00:00:00+00:00"


def number(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def tag(field: int, wire: int, body: bytes) -> bytes:
    return number(field * 8 + wire) + (number(len(body)) + body if wire == 2 else body)


def metric(name: str = "", alias: int | None = None, ms: int | None = MS, datatype: int = 0, **value: Any) -> bytes:
    """`value`: int_, long_, float_, double_, bool_, text, null, historical, quality."""
    encoders = {
        "int_": lambda v: tag(10, 0, number(v)),
        "long_": lambda v: tag(11, 0, number(v)),
        "float_": lambda v: tag(12, 5, struct.pack("<f", v)),
        "double_": lambda v: tag(13, 1, struct.pack("<d", v)),
        "bool_": lambda v: tag(14, 0, number(v)),
        "text": lambda v: tag(15, 2, v.encode()),
        "null": lambda v: tag(7, 0, number(v)),
        "historical": lambda v: tag(5, 0, number(v)),
        "quality": lambda v: tag(9, 2, tag(1, 2, b"Quality") + tag(2, 2, tag(1, 0, b"\x03") + tag(3, 0, number(v)))),
    }
    body = tag(1, 2, name.encode()) if name else b""
    body += tag(2, 0, number(alias)) if alias is not None else b""
    body += tag(3, 0, number(ms)) if ms is not None else b""
    body += tag(4, 0, number(datatype)) if datatype else b""
    return body + b"".join(encoders[kind](v) for kind, v in value.items())


def payload(seq: int | None, *metrics: bytes, ms: int | None = MS) -> bytes:
    head = tag(1, 0, number(ms)) if ms is not None else b""
    tail = tag(3, 0, number(seq)) if seq is not None else b""
    return head + b"".join(tag(2, 2, body) for body in metrics) + tail


class Line:
    """An edge node's messages into a codec."""

    def __init__(self, **options: Any) -> None:
        self.codec = build("sparkplug_b", **{"registers": [RULE], **options})
        assert isinstance(self.codec, SparkplugCodec)

    def send(
        self, kind: str, body: bytes, device: str = "E-1", at: Any = RECEIVED_AT
    ) -> tuple[list[Reading], dict[str, Any]]:
        topic = f"spBv1.0/plant/{kind}/edge" + (f"/{device}" if kind[0] == "D" else "")
        result = stored(self.codec, body, topic, at)
        return result.readings, result.reasons

    def born(self, seq: int = 0, number_of_session: int = 0) -> "Line":
        self.send("NBIRTH", payload(seq, metric("bdSeq", datatype=8, long_=number_of_session)))
        birth = metric("Total", 4, datatype=10, double_=1.0)
        assert self.send("DBIRTH", payload(seq + 1, birth)) == ([reading(1.0)], {})
        return self

    @property
    def asked(self) -> int:
        return len(self.codec.take_commands())


def reading(value: float, at: str = AT, serial: str = "E-1", status: int = 0) -> Reading:
    return Reading("water", serial, at, round(value * 1_000_000), status)


def test_data_after_birth_is_resolved_by_alias():
    line = Line().born()
    assert line.send("DDATA", payload(2, metric(alias=4, double_=2.5))) == ([reading(2.5)], {})
    assert line.asked == 0


def test_a_sequence_runs_over_at_255():
    line = Line().born()
    for seq in [*range(2, 256), 0, 1]:
        assert line.send("DDATA", payload(seq, metric(alias=4, double_=2.5))) == ([reading(2.5)], {})
    assert line.asked == 0


def test_data_before_any_birth_waits_for_the_rebirth_that_is_asked_for():
    line = Line()
    assert line.send("DDATA", payload(7, metric(alias=4, double_=2.5))) == ([], {"birth_missing": None})
    (command,) = line.codec.take_commands()
    assert command.topic == "spBv1.0/plant/NCMD/edge"
    assert command.payload == payload(
        None,
        metric("Node Control/Rebirth", ms=us_of(RECEIVED_AT) // 1000, datatype=11, bool_=1),
        ms=us_of(RECEIVED_AT) // 1000,
    )


def test_after_a_gap_names_count_and_aliases_do_not_until_the_rebirth():
    line = Line().born()
    both = payload(3, metric(alias=4, double_=2.5), metric("Total", datatype=10, double_=2.5))
    assert line.send("DDATA", both) == ([reading(2.5)], {"birth_missing": [0]})
    assert line.asked == 1
    assert line.born().send("DDATA", payload(2, metric(alias=4, double_=3.5))) == ([reading(3.5)], {})
    assert line.asked == 0


def test_requests_for_a_rebirth_are_spaced():
    line = Line(rebirth_pause_s=60)
    data = payload(7, metric(alias=4, double_=2.5))
    asked = []
    for seconds in (0, 30, 59, 60, 61):
        line.send("DDATA", data, at=RECEIVED_AT.replace(minute=seconds // 60, second=seconds % 60))
        asked.append(line.asked)
    assert asked == [1, 0, 0, 1, 0]


def test_the_same_message_again_is_no_gap():
    line = Line().born()
    again = payload(2, metric(alias=4, double_=2.5))
    assert line.send("DDATA", again) == line.send("DDATA", again) == ([reading(2.5)], {})
    assert line.asked == 0


def test_an_alias_of_another_device_is_not_taken():
    line = Line().born()
    assert line.send("DBIRTH", payload(2, metric("Total", 5, datatype=10, double_=9.0)), "E-2")[1] == {}
    assert line.send("DDATA", payload(3, metric(alias=4, double_=2.5)), "E-2") == ([], {"birth_missing": None})


def test_after_the_nodes_death_aliases_mean_nothing():
    line = Line().born(number_of_session=3)
    line.send("NDEATH", payload(None, metric("bdSeq", datatype=8, long_=2)))  # of the session before, late
    assert line.send("DDATA", payload(2, metric(alias=4, double_=2.5)))[0] == [reading(2.5)]
    line.send("NDEATH", payload(None, metric("bdSeq", datatype=8, long_=3)))
    assert line.send("DDATA", payload(3, metric(alias=4, double_=2.5))) == ([], {"birth_missing": None})
    assert line.asked == 1


def test_after_a_devices_death_its_aliases_mean_nothing():
    line = Line().born()
    assert line.send("DDEATH", payload(2)) == ([], {})
    assert line.send("DDATA", payload(3, metric(alias=4, double_=2.5))) == ([], {"birth_missing": None})
    assert line.asked == 1


def test_a_birth_gives_aliases_new_meanings():
    line = Line().born()
    line.send("NBIRTH", payload(0))
    line.send(
        "DBIRTH",
        payload(1, metric("Temperature", 4, datatype=9, float_=21.0), metric("Total", 5, datatype=10, double_=2.0)),
    )
    assert line.send("DDATA", payload(2, metric(alias=4, float_=22.0))) == ([], {})
    assert line.send("DDATA", payload(3, metric(alias=5, double_=3.0))) == ([reading(3.0)], {})


def test_times_and_flags():
    line = Line().born()
    old = metric(alias=4, ms=MS - 3_600_000, historical=1, double_=1.5)
    untimed = metric(alias=4, ms=None, double_=2.5)
    nothing = metric(alias=4, null=1)
    assert line.send("DDATA", payload(2, old, untimed, nothing)) == (
        [reading(1.5, "2025-12-31T23:00:00+00:00"), reading(2.5)],
        {},
    )
    assert line.send("DDATA", payload(3, untimed, ms=None)) == ([reading(2.5, RECEIVED_AT.isoformat(), status=64)], {})
    rows = line.codec.decode("spBv1.0/plant/DDATA/edge/E-1", payload(4, untimed, nothing, ms=None), None)
    assert (rows.meter, rows.skipped) == ([], 2)


@pytest.mark.parametrize("quality", [0, 500])
def test_bad_and_stale_values_are_no_readings(quality):
    line = Line().born()
    body = payload(2, metric(alias=4, double_=0.0, quality=quality), metric(alias=4, double_=2.5, quality=192))
    assert line.send("DDATA", body) == ([reading(2.5)], {"quality_bad": [0]})


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        (10, {"double_": 1234.567}, 1234.567),
        (9, {"float_": 3.737}, 3.737),
        (9, {"float_": 16_777_215.0}, 16_777_215),
        (9, {"float_": 16_777_216.0}, None),
        (9, {"float_": float("nan")}, None),
        (10, {"double_": float("inf")}, None),
        (3, {"int_": 2**31 - 1}, 2**31 - 1),
        (3, {"int_": 2**32 - 5}, -5),
        (1, {"int_": 2**32 - 5}, -5),
        (7, {"int_": 2**32 - 5}, 2**32 - 5),
        (5, {"int_": 256}, None),
        (4, {"long_": 2**64 - 5}, -5),
        (8, {"long_": 999_999_999_999}, 999_999_999_999),
        (12, {"text": "000123.450"}, 123.45),
        (12, {"text": "12,5"}, None),
        (11, {"bool_": 1}, None),
        (0, {"int_": 7}, 7),
        (0, {"int_": 2**32 - 5}, None),
    ],
)
def test_values_of_every_type(datatype, value, expected):
    line = Line()
    line.send("NBIRTH", payload(0))
    readings, reasons = line.send("DBIRTH", payload(1, metric("Total", 4, datatype=datatype, **value)))
    if expected is None:
        assert (readings, list(reasons)) == ([], ["register_invalid"])
    elif expected < 0:
        assert list(reasons) == ["register_out_of_range"]
    else:
        assert readings == [reading(expected)]
    if reasons or not datatype:
        return
    # By alias, DATA is read by the type that the BIRTH told.
    assert line.send("DDATA", payload(2, metric(alias=4, **value)))[0] == readings


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("long_"), st.just(8), st.integers(0, 10**12)),
            st.tuples(st.just("int_"), st.just(7), st.integers(0, 2**32 - 1)),
            st.tuples(st.just("double_"), st.just(10), st.integers(0, 10**12).map(lambda n: n / 1000)),
            st.tuples(
                st.just("text"), st.just(12), st.integers(0, 10**15).map(lambda n: f"{n // 1000:03}.{n % 1000:03}")
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.integers(MS, MS + 10**10), min_size=6, max_size=6),
)
def test_what_is_written_is_read(values, times):
    line = Line()
    line.send("NBIRTH", payload(0))
    births = [
        metric("Total", i, datatype=datatype, **{kind: value}) for i, (kind, datatype, value) in enumerate(values)
    ]
    line.send("DBIRTH", payload(1, *births))
    data = [metric(alias=i, ms=times[i], **{kind: value}) for i, (kind, _, value) in enumerate(values)]
    readings, reasons = line.send("DDATA", payload(2, *data))
    assert [r.register_micro for r in readings] == [round(Decimal(str(value)) * 1_000_000) for _, _, value in values]
    assert [datetime.fromisoformat(r.observed_at).timestamp() * 1000 for r in readings] == times[: len(values)]
    assert reasons == {}


def test_names_map_to_meters_and_counts_to_units():
    rules = [
        {
            "metric": "Meters/{serial}/Pulses",
            "meter": "{group}-{serial}",
            "medium": "gas",
            "unit": "m3",
            "scale": "0.01",
        },
        {"metric": "Meters/{serial}/{what}", "meter": "{edge}.{serial}", "medium": "water", "unit": "L"},
    ]
    line = Line(registers=rules)
    line.send("NBIRTH", payload(0))
    metrics = [
        metric("Meters/007/Pulses", datatype=8, long_=12345),
        metric("Meters/008/Pulses", datatype=10, double_=12.5),
        metric("Meters/008/Pulses", datatype=12, text="1e3"),
        metric("Meters/009/Volume", datatype=8, long_=5),
        metric("Meters/a/b/Volume", datatype=8, long_=5),
    ]
    assert line.send("NDATA", payload(1, *metrics)) == (
        [
            Reading("gas", "plant-007", AT, 123_450_000),
            Reading("gas", "plant-008", AT, 125_000),
            Reading("water", "edge.009", AT, 5_000),
        ],
        {"register_invalid": [2]},
    )


@pytest.mark.parametrize("kind", ["NCMD/edge", "DCMD/edge/d"])
def test_commands_are_passed_over(kind):
    codec = Line().codec
    assert codec.decode(f"spBv1.0/plant/{kind}", b"\xff", 1).meter == []
    assert codec.decode("spBv1.0/STATE/host", b"{}", 1).meter == []
    assert codec.take_commands() == []


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "spBv1.0",
        "spBv1.0/g/NDATA",
        "spBv1.0/g/NDATA/e/d",
        "spBv1.0/g/DDATA/e",
        "spAv1.0/g/NDATA/e",
        "spBv1.0/g/X/e",
    ],
)
def test_other_topics_are_rejected(topic):
    assert stored(Line().codec, payload(0), topic).reasons == {"topic_unexpected": None}


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 11,  # a number without end
        b"\x0a",  # cut off
        tag(2, 2, b"\x0a\x05ab"),  # a name longer than its metric
        tag(2, 0, b"\x01"),  # metrics that are a number
        tag(2, 2, tag(1, 2, b"\xff\xfe")),  # a name that is no UTF-8
        tag(2, 2, tag(13, 5, b"\0\0\0\0")),  # a double of four bytes
        tag(1, 3, b""),  # a group
        b"\x00\x01",  # field 0
    ],
)
def test_what_is_no_payload_is_rejected(body):
    assert Line().send("DDATA", body) == ([], {"undecodable": None})


def test_too_many_metrics_are_rejected():
    codec = build("sparkplug_b", registers=[RULE], readings_max=2)
    body = payload(0, *[metric("Total", double_=1.0)] * 3)
    assert stored(codec, body, "spBv1.0/g/NBIRTH/e").reasons == {"too_many_readings": None}


def test_the_longest_silent_node_is_forgotten():
    codec = build("sparkplug_b", registers=[RULE], edge_nodes_max=2)
    for edge in "abc":
        stored(codec, payload(0, metric("Total", 1, datatype=10, double_=1.0)), f"spBv1.0/g/NBIRTH/{edge}")
    data = payload(1, metric(alias=1, double_=2.0))
    assert stored(codec, data, "spBv1.0/g/NDATA/c").reasons == {"meter_invalid": [0]}  # a node has no {device}
    assert stored(codec, data, "spBv1.0/g/NDATA/a").reasons == {"birth_missing": None}


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_and_read_alike(value):
    assert varint(value) == number(value)
    assert list(read_fields(b"\x08" + number(value))) == [(1, 0, value)]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_rejected(body):
    with suppress(MessageRejected):  # nothing else may be raised
        assert len(read_payload(body, 100).metrics) <= 100
    with suppress(ProtobufError):
        assert all(0 < field < 2**29 for field, _, _ in read_fields(body))


@pytest.mark.parametrize(
    "options",
    [
        {"registers": []},
        {"registers": [RULE | {"metric": "{a}/{a}"}]},
        {"registers": [RULE | {"meter": "{serial}"}]},
        {"registers": [RULE | {"unit": "kWh"}]},
        {"registers": [RULE | {"scale": 0}]},
        {"registers": [RULE], "rebirth_pause_s": 0},
    ],
)
def test_options_that_can_not_be_meant_are_refused(options):
    with pytest.raises(GatewayError, match="options"):
        build("sparkplug_b", **options)
