"""Commands and acknowledgements as they go over MQTT, in JSON.

    mp/v1/{utility}/{gateway}/cmd       a ReadProfile or a SyncClock, QoS 1
    mp/v1/{utility}/{gateway}/cmd/ack   an Acknowledgement, QoS 1

The same command may be delivered twice; its `id` tells. Fields that a receiver doesn't know are to be passed over.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Literal

import cbor2
import msgspec
import numpy as np
from numpy.typing import NDArray

from store.times import to_datetime

ACK_FILTER = "mp/v1/+/+/cmd/ack"
_ACK_TOPIC = re.compile(r"mp/v1/([A-Za-z0-9][A-Za-z0-9_.-]{0,62})/([^/]+)/cmd/ack")
_TEXT_MAX = 200
_ID_MAX = 128
ACK_BYTES_MAX = 2**20
Text = Annotated[str, msgspec.Meta(description="RFC 3339 with offset")]


class RangeOfMeters(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """The load profile of these meters at the multiples of `interval_s` (UTC) in [from, to)."""

    meters: list[str]
    start: Text
    end: Text
    interval_s: int


class ReadProfile(msgspec.Struct, frozen=True, tag_field="command", tag="read_profile", kw_only=True):
    """Send these readings again, as ordinary readings messages with `"answers": id`; then acknowledge with `done`."""

    v: int = 1
    id: str = ""
    expires_at: Text
    reads: list[RangeOfMeters]


class ClockOfMeter(msgspec.Struct, frozen=True):
    """A clock to be set: `offset_s` [s] as estimated, above 0: ahead, with the bounds of its confidence interval."""

    meter: str
    offset_s: float
    low_s: float
    high_s: float


class SyncClock(msgspec.Struct, frozen=True, tag_field="command", tag="sync_clock", kw_only=True):
    """Set these meters' clocks to the concentrator's time; then acknowledge with `done`."""

    v: int = 1
    id: str = ""
    expires_at: Text
    clocks: list[ClockOfMeter]


class Unavailable(msgspec.Struct, frozen=True):
    """A meter of which (some) could not be done, with the reason; `memory_lost` and `unknown_meter` are final."""

    meter: str
    reason: str


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command: `accepted` (it will take a while), `done` (all that is possible), or `failed`."""

    v: Literal[1] = 1
    id: str
    state: Literal["accepted", "done", "failed"]
    reason: str = ""
    unavailable: list[Unavailable] = []


Command = ReadProfile | SyncClock
_ack = msgspec.json.Decoder(Acknowledgement)


class _Answering(msgspec.Struct):
    """The one field of a readings message that concerns commands."""

    answers: str = ""


_answering = msgspec.json.Decoder(_Answering)


def command_topic(utility: str, gateway: str) -> str:
    """Where commands to a concentrator go."""
    return f"mp/v1/{utility}/{gateway}/cmd"


def sender_of_ack(topic: str) -> tuple[str, str] | None:
    """Utility and gateway of an acknowledgement's topic; None for any other topic."""
    match = _ACK_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None


def read_profile(
    meters: Sequence[str], reads: NDArray[np.void], expires_at: datetime, salt: str
) -> tuple[str, ReadProfile]:
    """A command, with its id, for these reads (READ of planner.py, shape (n,)); `meters`: their serials, shape (n,).

    Meters with the same range share an entry. `salt` tells apart commands of the same content.
    """
    groups: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    for serial, read in zip(meters, reads, strict=True):
        groups[int(read["from_us"]), int(read["until_us"]), int(read["interval_s"])].append(serial)
    ranges = [
        RangeOfMeters(serials, time_text(to_datetime(start)), time_text(to_datetime(end)), interval_s)
        for (start, end, interval_s), serials in sorted(groups.items())
    ]
    command = ReadProfile(expires_at=time_text(expires_at), reads=ranges)
    command = msgspec.structs.replace(command, id=_name("r", command, salt))
    return command.id, command


def sync_clock(
    offsets: NDArray[np.void], serials: Mapping[int, str], expires_at: datetime, salt: str
) -> tuple[str, SyncClock]:
    """A command, with its id, to set the clocks of these estimates (OFFSET of gateway/clocks.py)."""
    clocks = [
        ClockOfMeter(serials[meter_id], round(offset_s, 2), round(low_s, 2), round(high_s, 2))
        for meter_id, _, offset_s, low_s, high_s in offsets.tolist()
    ]
    command = SyncClock(expires_at=time_text(expires_at), clocks=clocks)
    command = msgspec.structs.replace(command, id=_name("c", command, salt))
    return command.id, command


def encode(command: Command) -> str:
    """The command as JSON text."""
    return msgspec.json.encode(command).decode()


def decode_acknowledgement(payload: bytes) -> Acknowledgement | None:
    """The acknowledgement in a payload; None if it is none. Texts are cut and made printable."""
    if len(payload) > ACK_BYTES_MAX:
        return None
    try:
        ack = _ack.decode(payload)
    except (ValueError, RecursionError):  # of msgspec, or of text that is no UTF-8
        return None
    if not 0 < len(ack.id) <= _ID_MAX or not ack.id.isprintable():
        return None
    meters = [Unavailable(one.meter, _plain(one.reason)) for one in ack.unavailable if one.meter.isprintable()]
    return msgspec.structs.replace(ack, reason=_plain(ack.reason), unavailable=meters)


def answered_command(payload: bytes) -> str | None:
    """The id of the command that a readings message answers; None for nearly all of them, at the cost of a search."""
    if b"answers" not in payload:
        return None
    try:
        if payload[:1] == b"{":
            found: object = _answering.decode(payload).answers
        else:
            loaded = cbor2.loads(payload)
            found = loaded.get("answers") if isinstance(loaded, dict) else None
    except Exception:  # stored by the gateway, so it could be decoded: the field alone is of another kind
        return None
    return found if isinstance(found, str) and 0 < len(found) <= _ID_MAX and found.isprintable() else None


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def _name(letter: str, command: Command, salt: str) -> str:
    digest = blake2b(msgspec.json.encode(command), digest_size=9, key=salt.encode()[:64]).hexdigest()
    return f"{letter}-{digest}"


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_TEXT_MAX]).strip()
