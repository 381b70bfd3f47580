"""The gateway's memory over millions of readings: a process of its own, a real broker, a real PostgreSQL.

Most readings come in messages of 500, a tenth in messages of one. `make bench-memory` writes
docs/benchmarks/gateway-memory.md and fails if the memory grows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from meterproof.embedded.broker import EmbeddedBroker
from meterproof.embedded.postgres import EmbeddedPostgres
from store.migrate import migrate
from store.registry_import import import_meters
from store.tables import Table, TableRow

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "gateway-memory.md"
METERS = 500
START_MS = 1_767_225_600_000  # 2026-01-01
FIGURES = "select sum(readings_in), sum(stored), sum(duplicates), sum(pending), sum(rejected) from batch"
GROWTH_MAX = 0.05  # of the last fifth's mean over the second's

INTRODUCTION = """\
# The gateway's memory

{readings:,} readings through nats-server into PostgreSQL in {took:.0f} s, {share:.0%} of them in messages of one, the
others in messages of {meters}. The gateway is a process of its own, whose resident memory was read fifty times. From
the second fifth to the last it changed by **{growth:+.1%}** (the bound is {bound:.0%}).

| Readings stored | Resident memory [MiB] |
|---:|---:|
"""


def register_meters(dsn: str) -> None:
    columns = ("meter", "medium", "unit", "resolution")
    rows = tuple(TableRow(i + 2, (f"W-{i:03}", "water", "m3", "0.001")) for i in range(METERS))
    with psycopg.connect(dsn) as conn:
        migrate(conn)
        import_meters(conn, Table("meters.csv", columns, rows), utility="city", time_zone="UTC", actor="bench")


class Sender:
    """Sends a given number of readings as fast as the broker takes them."""

    def __init__(self, port: int) -> None:
        self._room = threading.Semaphore(400)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
        self._client.max_inflight_messages_set(400)
        self._client.on_publish = lambda *_: self._room.release()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._slot = 0

    def send(self, batched: int, single: int) -> None:
        """Whole slots of all meters, each meter's reading once."""
        meters = [f"W-{i:03}" for i in range(METERS)]
        for _ in range(batched // METERS):
            self._publish({"meter": meters, "observed_at": self._next_ms(), "register": 1.5})
        for number in range(single):
            if number % METERS == 0:
                at = self._next_ms()
            self._publish({"meter": meters[number % METERS], "observed_at": at, "register": 1.5})

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _next_ms(self) -> int:
        self._slot += 1
        return START_MS + self._slot * 1000

    def _publish(self, fields: dict[str, Any]) -> None:
        self._room.acquire()
        payload = json.dumps({"v": 1, "medium": "water", "unit": "m3"} | fields).encode()
        self._client.publish("mp/v1/city/gw/readings", payload, qos=1)


def resident_mib(pid: int) -> float:
    """Resident memory of a process [MiB]."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def stored(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("select coalesce(sum(stored), 0) from batch").fetchone()
    return int(row[0]) if row else 0


def run(readings: int, single_share: float, folder: Path) -> tuple[list[tuple[int, float]], float]:
    """Samples of (readings stored, memory [MiB]), and how long it took [s]."""
    postgres, broker = EmbeddedPostgres(folder / "postgres"), EmbeddedBroker(folder / "broker")
    postgres.start()
    broker.start()
    register_meters(postgres.dsn())
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    environment = plain | {
        "METERPROOF_DATABASE__DSN": postgres.dsn(),
        "METERPROOF_MQTT__URL": broker.url,
        "METERPROOF_MQTT__CLIENT_ID": "bench",
    }
    log = folder / "gateway.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "meterproof", "serve", "gateway"]
        gateway = subprocess.Popen(command, env=environment, stderr=output)
    sender = Sender(broker.port)
    samples: list[tuple[int, float]] = []
    try:
        while ": connected" not in log.read_text():  # its session must exist before anything is sent
            if gateway.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        steps = 50
        single = int(readings * single_share) // steps // METERS * METERS
        batched = readings // steps - single
        started = time.monotonic()
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            for step in range(1, steps + 1):
                sender.send(batched, single)
                deadline = time.monotonic() + 60
                while (now := stored(conn)) < step * (batched // METERS * METERS + single):
                    time.sleep(0.02)
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{now} stored; batches: {conn.execute(FIGURES).fetchone()}")
                samples.append((now, resident_mib(gateway.pid)))
        return samples, time.monotonic() - started
    finally:
        sender.close()
        gateway.terminate()
        gateway.wait(30)
        broker.stop()
        postgres.stop()


def page(samples: list[tuple[int, float]], took_s: float, single_share: float, growth: float) -> str:
    lines = INTRODUCTION.format(
        readings=samples[-1][0], took=took_s, share=single_share, meters=METERS, growth=growth, bound=GROWTH_MAX
    ).splitlines()
    lines += [f"| {count:,} | {mib:.1f} |" for count, mib in samples[:: len(samples) // 10]]
    lines.append(f"| {samples[-1][0]:,} | {samples[-1][1]:.1f} |")
    machine = f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}."
    return "\n".join([*lines, "", f"{machine} Measured by `make bench-memory`.", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=10_000_000)
    parser.add_argument("--single-share", type=float, default=0.1, help="share of readings in messages of one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples, took_s = run(arguments.readings, arguments.single_share, Path(folder))
    fifth = len(samples) // 5
    second, last = samples[fifth : 2 * fifth], samples[-fifth:]
    mean = [sum(mib for _, mib in part) / len(part) for part in (second, last)]
    growth = mean[1] / mean[0] - 1
    PAGE.write_text(page(samples, took_s, arguments.single_share, growth), encoding="utf-8")
    print(f"{samples[-1][0]:,} readings, {mean[0]:.1f} -> {mean[1]:.1f} MiB ({growth:+.1%}); wrote {PAGE.name}")
    return 0 if growth <= GROWTH_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
