"""A plain MQTT client of the tests, which remembers what it was told."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition that must come true; fail if it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.01)


class Client:
    """Connected until closed; sends again what was not acknowledged when its connection was cut."""

    def __init__(
        self,
        port: int,
        client_id: str,
        authority: Path,
        certificate: tuple[Path, Path] | None = None,
        login: tuple[str, str] | None = None,
        protocol: str = "3.1.1",
        in_flight_max: int = 20,
    ) -> None:
        version = paho.MQTTv5 if protocol == "5" else paho.MQTTv311
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(*certificate)
        self.paho.tls_set_context(context)
        if login:
            self.paho.username_pw_set(*login)
        self.paho.max_inflight_messages_set(in_flight_max)
        self.paho.reconnect_delay_set(0.05, 0.05)  # mosquitto 2.0.11 cuts off who publishes where he may not
        self.refused: str | None = None
        self.granted: list[bool] = []
        self.received: list[tuple[str, bytes]] = []
        self.acknowledged = 0
        self.paho.on_connect = self._connected
        self.paho.on_publish = self._published
        self.paho.on_subscribe = lambda _c, _d, _m, reasons, _p: self.granted.extend(not r.is_failure for r in reasons)
        self.paho.on_message = lambda _c, _d, message: self.received.append((message.topic, message.payload))
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        wait_until(lambda: self.paho.is_connected() or self.refused is not None)

    def subscribe(self, topic_filter: str) -> bool:
        """True if the broker granted it."""
        before = len(self.granted)
        self.paho.subscribe(topic_filter, qos=1)
        wait_until(lambda: len(self.granted) > before)
        return self.granted[-1]

    def publish(self, topic: str, payload: bytes = b"x") -> paho.MQTTMessageInfo:
        """Send it, or keep it until there is a connection."""
        return self.paho.publish(topic, payload, qos=1)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def _connected(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            self.paho.disconnect()  # or it would try again for ever

    def _published(self, *_: Any) -> None:
        self.acknowledged += 1
