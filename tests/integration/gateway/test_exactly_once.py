"""Every reading that the broker accepted is stored, once, whatever fails in between."""

import json
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gateway.errors import GatewayError

START = datetime(2026, 1, 1, tzinfo=UTC)


def payload(meter: str | list[str], first: int, count: int = 1, **changes: object) -> bytes:
    """A message of `count` quarter-hourly readings from the `first` on."""
    message = {
        "v": 1,
        "id": f"{meter}-{first}",
        "medium": "water",
        "unit": "L",
        "observed_at": [(START + timedelta(minutes=15 * (first + i))).isoformat() for i in range(count)],
        "meter": meter,
        "register": [100.5 + first + i for i in range(count)],
    }
    return json.dumps(message | changes).encode()


def total(database, column: str) -> int:
    """A column of all committed batches, added up."""
    return int(database.value(f"select coalesce(sum({column}), 0) from batch"))


def test_readings_arrive_as_sent(run_gateway, publisher, database, wait_until):
    with run_gateway():
        publisher.publish(payload("W-1", 0, 3))
        wait_until(lambda: total(database, "stored") == 3)
    rows = database.rows("select serial, observed_at, register_micro, status from reading join meter using (meter_id)")
    assert sorted(rows) == [("W-1", START + timedelta(minutes=15 * i), 100_500 + 1000 * i, 0) for i in range(3)]


def test_redelivered_message_changes_nothing_but_a_repetition_and_another_value_are_noted(
    run_gateway, publisher, database, wait_until
):
    with run_gateway() as gateway:
        messages = (payload("W-1", 0, 2), payload("W-1", 0, 2), payload("W-1", 0, 2, id="again"))
        for count, message in enumerate(messages, start=1):
            publisher.publish(message)
            wait_until(lambda count=count: total(database, "messages") == count)
        publisher.publish(payload("W-1", 0, 1, register=7777.0))
        wait_until(lambda: total(database, "messages") == 4)
        wait_until(lambda: gateway.metric("in_flight_messages") == 0)
        assert gateway.metric("readings_total", result="duplicates") == 4
    assert database.count("reading") == 2
    assert database.rows("select readings from reading_repeat") == [(2,)]
    assert database.rows("select register_micro from reading_conflict") == [(7_777_000,)]


def test_connection_killed_between_commit_and_acknowledgement(
    run_gateway, publisher, database, broker_proxy, wait_until
):
    url = f"mqtt://127.0.0.1:{broker_proxy.port}"
    with run_gateway(url=url):
        broker_proxy.swallow_upstream = True  # the acknowledgements get lost
        for i in range(20):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: total(database, "stored") == 20)
        broker_proxy.cut()
        broker_proxy.restore()
        wait_until(lambda: total(database, "duplicates") == 20)
    with run_gateway(url=url):  # the second delivery was acknowledged: there is no third
        publisher.publish(payload("W-1", 20))
        wait_until(lambda: total(database, "stored") == 21)
    assert (database.count("reading"), total(database, "duplicates")) == (21, 20)
    assert database.count("reading_repeat") == 0


def test_database_away_then_back(run_gateway, publisher, database, database_proxy, proxy_dsn, wait_until):
    with run_gateway(dsn=proxy_dsn) as gateway:
        publisher.publish(payload("W-1", 0))
        wait_until(lambda: total(database, "stored") == 1)
        database_proxy.cut()
        for i in range(1, 100):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: gateway.metric("database_retries_total") >= 2)
        assert gateway.is_alive
        assert gateway.metric("in_flight_messages") == 99
        database_proxy.restore()
        wait_until(lambda: total(database, "stored") == 100)
        wait_until(lambda: gateway.metric("in_flight_messages") == 0)
    assert database.count("reading") == 100


def test_a_batch_of_many_readings_does_not_wait_for_more(run_gateway, publisher, database, wait_until):
    with run_gateway(batch_linger_ms=60_000) as gateway:
        publisher.publish(payload("W-1", 0, 999))
        wait_until(lambda: gateway.metric("in_flight_messages") == 1)
        time.sleep(0.3)
        assert total(database, "stored") == 0  # it waits for more
        publisher.publish(payload("W-2", 0, 1))
        wait_until(lambda: total(database, "stored") == 1000, timeout_s=10)


def test_the_next_batch_is_made_while_one_is_written_and_acknowledged_after_its_own_commit(
    run_gateway, publisher, database, wait_until
):
    with run_gateway(batch_messages_max=1) as gateway, psycopg.connect(database.dsn) as conn:
        conn.execute("lock table reading in exclusive mode")
        for i in range(3):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: gateway.metric("source_in_flight_messages", source="native") == 2)
        assert gateway.metric("in_flight_messages") == 3
        assert gateway.metric("messages_committed_total") == 0
        conn.rollback()
        wait_until(lambda: gateway.metric("in_flight_messages") == 0)
    assert database.rows("select messages, stored from batch order by commit_seq") == [(1, 1)] * 3


def test_a_lasting_fault_ends_it_although_the_database_is_away(
    run_gateway, publisher, database_proxy, proxy_dsn, wait_until, monkeypatch
):
    def refuse(*_: object) -> None:
        raise GatewayError("the broker refused to deliver")

    with pytest.raises(GatewayError, match="refused to deliver"), run_gateway(dsn=proxy_dsn) as gateway:  # noqa: PT012
        database_proxy.cut()
        publisher.publish(payload("W-1", 0))
        wait_until(lambda: gateway.metric("database_retries_total") >= 1)
        monkeypatch.setattr(gateway.service._source, "take", refuse)
        wait_until(lambda: not gateway.is_alive)


def test_late_acknowledgements_of_a_former_connection_hit_no_other_message(
    run_gateway, publisher, database, database_proxy, proxy_dsn, broker_proxy, wait_until
):
    url = f"mqtt://127.0.0.1:{broker_proxy.port}"
    with run_gateway(dsn=proxy_dsn, url=url) as gateway:
        database_proxy.cut()
        for i in range(30):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: gateway.metric("in_flight_messages") == 30)
        connections = broker_proxy.connections
        broker_proxy.cut()  # what is held was delivered by this connection, the next one numbers anew
        broker_proxy.restore()
        wait_until(lambda: broker_proxy.connections > connections)
        for i in range(30, 60):
            publisher.publish(payload("W-2", i))
        database_proxy.restore()
        wait_until(lambda: total(database, "stored") == 60)
    with run_gateway(url=url):
        publisher.publish(payload("W-3", 0))
        wait_until(lambda: total(database, "stored") == 61)
    assert database.count("reading") == 61


def test_more_than_may_be_in_flight_waits_at_the_broker(
    run_gateway, publisher, database, database_proxy, proxy_dsn, wait_until
):
    with run_gateway(dsn=proxy_dsn, in_flight_messages_max=50, batch_messages_max=10) as gateway:
        database_proxy.cut()
        for i in range(300):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: gateway.metric("in_flight_messages") == 50)
        # Longer than half of the keepalive of 5 s: the gateway leaves, and comes back when there is room.
        wait_until(lambda: not gateway.service.is_connected)
        assert gateway.metric("in_flight_messages") == 50
        database_proxy.restore()
        wait_until(lambda: total(database, "stored") == 300)
    assert database.count("reading") == 300


def test_stopping_while_the_database_is_away_loses_nothing(
    run_gateway, publisher, database, database_proxy, proxy_dsn, wait_until
):
    with run_gateway(dsn=proxy_dsn) as gateway:
        database_proxy.cut()
        publisher.publish(payload("W-1", 0, 5))
        wait_until(lambda: gateway.metric("database_retries_total") >= 1)
    assert database.count("reading") == 0
    with run_gateway():
        wait_until(lambda: total(database, "stored") == 5)


def test_broker_killed_and_started_again(run_gateway, publisher, database, broker, wait_until):
    with run_gateway():
        for i in range(20):
            publisher.publish(payload("W-1", i))
        broker.kill()
        broker.start()
        for i in range(20, 40):
            publisher.publish(payload("W-1", i))
        wait_until(lambda: total(database, "stored") == 40)
    assert database.count("reading") == 40


def test_two_gateways_on_the_same_messages_store_each_once(run_gateway, publisher, database, wait_until):
    with run_gateway(), run_gateway(client_id="gateway-2"):
        for i in range(50):
            publisher.publish(payload("W-1", 4 * i, 4))
        wait_until(lambda: total(database, "readings_in") == 400)
    assert (database.count("reading"), total(database, "stored"), total(database, "duplicates")) == (200, 200, 200)
    assert database.count("reading_repeat") == 0
