"""Two gateways with one client id: the session comes to rest with one of them, and the other says why it waits."""

import time

import pytest

from gateway.settings import GatewaySettings, MqttSettings
from gateway.source import MqttSource


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "protocol"), [("nats-server", "3.1.1"), ("mosquitto", "3.1.1"), ("mosquitto", "5")], indirect=["kind"]
)
def test_the_fight_over_a_session_ends(kind, broker, certificates, caplog, protocol):
    certificate, key = certificates.client("meterproof")
    mqtt = MqttSettings(
        url=f"mqtts://localhost:{broker.meterproof_port}",
        client_id="meterproof",
        protocol=protocol,
        ca_file=certificates.authority,
        certificate_file=certificate,
        key_file=key,
    )
    sources = [MqttSource(mqtt, GatewaySettings()) for _ in range(2)]
    try:
        for source in sources:
            source.start()
        deadline = time.monotonic() + 45
        while "another client seems to use mqtt.client_id 'meterproof'" not in caplog.text:
            assert time.monotonic() < deadline, caplog.text
            time.sleep(0.2)
        time.sleep(2)
        connections = broker.log().count("as meterproof " if kind == "mosquitto" else "Replacing old client")
        time.sleep(8)  # longer than the usual pauses
        assert broker.log().count("as meterproof " if kind == "mosquitto" else "Replacing old client") == connections
        assert sorted(source.is_connected for source in sources) == [False, True]
    finally:
        for source in sources:
            source.stop()
