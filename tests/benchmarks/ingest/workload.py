"""The readings of the benchmark: reading k is the same for all contestants, whatever carries it.

Quarter-hourly rounds over a fleet. As messages they are native JSON with a column for each field, as concentrators
send them: RFC 3339 texts, serials, decimal registers, status.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from store.readings import READING, Readings

UTILITY: Final = "city"
TOPIC: Final = f"mp/v1/{UTILITY}/dcu-1/readings"
TOPIC_FILTER: Final = "mp/v1/+/+/readings"
METERS: Final = 20_000
SERIALS: Final = [f"E-{number:06d}" for number in range(METERS)]
_START_US: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_STEP_US: Final = 900_000_000


@dataclass(frozen=True)
class Shape:
    """How many readings a message carries."""

    key: str
    title: str
    readings: int


BATCHED: Final = Shape("a", "500 readings a message", 500)
SINGLE: Final = Shape("b", "1 reading a message", 1)
SHAPES: Final = {shape.key: shape for shape in (BATCHED, SINGLE)}


def registers_micro(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The registers of these readings [millionths]: a start of its own for each meter, and a step of 0.125 a round."""
    return (numbers % METERS * 7_919 % 100_000) * 1_000_000 + numbers // METERS * 125_000


def sum_micro(readings: int) -> int:
    """The sum of the first readings' registers [millionths], by which what is stored is checked."""
    return int(registers_micro(np.arange(readings)).sum())


def rows(first: int, count: int, meter_ids: NDArray[np.int32], batch_id: int) -> Readings:
    """The readings as rows of the table; `meter_ids` by the serial's position."""
    numbers = np.arange(first, first + count)
    made = np.zeros(count, READING)
    made["observed_us"] = _START_US + numbers // METERS * _STEP_US
    made["register_micro"] = registers_micro(numbers)
    made["meter_id"] = meter_ids[numbers % METERS]
    made["batch_id"] = batch_id
    made["message_no"] = np.arange(count) // BATCHED.readings
    return made


def payloads(shape: Shape, messages: int) -> Iterator[bytes]:
    """The messages that carry the first readings."""
    for number in range(messages):
        numbers = np.arange(number * shape.readings, (number + 1) * shape.readings)
        columns: dict[str, list[object]] = {
            "observed_at": [_text(step) for step in (numbers // METERS).tolist()],
            "meter": [SERIALS[meter] for meter in (numbers % METERS).tolist()],
            "register": (registers_micro(numbers) / 1e6).tolist(),
            "status": [0] * shape.readings,
        }
        body: dict[str, object] = {"v": 1, "id": f"dcu-1-{number}", "medium": "electricity", "unit": "kWh"}
        single = shape.readings == 1
        yield msgspec.json.encode(body | {name: column[0] if single else column for name, column in columns.items()})


def _text(step: int) -> str:
    moment = datetime.fromtimestamp((_START_US + step * _STEP_US) / 1e6, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
