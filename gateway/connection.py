"""One connection to the broker, from CONNECT to its end, driven by one thread.

paho-mqtt makes the connection (gateway/login.py). From then on packets are read and written here, many at a time:
reading must stop while too much is in flight, and acknowledgements must go out by the connection that delivered the
message.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gateway import packets
from gateway.errors import GatewayError
from gateway.login import ConnectionLostError, Login
from gateway.packets import MalformedPacketError, PacketReader, Publish
from gateway.settings import MqttSettings

QOS = 1
_READ_BYTES = 2**18
_WRITE_BYTES = 2**16
_WAITING = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
MessageHandler = Callable[[list[Publish]], None]


class BrokerConnection:
    """A connection with a persistent session, subscribed to some filters; used by one thread only.

    `on_messages` gets what is published; `room` tells how many messages and bytes may still be read, and nothing is
    read while either is 0. Raises ConnectionLostError, and GatewayError for what waiting won't heal.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topic_filters: Sequence[str],
        receive_max: int,
        on_messages: MessageHandler,
        room: Callable[[], tuple[int, int]],
    ) -> None:
        self._settings = settings
        self._is_v5 = settings.protocol == "5"
        self._topic_filters = list(topic_filters)
        self._on_messages = on_messages
        self._room = room
        self._login = Login(settings, receive_max)
        self._selector = selectors.DefaultSelector()
        self._reader = PacketReader(self._is_v5)
        self._outgoing = bytearray()
        self._held: set[int] = set()  # ids that were delivered and not acknowledged yet
        self._asked: dict[int, list[str]] = {}  # filters of each SUBSCRIBE without an answer
        self._last_id = 0
        self._last_sent = self._last_received = self._last_ping = 0.0  # monotonic clock; no ping is due an answer: 0
        self.is_subscribed = False

    @property
    def was_reached(self) -> bool:
        """True if something listens there."""
        return self._login.was_reached

    @property
    def accepted_at(self) -> float | None:
        """When the broker accepted the session (monotonic clock)."""
        return self._login.accepted_at

    @property
    def session_present(self) -> bool:
        """True if the broker had kept the session."""
        return self._login.session_present

    def open(self) -> None:
        """Connect and subscribe. The subscription is renewed each time: the filter may have changed."""
        self._check_shared()
        deadline = time.monotonic() + self._settings.connect_timeout_s
        self._login.open()
        self._last_sent = self._last_received = time.monotonic()
        self._subscribe(self._topic_filters)
        while not self.is_subscribed:
            if time.monotonic() > deadline:
                raise self._login.no_answer()
            self.step(0.1)

    def step(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        """Wait until there is something to do or `wake` can be read, at most `timeout_s`, and do it."""
        self._check()
        room = self._room()
        may_read = min(room) > 0
        has_some = may_read and (self._reader.has_packet or self._login.is_buffered)
        events = (selectors.EVENT_READ if may_read else 0) | (selectors.EVENT_WRITE if self._outgoing else 0)
        ready = self._wait(events, 0 if has_some else timeout_s, wake)
        if ready & selectors.EVENT_WRITE:
            self._send(b"")
        if may_read:
            if ready & selectors.EVENT_READ or self._login.is_buffered:
                self._receive()
            self._take_in(*room)
        self._keep_alive()
        self._check()

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Send the PUBACKs of messages that this connection delivered, `step` what the broker doesn't take at once."""
        self._held.difference_update(mids)
        self._send(packets.acknowledgements(mids))

    def publish(self, topic: str, payload: bytes) -> int:
        """Send a message with QoS 1; returns the id with which `_published` is called when the broker has it."""
        mid = self._next_id()
        self._send(packets.publish(mid, topic, payload, QOS, self._is_v5))
        return mid

    def subscribe_anew(self, topic_filters: Sequence[str]) -> None:
        """Subscribe to what is new in the list and leave what is no longer in it; what is in flight stays."""
        gone = [name for name in self._topic_filters if name not in topic_filters]
        new = [name for name in topic_filters if name not in self._topic_filters]
        if not gone and not new:
            return
        self._topic_filters = list(topic_filters)
        self._check_shared()
        if gone:
            self._send(packets.unsubscribe(self._next_id(), gone, self._is_v5))
        if new:
            self._subscribe(new)

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what is queued and DISCONNECT, as far as the broker lets; the session stays at the broker."""
        deadline = time.monotonic() + timeout_s
        try:
            if self.accepted_at is not None and self._login.fault is None:
                self._send(packets.GOODBYE)
                while self._outgoing and time.monotonic() < deadline:
                    self._wait(selectors.EVENT_WRITE, 0.1, None)
                    self._send(b"")
        except (ConnectionLostError, GatewayError, OSError):
            pass
        self._login.close()
        self._selector.close()

    def _published(self, mid: int) -> None:
        """The broker has what was published under this id."""

    def _check_shared(self) -> None:
        """MQTT 5 has shared subscriptions (4.8.2); to 3.1.1 `$share` is a topic's name, and some brokers take it so."""
        shared = [topic_filter for topic_filter in self._topic_filters if topic_filter.startswith("$share/")]
        if shared and not self._is_v5:
            raise GatewayError(
                f"{shared[0]!r} shares its topics between gateways, which needs MQTT 5; set mqtt.protocol to 5, or, "
                "where the broker does not speak it (nats-server), give each gateway topics of its own"
            )

    def _check(self) -> None:
        if self._login.fault is not None:
            raise self._login.fault

    def _wait(self, events: int, timeout_s: float, wake: socket.socket | None) -> int:
        sock = self._login.sock
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

    def _receive(self) -> None:
        try:
            data = self._login.sock.recv(_READ_BYTES)
        except _WAITING:
            return
        except OSError as error:
            raise self._login.fault or ConnectionLostError(str(error)) from error
        if not data:
            raise self._login.fault or ConnectionLostError("the connection was lost")
        self._last_received = time.monotonic()
        self._reader.feed(data)

    def _send(self, data: bytes) -> None:
        self._outgoing += data
        try:
            while self._outgoing:
                sent = self._login.sock.send(bytes(self._outgoing[:_WRITE_BYTES]))
                del self._outgoing[:sent]
                self._last_sent = time.monotonic()
                if not sent:
                    return
        except _WAITING:
            return
        except OSError as error:
            raise self._login.fault or ConnectionLostError(str(error)) from error

    def _take_in(self, messages_max: int, bytes_max: int) -> None:
        try:
            messages, others = self._reader.read(messages_max, bytes_max)
            for kind, body in others:
                self._answer(kind, body)
        except MalformedPacketError as error:
            raise ConnectionLostError(f"the broker sent a malformed packet ({error})") from error
        if any(message.is_repeated for message in messages):
            messages = [message for message in messages if self._is_new(message)]
        else:
            self._held.update([message.mid for message in messages])
        if messages:
            self._on_messages(messages)

    def _is_new(self, message: Publish) -> bool:
        """False for what is at work here already: nats-server repeats what waits longer than its ack_wait."""
        if message.is_repeated and message.mid in self._held:
            return False
        self._held.add(message.mid)
        return True

    def _answer(self, kind: int, body: bytes) -> None:
        if kind == packets.SUBACK:
            self._subscribed(self._asked.pop(packets.packet_id(body), []), packets.codes_of(body, self._is_v5))
        elif kind == packets.PUBACK:
            self._published(packets.packet_id(body))
        elif kind == packets.PINGRESP:
            self._last_ping = 0.0
        elif kind == packets.DISCONNECT:
            self._login.dismissed(ReasonCode(PacketTypes.DISCONNECT, identifier=body[0] if body else 0))
        elif kind != packets.UNSUBACK:
            raise MalformedPacketError(f"a packet of type {kind:#x}")

    def _subscribe(self, topic_filters: Sequence[str]) -> None:
        mid = self._next_id()
        self._asked[mid] = list(topic_filters)
        self._send(packets.subscribe(mid, topic_filters, QOS, self._is_v5))

    def _subscribed(self, asked: list[str], codes: bytes) -> None:
        refused = [(topic_filter, code) for topic_filter, code in zip(asked, codes, strict=False) if code != QOS]
        if asked and not refused and len(codes) == len(asked):
            self.is_subscribed = True
            return
        topic_filter, code = refused[0] if refused else (", ".join(asked), None)
        shown = None if code is None else ReasonCode(PacketTypes.SUBACK, identifier=code)
        self._login.fault = GatewayError(
            f"mqtt.url {self._settings.url}: the broker refused to deliver {topic_filter!r} with QoS {QOS} "
            f"({shown}); allow it to client {self._settings.client_id!r}, or change gateway.sources"
        )

    def _keep_alive(self) -> None:
        """Ask for a sign of life after a silence of either side (MQTT 5, 3.1.2.10)."""
        now, silence_s = time.monotonic(), self._login.keepalive_s
        if not silence_s:
            return
        if self._last_ping:
            if now - max(self._last_ping, self._last_received) >= silence_s:
                raise ConnectionLostError(f"no sign of life within {silence_s} s")
        elif now - min(self._last_sent, self._last_received) >= silence_s:
            self._last_ping = now
            self._send(packets.PINGREQ)

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65_535 + 1
        return self._last_id
