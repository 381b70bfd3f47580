"""Where the broker and the gateway refuse each other, the gateway ends with what is wrong and what to do."""

import logging
import os
import subprocess
import sys
import time

import pytest
from broker_process import PASSWORDS, Certificates, ProductionBroker

from gateway.errors import GatewayError
from gateway.settings import GatewaySettings, MqttSettings
from gateway.source import MqttSource


def outcome(broker: ProductionBroker, authority: Certificates, port: int = 0, **settings: object) -> str:
    """What ends the gateway's source, or "connected"."""
    mqtt = MqttSettings(
        url=f"mqtts://localhost:{port or broker.port}",
        client_id="meterproof",
        protocol=broker.protocol,
        ca_file=authority.authority,
        reconnect_pause_max_s=0.2,
        **settings,
    )
    source = MqttSource(mqtt, GatewaySettings())
    source.start()
    deadline = time.monotonic() + 10
    try:
        while not source.is_connected:
            assert time.monotonic() < deadline, "neither connected nor ended"
            source.take(1, 0.05)
    except GatewayError as error:
        return str(error)
    finally:
        source.stop()
    return "connected"


def files(certificate: tuple) -> dict[str, object]:
    return {"certificate_file": certificate[0], "key_file": certificate[1]}


def test_certificates(broker, certificates, other_certificates, caplog):
    """The right one, none, an expired one, one of an unknown authority, one of an unknown name, an unknown broker."""
    caplog.set_level(logging.WARNING)
    assert outcome(broker, certificates, **files(certificates.client("meterproof"))) == "connected"
    assert "it asks for a certificate; set mqtt.certificate_file and mqtt.key_file" in outcome(broker, certificates)
    expired = outcome(broker, certificates, **files(certificates.client("meterproof", days=-1)))
    assert "meterproof-expired.crt has expired; renew it" in expired
    unknown = outcome(broker, certificates, **files(other_certificates.client("meterproof")))
    assert "it does not know the authority that signed mqtt.certificate_file" in unknown
    untrusted = outcome(broker, other_certificates, **files(certificates.client("meterproof")))
    assert "the broker's certificate is not trusted" in untrusted
    assert "set mqtt.ca_file to the authority that signed it" in untrusted


def test_certificate_of_a_name_that_may_not_read_everything(broker, certificates, kind):
    """nats-server refuses the subscription; mosquitto grants it and delivers nothing, which docs/brokers.md says."""
    refused = outcome(broker, certificates, **files(certificates.client("city/gw-1")))
    expected = "the broker refused to deliver 'mp/v1/+/+/readings'" if kind == "nats-server" else "connected"
    assert expected in refused
    if kind == "nats-server":
        nobody = outcome(broker, certificates, **files(certificates.client("city/nobody")))
        assert "the broker refused client 'meterproof'" in nobody
        assert "whom the certificate names" in nobody


def test_passwords(password_broker, certificates):
    port = password_broker.password_port
    right = outcome(password_broker, certificates, port, username="meterproof", password=PASSWORDS["meterproof"])
    assert right == "connected"
    for login in ({"username": "meterproof", "password": "wrong"}, {"username": "nobody", "password": "x"}, {}):
        refused = outcome(password_broker, certificates, port, **login)
        assert "the broker refused client 'meterproof'" in refused
        assert "check mqtt.username, mqtt.password" in refused


@pytest.mark.parametrize("kind", ["nats-server"], indirect=True)
def test_the_command_says_it_in_one_line(broker, certificates, migrated_dsn):
    certificate, key = certificates.client("meterproof", days=-1)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    environment = plain | {
        "METERPROOF_DATABASE__DSN": migrated_dsn,
        "METERPROOF_MQTT__URL": f"mqtts://localhost:{broker.port}",
        "METERPROOF_MQTT__CLIENT_ID": "meterproof",
        "METERPROOF_MQTT__CA_FILE": str(certificates.authority),
        "METERPROOF_MQTT__CERTIFICATE_FILE": str(certificate),
        "METERPROOF_MQTT__KEY_FILE": str(key),
    }
    command = [sys.executable, "-m", "meterproof", "serve", "gateway"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if "has expired; renew it" in line]
    assert len(told) == 1
    assert "Traceback" not in ended.stderr
