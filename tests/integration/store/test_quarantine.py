"""Unusable messages are kept once, with their raw bytes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from metrology.errors import InvalidInputError, NotFoundError, StateConflictError
from store.quarantine import QuarantineRow, insert_quarantine
from store.quarantine_closing import (
    Retried,
    discard_entries,
    last_entry_id,
    lock_quarantine,
    open_messages,
    settle_retried,
)
from store.quarantine_listing import (
    QuarantineFilter,
    count_by_reason,
    entry_history,
    find_entry,
    list_quarantine,
    topic_pattern,
)

Connection = psycopg.Connection[Any]
ROW = QuarantineRow(
    bytes(range(16)), "not_json", "byte 3: send JSON", "u", "t", b"\x00\xff{", None, 1, datetime(2026, 1, 1, tzinfo=UTC)
)


OPEN, ANY = QuarantineFilter(), QuarantineFilter(state=None)


def retry(connection: Connection, *failing: QuarantineRow, wanted: QuarantineFilter = OPEN) -> list[Retried]:
    messages, _ = open_messages(connection, wanted, 0, last_entry_id(connection))
    return settle_retried(connection, messages, failing, "Li")


def held(connection: Connection) -> dict[str, tuple[str, list[int] | None]]:
    return {entry.reason: (entry.state, entry.rows) for entry in list_quarantine(connection, ANY)}


def test_a_message_is_kept_once_a_reason_and_its_deliveries_are_counted(connection: Connection) -> None:
    partly = replace(ROW, reason="bad_time", rows=(3, 4))
    assert insert_quarantine(connection, [ROW, partly, ROW]) == [partly, ROW]
    assert insert_quarantine(connection, [ROW]) == []
    entries = {entry.reason: entry for entry in list_quarantine(connection, OPEN)}
    assert {reason: entry.deliveries for reason, entry in entries.items()} == {"not_json": 3, "bad_time": 1}
    assert entries["bad_time"].rows == [3, 4]
    assert entries["not_json"].rows is None
    assert find_entry(connection, entries["not_json"].quarantine_id) == (entries["not_json"], ROW.payload)
    assert entries["not_json"].payload_bytes == 3


def test_text_that_the_database_can_not_hold_does_not_stop_the_batch(connection: Connection) -> None:
    assert len(insert_quarantine(connection, [replace(ROW, detail="a\0b\ud800c", topic="t\0")])) == 1
    (entry,) = list_quarantine(connection, OPEN)
    assert (entry.detail, entry.topic) == ("a\ufffdb?c", "t\ufffd")


def test_listing_goes_on_before_an_id_and_counts_are_bounded(connection: Connection) -> None:
    insert_quarantine(connection, [replace(ROW, message_digest=bytes([i] * 16)) for i in range(5)])
    first = list_quarantine(connection, OPEN, limit=2)
    rest = list_quarantine(connection, OPEN, before_id=first[-1].quarantine_id)
    ids = [entry.quarantine_id for entry in [*first, *rest]]
    assert ids == sorted(ids, reverse=True)
    assert [len(first), len(rest)] == [2, 3]
    assert [(c.entries, c.at_least) for c in count_by_reason(connection, OPEN, 5)] == [(5, True)]
    assert [(c.entries, c.at_least) for c in count_by_reason(connection, OPEN, 6)] == [(5, False)]


def test_lists_hold_an_entrys_first_rows_and_their_number(connection: Connection) -> None:
    insert_quarantine(connection, [replace(ROW, rows=tuple(range(250)))])
    (entry,) = list_quarantine(connection, OPEN)
    assert (entry.rows, entry.rows_total) == (list(range(100)), 250)
    assert find_entry(connection, entry.quarantine_id)[0].rows == list(range(250))


def test_filters_choose(connection: Connection) -> None:
    other = replace(ROW, message_digest=b"x" * 16, reason="bad_time", utility="v", topic="mp/v1/v/gw.7/readings")
    late = replace(other, message_digest=b"y" * 16, received_at=datetime(2026, 2, 1, tzinfo=UTC))
    insert_quarantine(connection, [ROW, other, late])
    for wanted, number in (
        (QuarantineFilter(reason="bad_time"), 2),
        (QuarantineFilter(utility="u"), 1),
        (QuarantineFilter(topic="mp/v1/+/gw.7/#"), 2),
        (QuarantineFilter(topic="mp/v1/+/gwx7/#"), 0),
        (QuarantineFilter(since=late.received_at), 1),
        (QuarantineFilter(state="released"), 0),
        (ANY, 3),
    ):
        assert len(list_quarantine(connection, wanted)) == number, wanted


@pytest.mark.parametrize(
    ("topic_filter", "matching", "other"),
    [
        ("#", ["a", "a/b", ""], []),
        ("a/#", ["a", "a/b", "a/b/c"], ["ab", "b/a"]),
        ("a/+/c", ["a/b/c", "a//c"], ["a/b/b/c", "a/c"]),
        ("a.(b)/*", ["a.(b)/*"], ["axb/", "a.(b)/x"]),
    ],
)
def test_topic_filters_mean_what_mqtt_says(
    connection: Connection, topic_filter: str, matching: list[str], other: list[str]
) -> None:
    for topic in matching + other:
        row = connection.execute("select %s ~ %s", (topic, topic_pattern(topic_filter))).fetchone()
        assert row == (topic in matching,), topic


def test_what_became_readings_is_released_and_what_fails_anew_keeps_its_entry(connection: Connection) -> None:
    rows = {"a": (1,), "b": (4,), "c": (6,), "d": (8,)}
    insert_quarantine(connection, [replace(ROW, reason=reason, rows=numbers) for reason, numbers in rows.items()])
    fates = retry(
        connection,
        replace(ROW, reason="b", rows=(4, 6), detail="as before, and what failed for c"),
        replace(ROW, reason="e", rows=(8,), detail="now for e"),
        replace(ROW, reason="f", rows=(9,), detail="a row that had no entry"),
    )
    assert [(fate.released, fate.reason) for fate in fates] == [(True, "a"), (False, "b"), (False, "b"), (False, "e")]
    assert held(connection) == {
        "a": ("released", [1]),
        "b": ("open", [4, 6]),
        "c": ("open", [6]),
        "e": ("open", [8]),
        "f": ("open", [9]),
    }
    assert [event["action"] for event in entry_history(connection, fates[0].quarantine_id)] == ["quarantine.release"]
    (changed,) = entry_history(connection, fates[3].quarantine_id)
    assert (changed["actor"], changed["detail"]) == ("Li", {"from": "d", "to": "e"})
    assert all(fate.released for fate in retry(connection))
    assert {state for state, _ in held(connection).values()} == {"released"}


def test_whole_message_that_now_has_some_bad_rows(connection: Connection) -> None:
    insert_quarantine(connection, [ROW])
    (fate,) = retry(connection, replace(ROW, reason="bad_time", rows=(2,)))
    assert (fate.released, fate.reason) == (False, "bad_time")
    assert held(connection) == {"bad_time": ("open", [2])}


def test_a_retained_message_stays_known_as_such(connection: Connection) -> None:
    insert_quarantine(connection, [replace(ROW, retained=True), replace(ROW, message_digest=b"x" * 16)])
    messages, _ = open_messages(connection, OPEN, 0, last_entry_id(connection))
    assert {message.digest: message.retained for message in messages} == {ROW.message_digest: True, b"x" * 16: False}


def test_pages_end_and_never_repeat(connection: Connection) -> None:
    rows = [
        replace(ROW, message_digest=i.to_bytes(16, "big"), received_at=ROW.received_at - timedelta(seconds=i))
        for i in range(1200)
    ]
    for part in (rows[900:], rows[:900]):
        insert_quarantine(connection, part)
    after, seen, up_to = 0, [], last_entry_id(connection)
    while True:
        messages, after = open_messages(connection, OPEN, after, up_to)
        if not messages:
            break
        seen += [message.digest for message in messages]
        times = [message.received_at for message in messages]
        assert times == sorted(times), "not in order of arrival"
    assert len(seen) == len(set(seen)) == 1200


def test_discarding_needs_a_reason_and_is_audited_all_or_none(connection: Connection) -> None:
    insert_quarantine(connection, [ROW, replace(ROW, reason="bad_time", rows=(1,))])
    first, second = (entry.quarantine_id for entry in list_quarantine(connection, OPEN))
    with pytest.raises(InvalidInputError, match="why nothing is lost"):
        discard_entries(connection, [first], "Li", "  ")
    with pytest.raises(InvalidInputError, match="actor"):
        discard_entries(connection, [first], " ", "a test message")
    discard_entries(connection, [first, first], "Li", "a test message")
    with pytest.raises(StateConflictError, match="discarded already"):
        discard_entries(connection, [first], "Li", "again")
    with pytest.raises(NotFoundError):
        discard_entries(connection, [second + 999], "Li", "no such")
    with pytest.raises(NotFoundError):
        find_entry(connection, second + 999)
    assert [entry.quarantine_id for entry in list_quarantine(connection, OPEN)] == [second]
    (event,) = entry_history(connection, first)
    assert (event["actor"], event["action"], event["detail"]["because"]) == (
        "Li",
        "quarantine.discard",
        "a test message",
    )
    fates = retry(connection, replace(ROW, reason="bad_time", rows=(1,)), replace(ROW))
    assert first not in {fate.quarantine_id for fate in fates}


def test_one_retry_or_discard_at_a_time(connection: Connection, migrated_dsn: str) -> None:
    lock_quarantine(connection)
    with psycopg.connect(migrated_dsn) as other, pytest.raises(StateConflictError, match="at work"):
        lock_quarantine(other)
