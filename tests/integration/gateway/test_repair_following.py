"""What the repair learns from the batches: ways, arrivals, answers; also of readings that were released later."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gateway.clocks import ClockModel
from gateway.repair.following import follow

MODEL = ClockModel(samples_min=6)


@pytest.fixture
def follow_all(database):
    """Follows all that is committed; returns how many readings came by concentrators."""

    def follow_to_the_end(readings_max: int = 200_000) -> int:
        readings = 0
        with psycopg.connect(database.dsn) as conn:
            while (followed := follow(conn, readings_max, MODEL)) is not None:
                conn.commit()
                readings += followed.readings
        return readings

    return follow_to_the_end


def payload(meter: str, observed_at: datetime, register: float = 1.5, **further: object) -> bytes:
    body = {"v": 1, "medium": "water", "unit": "m3", "observed_at": observed_at.isoformat(), "meter": meter}
    return json.dumps(body | {"register": register} | further).encode()


ROUTES = (
    "select serial, gateway from meter_route join concentrator using (concentrator_id) join meter using (meter_id)"
    " order by 1"
)


def test_a_meters_way_is_that_of_its_last_message(run_gateway, publisher, database, wait_until, follow_all):
    now = datetime.now(UTC).replace(microsecond=0)
    with run_gateway():
        publisher.publish(payload("W-1", now - timedelta(hours=3)), "mp/v1/city/a/readings")
        publisher.publish(payload("W-2", now - timedelta(hours=3)), "mp/v1/city/a/readings")
        wait_until(lambda: database.count("reading") == 2)
        assert follow_all(readings_max=1) == 2
        assert database.rows(ROUTES) == [("W-1", "a"), ("W-2", "a")]
        # It was moved to another concentrator, which also re-reads what is older.
        publisher.publish(payload("W-1", now - timedelta(hours=5)), "mp/v1/city/b.c/readings")
        wait_until(lambda: database.count("reading") == 3)
        assert follow_all() == 1
    assert database.rows(ROUTES) == [("W-1", "b.c"), ("W-2", "a")]
    assert database.rows("select gateway, last_observed_at from concentrator order by 1") == [
        ("a", now - timedelta(hours=3)),
        ("b.c", now - timedelta(hours=5)),
    ]
    assert follow_all() == 0


def test_readings_that_waited_for_their_meter_lead_back_to_who_sent_them(
    run_gateway, publisher, database, wait_until, follow_all
):
    now = datetime.now(UTC).replace(microsecond=0)
    with run_gateway():
        publisher.publish(payload("N-1", now), "mp/v1/city/far/readings")
        wait_until(lambda: database.count("pending_reading") == 1)
        assert follow_all() == 0
        database.register("N-1")
        assert follow_all() == 1
    assert database.rows(ROUTES) == [("N-1", "far")]


def test_answers_are_noted_only_of_commands_to_their_sender(run_gateway, publisher, database, wait_until, follow_all):
    now = datetime.now(UTC).replace(microsecond=0)
    with run_gateway():
        publisher.publish(payload("W-1", now - timedelta(hours=3)), "mp/v1/city/a/readings")
        wait_until(lambda: database.count("reading") == 1)
        follow_all()
        with psycopg.connect(database.dsn) as conn:
            conn.execute(
                "insert into command (command_id, concentrator_id, kind, body, state, created_at, expires_at, check_at)"
                " select 'r-1', concentrator_id, 'read_profile', '', 'sent', now(), now(), now() from concentrator"
            )
        for sender, hours in (("a", 4), ("b", 5)):
            message = payload("W-1", now - timedelta(hours=hours), answers="r-1")
            publisher.publish(message, f"mp/v1/city/{sender}/readings")
        publisher.publish(payload("W-1", now - timedelta(hours=6), answers="r-9"), "mp/v1/city/a/readings")
        wait_until(lambda: database.count("reading") == 4)
        follow_all()
    assert database.rows("select command_id, readings from command_answer") == [("r-1", 1)]
    leads_back = (
        "select observed_at from reading join command_answer using (batch_id, message_no) where command_id = 'r-1'"
    )
    assert database.rows(leads_back) == [(now - timedelta(hours=4),)]


def test_times_of_receipt_and_answers_are_no_arrivals(run_gateway, publisher, database, wait_until, follow_all):
    now = datetime.now(UTC).replace(microsecond=0)
    with run_gateway():
        publisher.publish(payload("W-1", now), "mp/v1/city/a/readings")
        publisher.publish(payload("W-2", now, status=1 << 6), "mp/v1/city/a/readings")
        publisher.publish(payload("W-3", now, answers="r-1"), "mp/v1/city/a/readings")
        publisher.publish(payload("W-4", now - timedelta(days=3)), "mp/v1/city/a/readings")
        wait_until(lambda: database.count("reading") == 4)
        assert follow_all() == 4
    assert database.rows("select serial from clock_offset join meter using (meter_id)") == [("W-1",)]
