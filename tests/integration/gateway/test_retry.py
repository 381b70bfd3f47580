"""Quarantined messages tried again: what is good now is stored once, what isn't stays open and says why."""

import json
from contextlib import closing

import psycopg
import pytest

from gateway.commit import BatchWriter
from gateway.decode import decode
from gateway.retry import QuarantineRetry
from gateway.settings import GatewaySettings
from gateway.sources import Sources
from store import quarantine_closing
from store.database import DatabaseSettings, connect, open_pool
from store.quarantine_closing import discard_entries
from store.quarantine_listing import QuarantineFilter, list_quarantine

TIME = "2026-01-01T00:00:00Z"
COLUMNS = ("readings_in", "stored", "duplicates", "conflicting", "pending", "rejected")


def message(**changes: object) -> bytes:
    """A valid message of one reading, changed."""
    fields = {"v": 1, "medium": "water", "unit": "m3", "observed_at": TIME, "meter": "W-1", "register": 1.5}
    return json.dumps(fields | changes).encode()


@pytest.fixture
def retry(database):
    """`retry(filter, **settings)`: try again with the settings; the summary."""

    def run(wanted: QuarantineFilter | None = None, **settings: object):
        gateway = GatewaySettings(**settings)
        database_settings = DatabaseSettings(dsn=database.dsn)
        with (
            open_pool(database_settings) as pool,
            connect(database_settings) as conn,
            closing(Sources(gateway)) as sources,
        ):
            work = QuarantineRetry(gateway, pool, lambda held: decode(held, sources), "Li")
            return work.run(conn, wanted or QuarantineFilter())

    return run


def entries(database, state: str | None = "open") -> dict[str, list[int] | None]:
    with psycopg.connect(database.dsn) as conn:
        return {entry.reason: entry.rows for entry in list_quarantine(conn, QuarantineFilter(state=state))}


def test_messages_of_a_utility_that_was_unknown_are_stored_once_it_is_imported(
    run_gateway, publisher, database, retry, wait_until
):
    with run_gateway():
        for hour in range(3):
            publisher.publish(
                message(observed_at=f"2026-01-01T0{hour}:00:00Z", meter=["V-1", "V-2"], register=[hour, hour + 0.5]),
                topic="mp/v1/village/gw/readings",
            )
        publisher.publish(message(register="x"))
        wait_until(lambda: database.count("quarantine") == 4)
    assert retry(QuarantineFilter(utility="village")).released == 0
    assert set(entries(database)) == {"utility_unknown", "register_invalid"}
    database.register("V-1", utility="village")
    summary = retry(QuarantineFilter(utility="village"))
    assert (summary.messages, summary.released) == (3, 3)
    assert {result: count for result, count in summary.readings.items() if count} == {"stored": 3, "pending": 3}
    assert database.rows("select gateway, readings_in, stored, pending from batch order by batch_id desc limit 1") == [
        ("quarantine", 6, 3, 3)
    ]
    # The sender's own redelivery, and another retry, find everything there.
    with run_gateway():
        publisher.publish(
            message(observed_at=TIME, meter=["V-1", "V-2"], register=[0, 0.5]), topic="mp/v1/village/gw/readings"
        )
        wait_until(lambda: database.value("select sum(messages) from batch where gateway <> 'quarantine'") == 5)
    assert retry(QuarantineFilter(utility="village")).messages == 0
    assert (database.count("reading"), database.count("pending_reading")) == (3, 3)
    assert database.count("reading_repeat") == database.count("reading_conflict") == 0
    assert entries(database) == {"register_invalid": [0]}


def test_bad_rows_come_in_beside_what_was_stored_and_the_rest_stays_open_with_its_reason(
    run_gateway, publisher, database, retry, wait_until
):
    payload = message(
        observed_at=[TIME, "1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z", TIME],
        meter=["W-1", "W-2", "W-3", "W-4"],
        register=[1, 2, 10**9, "x"],
    )
    with run_gateway():
        publisher.publish(payload)
        wait_until(lambda: database.count("quarantine") == 2)
    assert entries(database) == {"observed_at_too_early": [1, 2], "register_invalid": [3]}
    summary = retry(observed_at_earliest="1990-01-01T00:00:00Z", register_max=1_000_000)
    assert [(entry.released, entry.reason) for entry in summary.entries] == [
        (False, "register_out_of_range"),
        (False, "register_invalid"),
    ]
    assert "register 1000000000" in summary.entries[0].detail
    assert entries(database) == {"register_out_of_range": [2], "register_invalid": [3]}
    assert database.count("reading") == 2
    retry(observed_at_earliest="1990-01-01T00:00:00Z")
    assert entries(database) == {"register_invalid": [3]}
    assert database.count("reading") == 3
    assert database.count("reading_repeat") == 0


def test_rows_that_someone_discarded_stay_out(run_gateway, publisher, database, retry, wait_until):
    payload = message(observed_at=[TIME, "1999-01-01T00:00:00Z"], meter=["W-1", "W-2"], register=[10**9, 2])
    with run_gateway(register_max=1_000_000):
        publisher.publish(payload)
        wait_until(lambda: database.count("quarantine") == 2)
    with psycopg.connect(database.dsn) as conn:
        (entry,) = list_quarantine(conn, QuarantineFilter(reason="observed_at_too_early"))
        discard_entries(conn, [entry.quarantine_id], "Li", "a reading of the factory")
    assert retry(observed_at_earliest="1990-01-01T00:00:00Z").released == 1
    assert database.rows("select serial from reading join meter using (meter_id)") == [("W-1",)]
    assert entries(database, "discarded") == {"observed_at_too_early": [1]}


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("place", ["before the batch", "before the commit", "after the commit"])
def test_killed_in_between_each_message_is_tried_or_not_and_never_stored_twice(
    run_gateway, publisher, database, retry, wait_until, monkeypatch, place
):
    with run_gateway():
        for hour in range(4):
            publisher.publish(message(observed_at=f"2026-01-01T0{hour}:00:00Z"), topic="mp/v1/village/gw/readings")
        wait_until(lambda: database.count("quarantine") == 4)
    database.register("W-1", utility="village")

    def die(*_arguments: object, **_named: object) -> None:
        raise Killed(place)

    with monkeypatch.context() as patch:
        if place == "before the batch":
            patch.setattr("gateway.commit.commit_batch", die)
        elif place == "before the commit":
            patch.setattr(quarantine_closing, "_audit", die)
        else:
            write = BatchWriter.write

            def write_and_die(self: BatchWriter, messages, on_committed, stop) -> bool:
                return write(self, messages, die, stop)

            patch.setattr(BatchWriter, "write", write_and_die)
        with pytest.raises(Killed):
            retry()
    assert database.count("reading") == len(entries(database, "released")) * 4 == (4 if place[0] == "a" else 0)
    retry()
    assert (database.count("reading"), entries(database)) == (4, {})
    assert database.count("reading_repeat") == 0
    assert database.value("select count(*) from audit_log where action = 'quarantine.release'") == 4


def test_a_message_that_the_database_refuses_keeps_its_entry(run_gateway, publisher, database, retry, wait_until):
    with run_gateway():
        for meter in ("W-1", "W-2", "W-3"):
            publisher.publish(
                message(meter=meter, register=666 if meter == "W-2" else 1, observed_at="1999-01-01T00:00:00Z")
            )
        wait_until(lambda: database.count("quarantine") == 3)
    with psycopg.connect(database.dsn) as conn:
        conn.execute("alter table reading add constraint poison check (register_micro <> 666000000)")
    summary = retry(observed_at_earliest="1990-01-01T00:00:00Z")
    assert (summary.released, database.count("reading")) == (2, 2)
    assert entries(database) == {"store_refused": None}


def test_what_waits_for_its_meter_is_held_once(run_gateway, publisher, database, retry, wait_until):
    with run_gateway():
        publisher.publish(message(meter="W-1", observed_at="1999-01-01T00:00:00Z"))
        publisher.publish(message(meter="N-1", observed_at="1999-01-01T00:00:00Z"))
        wait_until(lambda: database.count("quarantine") == 2)
    for _ in range(2):
        retry(observed_at_earliest="1990-01-01T00:00:00Z")
    assert (database.count("reading"), database.count("pending_reading")) == (1, 1)
    columns = ", ".join(f"sum({column})::int" for column in COLUMNS)
    sums = database.rows(f"select {columns} from batch where gateway = 'quarantine'")[0]
    assert dict(zip(COLUMNS, sums, strict=True)) == dict.fromkeys(COLUMNS, 0) | {
        "readings_in": 2,
        "stored": 1,
        "pending": 1,
    }
