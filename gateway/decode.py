"""One message as received, to its rows or the reason why it has none."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec

from gateway.codec.rows import MessageRejected, Rows
from gateway.reasons import Reason, show
from gateway.sources import Sources

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Batches hold tens of thousands of these: they are made quickly, and the collector of cycles passes them by.
class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as the broker delivered it. `mid` and `generation` name the delivery to be acknowledged.

    `retained`: the broker had kept it for new subscribers, so that its time of receipt says nothing.
    """

    topic: str
    payload: bytes
    received_us: int
    mid: int = 0
    generation: int = 0
    retained: bool = False

    @property
    def received_at(self) -> datetime:
        """When it was received."""
        return _EPOCH + timedelta(microseconds=self.received_us)


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A message with what it says, `rows`, or the `rejection` of the whole.

    `source` is the name of the source that took it, "" for none. `digest` is blake2b-128 of topic, NUL, payload.
    """

    message: Message
    digest: bytes
    utility: str
    rows: Rows | None
    rejection: MessageRejected | None = None
    source: str = ""

    @property
    def readings(self) -> int:
        """How many readings it holds, used or not; 0 where that can't be known."""
        if self.rows is not None:
            return len(self.rows.meter)
        return self.rejection.readings if self.rejection else 0


def size_of(messages: Iterable[Message]) -> int:
    """Bytes that count against the bound of what is in flight."""
    return sum([len(message.payload) + len(message.topic) for message in messages])


def decode(message: Message, sources: Sources) -> Decoded:
    """What the message says. Never raises for anything that was sent."""
    topic, payload = message.topic, message.payload
    digest = message_digest(topic, payload)
    route = sources.route(topic)
    if route is None:
        return Decoded(message, digest, "", None, MessageRejected(Reason.TOPIC_UNEXPECTED, show(topic)))
    name = route.source.settings.name
    try:
        if not route.utility:
            raise MessageRejected(Reason.TOPIC_UNEXPECTED, f"{show(topic)} names no utility")
        if len(payload) > sources.payload_bytes_max:
            found = f"{len(payload)} bytes, {sources.payload_bytes_max} are allowed"
            raise MessageRejected(Reason.PAYLOAD_TOO_LARGE, found)
        received_us = None if message.retained else message.received_us
        rows = route.source.decode(route, topic, payload, received_us)
    except MessageRejected as rejection:
        return Decoded(message, digest, route.utility, None, rejection, name)
    except Exception as error:  # a codec's fault must not stop the stream: the message is kept as evidence
        _log.exception("decoding a message of topic %r", topic)
        return Decoded(message, digest, route.utility, None, MessageRejected(Reason.UNDECODABLE, repr(error)), name)
    return Decoded(message, digest, route.utility, rows, None, name)


def message_digest(topic: str, payload: bytes) -> bytes:
    """What tells a message from others: the same topic and payload are the same message, however often it is sent."""
    return blake2b(topic.encode("utf-8", "surrogatepass") + b"\0" + payload, digest_size=16).digest()
