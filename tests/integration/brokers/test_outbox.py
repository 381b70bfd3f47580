"""What the gateway says passes the brokers' production rules: feedback to its sender alone, and its own status."""

import json
from collections.abc import Iterator

import pytest
from broker_process import Certificates, ProductionBroker
from mqtt_client import Client, wait_until

from gateway.feedback_settings import FeedbackSettings
from gateway.outbox import Outbox
from gateway.settings import MqttSettings
from gateway.topics import STATUS_TOPIC

STATUS = STATUS_TOPIC.format(client_id="gateway-1")
REJECTED = "mp/v1/city/gw-1/rejected"


@pytest.fixture(params=["3.1.1", "5"])
def outbox(
    request: pytest.FixtureRequest, kind: str, broker: ProductionBroker, certificates: Certificates
) -> Iterator[Outbox]:
    """An outbox that is connected by certificate."""
    if kind == "nats-server" and request.param == "5":
        pytest.xfail("nats-server speaks MQTT 3.1.1 only")
    certificate, key = certificates.client("meterproof")
    mqtt = MqttSettings(
        url=f"mqtts://127.0.0.1:{broker.meterproof_port}",
        client_id="gateway-1",
        protocol=request.param,
        ca_file=certificates.authority,
        certificate_file=certificate,
        key_file=key,
    )
    outbox = Outbox(mqtt, FeedbackSettings())
    outbox.start()
    outbox.announce()
    yield outbox
    outbox.stop()


def states(client: Client) -> list[tuple[str, str]]:
    told = [json.loads(payload) for topic, payload in client.received if topic == STATUS]
    return [(status["state"], status["reason"]) for status in told]


def test_senders_hear_of_their_own_and_the_status_is_kept(
    outbox: Outbox, broker: ProductionBroker, certificates: Certificates
) -> None:
    ports = {"city/gw-1": broker.port, "city/gw-2": broker.port, "meterproof": broker.meterproof_port}
    clients = [
        Client(port, f"client-of-{name[-4:]}", certificates.authority, certificates.client(name))
        for name, port in ports.items()
    ]
    first, second, watcher = clients
    try:
        assert first.subscribe(REJECTED)
        second.subscribe(REJECTED)  # mosquitto grants it and delivers nothing, nats-server refuses it
        assert watcher.subscribe(STATUS)
        wait_until(lambda: states(watcher) == [("online", "")])
        assert outbox.publish(REJECTED, b"{}")
        wait_until(lambda: first.received == [(REJECTED, b"{}")])
        # Nobody but a gateway can say that one is gone.
        second.publish(STATUS, b'{"state": "offline", "reason": "a lie"}')
        outbox.stop()
        wait_until(lambda: states(watcher) == [("online", ""), ("offline", "stopped")])
        assert second.received == []
    finally:
        for client in clients:
            client.close()
