"""The native payload's encoder, own to the simulators: columnar, JSON or CBOR, the same rows always the same bytes.

Registers go out in the medium's base unit, as numbers where a float64 holds every millionth and as decimal texts
elsewhere. A column with one value for all rows is sent as a scalar, a status of 0 not at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, Literal

import cbor2
import msgspec
import numpy as np
from numpy.typing import NDArray

from metrology.quantities import BASE_UNIT, MICRO, Medium, format_micro

Encoding = Literal["json", "cbor"]

DEFAULT_ROWS: Final = 500
# Division by 10**6 and the receiver's multiplication each round by half of 2**-52: below 2**51 the sum stays under 1/2.
_EXACT_AS_FLOAT: Final = 2**51
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: where it goes, its bytes, and how many readings it carries."""

    topic: str
    payload: bytes
    readings: int

    @property
    def digest(self) -> bytes:
        """16 bytes that identify the message: blake2b-128 of topic, NUL, payload."""
        return blake2b(self.topic.encode() + b"\0" + self.payload, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Sender:
    """Under which names readings of one medium are sent, and how."""

    utility: str
    gateway: str
    medium: Medium
    encoding: Encoding = "json"

    @property
    def topic(self) -> str:
        """The topic of its readings."""
        return f"mp/v1/{self.utility}/{self.gateway}/readings"


def encode_message(
    sender: Sender,
    serials: Sequence[str],
    observed_us: NDArray[np.int64],
    register_micro: NDArray[np.int64],
    status: NDArray[np.int16] | None = None,
    answers: str = "",
) -> Message:
    """One message of n > 0 readings: serials, times [µs since 1970], registers [micro] and status sets, each (n,).

    `answers`: the command that asked for them, if one did.

    The message's id is a digest of its content: the same rows give the same bytes, other rows another id.
    """
    body: dict[str, Any] = {
        "v": 1,
        "medium": str(sender.medium),
        "unit": BASE_UNIT[sender.medium],
        "observed_at": _one_or_all(_times(observed_us)),
        "meter": _one_or_all(list(serials)),
        "register": _registers(register_micro),
    }
    if status is not None and status.any():
        body["status"] = _one_or_all(status.tolist())
    if answers:
        body["answers"] = answers
    name = blake2b(msgspec.json.encode(body), digest_size=8).hexdigest()
    body = {"v": 1, "id": name} | body
    payload = msgspec.json.encode(body) if sender.encoding == "json" else cbor2.dumps(body)
    return Message(sender.topic, payload, len(observed_us))


def encode_messages(
    sender: Sender,
    serials: Sequence[str],
    meter: NDArray[np.int32],
    observed_us: NDArray[np.int64],
    register_micro: NDArray[np.int64],
    status: NDArray[np.int16] | None = None,
    rows: int = DEFAULT_ROWS,
    answers: str = "",
) -> Iterator[Message]:
    """Messages of at most `rows` readings each, in the rows' order; `meter` indexes `serials`."""
    for first in range(0, len(meter), rows):
        part = slice(first, first + rows)
        names = [serials[m] for m in meter[part].tolist()]
        yield encode_message(
            sender,
            names,
            observed_us[part],
            register_micro[part],
            None if status is None else status[part],
            answers,
        )


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if values.count(values[0]) == len(values) else values


def _times(observed_us: NDArray[np.int64]) -> list[Any]:
    """Milliseconds since 1970 where they hold the times exactly, RFC 3339 texts otherwise."""
    if not (observed_us % 1000).any():
        return list((observed_us // 1000).tolist())
    moments = (_EPOCH + timedelta(microseconds=us) for us in observed_us.tolist())
    return [moment.isoformat(timespec="microseconds").replace("+00:00", "Z") for moment in moments]


def _registers(register_micro: NDArray[np.int64]) -> list[Any]:
    if np.abs(register_micro).max() < _EXACT_AS_FLOAT:
        whole = not (register_micro % MICRO).any()
        return list((register_micro // MICRO if whole else register_micro / MICRO).tolist())
    return [format_micro(value) for value in register_micro.tolist()]
