"""Commands and acknowledgements: what is sent can be read, what is garbage is passed over."""

import json
from datetime import UTC, datetime

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clocks import OFFSET
from gateway.repair.messages import (
    answered_command,
    decode_acknowledgement,
    encode,
    read_profile,
    sender_of_ack,
    sync_clock,
)
from gateway.repair.planner import READ

EXPIRES = datetime(2026, 1, 1, 12, tzinfo=UTC)
START_US = 1_767_225_600_000_000


def test_meters_with_the_same_range_share_an_entry():
    reads = np.zeros(3, READ)
    reads["interval_s"], reads["from_us"] = 900, START_US
    reads["until_us"] = [START_US + 900_000_000, START_US + 900_000_000, START_US + 1_800_000_000]
    command_id, command = read_profile(["E-1", "E-2", "E-3"], reads, EXPIRES, "x")
    body = json.loads(encode(command))
    assert body == {
        "command": "read_profile",
        "v": 1,
        "id": command_id,
        "expires_at": "2026-01-01T12:00:00Z",
        "reads": [
            {"meters": ["E-1", "E-2"], "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:15:00Z", "interval_s": 900},
            {"meters": ["E-3"], "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:30:00Z", "interval_s": 900},
        ],
    }
    # The id is the content's: the same gives the same, another moment another one.
    assert read_profile(["E-1", "E-2", "E-3"], reads, EXPIRES, "x")[0] == command_id
    assert read_profile(["E-1", "E-2", "E-3"], reads, EXPIRES, "y")[0] != command_id
    assert read_profile(["E-1", "E-2", "E-4"], reads, EXPIRES, "x")[0] != command_id


def test_a_clock_is_offered_the_time_with_the_estimate():
    offsets = np.array([(7, 40, 251.4321, 249.0, 312.5)], OFFSET)
    _, command = sync_clock(offsets, {7: "E-7"}, EXPIRES, "x")
    assert json.loads(encode(command))["clocks"] == [
        {"meter": "E-7", "offset_s": 251.43, "low_s": 249.0, "high_s": 312.5}
    ]


def test_an_acknowledgement_is_read_with_its_texts_made_printable():
    payload = {"v": 1, "id": "r-1", "state": "done", "reason": "a\u0000b" + "x" * 500, "further": 1}
    payload["unavailable"] = [{"meter": "E-1", "reason": "memory_lost"}, {"meter": "E\u0000", "reason": "x"}]
    ack = decode_acknowledgement(json.dumps(payload).encode())
    assert ack is not None
    assert ack.reason.startswith("a bxxx")
    assert len(ack.reason) == 200
    assert [(one.meter, one.reason) for one in ack.unavailable] == [("E-1", "memory_lost")]
    assert decode_acknowledgement(b'{"v":1,"id":"r-1","state":"perhaps"}') is None
    assert decode_acknowledgement(b'{"v":1,"id":"","state":"done"}') is None


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_passed_over(payload):
    decode_acknowledgement(payload)
    answered_command(payload)
    answered_command(b'{"answers":' + payload)
    answered_command(b"\xa1\x67answers" + payload)


@pytest.mark.parametrize("encode_payload", [lambda body: json.dumps(body).encode(), cbor2.dumps])
def test_the_command_that_readings_answer_is_found(encode_payload):
    body = {"v": 1, "medium": "water", "answers": "r-1", "meter": ["answers"], "register": [1]}
    assert answered_command(encode_payload(body)) == "r-1"
    assert answered_command(encode_payload(body | {"answers": 7})) is None
    assert answered_command(encode_payload(body | {"answers": "a\u0000"})) is None
    del body["answers"]
    assert answered_command(encode_payload(body)) is None


def test_only_the_topic_of_acknowledgements_names_a_sender():
    assert sender_of_ack("mp/v1/city/gw 1/cmd/ack") == ("city", "gw 1")
    for topic in ("mp/v1/city/gw/cmd", "mp/v1/city/a/b/cmd/ack", "mp/v1/-x/gw/cmd/ack", ""):
        assert sender_of_ack(topic) is None
