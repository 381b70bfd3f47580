"""Batches in commit order, their readings, and the raw messages behind them."""

import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest

from metrology.errors import NotFoundError
from store.archive import Frame, MessageReference, RawMessage, pack, raw_message, unpack
from store.batches import (
    BatchRow,
    batches_after,
    commit_batch,
    conflicts_of_batches,
    last_commit_seq,
    next_batch_id,
    readings_of_batches,
)
from store.readings import READING, insert_readings

Connection = psycopg.Connection[Any]
RECEIVED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def add_batch(
    connection: Connection, meter_id: int, first: int, count: int, value: int = 0, frames: list[Frame] | None = None
) -> int:
    """A batch of one message with `count` readings of a meter, at seconds from `first` on."""
    batch_id = next_batch_id(connection)
    rows = np.zeros(count, READING)
    rows["observed_us"] = (first + np.arange(count)) * 1_000_000
    rows["register_micro"], rows["batch_id"], rows["meter_id"] = value, batch_id, meter_id
    digest = batch_id.to_bytes(16)
    counts = insert_readings(connection, rows, digest)
    commit_batch(
        connection,
        BatchRow(
            batch_id=batch_id,
            gateway="g",
            received_at=RECEIVED,
            messages=1,
            readings_in=count,
            stored=counts.stored,
            duplicates=counts.duplicates,
            conflicting=counts.conflicting,
            pending=0,
            rejected=0,
            min_observed_us=counts.min_observed_us,
            max_observed_us=counts.max_observed_us,
            message_digests=digest,
            archive=None if frames is None else pack(frames),
        ),
    )
    return batch_id


def test_batches_are_followed_in_commit_order_as_many_as_fit(five_meters: Connection) -> None:
    ids = [add_batch(five_meters, 1, start, 10) for start in (0, 10, 20)]
    assert [head.batch_id for head in batches_after(five_meters, 0, 20)] == ids[:2]
    assert [head.batch_id for head in batches_after(five_meters, 0, 1)] == ids[:1]
    assert [head.batch_id for head in batches_after(five_meters, 2, 100)] == ids[2:]
    assert batches_after(five_meters, 3, 100) == []
    assert last_commit_seq(five_meters) == 3
    head = batches_after(five_meters, 1, 1)[0]
    assert (head.commit_seq, head.received_at, head.stored, head.conflicting) == (2, RECEIVED, 10, 0)
    assert head.min_observed_at == datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert head.max_observed_at == datetime(1970, 1, 1, 0, 0, 19, tzinfo=UTC)


def test_a_follower_never_sees_a_number_before_its_predecessors(five_meters: Connection, migrated_dsn: str) -> None:
    """The second committer waits for the first, so that numbers become visible in their order."""
    add_batch(five_meters, 1, 0, 1)  # holds the counter, not committed
    with psycopg.connect(migrated_dsn) as other, psycopg.connect(migrated_dsn) as follower:

        def commit_other() -> None:
            add_batch(other, 2, 0, 1)
            other.commit()

        thread = threading.Thread(target=commit_other)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        assert batches_after(follower, 0, 100) == []
        follower.rollback()
        five_meters.commit()
        thread.join(timeout=20)
        assert [head.commit_seq for head in batches_after(follower, 0, 100)] == [1, 2]


def test_a_batch_that_is_rolled_back_leaves_no_hole(five_meters: Connection) -> None:
    add_batch(five_meters, 1, 0, 1)
    five_meters.rollback()
    add_batch(five_meters, 1, 0, 1)
    assert [head.commit_seq for head in batches_after(five_meters, 0, 100)] == [1]


def test_readings_of_batches_are_those_they_brought(five_meters: Connection) -> None:
    first, second = add_batch(five_meters, 2, 0, 5), add_batch(five_meters, 1, 3, 5, value=7)
    third = add_batch(five_meters, 2, 3, 4, value=9)  # two of them conflict with the first batch
    rows = readings_of_batches(five_meters, [third, second])
    assert rows["meter_id"].tolist() == [1] * 5 + [2] * 2
    assert (rows["observed_us"] // 1_000_000).tolist() == [3, 4, 5, 6, 7, 5, 6]
    assert set(readings_of_batches(five_meters, [first])["batch_id"].tolist()) == {first}
    conflicts = conflicts_of_batches(five_meters, [first, second, third])
    assert (conflicts["observed_us"] // 1_000_000).tolist() == [3, 4]
    assert len(readings_of_batches(five_meters, [])) == 0


def test_batches_far_apart_are_read_without_those_between(five_meters: Connection) -> None:
    first, _ = add_batch(five_meters, 1, 0, 2), add_batch(five_meters, 2, 0, 2)
    for _ in range(100):
        next_batch_id(five_meters)
    far = add_batch(five_meters, 3, 0, 2)
    rows = readings_of_batches(five_meters, [far, first, far])
    assert rows["batch_id"].tolist() == [first, first, far, far]


def test_counts_that_do_not_add_up_are_refused(five_meters: Connection) -> None:
    batch = BatchRow(next_batch_id(five_meters), "g", RECEIVED, 1, 5, 1, 1, 1, 1, 0, None, None, bytes(16), None)
    with pytest.raises(psycopg.errors.CheckViolation):
        commit_batch(five_meters, batch)


def test_a_reading_leads_to_its_raw_message(five_meters: Connection) -> None:
    raw = [RawMessage("mp/v1/u/g/readings", b"{\x00\xff", RECEIVED), RawMessage("主题", b"", RECEIVED)]
    batch_id = add_batch(five_meters, 1, 0, 1, frames=list(raw))
    released = add_batch(five_meters, 2, 0, 1, frames=[MessageReference(batch_id, 1)])
    assert [raw_message(five_meters, batch_id, number) for number in (0, 1)] == raw
    assert raw_message(five_meters, released, 0) == raw[1]


def test_a_message_that_is_not_there_is_said_so(five_meters: Connection) -> None:
    without = add_batch(five_meters, 1, 0, 1)
    one = add_batch(five_meters, 2, 0, 1, frames=[RawMessage("t", b"", RECEIVED)])
    for batch_id, number, complaint in [
        (10**9, 0, "does not exist"),
        (without, 0, "no longer kept"),
        (one, 1, "messages 0 to 0, not 1"),
        (one, -1, "not -1"),
    ]:
        with pytest.raises(NotFoundError, match=complaint):
            raw_message(five_meters, batch_id, number)


def test_an_archive_is_small_and_exact() -> None:
    messages: list[Frame] = [RawMessage("t", b'{"meter":"%05d"}' % i * 20, RECEIVED) for i in range(500)]
    archive = pack(messages)
    assert unpack(archive) == messages
    assert len(archive) < 500 * 20 * 17 / 10
