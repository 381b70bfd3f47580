"""What every codec yields: the rows of one message as sent, or the reason why there are none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from gateway.reasons import Reason
from metrology.quantities import Medium


class RowReject(NamedTuple):
    """A row that can't be used: its number from 0, why, and the value found."""

    row: int
    reason: Reason
    found: str


class Rows(msgspec.Struct, gc=False):
    """The readings of one message, columns of equal length n, nothing converted yet.

    `medium` and `unit`: one for all rows, or a list; each unit measures its medium. `observed_at`: RFC 3339 texts or
    integers [ms since 1970 UTC]; `register`: floats or decimal texts [unit]. A row named in `rejects` holds fillers of
    the right type. `sender` is who the payload says it comes from, where it does. `skipped` counts readings that were
    passed over knowingly, without being a fault.
    """

    medium: Medium | list[Medium]
    unit: str | list[str]
    meter: Sequence[str]
    observed_at: Sequence[str | int]
    register: Sequence[float | str]
    status: Sequence[int]
    rejects: list[RowReject] = msgspec.field(default_factory=list)
    sender: str | None = None
    skipped: int = 0


class MessageRejected(Exception):  # noqa: N818  # a verdict that travels, not a fault of the program
    """No row of the message can be used. `readings` counts its rows where they are known."""

    def __init__(self, reason: Reason, found: str, readings: int = 0) -> None:
        super().__init__(f"{reason}: {found}")
        self.reason = reason
        self.found = found
        self.readings = readings


@dataclass(frozen=True, slots=True)
class CodecContext:
    """What a codec is told of its source when it is built."""

    source: str = "unnamed"
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))  # of local times without an offset
    readings_max: int = 50_000  # rows a message
    nesting_max: int = 32  # objects and lists in each other


class Codec(Protocol):
    """Decodes one dialect for one source. Used by one thread; it may remember what earlier messages said."""

    def decode(self, topic: str, payload: bytes, received_us: int | None, /) -> Rows:
        """The rows of `payload`, or MessageRejected: nothing else is raised, in time bounded by the payload's length.

        `received_us` [us since 1970 UTC] is when it arrived; None for a message that the broker had retained, whose
        arrival says nothing about its time. A row without a time of its own takes it with the status
        TIME_OF_RECEIPT, and is skipped where it is None.
        """
        ...
