"""Readings a second from raw messages to the array that is stored, beside the json module doing the parsing alone.

Run: python tests/benchmarks/bench_gateway_decode.py
"""

import json
import time
from collections.abc import Callable

import numpy as np

from gateway.batch import assemble
from gateway.decode import Message, decode
from gateway.identity import IdentityMap
from gateway.settings import GatewaySettings
from gateway.sources import Sources

METERS = [f"E-{i:06d}" for i in range(50_000)]
IDENTITIES = IdentityMap(
    1, {"city": 1}, {"city": {m: i + 1 for i, m in enumerate(METERS)}}, np.zeros(len(METERS) + 1, np.int8)
)
SETTINGS = GatewaySettings()
SOURCES = Sources(SETTINGS)
TOPIC = "mp/v1/city/dcu-1/readings"


def make_messages(messages: int, readings: int, rng: np.random.Generator) -> list[Message]:
    """Messages of `readings` rows each, with a time, register and status a row."""
    now_us = time.time_ns() // 1000
    made = []
    for number in range(messages):
        first, rows = number * readings, range(readings)
        columns: dict[str, object] = {
            "observed_at": [f"2026-01-{1 + i // 1440 % 28:02d}T{i // 60 % 24:02d}:{i % 60:02d}:00Z" for i in rows],
            "meter": [METERS[(first + i) % len(METERS)] for i in rows],
            "register": np.round(rng.uniform(0, 1e5, readings), 3).tolist(),
            "status": [0] * readings,
        }
        if readings == 1:
            columns = {name: column[0] for name, column in columns.items() if isinstance(column, list)}
        payload = {"v": 1, "id": str(number), "medium": "electricity", "unit": "kWh"} | columns
        made.append(Message(TOPIC, json.dumps(payload).encode(), now_us))
    return made


def best_s(work: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of some runs [s]."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Print a table."""
    rng = np.random.default_rng(1)
    print(f"{'readings/message':>16} {'gateway readings/s':>20} {'messages/s':>12} {'json module readings/s':>24}")
    for readings, count in ((500, 100), (50, 1000), (1, 20_000)):
        messages = make_messages(count, readings, rng)
        assembly = assemble([decode(m, SOURCES) for m in messages], IDENTITIES, SETTINGS, 1)
        assert len(assembly.readings) == readings * count, "the benchmark's messages must be valid"

        def run(batch: list[Message] = messages) -> None:
            assemble([decode(m, SOURCES) for m in batch], IDENTITIES, SETTINGS, 1)

        def parse(batch: list[Message] = messages) -> None:
            for message in batch:
                json.loads(message.payload)

        ours, theirs = best_s(run), best_s(parse)
        n = readings * count
        print(f"{readings:>16} {n / ours:>20,.0f} {count / ours:>12,.0f} {n / theirs:>24,.0f}")


if __name__ == "__main__":
    main()
