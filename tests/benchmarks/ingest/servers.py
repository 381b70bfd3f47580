"""The servers that all contestants share: PostgreSQL with one set of durability settings, and a fresh broker a run."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
import psycopg
from ingest.workload import SERIALS, TOPIC_FILTER, UTILITY
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from meterproof.embedded.broker import EmbeddedBroker, broker_program
from meterproof.embedded.postgres import EmbeddedPostgres
from meterproof.embedded.process import free_port, wait_until_listening
from store.meter_import import import_meters
from store.migrate import migrate
from store.tables import Table, TableRow

# The time of the last commit is read from the server; everything else is the server's default, durability included.
OPTIONS: Final = {"track_commit_timestamp": "on"}
STATED: Final = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "max_wal_size")
OUR_TABLES: Final = "reading, reading_conflict, reading_repeat, pending_reading, quarantine, batch"
# What a flow without a registry writes: a row a reading, with the key that makes a redelivery harmless.
_PEER_TABLE: Final = """
    create table peer_reading (
        meter text not null, observed_at timestamptz not null, register double precision not null,
        status smallint not null, primary key (meter, observed_at))"""
BROKERS: Final = ("nats-server", "mosquitto")


class Database:
    """What the benchmark asks of the server."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._conn = psycopg.connect(dsn, autocommit=True)

    def value(self, query: str) -> Any:
        """The first column of the first row."""
        row = self._conn.execute(query.encode()).fetchone()
        return row[0] if row else None

    def empty(self) -> None:
        """Empty tables, and nothing of the run before left to be written."""
        self._conn.execute(f"truncate {OUR_TABLES}, peer_reading".encode())
        self._conn.execute("vacuum analyze batch")
        self._conn.execute("checkpoint")

    def meter_ids(self) -> NDArray[np.int32]:
        """The numbers of the fleet's meters, in the order of `SERIALS`."""
        found = dict(self._conn.execute("select serial, meter_id from meter").fetchall())
        return np.array([found[serial] for serial in SERIALS], np.int32)

    def settings(self) -> dict[str, str]:
        """The server's settings that bear on speed and durability."""
        return {name: str(self.value(f"show {name}")) for name in (*STATED, *OPTIONS)}

    def prepare(self) -> None:
        """The schema, the fleet in the registry, and the peers' table."""
        with psycopg.connect(self.dsn) as conn:
            migrate(conn)
            columns = ("meter", "medium", "unit", "resolution")
            fleet = tuple(TableRow(n + 2, (serial, "electricity", "kWh", "0.001")) for n, serial in enumerate(SERIALS))
            import_meters(conn, Table("fleet", columns, fleet), utility=UTILITY, time_zone="UTC", actor="benchmark")
        self._conn.execute(_PEER_TABLE)

    def close(self) -> None:
        self._conn.close()


@contextmanager
def database() -> Iterator[Database]:
    """A server of the benchmark's own, with schema and fleet."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", options=OPTIONS)
        server.start()
        try:
            made = Database(server.dsn())
            made.prepare()
            yield made
            made.close()
        finally:
            server.stop()


@contextmanager
def broker(name: str) -> Iterator[int]:
    """The port of a fresh broker."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "nats-server":
            server = EmbeddedBroker(Path(folder), ack_wait="30s")
            server.start()
            try:
                yield server.port
            finally:
                server.stop()
        else:
            with _mosquitto(Path(folder)) as port:
                yield port


@contextmanager
def _mosquitto(folder: Path) -> Iterator[int]:
    """As in deploy/, but without TLS and with the file written at the end only: a queue of this size could not build up
    where the whole file is written with every message."""
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        "max_queued_messages 0",
        "max_inflight_messages 2000",
        *(["user root"] if os.geteuid() == 0 else []),
    ]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([mosquitto_program() or "mosquitto", "-c", str(config)], stdout=log, stderr=log)
    try:
        if not wait_until_listening(port, 20):
            raise RuntimeError(f"mosquitto did not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def mosquitto_program() -> str | None:
    """The mosquitto of this machine; scripts/mosquitto installs it."""
    names = (os.environ.get("METERPROOF_MOSQUITTO", ""), "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
    return next((name for name in names if name and Path(name).exists()), None)


def versions() -> str:
    """The brokers' versions."""
    told = subprocess.run([str(broker_program()), "--version"], capture_output=True, text=True, check=True).stdout
    other = subprocess.run([mosquitto_program() or "mosquitto", "-h"], capture_output=True, text=True, check=False)
    return f"{told.strip()}, {other.stdout.splitlines()[0].strip()}"


def make_session(port: int, client_id: str) -> None:
    """Subscribe under this name and go away; the session stays and keeps what comes."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.on_connect = lambda made, *_: made.subscribe(TOPIC_FILTER, qos=1)
    client.on_subscribe = lambda made, *_: made.disconnect()
    client.connect("127.0.0.1", port)
    client.loop_forever()
