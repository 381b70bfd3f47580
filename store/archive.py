"""The raw messages of a batch, as they came: zstd of msgpack frames, one a message, in the order of `message_no`.

A batch that released pending readings archives references to the messages that had carried them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import zstandard

from metrology.errors import NotFoundError

LEVEL = 3  # of zstd: higher ones gain little on readings and cost the gateway's time
_MAX_HOPS = 8  # a reference leads to a message; more steps than this are a fault


class RawMessage(msgspec.Struct, frozen=True, array_like=True, tag="raw"):
    """One message: its topic, its payload untouched, and when it was received."""

    topic: str
    payload: bytes
    received_at: datetime


class MessageReference(msgspec.Struct, frozen=True, array_like=True, tag="ref"):
    """Where a message lies that came in an earlier batch."""

    batch_id: int
    message_no: int


Frame = RawMessage | MessageReference
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Frame])


def pack(messages: Sequence[Frame]) -> bytes:
    """The archive of these messages, in their order."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(_encoder.encode(list(messages)))


def unpack(archive: bytes) -> list[Frame]:
    """The messages of an archive made by `pack`, in their order."""
    return _decoder.decode(zstandard.ZstdDecompressor().decompress(archive))


def raw_message(connection: psycopg.Connection[Any], batch_id: int, message_no: int) -> RawMessage:
    """The message that carried a reading, whichever batch released it. Raises NotFoundError if it isn't kept."""
    for _ in range(_MAX_HOPS):
        row = connection.execute("select archive from batch where batch_id = %s", (batch_id,), binary=True).fetchone()
        if row is None:
            raise NotFoundError(f"batch {batch_id} does not exist")
        if row[0] is None:
            raise NotFoundError(f"the messages of batch {batch_id} are no longer kept")
        frames = unpack(row[0])
        if not 0 <= message_no < len(frames):
            raise NotFoundError(f"batch {batch_id} has messages 0 to {len(frames) - 1}, not {message_no}")
        frame = frames[message_no]
        if isinstance(frame, RawMessage):
            return frame
        batch_id, message_no = frame.batch_id, frame.message_no
    raise NotFoundError(f"the references from batch {batch_id}, message {message_no} lead in a circle")
