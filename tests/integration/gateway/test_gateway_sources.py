"""Several sources in one gateway on a real broker: dispatch, identity, retained messages, and new sources at work."""

import json
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.errors import GatewayError
from gateway.settings import GatewaySettings

NATIVE = {"name": "native", "topic_filter": "mp/v1/+/+/readings", "codec": "native", "utility_level": 3}
RADIO = {
    "name": "radio",
    "topic_filter": "wmbusmeters/+",
    "codec": "wmbusmeters",
    "utility": "city",
    "identity": {"topic_level": 2},
}
PULSES = {
    "name": "pulses",
    "topic_filter": "vzlogger/data/+/raw",
    "codec": "vzlogger",
    "utility": "city",
    "meters": {"chn0": "W-3"},
    "options": {"medium": "water", "unit": "L"},
}
MESSAGE = {
    "v": 1,
    "medium": "water",
    "unit": "m3",
    "observed_at": "2026-01-01T00:00:00Z",
    "meter": "W-1",
    "register": 1,
}


def telegram(meter: str, m3: float) -> bytes:
    fields = {"media": "cold water", "id": meter, "total_m3": m3, "status": "OK", "timestamp": "2026-01-01T00:15:00Z"}
    return json.dumps(fields).encode()


def test_each_topic_is_read_by_its_source_and_a_feigned_meter_is_told(run_gateway, publisher, database, wait_until):
    with run_gateway(sources=[NATIVE, RADIO, PULSES]) as gateway:
        publisher.publish(json.dumps(MESSAGE).encode())
        publisher.publish(telegram("W-2", 5.548), "wmbusmeters/W-2")
        publisher.publish(telegram("W-4", 99), "wmbusmeters/W-2")
        publisher.publish(b"1250.5", "vzlogger/data/chn0/raw")
        wait_until(lambda: gateway.metric("messages_committed_total") == 4)
        wait_until(lambda: gateway.metric("in_flight_messages") == 0)
        metrics = {
            (name, source): gateway.metric(name, source=source)
            for name in ("source_messages_received_total", "source_messages_committed_total")
            for source in ("native", "radio", "pulses")
        }
        assert list(metrics.values()) == [1, 2, 1, 1, 2, 1]
        assert gateway.metric("source_quarantined_total", source="radio", reason="identity_mismatch") == 1
        assert gateway.metric("source_in_flight_messages", source="radio") == 0
        assert gateway.metric("source_last_received_timestamp_seconds", source="pulses") > time.time() - 60
        names = {sample.name for family in gateway.metrics.collect() for sample in family.samples}
        assert "meterproof_gateway_source_lag_seconds_bucket" in names
    stored = database.rows(
        "select m.serial, r.register_micro, r.status from reading r join meter m using (meter_id) order by 1"
    )
    assert stored == [("W-1", 1_000_000, 0), ("W-2", 5_548_000, 64), ("W-3", 1_250_500, 64)]
    assert database.rows("select reason, utility from quarantine") == [("identity_mismatch", "city")]


def test_new_sources_are_subscribed_to_and_old_ones_left_without_a_restart(
    run_gateway, publisher, database, wait_until
):
    with run_gateway(sources=[NATIVE]) as gateway:
        publisher.publish(telegram("W-2", 1), "wmbusmeters/W-2")
        gateway.service.reload(GatewaySettings(sources=[RADIO]))
        wait_until(lambda: database_has(publisher, database, "W-2", telegram("W-2", 2), "wmbusmeters/W-2"))
        publisher.publish(json.dumps(MESSAGE).encode())
        with pytest.raises(GatewayError, match="unknown"):
            gateway.service.reload(GatewaySettings(sources=[RADIO | {"codec": "morse"}]))
        publisher.publish(telegram("W-5", 5), "wmbusmeters/W-5")
        wait_until(lambda: database.count("reading") == 2)
    assert database.rows("select reason, topic, detail from quarantine") == []
    assert gateway.metric("source_messages_received_total", source="native") == 0


def database_has(publisher, database, serial: str, payload: bytes, topic: str) -> bool:
    """Publish until it arrives: the broker knows of the new subscription at some moment."""
    publisher.publish(payload, topic)
    query = f"select count(*) from reading r join meter m using (meter_id) where m.serial = '{serial}'"
    return bool(database.value(query))


def test_a_retained_message_without_a_time_is_passed_over(run_gateway, broker, publisher, database, wait_until):
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="keeper")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("vzlogger/data/chn0/raw", b"7", qos=1, retain=True).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()
    with run_gateway(sources=[PULSES]) as gateway:
        wait_until(lambda: gateway.metric("source_readings_total", source="pulses", result="skipped") == 1)
        publisher.publish(b"8", "vzlogger/data/chn0/raw")
        wait_until(lambda: database.count("reading") == 1)
    assert database.value("select register_micro from reading") == 8000
