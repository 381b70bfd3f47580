"""How a connection to the broker comes about: paho-mqtt does transport, TLS and log-in, from CONNECT to CONNACK."""

import selectors
import ssl
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import GatewayError
from gateway.settings import TLS_SCHEMES, MqttSettings
from gateway.tls import lasting_refusal, tls_context

# Refusals that stay until someone changes a setting (MQTT 5, 3.2.2.2; 3.1.1's codes are mapped to these).
_LASTING_REFUSALS = frozenset({129, 130, 132, 133, 134, 135, 138, 140, 149, 155, 156, 157})
_UNSPECIFIED = 128
_SESSION_TAKEN_OVER = 142


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


class Login:
    """One attempt to get a persistent session; used by one thread. Then the socket is the caller's to read and write.

    `fault` is why the connection ended, where that is known. Raises ConnectionLostError, and GatewayError for what
    waiting won't heal.
    """

    def __init__(self, settings: MqttSettings, receive_max: int) -> None:
        self._settings = settings
        self._receive_max = min(receive_max, 65_535)
        self.fault: Exception | None = None
        self.was_reached = False  # something listens there
        self.accepted_at: float | None = None  # when the broker accepted the session (monotonic clock)
        self.session_present = False
        self.keepalive_s = settings.keepalive_s
        self._client = new_client(
            settings,
            settings.client_id,
            self._ended_by_tls,
            clean_session=None if settings.protocol == "5" else False,
            reconnect_on_failure=False,
        )
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_socket_register_write = lambda *_: None  # CONNECT waits for the socket

    def open(self) -> None:
        """Connect, and return when the broker has accepted the session."""
        deadline = time.monotonic() + self._settings.connect_timeout_s
        self._connect()
        self.was_reached = True
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while self.accepted_at is None:
                if time.monotonic() > deadline:
                    raise self.no_answer()
                if not self._client.want_write():
                    selector.modify(self.sock, selectors.EVENT_READ)
                if selector.select(0.1) or self.is_buffered:
                    self._exchange()

    @property
    def sock(self) -> Any:
        """The socket, which may be one of TLS or of a websocket. Raises when it is closed."""
        sock = self._client.socket()
        if sock is None:
            raise self.fault or ConnectionLostError("the connection is closed")
        return sock

    @property
    def is_buffered(self) -> bool:
        """True if TLS or the websocket has decoded bytes that a selector can't see."""
        pending = getattr(self._client.socket(), "pending", None)
        return bool(pending and pending())

    def no_answer(self) -> ConnectionLostError:
        """What to raise when the time for a connection to come about is over."""
        return ConnectionLostError(f"no answer within {self._settings.connect_timeout_s:g} s")

    def dismissed(self, reason: ReasonCode) -> None:
        """The broker ended the connection, for this reason."""
        if self.fault is not None:
            return
        if reason.value == _SESSION_TAKEN_OVER:
            self.fault = GatewayError(
                f"mqtt.url {self._settings.url}: another client connected as {self._settings.client_id!r} and took the "
                "session over; give each gateway an mqtt.client_id of its own"
            )
        else:
            unspecified = reason.value == _UNSPECIFIED
            self.fault = ConnectionLostError("the connection was lost" if unspecified else str(reason))

    def close(self) -> None:
        """Close the socket."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _connect(self) -> None:
        settings = self._settings
        arguments: dict[str, Any] = {}
        if settings.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.ReceiveMaximum = self._receive_max
            arguments = {"clean_start": False, "properties": properties}
        try:
            self._client.connect(settings.address.hostname or "", settings.port, settings.keepalive_s, **arguments)
        except ssl.SSLError as error:
            raise lasting_refusal(error, settings) or ConnectionLostError(f"TLS: {error.reason or error}") from error
        except (OSError, ValueError) as error:  # the websocket's handshake raises ValueError
            raise ConnectionLostError(str(error)) from error

    def _exchange(self) -> None:
        """Let paho write, and read one packet at most: what lies behind the CONNACK is not its."""
        code = self._client.loop_write()
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            try:
                code = self._client.loop_read()
            except (ValueError, IndexError, KeyError, TypeError, AttributeError, MemoryError) as error:
                raise ConnectionLostError(f"the broker sent a malformed packet ({error!r})") from error
        if self.fault is not None:
            raise self.fault
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionLostError(paho.error_string(code))

    def _connected(
        self, _client: paho.Client, _data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            self.accepted_at = time.monotonic()
            self.session_present = bool(flags.session_present)
            self.keepalive_s = getattr(properties, "ServerKeepAlive", self.keepalive_s)
        elif reason.value in _LASTING_REFUSALS:
            self.fault = GatewayError(
                f"mqtt.url {self._settings.url}: the broker refused client {self._settings.client_id!r} ({reason}); "
                "check mqtt.username, mqtt.password, mqtt.client_id, mqtt.protocol and whom the certificate names"
            )
        else:
            self.fault = ConnectionLostError(f"the broker refused the connection: {reason}")

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _p: Any) -> None:
        self.dismissed(reason)

    def _ended_by_tls(self, error: ssl.SSLError) -> None:
        if self.fault is None:
            self.fault = lasting_refusal(error, self._settings) or ConnectionLostError(f"TLS: {error.reason or error}")
