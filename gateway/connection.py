"""One connection to the broker, from CONNECT to its end, driven by one thread.

paho-mqtt does the protocol; its loop is not used, since reading must stop while too much is in flight, and since
acknowledgements must go out by the connection that delivered the message.
"""

import logging
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import GatewayError
from gateway.settings import TLS_SCHEMES, MqttSettings
from gateway.tls import lasting_refusal, tls_context

_log = logging.getLogger(__name__)
QOS = 1
_READS_AT_ONCE = 500  # then acknowledgements and pings get their turn
# Refusals that stay until someone changes a setting (MQTT 5, 3.2.2.2; 3.1.1's codes are mapped to these).
_LASTING_REFUSALS = frozenset({129, 130, 132, 133, 134, 135, 138, 140, 149, 155, 156, 157})
_UNSPECIFIED = 128
_SESSION_TAKEN_OVER = 142
MessageHandler = Callable[[paho.MQTTMessage], None]


class ConnectionLostError(Exception):
    """The connection ended or did not come about; trying again may help."""


def new_client(
    settings: MqttSettings, client_id: str, on_tls_alert: Callable[[ssl.SSLError], None], **options: Any
) -> paho.Client:
    """A client with the settings' transport, credentials and TLS; `options` are paho's."""
    scheme = settings.address.scheme
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5 if settings.protocol == "5" else paho.MQTTv311,
        transport="websockets" if scheme.startswith("ws") else "tcp",
        **options,
    )
    client.connect_timeout = settings.connect_timeout_s
    if scheme.startswith("ws"):
        client.ws_set_options(path=settings.address.path or "/mqtt")
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else None
        client.username_pw_set(settings.username, password)
    if scheme in TLS_SCHEMES:
        client.tls_set_context(tls_context(settings, on_tls_alert))
    return client


class BrokerConnection:
    """A connection with a persistent session, subscribed to some filters; used by one thread only.

    `on_message` is called for each PUBLISH; nothing is read while `is_full` says so. Raises ConnectionLostError, and
    GatewayError for what waiting won't heal.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topic_filters: Sequence[str],
        receive_max: int,
        on_message: MessageHandler,
        is_full: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._topic_filters = list(topic_filters)
        self._receive_max = min(receive_max, 65_535)
        self._on_message = on_message
        self._is_full = is_full
        self._selector = selectors.DefaultSelector()
        self._failure: Exception | None = None
        self._delivered = 0
        self._asked: dict[int, list[str]] = {}  # filters of each SUBSCRIBE without an answer
        self.is_subscribed = False
        self.was_reached = False  # something listens there
        self.accepted_at: float | None = None  # when the broker accepted the session (monotonic clock)
        self.session_present = False
        self._client = self._make_client()

    def open(self) -> None:
        """Connect and subscribe. The subscription is renewed each time: the filter may have changed."""
        settings = self._settings
        self._check_shared()
        host = settings.address.hostname or ""
        arguments: dict[str, Any] = {}
        if settings.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.ReceiveMaximum = self._receive_max
            arguments = {"clean_start": False, "properties": properties}
        try:
            self._client.connect(host, settings.port, settings.keepalive_s, **arguments)
        except ssl.SSLError as error:
            raise lasting_refusal(error, settings) or ConnectionLostError(f"TLS: {error.reason or error}") from error
        except (OSError, ValueError) as error:  # the websocket's handshake raises ValueError
            raise ConnectionLostError(str(error)) from error
        self.was_reached = True
        deadline = time.monotonic() + settings.connect_timeout_s
        while not self.is_subscribed:
            if time.monotonic() > deadline:
                raise ConnectionLostError(f"no answer within {settings.connect_timeout_s:g} s")
            self.step(0.1)

    def step(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        """Wait until there is something to do or `wake` can be read, at most `timeout_s`, and do it."""
        if self._failure:
            raise self._failure
        read = not self._is_full()
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        ready = self._wait(events, 0 if read and self._buffered() else timeout_s, wake)
        if ready & selectors.EVENT_WRITE:
            self._check(self._client.loop_write())
        if read and (ready & selectors.EVENT_READ or self._buffered()):
            self._read()
        self._check(self._client.loop_misc())
        if self._failure:
            raise self._failure

    def acknowledge(self, mid: int) -> None:
        """Queue the PUBACK of a message that this connection delivered; `step` sends it."""
        self._client.ack(mid, QOS)

    def _check_shared(self) -> None:
        """MQTT 5 has shared subscriptions (4.8.2); to 3.1.1 `$share` is a topic's name, and some brokers take it so."""
        shared = [topic_filter for topic_filter in self._topic_filters if topic_filter.startswith("$share/")]
        if shared and self._settings.protocol != "5":
            raise GatewayError(
                f"{shared[0]!r} shares its topics between gateways, which needs MQTT 5; set mqtt.protocol to 5, or, "
                "where the broker does not speak it (nats-server), give each gateway topics of its own"
            )

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what is queued and DISCONNECT, as far as the broker lets; the session stays at the broker."""
        deadline = time.monotonic() + timeout_s
        try:
            if self._client.is_connected():
                self._client.disconnect()
            while self._client.socket() is not None and self._client.want_write() and time.monotonic() < deadline:
                self.step(0.1)
        except (ConnectionLostError, GatewayError, OSError):
            pass
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._selector.close()

    def _read(self) -> None:
        """Read while each call brings a message: paho reads one packet a call and doesn't say whether there was one."""
        for _ in range(_READS_AT_ONCE):
            if self._is_full():
                return
            before = self._delivered
            try:
                self._check(self._client.loop_read())
            except (ValueError, IndexError, KeyError, TypeError, AttributeError, MemoryError) as error:
                raise ConnectionLostError(f"the broker sent a malformed packet ({error!r})") from error
            if self._delivered == before:
                return

    def _wait(self, events: int, timeout_s: float, wake: socket.socket | None) -> int:
        sock = self._client.socket()
        if sock is None:
            raise self._failure or ConnectionLostError("the connection is closed")
        watched = [(sock, events), (wake, selectors.EVENT_READ)] if wake else [(sock, events)]
        try:
            for item, wanted in watched:
                self._watch(item, wanted)
            return sum(mask for key, mask in self._selector.select(timeout_s) if key.fileobj is sock)
        except (OSError, ValueError) as error:  # closed meanwhile
            raise ConnectionLostError(str(error)) from error

    def _watch(self, item: Any, events: int) -> None:
        known = self._selector.get_map().get(item)
        if known and known.events == events:
            return
        if known:
            self._selector.unregister(item)
        if events:
            self._selector.register(item, events)

    def _buffered(self) -> bool:
        """True if TLS or the websocket has decoded bytes that the selector can't see."""
        pending = getattr(self._client.socket(), "pending", None)
        return bool(pending and pending())

    def _check(self, code: MQTTErrorCode) -> None:
        if self._failure:
            raise self._failure
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionLostError(paho.error_string(code))

    def _make_client(self) -> paho.Client:
        client = new_client(
            self._settings,
            self._settings.client_id,
            self._ended_by_tls,
            clean_session=None if self._settings.protocol == "5" else False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_socket_register_write = lambda *_: None  # packets wait for `step`, whoever queues them
        return client

    def _connected(self, _client: paho.Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if not reason.is_failure:
            self.accepted_at = time.monotonic()
            self.session_present = bool(flags.session_present)
            self._subscribe(self._topic_filters)
        elif reason.value in _LASTING_REFUSALS:
            self._failure = GatewayError(
                f"mqtt.url {self._settings.url}: the broker refused client {self._settings.client_id!r} ({reason}); "
                "check mqtt.username, mqtt.password, mqtt.client_id, mqtt.protocol and whom the certificate names"
            )
        else:
            self._failure = ConnectionLostError(f"the broker refused the connection: {reason}")

    def subscribe_anew(self, topic_filters: Sequence[str]) -> None:
        """Subscribe to what is new in the list and leave what is no longer in it; what is in flight stays."""
        gone = [name for name in self._topic_filters if name not in topic_filters]
        new = [name for name in topic_filters if name not in self._topic_filters]
        self._topic_filters = list(topic_filters)
        self._check_shared()
        if gone:
            self._check(self._client.unsubscribe(gone)[0])
        if new:
            self._subscribe(new)

    def _subscribe(self, topic_filters: Sequence[str]) -> None:
        code, mid = self._client.subscribe([(topic_filter, QOS) for topic_filter in topic_filters])
        if mid is not None:
            self._asked[mid] = list(topic_filters)
        self._check(code)

    def _subscribed(self, _client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        asked = self._asked.pop(mid, [])
        refused = [
            (topic_filter, granted)
            for topic_filter, granted in zip(asked, reasons, strict=False)
            if granted.value != QOS
        ]
        if asked and not refused and len(reasons) == len(asked):
            self.is_subscribed = True
            return
        topic_filter, granted = refused[0] if refused else (", ".join(asked), None)
        self._failure = GatewayError(
            f"mqtt.url {self._settings.url}: the broker refused to deliver {topic_filter!r} with QoS {QOS} "
            f"({granted}); allow it to client {self._settings.client_id!r}, or change gateway.sources"
        )

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _p: Any) -> None:
        if self._failure is not None:
            return
        if reason.value == _SESSION_TAKEN_OVER:
            self._failure = GatewayError(
                f"mqtt.url {self._settings.url}: another client connected as {self._settings.client_id!r} and took the "
                "session over; give each gateway an mqtt.client_id of its own"
            )
        else:
            unspecified = reason.value == _UNSPECIFIED
            self._failure = ConnectionLostError("the connection was lost" if unspecified else str(reason))

    def _ended_by_tls(self, error: ssl.SSLError) -> None:
        if self._failure is None:
            self._failure = lasting_refusal(error, self._settings) or ConnectionLostError(
                f"TLS: {error.reason or error}"
            )

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._delivered += 1
        self._on_message(message)
