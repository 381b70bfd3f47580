"""The way to the broker for commands and back for acknowledgements: one connection, kept by a thread of its own.

Acknowledgements are settled (PUBACK) only after what they say is committed, as readings are. A command counts as sent
when the broker has acknowledged it.
"""

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from gateway.backoff import Backoff
from gateway.connection import BrokerConnection
from gateway.errors import GatewayError
from gateway.login import ConnectionLostError
from gateway.packets import Publish
from gateway.repair.messages import ACK_FILTER
from gateway.settings import MqttSettings

T = TypeVar("T")
_log = logging.getLogger(__name__)
_STEP_S: Final = 0.1
_FIRST_PAUSE_S: Final = 0.2
_STEADY_S: Final = 5.0
_HELD_MAX: Final = 1_000  # acknowledgements taken and not settled; beyond, the broker waits
_BYTES_AT_ONCE: Final = 2**22
_UNACKNOWLEDGED_MAX: Final = 20


class Received(NamedTuple):
    """An acknowledgement as delivered; `mid` and `generation` name the delivery."""

    topic: str
    payload: bytes
    mid: int
    generation: int


class Outgoing(NamedTuple):
    """A command to be published; `key` names it in what `taken_by_broker` returns."""

    key: str
    topic: str
    payload: bytes


class Link(Protocol):
    """What the service needs of the way to the concentrators; used by one thread."""

    @property
    def is_connected(self) -> bool:
        """True while commands can go out."""
        ...

    @property
    def generation(self) -> int:
        """Rises with every connection: what was published by an earlier one and not taken is to be published again."""
        ...

    def start(self) -> None:
        """Begin to connect."""

    def stop(self) -> None:
        """Send what is due and disconnect; the session stays at the broker."""

    def take(self) -> list[Received]:
        """The acknowledgements that came since. Raises GatewayError."""
        ...

    def settle(self, messages: Sequence[Received]) -> None:
        """What these say is stored."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish these; what a broken connection held is lost, and to be given again."""

    def taken_by_broker(self) -> list[str]:
        """The keys of what the broker has acknowledged since."""
        ...


class _Connection(BrokerConnection):
    """A connection that publishes as well."""

    def __init__(self, settings: MqttSettings, link: "CommandLink") -> None:
        super().__init__(settings, (ACK_FILTER,), _HELD_MAX, link.on_messages, link.room)
        self._unsent: deque[Outgoing] = deque()
        self._waiting: dict[int, str] = {}
        self.taken: queue.SimpleQueue[str] = queue.SimpleQueue()

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish these behind what waits; a broker need not take more than some at a time (MQTT 5, 3.3.4)."""
        self._unsent.extend(messages)
        while self._unsent and len(self._waiting) < _UNACKNOWLEDGED_MAX:
            message = self._unsent.popleft()
            self._waiting[self.publish(message.topic, message.payload)] = message.key

    def _published(self, mid: int) -> None:
        key = self._waiting.pop(mid, None)
        if key is not None:
            self.taken.put(key)


class CommandLink:
    """Link on an MQTT broker: a thread keeps the connection. Raises GatewayError for what waiting won't heal."""

    def __init__(self, settings: MqttSettings, pause_max_s: float) -> None:
        if not settings.url:
            raise GatewayError("mqtt.url is not set; give the broker's address, e.g. mqtt://broker.example:1883")
        # A session of its own: beside the gateway's, under a name made from it.
        self._settings = settings.model_copy(update={"client_id": f"{settings.client_id}-repair"})
        self._backoff = Backoff(_FIRST_PAUSE_S, pause_max_s, random.SystemRandom())
        self._inbox: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._due: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Outgoing] = queue.SimpleQueue()
        self._taken: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt-commands", daemon=True)
        self._failure: Exception | None = None
        self._generation = 0
        self._received = self._settled = 0
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        """See Link."""
        return self._is_connected

    @property
    def generation(self) -> int:
        """See Link."""
        return self._generation

    def start(self) -> None:
        """See Link."""
        self._thread.start()

    def stop(self) -> None:
        """See Link."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self) -> list[Received]:
        """See Link."""
        if self._failure is not None:
            raise self._failure
        return _drained(self._inbox)

    def settle(self, messages: Sequence[Received]) -> None:
        """See Link."""
        for message in messages:
            self._due.put(message)
        self._settled += len(messages)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See Link."""
        for message in messages:
            self._outbox.put(message)

    def taken_by_broker(self) -> list[str]:
        """See Link."""
        return _drained(self._taken)

    def room(self) -> tuple[int, int]:
        """How many acknowledgements, and bytes, may still be taken in hand."""
        return _HELD_MAX - (self._received - self._settled), _BYTES_AT_ONCE

    def on_messages(self, messages: Sequence[Publish]) -> None:
        """Messages arrived; called by the connection's thread."""
        self._received += len(messages)
        for message in messages:
            self._inbox.put(Received(message.topic, message.payload, message.mid, self._generation))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                try:
                    self._serve()
                except ConnectionLostError as error:
                    if time.monotonic() - started >= _STEADY_S:
                        self._backoff.reset()
                    pause_s = self._backoff.next_pause_s()
                    _log.warning("broker %s: %s; next attempt in %.1f s", self._settings.url, error, pause_s)
                    self._stopping.wait(pause_s)
        except GatewayError as error:
            self._failure = GatewayError(f"{error}; without commands to concentrators, set repair.enabled = false")
        except Exception as error:  # the thread must not die in silence: `take` raises it
            self._failure = error

    def _serve(self) -> None:
        _drained(self._outbox)  # of the connection before; the service gives it again
        self._generation += 1  # before connecting: deliveries may come before the subscription is confirmed
        connection = _Connection(self._settings, self)
        try:
            connection.open()
            self._is_connected = True
            while not self._stopping.is_set():
                connection.step(_STEP_S)
                self._send(connection)
            self._send(connection)
        finally:
            self._is_connected = False
            connection.close()

    def _send(self, connection: _Connection) -> None:
        due = [due.mid for due in _drained(self._due) if due.generation == self._generation and due.mid]
        if due:
            connection.acknowledge(due)
        connection.send(_drained(self._outbox))
        for key in _drained(connection.taken):
            self._taken.put(key)


def _drained(waiting: "queue.SimpleQueue[T]") -> list[T]:
    items: list[T] = []
    while not waiting.empty():
        items.append(waiting.get())
    return items
