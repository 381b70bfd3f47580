"""Readings of unknown meters wait for the registration, and nothing of them is lost then."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from store import pending
from store.archive import RawMessage, pack, raw_message
from store.batches import BatchRow, batches_after, commit_batch, next_batch_id, readings_of_batches
from store.pending import PendingCounts, PendingRow, count_pending, insert_pending, release_pending
from store.readings import read_conflicts, read_meter_readings
from store.registry import load_identities
from store.registry_import import import_meters
from store.tables import parse_csv

Connection = psycopg.Connection[Any]
RECEIVED = datetime(2026, 1, 2, tzinfo=UTC)
T0_US = 1_767_225_600_000_000


@pytest.fixture
def utility(connection: Connection) -> Connection:
    connection.execute("insert into utility (code) values ('u'), ('other')")
    return connection


def add_pending(connection: Connection, messages: dict[bytes, list[tuple[str, str, int, int]]]) -> int:
    """A batch with these messages' rows (serial, medium, second, register), all pending."""
    batch_id = next_batch_id(connection)
    rows = [
        PendingRow(1, serial, medium, T0_US + second * 1_000_000, register, 0, batch_id, number)
        for number, cells in enumerate(messages.values())
        for serial, medium, second, register in cells
    ]
    counts = insert_pending(connection, rows)
    raw = [RawMessage("mp/v1/u/g/readings", payload, RECEIVED) for payload in messages]
    digests = b"".join(payload.ljust(16) for payload in messages)
    commit_batch(
        connection,
        BatchRow(
            batch_id=batch_id,
            gateway="g",
            received_at=RECEIVED,
            messages=len(messages),
            readings_in=len(rows),
            stored=0,
            duplicates=counts.duplicates,
            conflicting=0,
            pending=counts.pending,
            rejected=0,
            min_observed_us=None,
            max_observed_us=None,
            message_digests=digests,
            archive=pack(raw),
        ),
    )
    return batch_id


def register(connection: Connection, text: str) -> int:
    table = parse_csv("meter,medium,unit,resolution\n" + text, "meters.csv")
    return import_meters(connection, table, utility="u", time_zone="UTC", actor="test").released


def meter_id(connection: Connection, serial: str) -> int:
    return load_identities(connection).meters["u", serial].meter_id


def test_the_same_pending_reading_is_kept_once(utility: Connection) -> None:
    rows = [PendingRow(1, "x", "gas", T0_US + i, 5, 0, 1, 0) for i in range(3)]
    assert insert_pending(utility, [*rows, rows[0]]) == PendingCounts(3, 1)
    assert insert_pending(utility, rows) == PendingCounts(0, 3)
    assert insert_pending(utility, []) == PendingCounts(0, 0)
    assert count_pending(utility) == 3


def test_registering_a_meter_releases_its_readings_in_a_batch_of_its_own(utility: Connection) -> None:
    source = add_pending(utility, {b"one": [("007", "gas", 0, 5), ("8", "gas", 0, 6)], b"two": [("007", "gas", 1, 7)]})
    assert register(utility, "007,gas,m3,0.001") == 2
    rows = read_meter_readings(utility, [meter_id(utility, "007")], 0, 2**62)
    assert rows["register_micro"].tolist() == [5, 7]
    assert count_pending(utility) == 1  # meter 8's
    head = batches_after(utility, 1, 100)[0]
    assert (head.gateway, head.stored, head.messages, head.received_at) == ("registry", 2, 2, RECEIVED)
    assert head.batch_id > source
    assert readings_of_batches(utility, [head.batch_id]).tobytes() == rows.tobytes()
    payloads = [raw_message(utility, int(row["batch_id"]), int(row["message_no"])).payload for row in rows]
    assert payloads == [b"one", b"two"]


def test_conflicting_values_are_kept_and_the_first_to_arrive_comes_first(utility: Connection) -> None:
    add_pending(utility, {b"one": [("x", "gas", 0, 9)]})
    add_pending(utility, {b"two": [("x", "gas", 0, 5)]})
    assert register(utility, "x,gas,m3,1") == 2
    ids = [meter_id(utility, "x")]
    assert read_meter_readings(utility, ids, 0, 2**62)["register_micro"].tolist() == [9]
    assert read_conflicts(utility, ids, 0, 2**62)["register_micro"].tolist() == [5]


def test_a_redelivery_after_the_release_is_known_as_such(utility: Connection) -> None:
    """The releasing batch takes over the messages' digests."""
    add_pending(utility, {b"one": [("x", "gas", 0, 9)]})
    register(utility, "x,gas,m3,1")
    released = batches_after(utility, 1, 100)[0].batch_id
    row = utility.execute("select message_digests from batch where batch_id = %s", (released,)).fetchone()
    assert row == (b"one".ljust(16),)


def test_readings_of_another_medium_or_utility_stay_pending(utility: Connection) -> None:
    add_pending(utility, {b"one": [("x", "gas", 0, 9), ("x", "water", 0, 9)]})
    insert_pending(utility, [PendingRow(2, "x", "water", T0_US, 9, 0, 1, 0)])
    assert register(utility, "x,water,m3,1") == 1
    assert count_pending(utility) == 2


def test_a_large_release_is_split_into_batches(utility: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MESSAGES_A_BATCH", 3)
    monkeypatch.setattr(pending, "_READINGS_A_BATCH", 4)
    for batch in range(2):
        messages = {
            b"%d" % i: [("x", "gas", 100 * i + j, 1) for j in range(2)] for i in range(5 * batch, 5 * batch + 5)
        }
        add_pending(utility, messages)
    assert register(utility, "x,gas,m3,1") == 20
    heads = batches_after(utility, 2, 100)
    assert [head.stored for head in heads] == [4] * 5  # two messages of two readings each
    rows = read_meter_readings(utility, [meter_id(utility, "x")], 0, 2**62)
    payloads = [raw_message(utility, int(row["batch_id"]), int(row["message_no"])).payload for row in rows]
    assert payloads == [b"%d" % i for i in range(10) for _ in range(2)]


def test_nothing_to_release_makes_no_batch(utility: Connection) -> None:
    assert release_pending(utility, 1) == 0
    assert batches_after(utility, 0, 1) == []
