"""Sources: which one takes a topic, whose meters it reads, and what a feigned sender comes to."""

import pytest

from gateway.codec.rows import MessageRejected, RowReject, Rows
from gateway.decode import Message, decode
from gateway.errors import GatewayError
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from gateway.source_settings import IdentityRule, SourceSettings
from gateway.sources import Sources, apply_rules
from metrology.quantities import Medium

NOW_US = 1_767_226_500_000_000
SUM = {"meter": "id", "readings": [{"register": "v", "medium": "water", "unit": "m3"}]}


def sources(*each: dict) -> Sources:
    return Sources(GatewaySettings(sources=[{"utility": "city", "codec": "json", "options": SUM} | s for s in each]))


def test_the_first_source_whose_filter_matches_takes_the_topic():
    several = sources(
        {"name": "exact", "topic_filter": "a/b"},
        {"name": "shared", "topic_filter": "$share/g/a/+/c"},
        {"name": "system", "topic_filter": "$oc/#"},
        {"name": "rest", "topic_filter": "#"},
    )
    taken = {
        topic: route.source.settings.name if (route := several.route(topic)) else None
        for topic in ("a/b", "a/x/c", "a/x/d", "$oc/devices/1", "$SYS/uptime", "a")
    }
    assert taken == {
        "a/b": "exact",
        "a/x/c": "shared",
        "a/x/d": "rest",
        "$oc/devices/1": "system",
        "$SYS/uptime": None,  # MQTT 5, 4.7.2: a wildcard at the front does not match such topics
        "a": "rest",
    }


def test_topics_without_end_do_not_grow_the_memory(monkeypatch):
    monkeypatch.setattr("gateway.sources._TOPICS_MAX", 3)
    several = sources({"name": "s", "topic_filter": "a/+"})
    for i in range(10):
        assert several.route(f"a/{i}") is not None
        assert len(several._routes) <= 3


def test_sources_that_were_replaced_read_what_is_still_under_way():
    oldest, old = sources({"name": "a", "topic_filter": "a"}), sources({"name": "b", "topic_filter": "b"})
    new = sources({"name": "c", "topic_filter": "c"}, {"name": "b2", "topic_filter": "b"})
    old.replace(oldest)
    new.replace(old)
    taken = {topic: route.source.settings.name if (route := new.route(topic)) else None for topic in "abc"}
    assert taken == {"a": None, "b": "b2", "c": "c"}
    newest = sources({"name": "d", "topic_filter": "d"})
    newest.replace(new)
    assert newest.route("c") is not None
    newest.close()


def test_the_utility_is_a_level_of_the_topic_and_must_be_one():
    several = sources({"name": "s", "topic_filter": "u/+/x", "utility": "", "utility_level": 2})
    decoded = decode(Message("u/north/x", b'{"id":"007","v":1}', NOW_US), several)
    assert (decoded.utility, decoded.source, decoded.rows and decoded.rows.meter) == ("north", "s", ["007"])
    wrong = decode(Message("u/no utility/x", b"{}", NOW_US), several)
    assert wrong.rejection is not None
    assert wrong.rejection.reason is Reason.TOPIC_UNEXPECTED


def rows(*meters: str, sender: str | None = None) -> Rows:
    n = len(meters)
    return Rows(Medium.WATER, "m3", list(meters), [0] * n, ["1"] * n, [0] * n, sender=sender)


def settings(**changes: object) -> SourceSettings:
    return SourceSettings(**{"name": "s", "topic_filter": "#", "codec": "json", "utility": "city"} | changes)


def test_a_meter_under_another_meters_topic_is_a_mismatch_and_zeros_count():
    rule = settings(identity=IdentityRule(topic_level=1), meters={"0042": "W-1", "42": "W-2"})
    checked = apply_rules(rows("0042", "42", "W-1"), rule, "0042")
    assert [(reject.row, reject.reason) for reject in checked.rejects] == [
        (1, Reason.IDENTITY_MISMATCH),
        (2, Reason.IDENTITY_MISMATCH),
    ]
    assert checked.meter == ["W-1", "W-2", "W-1"]


@pytest.mark.parametrize("sender", [None, "dev2", "DEV1", ""])
def test_a_sender_that_the_topic_does_not_name_spoils_the_message(sender):
    rule = settings(identity=IdentityRule(topic_level=1, matches="sender"))
    with pytest.raises(MessageRejected) as caught:
        apply_rules(rows("a", "b", sender=sender), rule, "dev1")
    assert (caught.value.reason, caught.value.readings) == (Reason.IDENTITY_MISMATCH, 2)
    assert apply_rules(rows("a", sender="dev1"), rule, "dev1").rejects == []


def test_unlisted_meters_are_passed_over_but_not_feigned_ones():
    listed = settings(identity=IdentityRule(topic_level=1), meters={"a": "A"}, unlisted="skip")
    given = rows("a", "b", "c")
    given.rejects = [RowReject(1, Reason.REGISTER_INVALID, "x")]
    checked = apply_rules(given, listed, "a")
    assert checked.meter == ["A", "c"]
    assert [(reject.row, reject.reason) for reject in checked.rejects] == [(1, Reason.IDENTITY_MISMATCH)]
    assert checked.skipped == 1


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"codec": "morse"}, r"gateway\.sources\.s\.codec: codec 'morse' is unknown; use one of native, json"),
        ({"options": {}}, r"gateway\.sources\.s\.options\.meter: Field required"),
        ({"options": SUM | {"colour": 1}}, r"options\.colour = 1: no such option"),
        ({"options": SUM | {"meter": "a..b"}}, r"options\.meter = 'a\.\.b': .* is no path"),
        ({"options": SUM | {"time_form": "yesterday"}}, "is no form of time"),
        ({"options": SUM | {"multipliers": {"a": "-1"}}}, "is no multiplier"),
        ({"options": {"meter": "id", "readings": [{"register": "v", "unit": "m3"}]}}, "needs a medium"),
        (
            {"options": {"meter": "id", "readings": [{"register": "v", "medium": "water", "unit": "kWh"}]}},
            "not measure",
        ),
        ({"codec": "tasmota_sml", "options": {}}, "time_zone is not set"),
    ],
)
def test_wrong_sources_are_refused_by_name(source, complaint):
    with pytest.raises(GatewayError, match=complaint):
        sources({"name": "s", "topic_filter": "#"} | source)


def test_every_message_twice_with_one_name_is_one():
    unique = SUM | {"unique_by": ["name"]}
    several = sources({"name": "s", "topic_filter": "#", "options": unique})
    payloads = [b'{"id":"1","v":1,"name":"x"}', b'{"id":"1","v":1,"name":"x"}', b'{"id":"1","v":1,"name":"y"}']
    decoded = [decode(Message("t", payload, NOW_US), several) for payload in payloads]
    assert [(len(d.rows.meter), d.rows.skipped) for d in decoded if d.rows] == [(1, 0), (0, 1), (1, 0)]
    nameless = [decode(Message("t", b'{"id":"1","v":1}', NOW_US), several) for _ in range(2)]
    assert [len(d.rows.meter) for d in nameless if d.rows] == [1, 1]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.UNDECODABLE),
        (b"\xff\xfe", Reason.UNDECODABLE),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (b'{"a":' * 40 + b"1" + b"}" * 40, Reason.TOO_DEEP),
        (b" " * 65, Reason.PAYLOAD_TOO_LARGE),
    ],
)
def test_limits_of_a_payload(payload, reason):
    limit = 64 if reason is Reason.PAYLOAD_TOO_LARGE else 2**20
    source = {"name": "s", "topic_filter": "#", "utility": "city", "codec": "json", "options": SUM}
    several = Sources(GatewaySettings(sources=[source], payload_bytes_max=limit))
    decoded = decode(Message("t", payload, NOW_US), several)
    assert decoded.rejection is not None
    assert decoded.rejection.reason is reason
