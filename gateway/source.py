"""The stream of messages from the broker, across connections: bounded, acknowledged by the caller, never lost.

A thread keeps a connection and puts what arrives into a queue, as many messages at once as came in one piece. While
too much is in flight it stops reading, and the broker holds the rest back. An acknowledgement is sent only by the
connection that delivered the message: after a reconnection the broker numbers anew, and a late acknowledgement would
hit another message.
"""

import contextlib
import logging
import queue
import random
import socket
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from gateway.backoff import Backoff
from gateway.connection import BrokerConnection
from gateway.contest import CLOSED_MAX, SessionContest
from gateway.decode import Message, size_of
from gateway.errors import GatewayError
from gateway.login import ConnectionLostError
from gateway.packets import Publish
from gateway.settings import GatewaySettings, MqttSettings

_log = logging.getLogger(__name__)
_STEP_S = 1.0
_STEADY_S = 5.0  # a connection that lasted as long was a success
_FIRST_PAUSE_S = 0.1


class MessageSource(Protocol):
    """What the service needs of a broker."""

    @property
    def in_flight(self) -> tuple[int, int]:
        """Messages and bytes received and not yet settled."""
        ...

    @property
    def is_connected(self) -> bool:
        """True while the broker delivers."""
        ...

    def start(self) -> None:
        """Begin to receive."""

    def take(self, messages_max: int, timeout_s: float) -> list[Message]:
        """Messages in order of arrival, waiting for the first at most `timeout_s`. Raises GatewayError."""
        ...

    def subscribe_anew(self, topic_filters: Sequence[str]) -> None:
        """Receive these topics from now on; called from any thread."""

    def settle(self, messages: Sequence[Message]) -> None:
        """The messages are stored: acknowledge them and forget them."""

    def stop(self) -> None:
        """Send the acknowledgements that are due and disconnect; the session stays at the broker."""


def topic_filters_of(settings: GatewaySettings) -> tuple[str, ...]:
    """The filters of all sources, each once."""
    return tuple(dict.fromkeys(source.topic_filter for source in settings.sources))


class MqttSource:
    """MessageSource on an MQTT broker. `take` is called from one thread, `settle` from one as well."""

    def __init__(self, mqtt: MqttSettings, gateway: GatewaySettings, rng: random.Random | None = None) -> None:
        if not mqtt.url:
            raise GatewayError("mqtt.url is not set; give the broker's address, e.g. mqtt://broker.example:1883")
        self._mqtt = mqtt
        self._gateway = gateway
        self._topic_filters = topic_filters_of(gateway)
        rng = rng or random.SystemRandom()
        self._backoff = Backoff(_FIRST_PAUSE_S, mqtt.reconnect_pause_max_s, rng)
        self._contest = SessionContest(_STEADY_S, rng)
        self._inbox: queue.SimpleQueue[list[Message]] = queue.SimpleQueue()
        self._taken: list[Message] = []  # out of the inbox, and too many for the last `take`
        self._due: queue.SimpleQueue[Sequence[Message]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._failure: Exception | None = None
        self._generation = 0
        # Each counter is written by one thread alone, so that their difference needs no lock.
        self._received = self._received_bytes = 0
        self._settled = self._settled_bytes = 0
        self._is_connected = False
        self._connection: BrokerConnection | None = None  # the last one

    @property
    def is_connected(self) -> bool:
        """See MessageSource."""
        return self._is_connected

    @property
    def received(self) -> int:
        """Messages delivered so far, redelivered ones included."""
        return self._received

    @property
    def in_flight(self) -> tuple[int, int]:
        """See MessageSource."""
        return self._received - self._settled, self._received_bytes - self._settled_bytes

    def start(self) -> None:
        """Begin to connect and to receive."""
        self._thread.start()

    def subscribe_anew(self, topic_filters: Sequence[str]) -> None:
        """See MessageSource."""
        self._topic_filters = tuple(topic_filters)
        self._wake()

    def take(self, messages_max: int, timeout_s: float) -> list[Message]:
        """See MessageSource."""
        if not self._taken:
            with contextlib.suppress(queue.Empty):
                self._taken = self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        messages, self._taken = self._taken[:messages_max], self._taken[messages_max:]
        if self._failure and not messages:
            raise self._failure
        return messages

    def settle(self, messages: Sequence[Message]) -> None:
        """See MessageSource."""
        self._due.put(messages)
        self._settled_bytes += size_of(messages)
        self._settled += len(messages)
        self._wake()

    def stop(self) -> None:
        """See MessageSource."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then the thread has not seen earlier ones, and will wake up
            self._wake_write.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._serve_connection()
                except ConnectionLostError as error:
                    self._stopping.wait(self._pause_after(error))
        except Exception as error:  # the thread must not die in silence: `take` raises it to the service
            self._failure = error
            self._inbox.put([])

    def _pause_after(self, error: ConnectionLostError) -> float:
        """How long to wait before the next attempt [s]."""
        accepted_at = self._connection.accepted_at if self._connection else None
        lasted_s = time.monotonic() - accepted_at if accepted_at is not None else 0.0
        if lasted_s >= _STEADY_S:
            self._backoff.reset()
        was_reached = self._connection is not None and self._connection.was_reached
        contested_s = self._contest.pause_s(was_reached, accepted_at is not None, lasted_s)
        pause_s = contested_s or self._backoff.next_pause_s()
        if contested_s:
            _log.error(
                "broker %s closed %d connections in a row as soon as they were made: another client seems to use "
                "mqtt.client_id %r; give each gateway an id of its own",
                *(self._mqtt.url, CLOSED_MAX, self._mqtt.client_id),
            )
        _log.warning("broker %s: %s; next attempt in %.1f s", self._mqtt.url, error, pause_s)
        return pause_s

    def _serve_connection(self) -> None:
        """One connection's life: returns when stopping or when it paused too long, raises when it is lost."""
        self._generation += 1
        self._connection = connection = BrokerConnection(
            self._mqtt,
            self._topic_filters,
            self._gateway.in_flight_messages_max,
            self._receive,
            self._room,
        )
        try:
            connection.open()
            self._is_connected = True
            session = "its session resumed" if connection.session_present else "a new session"
            _log.info("broker %s: connected, %s", self._mqtt.url, session)
            self._pump(connection)
        finally:
            self._is_connected = False
            connection.close()

    def _pump(self, connection: BrokerConnection) -> None:
        paused_since: float | None = None
        while not self._stopping.is_set():
            if not self._is_full():
                paused_since = None
            elif paused_since is None:
                paused_since = time.monotonic()
            elif time.monotonic() - paused_since > self._mqtt.keepalive_s / 2:
                # Answers to pings lie unread behind messages; leave before the silence looks like a fault.
                _log.warning("database too slow or away: disconnected from the broker until there is room")
                self._is_connected = False
                connection.close()
                self._wait_for_room()
                return
            connection.subscribe_anew(self._topic_filters)
            connection.step(_STEP_S, self._wake_read)
            self._send_acknowledgements(connection)
        self._send_acknowledgements(connection)

    def _room(self) -> tuple[int, int]:
        """How many messages and bytes may still be in flight."""
        messages, size = self.in_flight
        return self._gateway.in_flight_messages_max - messages, self._gateway.in_flight_bytes_max - size

    def _is_full(self) -> bool:
        return min(self._room()) <= 0

    def _wait_for_room(self) -> None:
        while self._is_full() and not self._stopping.wait(0.1):
            pass

    def _send_acknowledgements(self, connection: BrokerConnection) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass
        while not self._due.empty():
            mids = [
                message.mid for message in self._due.get() if message.generation == self._generation and message.mid
            ]
            if mids:
                connection.acknowledge(mids)

    def _receive(self, published: Sequence[Publish]) -> None:
        received_us, generation = time.time_ns() // 1000, self._generation
        messages = [
            Message(each.topic, each.payload, received_us, each.mid, generation, each.is_retained) for each in published
        ]
        self._received_bytes += size_of(messages)
        self._received += len(messages)
        self._inbox.put(messages)
