from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings, MqttSettings
from gateway.source_settings import IdentityRule, SourceSettings


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("mqtt://broker.example", 1883),
        ("mqtt://[::1]:2883", 2883),
        ("mqtts://broker.example/", 8883),
        ("ws://broker.example/mqtt", 80),
        ("wss://broker.example:8084/mqtt", 8084),
    ],
)
def test_addresses_with_their_usual_ports(url, port):
    assert MqttSettings(url=url, client_id="g").port == port


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "http://broker"}, "scheme 'http' is not one of mqtt, mqtts, ws, wss"),
        ({"url": "broker:1883"}, "scheme 'broker'"),
        ({"url": "mqtt://"}, "names no host"),
        ({"url": "mqtt://broker:99999"}, "is no broker address"),
        ({"url": "mqtt://broker:0"}, "names no host or port"),
        ({"url": "mqtt://user:secret@broker"}, "must not hold a password"),
        ({"url": "mqtt://broker/path"}, "must end after host and port"),
        ({"client_id": ""}, "needs a name"),
        ({"client_id": "a b"}, "must be 1 to 128 of the characters"),
        ({"password": "secret"}, "username is not"),
        ({"certificate_file": "c.pem", "url": "mqtts://b"}, "belong together"),
        ({"ca_file": "ca.pem"}, "does not use TLS; use mqtts"),
        ({"protocol": "3.1"}, "protocol"),
        ({"keepalive": 3}, "keepalive"),
    ],
)
def test_wrong_broker_settings_are_refused_with_the_remedy(changes, complaint):
    with pytest.raises(ValidationError) as caught:
        MqttSettings(**({"url": "mqtt://broker", "client_id": "gateway-1"} | changes))
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value.errors(include_input=False))


def test_password_is_not_shown():
    settings = MqttSettings(url="mqtt://b", client_id="g", username="u", password="secret")
    assert "secret" not in repr(settings)


SOURCE = {"name": "s", "topic_filter": "a/+/b", "codec": "native", "utility": "u"}


@pytest.mark.parametrize("topic_filter", ["mp/v1/+/+/readings", "#", "+/+", "mp/#", "$share/g/mp/v1/+/+/readings"])
def test_topic_filters(topic_filter):
    assert SourceSettings(name="s", topic_filter=topic_filter, codec="native", utility="u").topic_filter == topic_filter


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sources": [SOURCE | {"topic_filter": "mp/#/x"}]}, "is no topic filter"),
        ({"sources": [SOURCE | {"topic_filter": "mp/a+/x"}]}, "is no topic filter"),
        ({"sources": [SOURCE | {"topic_filter": "$share/g/"}]}, "is no topic filter"),
        ({"sources": [SOURCE | {"time_zone": "Mars/Olympus"}]}, "is no time zone"),
        ({"sources": [SOURCE | {"utility": "", "utility_level": 0}]}, "needs either utility"),
        ({"sources": [SOURCE | {"utility_level": 1}]}, "needs either utility"),
        ({"sources": [SOURCE | {"utility": "", "utility_level": 4}]}, "its topics have 3 levels"),
        ({"sources": [SOURCE | {"identity": {"topic_level": 9}}]}, "its topics have 3 levels"),
        ({"sources": [SOURCE | {"unlisted": "skip"}]}, "would skip every meter"),
        ({"sources": [SOURCE, SOURCE]}, "names of their own"),
        ({"sources": []}, "at least 1 item"),
        ({"batch_messages_max": 32_768}, "less than or equal to 32767"),
        ({"register_min": "5", "register_max": "5"}, "must be below"),
        ({"register_max": "5e12"}, "must lie within"),
        ({"observed_at_earliest": "2000-01-01T00:00:00"}, "needs an offset"),
        ({"batch_size": 3}, "Extra inputs"),
    ],
)
def test_wrong_gateway_settings_are_refused(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        GatewaySettings(**changes)


def test_limits_in_the_units_of_the_arrays():
    settings = GatewaySettings(observed_at_earliest=datetime(1970, 1, 2, tzinfo=UTC), register_min="-0.5")
    assert settings.earliest_us == 86_400_000_000
    assert settings.register_limits_micro == (-500_000, 10**18)


def test_every_setting_is_described():
    for model in (MqttSettings, GatewaySettings, SourceSettings, IdentityRule):
        assert all(field.description for field in model.model_fields.values())
