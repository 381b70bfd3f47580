"""A registry with a few meters, a publisher, and a gateway in a thread, on a real broker and a real PostgreSQL."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import CollectorRegistry
from proxy import Proxy

from gateway.service import GatewayService
from gateway.settings import GatewaySettings, MqttSettings
from meterproof.embedded.broker import EmbeddedBroker
from store.database import DatabaseSettings, open_pool
from store.registry_import import import_meters
from store.tables import Table, TableRow


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for a condition that must come true; fail if it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {condition}"
        time.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


class Database:
    """What the tests ask of the database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(query).fetchall()

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def count(self, table: str) -> int:
        return int(self.value(f"select count(*) from {table}"))

    def register(self, *serials: str, utility: str = "city", medium: str = "water", unit: str = "m3") -> None:
        """Import meters as the command line does."""
        columns = ("meter", "medium", "unit", "resolution")
        rows = tuple(TableRow(i + 2, (serial, medium, unit, "0.001")) for i, serial in enumerate(serials))
        with psycopg.connect(self.dsn) as conn:
            import_meters(conn, Table("meters.csv", columns, rows), utility=utility, time_zone="UTC", actor="test")


@pytest.fixture
def database(migrated_dsn: str) -> Database:
    """A database that knows the water meters W-0 to W-9 of the utility `city`."""
    database = Database(migrated_dsn)
    database.register(*(f"W-{i}" for i in range(10)))
    return database


class Publisher:
    """Publishes with QoS 1 and waits until the broker has it."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"publisher-{time.monotonic_ns()}")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, payload: bytes, topic: str = "mp/v1/city/gw/readings") -> None:
        wait_until(self._client.is_connected)
        published = self._client.publish(topic, payload, qos=1)
        wait_until(published.is_published)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(broker: EmbeddedBroker) -> Iterator[Publisher]:
    """A publisher at the test's broker."""
    publisher = Publisher(broker.port)
    yield publisher
    publisher.close()


class Running:
    """A gateway that works in a thread; what it raises is raised at the end."""

    def __init__(self, service: GatewayService, metrics: CollectorRegistry) -> None:
        self.service, self.metrics = service, metrics
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.service.run(self.stop)
        except BaseException as error:
            self.error = error

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.get_sample_value(f"meterproof_gateway_{name}", labels) or 0.0

    def end(self, timeout_s: float = 20.0) -> None:
        self.stop.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the gateway did not stop"

    def wait_for_error(self) -> BaseException | None:
        """What ended the gateway by itself."""
        wait_until(lambda: not self.is_alive)
        error, self.error = self.error, None
        return error

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of the test's own that soon delivers again what was not acknowledged."""
    server = EmbeddedBroker(tmp_path / "broker", ack_wait="3s")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def broker_proxy(broker: EmbeddedBroker) -> Iterator[Proxy]:
    """The way to the broker, to be cut."""
    proxy = Proxy(("127.0.0.1", broker.port))
    yield proxy
    proxy.close()


@pytest.fixture
def database_proxy(database: Database) -> Iterator[Proxy]:
    """The way to the database, to be cut; `proxy_dsn` leads over it."""
    parts = psycopg.conninfo.conninfo_to_dict(database.dsn)
    host, port = str(parts.get("host", "127.0.0.1")), int(parts.get("port", 5432))
    proxy = Proxy(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port))
    yield proxy
    proxy.close()


@pytest.fixture
def proxy_dsn(database: Database, database_proxy: Proxy) -> str:
    """A connection string over the proxy."""
    return psycopg.conninfo.make_conninfo(database.dsn, host="127.0.0.1", port=database_proxy.port)


RunGateway = Callable[..., Any]


@pytest.fixture
def run_gateway(database: Database, broker: EmbeddedBroker) -> RunGateway:
    """`with run_gateway(protocol=…, **settings) as gateway`: a gateway at work, subscribed when entered."""

    @contextmanager
    def run(
        protocol: str = "3.1.1", client_id: str = "gateway-1", url: str = "", dsn: str = "", **settings: Any
    ) -> Iterator[Running]:
        defaults = {"batch_linger_ms": 20, "retry_pause_max_s": 0.3}
        mqtt = MqttSettings(
            url=url or broker.url, client_id=client_id, protocol=protocol, reconnect_pause_max_s=0.3, keepalive_s=5
        )
        metrics = CollectorRegistry()
        pool = open_pool(DatabaseSettings(dsn=dsn or database.dsn, pool_timeout_s=0.5))
        running = Running(GatewayService(GatewaySettings(**{**defaults, **settings}), mqtt, pool, metrics), metrics)
        try:
            wait_until(lambda: running.service.is_connected or not running.is_alive)
            yield running
        finally:
            running.end()
            pool.close()
        if running.error:
            raise running.error

    return run
