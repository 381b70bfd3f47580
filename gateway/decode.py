"""One message as received, to its rows or the reason why it has none."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from gateway.codec.native import decode_native
from gateway.codec.rows import MessageRejected, Rows
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from gateway.topics import parse_topic

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker delivered it. `mid` and `generation` name the delivery to be acknowledged."""

    topic: str
    payload: bytes
    received_us: int
    mid: int = 0
    generation: int = 0

    @property
    def received_at(self) -> datetime:
        """When it was received."""
        return _EPOCH + timedelta(microseconds=self.received_us)

    @property
    def size(self) -> int:
        """Bytes that count against the bound of what is in flight."""
        return len(self.payload) + len(self.topic)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message with what it says, `rows`, or the `rejection` of the whole.

    `digest` is blake2b-128 of topic, NUL, payload.
    """

    message: Message
    digest: bytes
    utility: str
    rows: Rows | None
    rejection: MessageRejected | None = None

    @property
    def readings(self) -> int:
        """How many readings it holds, used or not; 0 where that can't be known."""
        if self.rows is not None:
            return len(self.rows.meter)
        return self.rejection.readings if self.rejection else 0


def decode(message: Message, settings: GatewaySettings) -> Decoded:
    """What the message says. Never raises for anything that was sent."""
    digest = message_digest(message.topic, message.payload)
    topic = parse_topic(message.topic)
    if topic is None:
        return Decoded(message, digest, "", None, MessageRejected(Reason.TOPIC_UNEXPECTED, repr(message.topic[:200])))
    try:
        if len(message.payload) > settings.payload_bytes_max:
            found = f"{len(message.payload)} bytes, {settings.payload_bytes_max} are allowed"
            raise MessageRejected(Reason.PAYLOAD_TOO_LARGE, found)
        rows = decode_native(message.payload, settings.readings_per_message_max)
    except MessageRejected as rejection:
        return Decoded(message, digest, topic.utility, None, rejection)
    except Exception as error:  # a codec's fault must not stop the stream: the message is kept as evidence
        _log.exception("decoding a message of topic %r", message.topic)
        return Decoded(message, digest, topic.utility, None, MessageRejected(Reason.UNDECODABLE, repr(error)))
    return Decoded(message, digest, topic.utility, rows)


def message_digest(topic: str, payload: bytes) -> bytes:
    """What tells a message from others: the same topic and payload are the same message, however often it is sent."""
    return blake2b(topic.encode("utf-8", "surrogatepass") + b"\0" + payload, digest_size=16).digest()
