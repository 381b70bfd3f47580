"""Readings are stored exactly once, whatever comes in whatever order; compared with a brute-force model."""

import random
import threading
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from store.batches import BatchRow, commit_batch, next_batch_id, repeats_of_batches
from store.readings import READING, InsertCounts, insert_readings, read_conflicts, read_meter_readings

Connection = psycopg.Connection[Any]
T0_US = 1_767_225_600_000_000  # 2026-01-01
ALL_METERS = [1, 2, 3, 4, 5]
EVER = (0, 2**62)


class Variant(NamedTuple):
    meter_id: int
    observed_us: int
    register_micro: int
    status: int


Message = tuple[bytes, list[Variant]]  # digest and rows


def store_batch(connection: Connection, messages: list[Message]) -> tuple[int, InsertCounts]:
    """Inserts the messages as one batch, as a gateway does, without a commit."""
    batch_id = next_batch_id(connection)
    digests = b"".join(digest for digest, _ in messages)
    rows = np.array(
        [
            (v.observed_us, v.register_micro, batch_id, v.meter_id, v.status, message_no)
            for message_no, (_, variants) in enumerate(messages)
            for v in variants
        ],
        dtype=READING,
    )
    counts = insert_readings(connection, rows, digests)
    commit_batch(connection, batch_row(batch_id, counts, len(messages), len(rows), digests))
    return batch_id, counts


def batch_row(batch_id: int, counts: InsertCounts, messages: int, rows: int, digests: bytes) -> BatchRow:
    return BatchRow(
        batch_id=batch_id,
        gateway="g",
        received_at=datetime(2026, 1, 2, tzinfo=UTC),
        messages=messages,
        readings_in=rows,
        stored=counts.stored,
        duplicates=counts.duplicates,
        conflicting=counts.conflicting,
        pending=0,
        rejected=0,
        min_observed_us=counts.min_observed_us,
        max_observed_us=counts.max_observed_us,
        message_digests=digests,
        archive=None,
    )


class Model:
    """What must be held, by dictionaries and one row at a time."""

    def __init__(self) -> None:
        self.readings: dict[tuple[int, int], tuple[Variant, int, int]] = {}
        self.conflicts: dict[Variant, tuple[int, int]] = {}
        self.digests: dict[tuple[int, int], bytes] = {}
        self.repeats: dict[tuple[int, bytes], tuple[int, set[Variant]]] = {}

    def insert(self, batch_id: int, messages: list[Message]) -> InsertCounts:
        stored = duplicates = conflicting = 0
        times = []
        for message_no, (digest, variants) in enumerate(messages):
            self.digests[batch_id, message_no] = digest
            for position, variant in enumerate(variants):
                if variant in variants[:position]:
                    self._note(digest, variant, batch_id)
                key = (variant.meter_id, variant.observed_us)
                held = self.readings.get(key)
                if held is None:
                    self.readings[key] = (variant, batch_id, message_no)
                    stored += 1
                    times.append(variant.observed_us)
                elif held[0] == variant:
                    duplicates += 1
                    self._repeat(held[1:], digest, variant, batch_id)
                elif variant in self.conflicts:
                    duplicates += 1
                    self._repeat(self.conflicts[variant], digest, variant, batch_id)
                else:
                    self.conflicts[variant] = (batch_id, message_no)
                    conflicting += 1
                    times.append(variant.observed_us)
        return InsertCounts(stored, duplicates, conflicting, min(times, default=None), max(times, default=None))

    def _repeat(self, held: tuple[int, int], digest: bytes, variant: Variant, batch_id: int) -> None:
        if self.digests[held] != digest:
            self._note(digest, variant, batch_id)

    def _note(self, digest: bytes, variant: Variant, batch_id: int) -> None:
        noted = self.repeats.setdefault((variant.meter_id, digest), (batch_id, set()))
        if noted[0] == batch_id:
            noted[1].add(variant)

    def reading_rows(self) -> list[tuple[int, ...]]:
        return sorted(
            (v.meter_id, v.observed_us, v.register_micro, v.status, b, m) for v, b, m in self.readings.values()
        )

    def conflict_rows(self) -> list[tuple[int, ...]]:
        return sorted(
            (v.meter_id, v.observed_us, v.register_micro, v.status, b, m) for v, (b, m) in self.conflicts.items()
        )

    def repeat_rows(self) -> list[tuple[Any, ...]]:
        return sorted(
            (meter, digest, batch, len(vs), min(v.observed_us for v in vs), max(v.observed_us for v in vs))
            for (meter, digest), (batch, vs) in self.repeats.items()
        )


def held_rows(rows: np.ndarray[Any, np.dtype[np.void]]) -> list[tuple[int, ...]]:
    fields = ("meter_id", "observed_us", "register_micro", "status", "batch_id", "message_no")
    return sorted(tuple(int(row[field]) for field in fields) for row in rows)


variants = st.builds(
    Variant,
    st.integers(1, 3),
    st.integers(0, 3).map(lambda i: T0_US + i * 900_000_001),
    st.integers(-1, 1).map(lambda i: i * 2**61),
    st.sampled_from([0, 16384]),
)
messages = st.tuples(st.sampled_from([bytes([i] * 16) for i in range(6)]), st.lists(variants, max_size=6))
batches = st.lists(st.lists(messages, min_size=1, max_size=4), min_size=1, max_size=5)
in_one_transaction = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@in_one_transaction
@given(batches=batches)
def test_rows_counts_and_repeats_are_those_of_the_model(five_meters: Connection, batches: list[list[Message]]) -> None:
    connection, model = five_meters, Model()
    try:
        ids = []
        for batch in batches:
            batch_id, counts = store_batch(connection, batch)
            assert counts == model.insert(batch_id, batch)
            ids.append(batch_id)
        assert held_rows(read_meter_readings(connection, ALL_METERS, *EVER)) == model.reading_rows()
        assert held_rows(read_conflicts(connection, ALL_METERS, *EVER)) == model.conflict_rows()
        repeats = [
            (
                int(r["meter_id"]),
                bytes(r["message_digest"]),
                int(r["batch_id"]),
                int(r["readings"]),
                int(r["first_us"]),
                int(r["last_us"]),
            )
            for r in repeats_of_batches(connection, ids)
        ]
        assert sorted(repeats) == model.repeat_rows()
    finally:
        connection.rollback()


@in_one_transaction
@given(batches=batches, again=st.randoms(use_true_random=False))
def test_any_order_and_repetition_leave_the_same_set(
    five_meters: Connection, batches: list[list[Message]], again: random.Random
) -> None:
    connection = five_meters
    try:
        for _ in range(2):
            for batch in again.sample(batches, len(batches)):
                store_batch(connection, batch)
        held = [
            *held_rows(read_meter_readings(connection, ALL_METERS, *EVER)),
            *held_rows(read_conflicts(connection, ALL_METERS, *EVER)),
        ]
        came = {variant for batch in batches for _, rows in batch for variant in rows}
        assert sorted(row[:4] for row in held) == sorted(tuple(variant) for variant in came)
    finally:
        connection.rollback()


def message(name: int, values: dict[int, int], meter_id: int = 1) -> Message:
    """A message of one meter: register by number of the interval."""
    rows = [Variant(meter_id, T0_US + i * 900_000_000, register, 0) for i, register in values.items()]
    return bytes([name] * 16), rows


def test_a_redelivered_message_leaves_no_trace_but_the_count(five_meters: Connection) -> None:
    first = [message(1, {0: 5, 1: 6}), message(2, {0: 7}, meter_id=2)]
    store_batch(five_meters, first)
    batch_id, counts = store_batch(five_meters, first[:1])
    assert counts == InsertCounts(0, 2, 0)
    assert len(repeats_of_batches(five_meters, [batch_id])) == 0


def test_the_same_readings_in_another_message_are_a_repetition(five_meters: Connection) -> None:
    store_batch(five_meters, [message(1, {0: 5, 1: 6})])
    batch_id, counts = store_batch(five_meters, [message(2, {0: 5, 1: 6, 2: 7})])
    assert (counts.stored, counts.duplicates) == (1, 2)
    (repeat,) = repeats_of_batches(five_meters, [batch_id])
    assert (repeat["meter_id"], repeat["readings"]) == (1, 2)
    assert (repeat["first_us"], repeat["last_us"]) == (T0_US, T0_US + 900_000_000)


def test_another_value_never_replaces_the_first_one(five_meters: Connection) -> None:
    store_batch(five_meters, [message(1, {0: 5})])
    store_batch(five_meters, [message(2, {0: 6})])
    (reading,) = read_meter_readings(five_meters, [1], *EVER)
    (conflict,) = read_conflicts(five_meters, [1], *EVER)
    assert (reading["register_micro"], conflict["register_micro"]) == (5, 6)


def test_interval_is_half_open_and_rows_are_sorted(five_meters: Connection) -> None:
    store_batch(five_meters, [message(1, {2: 7, 0: 5, 1: 6}, meter_id=4), message(2, {1: 1}, meter_id=2)])
    rows = read_meter_readings(five_meters, [4, 2], T0_US, T0_US + 2 * 900_000_000)
    assert [(row["meter_id"], row["register_micro"]) for row in rows] == [(2, 1), (4, 5), (4, 6)]


def test_rows_without_digest_or_of_two_batches_are_refused(five_meters: Connection) -> None:
    rows = np.zeros(2, READING)
    rows["message_no"] = (0, 1)
    with pytest.raises(InvalidInputError, match="1 digests"):
        insert_readings(five_meters, rows, bytes(16))
    rows["observed_us"] = 2**62
    with pytest.raises(InvalidInputError, match="outside of the years"):
        insert_readings(five_meters, rows, bytes(32))
    rows["batch_id"] = (1, 2)
    with pytest.raises(InvalidInputError, match="several batches"):
        insert_readings(five_meters, rows, bytes(32))


def _wait_until_blocked(connection: Connection, pid: int) -> None:
    for _ in range(500):
        row = connection.execute("select cardinality(pg_blocking_pids(%s))", (pid,)).fetchone()
        if row and row[0]:
            return
        time.sleep(0.01)
    raise AssertionError("the second transaction did not wait for the first")


@pytest.mark.parametrize("first_commits", [True, False])
def test_a_transaction_waits_for_another_with_the_same_rows(
    five_meters: Connection, migrated_dsn: str, first_commits: bool
) -> None:
    mine, result = [message(1, {0: 5, 1: 6}), message(2, {0: 9}, meter_id=2)], list[InsertCounts]()
    other_value = [message(3, {0: 5, 1: 8})]
    store_batch(five_meters, mine)
    with psycopg.connect(migrated_dsn) as other, psycopg.connect(migrated_dsn, autocommit=True) as watcher:

        def insert_others() -> None:
            result.append(store_batch(other, other_value)[1])
            other.commit()

        thread = threading.Thread(target=insert_others)
        thread.start()
        _wait_until_blocked(watcher, other.info.backend_pid)
        if first_commits:
            five_meters.commit()
        else:
            five_meters.rollback()
        thread.join(timeout=20)
    expected = InsertCounts(0, 1, 1) if first_commits else InsertCounts(2, 0, 0)
    assert (result[0].stored, result[0].duplicates, result[0].conflicting) == (
        expected.stored,
        expected.duplicates,
        expected.conflicting,
    )


def test_a_conflicting_value_that_comes_twice_at_once_is_kept_once(five_meters: Connection, migrated_dsn: str) -> None:
    store_batch(five_meters, [message(1, {0: 5})])
    five_meters.commit()
    store_batch(five_meters, [message(2, {0: 6})])
    result = list[tuple[int, InsertCounts]]()
    with psycopg.connect(migrated_dsn) as other, psycopg.connect(migrated_dsn, autocommit=True) as watcher:

        def insert_others() -> None:
            result.append(store_batch(other, [message(3, {0: 6})]))
            other.commit()

        thread = threading.Thread(target=insert_others)
        thread.start()
        _wait_until_blocked(watcher, other.info.backend_pid)
        five_meters.commit()
        thread.join(timeout=20)
    batch_id, counts = result[0]
    assert counts == InsertCounts(0, 1, 0)
    assert repeats_of_batches(five_meters, [batch_id])["readings"].tolist() == [1]
    assert len(read_conflicts(five_meters, [1], *EVER)) == 1


def test_two_gateways_with_the_same_rows_at_once_store_each_row_once(
    five_meters: Connection, migrated_dsn: str
) -> None:
    """Same readings in shuffled order in other messages, many times at once: no deadlock, no loss, nothing twice."""
    generator = random.Random(7)
    rounds = [
        [message(10 * r + m, {r * 20 + i: i for i in range(20)}, meter_id=m) for m in range(1, 6)] for r in range(10)
    ]
    start, failures, stored = threading.Barrier(2), list[BaseException](), list[int]()
    orders = [[(generator.sample(batch, 5)) for batch in rounds] for _ in range(2)]

    def gateway(own: list[list[Message]]) -> None:
        try:
            with psycopg.connect(migrated_dsn) as connection:
                for batch in own:
                    start.wait(timeout=20)
                    stored.append(store_batch(connection, [(d, generator.sample(v, 20)) for d, v in batch])[1].stored)
                    connection.commit()
        except BaseException as error:  # noqa: BLE001, RUF100  # handed to the test's own thread
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=gateway, args=(own,)) for own in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
    assert sum(stored) == 10 * 5 * 20
    assert len(read_meter_readings(five_meters, ALL_METERS, *EVER)) == 1000
    assert len(read_conflicts(five_meters, ALL_METERS, *EVER)) == 0
