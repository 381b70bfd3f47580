"""What an exactly-once campaign needs: gateways as processes, concentrators that send, the account of every reading."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from broker_process import Certificates, ProductionBroker
from mqtt_client import Client, wait_until

from store.registry_import import import_meters
from store.tables import Table, TableRow

START = datetime(2026, 1, 1, tzinfo=UTC)
READINGS_A_MESSAGE = 10
METERS = 5  # of each concentrator
CONCENTRATORS = ("gw-1", "gw-2")
Reading = tuple[str, datetime, int]


def register_meters(dsn: str) -> None:
    """Import the meters of all concentrators as the command line does."""
    serials = [f"{name}-{i}" for name in CONCENTRATORS for i in range(METERS)]
    rows = tuple(TableRow(i + 2, (serial, "water", "m3", "0.001")) for i, serial in enumerate(serials))
    with psycopg.connect(dsn) as conn:
        table = Table("meters.csv", ("meter", "medium", "unit", "resolution"), rows)
        import_meters(conn, table, utility="city", time_zone="UTC", actor="campaign")


class GatewayProcess:
    """`meterproof serve gateway` with a certificate, to be killed and started again."""

    def __init__(
        self,
        broker: ProductionBroker,
        certificates: Certificates,
        dsn: str,
        folder: Path,
        client_id: str = "meterproof",
        topic_filter: str = "mp/v1/+/+/readings",
    ) -> None:
        certificate, key = certificates.client("meterproof")
        source = {"name": "native", "topic_filter": topic_filter, "codec": "native", "utility_level": 3}
        self.name = client_id
        self._log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        self._environment = plain | {
            "METERPROOF_DATABASE__DSN": dsn,
            "METERPROOF_DATABASE__POOL_TIMEOUT_S": "1",
            "METERPROOF_MQTT__URL": f"mqtts://localhost:{broker.meterproof_port}",
            "METERPROOF_MQTT__CLIENT_ID": self.name,
            "METERPROOF_MQTT__PROTOCOL": broker.protocol,
            "METERPROOF_MQTT__CA_FILE": str(certificates.authority),
            "METERPROOF_MQTT__CERTIFICATE_FILE": str(certificate),
            "METERPROOF_MQTT__KEY_FILE": str(key),
            "METERPROOF_MQTT__RECONNECT_PAUSE_MAX_S": "0.5",
            "METERPROOF_GATEWAY__RETRY_PAUSE_MAX_S": "0.5",
            "METERPROOF_GATEWAY__SOURCES": json.dumps([source]),
        }

    def start(self) -> None:
        """Start it and wait until it is subscribed."""
        connections = self.log().count(": connected")
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "meterproof", "serve", "gateway"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        wait_until(lambda: self.log().count(": connected") > connections or not self.is_alive, 30)
        assert self.is_alive, self.log()[-3000:]

    def end(self, hard: bool = False) -> None:
        """Ask it to end, or kill it."""
        if self._process:
            self._process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
            self._process.wait(30)

    def restart(self, hard: bool) -> None:
        assert self.is_alive, f"{self.name} had ended by itself:\n{self.log()[-3000:]}"
        self.end(hard)
        self.start()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Concentrator:
    """Sends its meters' readings at a pace, some messages twice, some again under another name, none in order."""

    def __init__(self, name: str, broker: ProductionBroker, certificates: Certificates, seed: int) -> None:
        self.name = name
        self._rng = random.Random(seed)
        self._client = Client(
            broker.port, f"sender-{name}", certificates.authority, certificates.client(f"city/{name}"), in_flight_max=50
        )
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.sent: list[tuple[float, bytes]] = []  # when, and what
        self.expected: set[Reading] = set()

    def start(self, messages_per_s: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(messages_per_s,))
        self._thread.start()

    def finish(self, timeout_s: float = 60) -> None:
        """Make no more readings, and wait until the broker has acknowledged all."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout_s)
        wait_until(lambda: self._client.acknowledged == len(self.sent), timeout_s)

    def close(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(10)
        self._client.close()

    def send(self, payload: bytes) -> None:
        self.sent.append((time.monotonic(), payload))
        self._client.publish(f"mp/v1/city/{self.name}/readings", payload)

    def send_again(self, since: float) -> None:
        """What it sent since then, again."""
        for payload in [payload for when, payload in self.sent if when >= since]:
            self.send(payload)

    def _run(self, messages_per_s: float) -> None:
        number = 0
        while not self._stop.is_set():
            window = [self._message(number + i) for i in range(20)]
            number += 20
            self._rng.shuffle(window)
            for payload in window:
                self.send(payload)
                if self._rng.random() < 0.1:
                    self.send(payload)
                if self._rng.random() < 0.05:
                    self.send(json.dumps(json.loads(payload) | {"id": "again"}).encode())
                time.sleep(1 / messages_per_s)

    def _message(self, number: int) -> bytes:
        first = number // METERS * READINGS_A_MESSAGE
        meter = f"{self.name}-{number % METERS}"
        times = [START + timedelta(minutes=first + i) for i in range(READINGS_A_MESSAGE)]
        registers = [100_000 + first + i for i in range(READINGS_A_MESSAGE)]
        self.expected |= {(meter, at, litres * 1000) for at, litres in zip(times, registers, strict=True)}
        message = {
            "v": 1,
            "id": f"{self.name}-{number}",
            "medium": "water",
            "unit": "L",
            "observed_at": [at.isoformat() for at in times],
            "meter": meter,
            "register": registers,
        }
        return json.dumps(message).encode()


class Account:
    """What the database holds."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def stored(self) -> int:
        return int(self._rows("select count(*) from reading")[0][0])

    def readings(self) -> list[Reading]:
        query = "select serial, observed_at, register_micro from reading join meter using (meter_id)"
        return self._rows(query)

    def totals(self) -> dict[str, int]:
        """The batches' figures, added up."""
        names = ("readings_in", "stored", "duplicates", "conflicting", "pending", "rejected")
        sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in names)
        return dict(zip(names, self._rows(f"select {sums} from batch")[0], strict=True))

    def batches_by_gateway(self) -> dict[str, int]:
        return dict(self._rows("select gateway, count(*) from batch group by gateway"))

    def wait_until_still(self, still_s: float = 2.0) -> None:
        """Wait until nothing more comes."""
        stored, since = self.stored(), time.monotonic()
        while time.monotonic() - since < still_s:
            time.sleep(0.1)
            if (now := self.stored()) != stored:
                stored, since = now, time.monotonic()

    def wait_for(self, readings: int, why: Callable[[], str], timeout_s: float = 60) -> None:
        """Wait until as many are stored."""
        deadline = time.monotonic() + timeout_s
        while (stored := self.stored()) < readings:
            assert time.monotonic() < deadline, f"{stored} of {readings} stored within {timeout_s} s\n{why()}"
            time.sleep(0.1)

    def assert_complete(self, expected: set[Reading]) -> None:
        """Rows in are rows sent, each once, and the batches account for every delivery."""
        rows = self.readings()
        assert len(rows) == len(set(rows)), "a reading is stored twice"
        assert set(rows) == expected
        totals = self.totals()
        assert totals["stored"] == len(expected)
        assert totals["conflicting"] == totals["pending"] == totals["rejected"] == 0
        assert totals["readings_in"] == totals["stored"] + totals["duplicates"]

    def _rows(self, query: str) -> list[Any]:
        with psycopg.connect(self._dsn) as conn:
            return conn.execute(query).fetchall()
