"""Who is told what, and how often."""

import json
from datetime import UTC, datetime

import cbor2
import pytest

from gateway.feedback import ROWS_MAX, Feedback, TokenBucket, message_id
from gateway.feedback_settings import FeedbackSettings
from gateway.reasons import ADVICE, Reason
from store.quarantine import QuarantineRow

RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "mp/v1/city/gw/readings"


def row(topic: str = TOPIC, reason: str = "undecodable", payload: bytes = b"\x00", rows=None) -> QuarantineRow:
    return QuarantineRow(b"\x01" * 16, reason, "found \ud800: why", "city", topic, payload, rows, 1, RECEIVED)


class Broker:
    """Takes what is published, as long as it may."""

    def __init__(self, takes: bool = True) -> None:
        self.takes, self.published, self.counts, self.now_s = takes, [], [], 0.0

    def publish(self, topic: str, payload: bytes) -> bool:
        if self.takes:
            self.published.append((topic, json.loads(payload)))
        return self.takes

    def feedback(self, **settings: object) -> Feedback:
        return Feedback(FeedbackSettings(**settings), self.publish, lambda: self.now_s, self.counts.append)


def test_the_sender_is_told_what_why_and_what_to_do():
    broker = Broker()
    payload = b'{"id": "m-7", "register": "x"}'
    broker.feedback().tell([row(reason="register_invalid", payload=payload, rows=tuple(range(2000)))])
    ((topic, told),) = broker.published
    assert topic == "mp/v1/city/gw/rejected"
    assert told == {
        "id": "m-7",
        "digest": "01" * 16,
        "reason": "register_invalid",
        "detail": "found ?: why",
        "remedy": ADVICE[Reason.REGISTER_INVALID].remedy,
        "rows": list(range(ROWS_MAX)),
        "rows_total": 2000,
        "received_at": "2026-01-01T00:00:00Z",
        "suppressed": 0,
        "v": 1,
    }


@pytest.mark.parametrize(
    "topic", ["mp/v1/city/gw/rejected", "zigbee2mqtt/m", "mp/v1/city/gw/cmd/ack", "mp/v1/_gateway/g/status"]
)
def test_other_topics_get_no_feedback_so_that_it_never_goes_round_in_circles(topic):
    broker = Broker()
    broker.feedback().tell([row(topic)])
    assert broker.published == broker.counts == []


def test_a_sender_is_told_some_at_once_then_by_the_rate_and_hears_how_much_was_left_out():
    broker = Broker()
    feedback = broker.feedback(per_sender_per_minute=60, per_sender_at_once=3)
    feedback.tell([row()] * 10)
    feedback.tell([row("mp/v1/city/other/readings")])
    assert [topic for topic, _ in broker.published] == ["mp/v1/city/gw/rejected"] * 3 + ["mp/v1/city/other/rejected"]
    broker.now_s = 1.0
    feedback.tell([row()] * 2)
    assert [told["suppressed"] for _, told in broker.published] == [0, 0, 0, 0, 7]
    assert broker.counts.count("limited") == 8


def test_all_senders_together_are_limited_and_nothing_is_kept_of_strangers_without_end():
    broker = Broker()
    feedback = broker.feedback(overall_per_second=5)
    for i in range(20_000):
        feedback.tell([row(f"mp/v1/city/gw-{i}/readings")])
    assert len(broker.published) == 5
    assert len(feedback._senders) <= 10_000 >= len(feedback._suppressed)


def test_what_the_broker_does_not_take_is_counted():
    broker = Broker(takes=False)
    broker.feedback().tell([row()])
    assert broker.counts == ["dropped"]


def test_telling_can_be_switched_off():
    broker = Broker()
    broker.feedback(tell_senders=False).tell([row()])
    assert broker.published == broker.counts == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"id": 7, "meter": [1, {"a": 2}]}', 7),
        (b'{"id": "x"', None),
        (b'{"id": [1]}', None),
        (b"{}", None),
        (b"", None),
        (b"\xff\x00", None),
        (cbor2.dumps({"id": "c"}), "c"),
        (cbor2.dumps({"id": 2**80}), None),
        (cbor2.dumps([1]), None),
        (b'{"id": "' + b"x" * 1000 + b'"}', "x" * 256),
    ],
)
def test_the_messages_own_name_is_read_where_it_can_be(payload, expected):
    assert message_id(payload) == expected


def test_a_payload_that_was_too_large_to_decode_is_not_decoded_for_its_name():
    broker = Broker()
    broker.feedback().tell([row(reason="payload_too_large", payload=b'{"id": "m"}')])
    assert broker.published[0][1]["id"] is None


def test_bucket_refills_up_to_its_size_and_bears_a_clock_that_steps_back():
    bucket = TokenBucket(per_s=1.0, at_once=2, now_s=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(999.0)
