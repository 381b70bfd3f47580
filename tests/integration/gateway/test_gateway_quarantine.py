"""What can't become a reading is kept with its reason, and what is valid beside it is stored."""

import json

import cbor2
import psycopg

from gateway.errors import GatewayError

TIME = "2026-01-01T00:00:00Z"


def message(**changes: object) -> dict[str, object]:
    """A valid message of one reading, changed."""
    return {"v": 1, "medium": "water", "unit": "m3", "observed_at": TIME, "meter": "W-1", "register": 1.5} | changes


def totals(database) -> dict[str, int]:
    columns = ("readings_in", "stored", "duplicates", "conflicting", "pending", "rejected")
    sums = ", ".join(f"coalesce(sum({column}), 0)::int" for column in columns)
    return {k: v for k, v in zip(columns, database.rows(f"select {sums} from batch")[0], strict=True) if v}


def test_unusable_messages_are_kept_as_sent_and_do_not_come_again(run_gateway, publisher, database, wait_until):
    too_large = b'{"' + b"x" * 2000
    payloads = [b"\x00\xff", too_large, json.dumps(message(v=2)).encode(), json.dumps(message()).encode()]
    with run_gateway(payload_bytes_max=1000) as gateway:
        for payload in payloads:
            publisher.publish(payload)
        publisher.publish(b"{}", topic="mp/v1/city/gw/readings")
        wait_until(lambda: database.value("select coalesce(sum(messages), 0) from batch") == 5)
        wait_until(lambda: gateway.metric("in_flight_messages") == 0)
        assert gateway.metric("quarantined_total", reason="undecodable") == 1
    kept = {reason: bytes(payload) for reason, payload in database.rows("select reason, payload from quarantine")}
    assert kept == {
        "undecodable": payloads[0],
        "payload_too_large": too_large,
        "version_unsupported": payloads[2],
        "field_missing": b"{}",
    }
    assert database.count("reading") == 1


def test_bad_rows_are_quarantined_and_the_rows_beside_them_stored(run_gateway, publisher, database, wait_until):
    bad = message(
        observed_at=[TIME, "yesterday", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", TIME, TIME, TIME],
        meter=["W-1", "W-2", "W-3", "W-4", "W-5", 6, "W-7"],
        register=[1, 2, 3, 4, "five", 6, 7.25],
    )
    with run_gateway():
        publisher.publish(json.dumps(bad).encode())
        wait_until(lambda: totals(database) == {"readings_in": 7, "stored": 2, "rejected": 5})
    stored = database.rows("select serial, register_micro from reading join meter using (meter_id) order by serial")
    assert stored == [("W-1", 1_000_000), ("W-7", 7_250_000)]
    assert dict(database.rows("select reason, rows from quarantine")) == {
        "observed_at_invalid": [1],
        "observed_at_too_early": [2],
        "observed_at_in_future": [3],
        "register_invalid": [4],
        "meter_invalid": [5],
    }
    details = " ".join(row[0] for row in database.rows("select detail from quarantine"))
    assert "row 1: observed_at 'yesterday'" in details
    assert "row 4: register 'five': the register is no number; send a number" in details


def test_unknown_meters_wait_and_are_released_when_registered(run_gateway, publisher, database, wait_until):
    with run_gateway():
        publisher.publish(cbor2.dumps(message(meter=["W-1", "N-1", "N-2"], register=[1, 2, 3])))
        wait_until(lambda: totals(database) == {"readings_in": 3, "stored": 1, "pending": 2})
        database.register("N-1")
        publisher.publish(json.dumps(message(meter="N-1", observed_at="2026-01-01T01:00:00Z", register=4)).encode())
        wait_until(lambda: database.count("reading") == 3)
    assert database.rows("select serial from pending_reading") == [("N-2",)]
    released = (
        "select register_micro from reading join meter using (meter_id) where serial = 'N-1' order by observed_at"
    )
    assert database.rows(released) == [(2_000_000,), (4_000_000,)]


def test_unknown_utility_and_contradicting_medium_are_quarantined_with_a_remedy(
    run_gateway, publisher, database, wait_until
):
    with run_gateway():
        publisher.publish(json.dumps(message()).encode(), topic="mp/v1/village/gw/readings")
        publisher.publish(json.dumps(message(medium="gas")).encode())
        wait_until(lambda: totals(database) == {"readings_in": 2, "rejected": 2})
    details = dict(database.rows("select reason, detail from quarantine"))
    assert details["utility_unknown"].startswith("utility 'village': ")
    assert "meterproof import meters" in details["utility_unknown"]
    assert details["medium_mismatch"].startswith("row 0: meter 'W-1', sent as gas: ")


def test_message_that_the_database_refuses_is_found_and_the_others_stored(run_gateway, publisher, database, wait_until):
    with psycopg.connect(database.dsn) as conn:
        conn.execute("alter table reading add constraint poison check (register_micro <> 666000000)")
    with run_gateway(batch_linger_ms=500):
        for i in range(20):
            register = 666.0 if i in (7, 13) else 1.0
            publisher.publish(json.dumps(message(meter=f"W-{i % 10}", id=str(i), register=[register])).encode())
        wait_until(lambda: totals(database).get("rejected") == 2)
        wait_until(lambda: totals(database)["readings_in"] == 20)
    assert database.count("reading") == 10
    assert database.rows("select reason, state from quarantine") == [("store_refused", "open")] * 2


def test_database_without_schema_ends_the_gateway_with_the_remedy(run_gateway, publisher, postgres_dsn):
    with run_gateway(dsn=postgres_dsn) as gateway:
        publisher.publish(json.dumps(message()).encode())
        error = gateway.wait_for_error()
    assert isinstance(error, GatewayError)
    assert "the database can't take readings: relation" in str(error)
    assert "migrate" in str(error)
