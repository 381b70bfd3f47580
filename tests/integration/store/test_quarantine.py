"""Unusable messages are kept once, with their raw bytes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from metrology.errors import NotFoundError, StateConflictError
from store.quarantine import (
    QuarantineRow,
    close_quarantine,
    count_quarantine,
    insert_quarantine,
    list_quarantine,
    quarantined_payload,
)

Connection = psycopg.Connection[Any]
ROW = QuarantineRow(
    bytes(range(16)), "not_json", "byte 3: send JSON", "u", "t", b"\x00\xff{", None, 1, datetime(2026, 1, 1, tzinfo=UTC)
)


def test_a_message_is_kept_once_a_reason_and_its_deliveries_are_counted(connection: Connection) -> None:
    partly = replace(ROW, reason="bad_time", rows=(3, 4))
    assert insert_quarantine(connection, [ROW, partly, ROW]) == 2
    assert insert_quarantine(connection, [ROW]) == 0
    entries = {entry.reason: entry for entry in list_quarantine(connection)}
    assert {reason: entry.deliveries for reason, entry in entries.items()} == {"not_json": 3, "bad_time": 1}
    assert entries["bad_time"].rows == [3, 4]
    assert entries["not_json"].rows is None
    assert quarantined_payload(connection, entries["not_json"].quarantine_id) == ROW.payload
    assert entries["not_json"].payload_bytes == 3


def test_text_that_the_database_can_not_hold_does_not_stop_the_batch(connection: Connection) -> None:
    assert insert_quarantine(connection, [replace(ROW, detail="a\0b\ud800c", topic="t\0")]) == 1
    (entry,) = list_quarantine(connection)
    assert (entry.detail, entry.topic) == ("a\ufffdb?c", "t\ufffd")


def test_listing_goes_on_after_an_id(connection: Connection) -> None:
    insert_quarantine(connection, [replace(ROW, message_digest=bytes([i] * 16)) for i in range(5)])
    first = list_quarantine(connection, limit=2)
    rest = list_quarantine(connection, after_id=first[-1].quarantine_id)
    assert [len(first), len(rest)] == [2, 3]
    assert not {e.quarantine_id for e in first} & {e.quarantine_id for e in rest}


def test_an_entry_is_closed_once_and_stays(connection: Connection) -> None:
    insert_quarantine(connection, [ROW])
    entry = list_quarantine(connection)[0].quarantine_id
    close_quarantine(connection, entry, "discarded")
    assert (
        count_quarantine(connection),
        count_quarantine(connection, "discarded"),
        count_quarantine(connection, None),
    ) == (0, 1, 1)
    with pytest.raises(StateConflictError, match="discarded already"):
        close_quarantine(connection, entry, "released")
    for call in (
        lambda: close_quarantine(connection, entry + 1, "released"),
        lambda: quarantined_payload(connection, 0),
    ):
        with pytest.raises(NotFoundError):
            call()
