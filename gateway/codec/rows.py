"""What every codec yields: the rows of one message as sent, or the reason why there are none."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.reasons import Reason
from metrology.quantities import Medium


class RowReject(NamedTuple):
    """A row that can't be used: its number from 0, why, and the value found."""

    row: int
    reason: Reason
    found: str


@dataclass(slots=True)
class Rows:
    """The readings of one message, columns of equal length n, nothing converted yet.

    `observed_at`: RFC 3339 texts or integers [ms since 1970 UTC]; `register`: floats or decimal texts [unit].
    `medium` and `unit` stand for every row, or are lists of length n where one message holds meters of several media.
    A row named in `rejects` holds fillers of the right type.
    """

    medium: Medium | list[Medium]
    unit: str | list[str]
    meter: list[str]
    observed_at: list[str | int] | list[str] | list[int]
    register: list[float | str] | list[float] | list[str]
    status: list[int]
    rejects: list[RowReject] = field(default_factory=list)


class MessageRejected(Exception):  # noqa: N818  # a verdict that travels, not a fault of the program
    """No row of the message can be used. `readings` counts its rows where they are known."""

    def __init__(self, reason: Reason, found: str, readings: int = 0) -> None:
        super().__init__(f"{reason}: {found}")
        self.reason = reason
        self.found = found
        self.readings = readings


class Codec(Protocol):
    """Decodes one dialect. Any bytes give Rows or raise MessageRejected, in time bounded by their length."""

    def __call__(self, payload: bytes, readings_max: int) -> Rows:
        """The rows of `payload`, at most `readings_max` of them."""
        ...
