"""Publishing over MQTT with QoS 1: many messages in flight, each sent again until the broker has acknowledged it.

A message is given up by nobody: when the connection breaks, all that were not acknowledged are sent again over the
next one, with the same bytes, so that a receiver recognises them. Order is kept as sent, but for such repetitions.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from metrology.errors import InvalidInputError, MeterproofError
from simulators.payload import Message

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
# CONNACK codes after which trying again is of no use: MQTT 3.1.1 table 3.1 (1, 2, 4, 5), MQTT 5 table 3-1 (0x84 ...).
_REFUSED: Final = frozenset({1, 2, 4, 5, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x95})


class PublishError(MeterproofError):
    """The broker refuses the sender, or could not be reached for too long."""

    status = 503
    title = "Publishing failed"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who the sender is to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None  # authorities of the broker's certificate; the system's where not set
    certificate_file: str | None = None
    key_file: str | None = None

    @classmethod
    def from_url(cls, url: str) -> "Broker":
        """From `mqtt://user:secret@host:1883` or `mqtts://…`. Raises InvalidInputError naming the fault."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise InvalidInputError("mqtt url: the port is no number from 1 to 65535") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise InvalidInputError(f"mqtt url of {parts.hostname!r}: expected mqtt://host:1883 or mqtts://host:8883")
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            parts.scheme == "mqtts",
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    messages: int
    readings: int
    resent: int
    connections: int


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """Bounds of a run."""

    in_flight: int = 64  # messages sent and not yet acknowledged
    readings_per_s: float | None = None  # pace; None: as fast as the broker takes them
    acknowledge_within_s: float = 20.0  # then the connection is taken for dead
    give_up_after_s: float = 300.0  # without any acknowledgement

    def __post_init__(self) -> None:
        if self.in_flight < 1 or (self.readings_per_s is not None and not self.readings_per_s > 0):
            raise InvalidInputError(
                f"in_flight = {self.in_flight}, readings_per_s = {self.readings_per_s}; both must be above 0"
            )


async def publish(
    messages: Iterable[Message] | AsyncIterable[Message],
    broker: Broker,
    options: PublishOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Publishes all messages and returns when every one is acknowledged.

    `on_progress` is called after every acknowledgement. Raises PublishError if the broker refuses the sender or does
    not acknowledge anything for `give_up_after_s`.
    """
    return await _Run(messages, broker, options or PublishOptions(), on_progress).run()


class _Run:
    """One run: the source of messages, those to be sent again, and the counts."""

    def __init__(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        broker: Broker,
        options: PublishOptions,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.source = _as_async(messages)
        self.broker, self.options, self.on_progress = broker, options, on_progress
        self.again: deque[Message] = deque()
        self.in_hand: dict[int, Message] = {}  # taken and not acknowledged, by order of taking
        self.taken = self.acknowledged = self.readings = self.resent = self.connections = 0
        self.exhausted = False
        self.take_lock = asyncio.Lock()
        self.begun = time.monotonic()
        self.down_since: float | None = None
        self.readings_taken = 0

    async def run(self) -> Progress:
        pause = _FIRST_PAUSE_S
        while not (self.exhausted and not self.again and not self.in_hand):
            before = self.acknowledged
            try:
                await self._one_connection()
            except (aiomqtt.MqttError, BaseExceptionGroup) as error:
                cause = _connection_error(error)
                self._keep_for_next_connection()
                if self.acknowledged > before or self.down_since is None:
                    self.down_since = time.monotonic()
                self._give_up_if_hopeless(cause)
                pause = _FIRST_PAUSE_S if self.acknowledged > before else min(2 * pause, _LONGEST_PAUSE_S)
                # Jitter keeps many senders from coming back at one moment.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # not for secrets
        return self.progress()

    def progress(self) -> Progress:
        return Progress(self.acknowledged, self.readings, self.resent, self.connections)

    async def _one_connection(self) -> None:
        async with open_client(self.broker, self.options) as client:
            client.pending_calls_threshold = self.options.in_flight + 1
            self.connections += 1
            if not self.again:
                self.down_since = None
            async with asyncio.TaskGroup() as group:
                # A publish does not notice that the connection broke; iterating over incoming messages does.
                watch = group.create_task(_watch(client))
                workers = [group.create_task(self._work(client)) for _ in range(self.options.in_flight)]
                await asyncio.gather(*workers)
                watch.cancel()

    async def _work(self, client: aiomqtt.Client) -> None:
        while (taken := await self._take()) is not None:
            number, message = taken
            await client.publish(message.topic, message.payload, qos=1)
            del self.in_hand[number]
            self.acknowledged += 1
            self.readings += message.readings
            if self.on_progress is not None:
                self.on_progress(self.progress())

    async def _take(self) -> tuple[int, Message] | None:
        async with self.take_lock:
            if self.again:
                message = self.again.popleft()
            elif self.exhausted:
                return None
            else:
                next_message = await self._next_from_source()
                if next_message is None:
                    self.exhausted = True
                    return None
                message = next_message
            self.taken += 1
            self.in_hand[self.taken] = message
            return self.taken, message

    async def _next_from_source(self) -> Message | None:
        if self.options.readings_per_s is not None:
            due = self.begun + self.readings_taken / self.options.readings_per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        message = await self.source.take()
        if message is not None:
            self.readings_taken += message.readings
        return message

    def _keep_for_next_connection(self) -> None:
        unacknowledged = [self.in_hand[number] for number in sorted(self.in_hand)]
        self.resent += len(unacknowledged)
        self.again.extendleft(reversed(unacknowledged))
        self.in_hand.clear()

    def _give_up_if_hopeless(self, error: aiomqtt.MqttError) -> None:
        place = f"broker {self.broker.host}:{self.broker.port}"
        if isinstance(error, MqttConnectError) and _code(error) in _REFUSED:
            raise PublishError(f"{place} refuses the sender: {error}; check mqtt.url, user and password")
        silent_s = 0.0 if self.down_since is None else time.monotonic() - self.down_since
        if silent_s > self.options.give_up_after_s:
            raise PublishError(
                f"{place} has acknowledged nothing for {silent_s:.0f} s ({error}); is it running? "
                f"{self.acknowledged} messages were acknowledged"
            )


def open_client(broker: Broker, options: PublishOptions, session: str | None = None) -> aiomqtt.Client:
    """A client, not yet connected; with a `session` by that name the broker keeps what comes for it meanwhile.

    Raises PublishError for TLS files that can't be used.
    """
    try:
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            tls_context=_tls(broker),
            timeout=options.acknowledge_within_s,
            max_inflight_messages=options.in_flight,
            identifier=session,
            clean_session=session is None,
        )
    except OSError as error:  # ssl.SSLError among them
        raise PublishError(f"broker {broker.host}:{broker.port}: {error}; check the TLS files of mqtt") from None


def _tls(broker: Broker) -> ssl.SSLContext | None:
    if not broker.tls:
        return None
    context = ssl.create_default_context(cafile=broker.ca_file)
    if broker.certificate_file:
        context.load_cert_chain(broker.certificate_file, broker.key_file)
    return context


async def _watch(client: aiomqtt.Client) -> None:
    async for _ in client.messages:
        pass


class _Source:
    """Messages one by one; survives the cancellation of whoever waits for the next one."""

    def __init__(self, iterator: AsyncIterator[Message]) -> None:
        self.iterator = iterator
        self.pending: asyncio.Task[Message | None] | None = None

    async def take(self) -> Message | None:
        if self.pending is None:
            self.pending = asyncio.create_task(self._next())
        message = await asyncio.shield(self.pending)
        self.pending = None
        return message

    async def _next(self) -> Message | None:
        return await anext(self.iterator, None)


def _as_async(messages: Iterable[Message] | AsyncIterable[Message]) -> _Source:
    if isinstance(messages, AsyncIterable):
        return _Source(aiter(messages))

    async def generate() -> AsyncIterator[Message]:
        for message in messages:
            yield message

    return _Source(generate())


def _connection_error(error: BaseException) -> aiomqtt.MqttError:
    """The broken connection behind an error; anything else that went wrong is raised by itself."""
    flat = [error]
    while any(isinstance(one, BaseExceptionGroup) for one in flat):
        flat = [leaf for one in flat for leaf in (one.exceptions if isinstance(one, BaseExceptionGroup) else (one,))]
    for one in flat:
        if not isinstance(one, aiomqtt.MqttError):
            raise one from None
    found = flat[0]
    assert isinstance(found, aiomqtt.MqttError)
    return found


def _code(error: aiomqtt.MqttCodeError) -> int | None:
    return error.rc if isinstance(error.rc, int) or error.rc is None else error.rc.value
