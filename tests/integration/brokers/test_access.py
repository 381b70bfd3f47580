"""A concentrator publishes below its own prefix and reads what is meant for it, nothing else; Meterproof reads all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_process import KINDS, PASSWORDS, Certificates
from mqtt_client import Client, wait_until

OWN = "mp/v1/city/gw-1"
OTHER = "mp/v1/city/gw-2"


@pytest.fixture(params=["certificate", "password"])
def connect(request: pytest.FixtureRequest, kind: str, certificates: Certificates, tmp_path: Path) -> Iterator:
    """`connect(identity)`: a client that says who it is by certificate, or by name and password."""
    by_password = request.param == "password"
    broker = KINDS[kind](tmp_path, certificates, PASSWORDS if by_password else None)
    broker.start()
    clients: list[Client] = []

    def make(identity: str) -> Client:
        way = (
            {"login": (identity, PASSWORDS[identity]), "port": broker.password_port}
            if by_password
            else {"certificate": certificates.client(identity), "port": broker.port}
        )
        client = Client(client_id=f"client-of-{identity.replace('/', '-')}", authority=certificates.authority, **way)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
    broker.stop()


def test_publishing_is_confined_to_the_own_prefix(connect):
    meterproof, concentrator = connect("meterproof"), connect("city/gw-1")
    assert meterproof.subscribe("mp/v1/#")
    refused = [f"{OTHER}/readings", f"{OTHER}/status", f"{OWN}/cmd", f"{OWN}/rejected", f"{OWN}/readings/x"]
    refused += ["mp/v1/town/gw-1/readings", "mp/v1/city/readings", "elsewhere", "$MQTT/sub/x"]
    allowed = [f"{OWN}/{leaf}" for leaf in ("readings", "events", "status", "cmd/ack")]
    for topic in [*refused, *allowed]:
        concentrator.publish(topic, topic.encode())
    wait_until(lambda: len(meterproof.received) == len(allowed))
    assert sorted(topic for topic, _ in meterproof.received) == sorted(allowed)


def test_reading_is_confined_to_what_is_meant_for_it(connect):
    meterproof, first, second = connect("meterproof"), connect("city/gw-1"), connect("city/gw-2")
    assert first.subscribe(f"{OWN}/cmd")
    assert first.subscribe(f"{OWN}/rejected")
    for foreign in (f"{OTHER}/cmd", f"{OTHER}/readings", "mp/v1/+/+/readings", "mp/v1/#", "#", "$MQTT/sub/#"):
        first.subscribe(foreign)  # mosquitto grants it and delivers nothing, nats-server refuses it
    second.publish(f"{OTHER}/readings")
    for topic in (f"{OTHER}/cmd", f"{OTHER}/rejected", f"{OWN}/readings", f"{OWN}/rejected", f"{OWN}/cmd"):
        meterproof.publish(topic, b"from meterproof")
    wait_until(lambda: len(first.received) >= 2)
    last = meterproof.publish(f"{OWN}/cmd", b"the last")
    wait_until(last.is_published)
    wait_until(lambda: (f"{OWN}/cmd", b"the last") in first.received)
    assert set(first.received) == {
        (f"{OWN}/rejected", b"from meterproof"),
        (f"{OWN}/cmd", b"from meterproof"),
        (f"{OWN}/cmd", b"the last"),
    }


def test_wrong_and_missing_passwords_are_refused(password_broker, certificates):
    for login in (("city/gw-1", "wrong"), ("nobody", "x"), None):
        client = Client(password_broker.password_port, "c", certificates.authority, login=login)
        assert client.refused is not None
        assert "uthori" in client.refused or "user name or password" in client.refused
        client.close()


def test_only_nats_server_lets_another_identity_take_a_session_over_by_its_client_id(broker, kind, certificates):
    """Which is why docs/brokers.md says to keep the client id secret there."""
    meterproof = Client(broker.port, "meterproof", certificates.authority, certificates.client("meterproof"))
    intruder = Client(broker.port, "meterproof", certificates.authority, certificates.client("city/gw-1"))
    if kind == "nats-server":
        wait_until(lambda: "Replacing old client" in broker.log())
    else:
        wait_until(lambda: " as city/gw-1 " in broker.log())
        assert "already connected" not in broker.log()
    for client in (meterproof, intruder):
        client.close()
