"""What the gateway says: a connection of its own, so that nothing about it can hold up what is received.

The session is a clean one. Messages wait here while the broker is away, at most `waiting_max`; the broker's refusal of
a message or of the whole connection is logged and changes nothing else.
"""

import logging
import ssl
from typing import Any, Literal

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from gateway.connection import QOS
from gateway.feedback_settings import FeedbackSettings
from gateway.login import new_client
from gateway.settings import MqttSettings
from gateway.topics import STATUS_TOPIC

_log = logging.getLogger(__name__)
_CLOSE_S = 2.0
_RECONNECT_MIN_S = 1


class GatewayStatus(msgspec.Struct, frozen=True):
    """Whether a gateway of Meterproof is there: `online` while it runs, `offline` by itself when it is stopped, and by
    the broker (`reason` "connection lost") when it was not heard of any more."""

    gateway: str
    state: Literal["online", "offline"]
    reason: str = ""
    v: int = 1


class Outbox:
    """Publishes with QoS 1 from any thread, and keeps the gateway's status at the broker."""

    def __init__(self, mqtt: MqttSettings, settings: FeedbackSettings) -> None:
        self._mqtt = mqtt
        self._status_topic = STATUS_TOPIC.format(client_id=mqtt.client_id) if settings.publish_status else ""
        self._online: paho.MQTTMessageInfo | None = None
        self._is_announced = False
        is_v5 = mqtt.protocol == "5"
        client_id = f"{mqtt.client_id}-out"
        self._client = new_client(mqtt, client_id, self._ended_by_tls, clean_session=None if is_v5 else True)
        self._client.max_queued_messages_set(settings.waiting_max)
        self._client.reconnect_delay_set(_RECONNECT_MIN_S, max(_RECONNECT_MIN_S, round(mqtt.reconnect_pause_max_s)))
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        if self._status_topic:
            self._client.will_set(self._status_topic, self._status("offline", "connection lost"), QOS, retain=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._client.connect_async(self._mqtt.address.hostname or "", self._mqtt.port, self._mqtt.keepalive_s)
        self._client.loop_start()

    def announce(self) -> None:
        """Say that the gateway is online, now or when there is a connection: its subscriptions are granted."""
        self._is_announced = True
        if self._status_topic and self._client.is_connected():
            self._say_online(self._client)

    def publish(self, topic: str, payload: bytes, qos: int = QOS) -> bool:
        """Give a message to the broker, now or when it is there again; False if too many wait already.

        With QoS 0, which some dialects ask for, it is lost while the broker is away.
        """
        code = self._client.publish(topic, payload, qos).rc
        return code in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN)

    def stop(self) -> None:
        """Say goodbye, as far as the broker lets, and disconnect."""
        if self._status_topic and self._is_announced and self._client.is_connected():
            said = self._client.publish(self._status_topic, self._status("offline", "stopped"), QOS, retain=True)
            if said.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                said.wait_for_publish(_CLOSE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _status(self, state: Literal["online", "offline"], reason: str = "") -> bytes:
        return msgspec.json.encode(GatewayStatus(self._mqtt.client_id, state, reason))

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning(
                "broker %s refused client %r (%s): senders are not told what was rejected; allow it to publish on "
                "mp/v1/+/+/rejected and %s, or set gateway.feedback.tell_senders and publish_status to false",
                *(self._mqtt.url, f"{self._mqtt.client_id}-out", reason, self._status_topic or "no status"),
            )
        elif self._status_topic and self._is_announced:
            self._say_online(client)

    def _say_online(self, client: paho.Client, *_: Any) -> None:
        """Publish the status; called again with every message that the broker took, while there was no room for it."""
        said = self._online
        if said is not None and said.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and not said.is_published():
            return  # it is sent again by itself: they must not pile up at a broker that does not take them
        self._online = client.publish(self._status_topic, self._status("online"), QOS, retain=True)
        is_full = self._online.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
        self._client.on_publish = self._say_online if is_full else None

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _p: Any) -> None:
        if reason.is_failure:
            _log.info("broker %s: the connection for feedback was lost (%s)", self._mqtt.url, reason)

    def _ended_by_tls(self, error: ssl.SSLError) -> None:
        _log.warning("broker %s: TLS of the connection for feedback: %s", self._mqtt.url, error.reason or error)
