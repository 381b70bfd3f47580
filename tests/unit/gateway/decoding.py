"""How tests look at a codec: built by its name and options as a source would, its rows as they would be stored."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from gateway.batch import assemble
from gateway.codec.registry import find_codec, read_options
from gateway.codec.rows import Codec, CodecContext, MessageRejected
from gateway.decode import Decoded, Message
from gateway.identity import IdentityMap
from gateway.settings import GatewaySettings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECEIVED_AT = datetime(2027, 1, 1, tzinfo=UTC)
SETTINGS = GatewaySettings(observed_at_earliest=datetime(1971, 1, 1, tzinfo=UTC))
NOBODY = IdentityMap(1, {"city": 1}, {"city": {}}, np.full(1, -1, dtype=np.int8))


class Reading(NamedTuple):
    """A reading as it would be stored."""

    medium: str
    serial: str
    observed_at: str
    register_micro: int
    status: int = 0


class Result(NamedTuple):
    """What a message comes to: readings, and reasons with the rows they are for (None: the message)."""

    readings: list[Reading]
    reasons: dict[str, list[int] | None]
    details: list[str]


def build(name: str, zone: str = "Europe/Amsterdam", readings_max: int = 1000, **options: Any) -> Codec:
    kind = find_codec(name)
    context = CodecContext("test", ZoneInfo(zone), readings_max)
    return kind.build(read_options(kind, options, "options"), context)


def us_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def stored(codec: Codec, payload: bytes, topic: str = "t", received_at: datetime = RECEIVED_AT) -> Result:
    """What `payload` comes to, through the gateway's own conversion and checks."""
    message = Message(topic, payload, us_of(received_at))
    try:
        decoded = Decoded(message, b"d" * 16, "city", codec.decode(topic, payload, message.received_us))
    except MessageRejected as rejection:
        decoded = Decoded(message, b"d" * 16, "city", None, rejection)
    assembly = assemble([decoded], NOBODY, SETTINGS, 1)
    readings = [
        Reading(
            str(row.medium),
            row.serial,
            (EPOCH + timedelta(microseconds=row.observed_us)).isoformat(),
            row.register_micro,
            row.status,
        )
        for row in assembly.pending
    ]
    return Result(
        readings,
        {row.reason: row.rows and list(row.rows) for row in assembly.quarantine},
        [row.detail for row in assembly.quarantine],
    )
