"""Every reading that the broker acknowledged is stored, once, whatever is restarted, killed or away in between."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from broker_process import Certificates, ProductionBroker
from campaign import CONCENTRATORS, READINGS_A_MESSAGE, Account, Concentrator, GatewayProcess, register_meters
from mqtt_client import wait_until
from proxy import Proxy

PACE = 60  # messages a second of each concentrator
# mosquitto writes its file each second (`autosave_interval`), on a busy machine some hundred milliseconds later.
LOST_S = 2.0
LOST_MESSAGES_MAX = int(LOST_S * PACE * 1.2 * len(CONCENTRATORS))  # a fifth of them are repetitions

MakeGateway = Callable[..., GatewayProcess]


@pytest.fixture
def account(migrated_dsn: str) -> Account:
    register_meters(migrated_dsn)
    return Account(migrated_dsn)


@pytest.fixture
def database_proxy(migrated_dsn: str) -> Iterator[Proxy]:
    """The way of the gateways to the database, to be cut."""
    parts = psycopg.conninfo.conninfo_to_dict(migrated_dsn)
    host, port = str(parts.get("host", "127.0.0.1")), int(parts.get("port", 5432))
    proxy = Proxy(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port))
    yield proxy
    proxy.close()


@pytest.fixture
def make_gateway(
    broker: ProductionBroker, certificates: Certificates, migrated_dsn: str, database_proxy: Proxy, tmp_path: Path
) -> Iterator[MakeGateway]:
    """`make_gateway(...)`: a gateway process, not started; ended after the test."""
    made: list[GatewayProcess] = []
    dsn = psycopg.conninfo.make_conninfo(migrated_dsn, host="127.0.0.1", port=database_proxy.port)

    def make(**settings: str) -> GatewayProcess:
        made.append(GatewayProcess(broker, certificates, dsn, tmp_path, **settings))
        return made[-1]

    yield make
    for gateway in made:
        gateway.end(hard=True)


@pytest.fixture
def concentrators(broker: ProductionBroker, certificates: Certificates) -> Iterator[list[Concentrator]]:
    """Concentrators, connected and silent."""
    made = [Concentrator(name, broker, certificates, seed) for seed, name in enumerate(CONCENTRATORS)]
    yield made
    for concentrator in made:
        concentrator.close()


def finish(concentrators: list[Concentrator], account: Account, why: Callable[[], str], timeout_s: float = 60) -> None:
    """Let the senders end, and hold what arrived against what they sent."""
    for concentrator in concentrators:
        concentrator.finish(timeout_s)
    expected = set[tuple]().union(*(concentrator.expected for concentrator in concentrators))
    account.wait_for(len(expected), why, timeout_s)
    account.assert_complete(expected)


@pytest.fixture(autouse=True)
def _nothing_that_is_ours_was_denied(broker: ProductionBroker) -> Iterator[None]:
    """The access rules of deploy/ let Meterproof and the concentrators do all they do."""
    yield
    assert "Denied PUBLISH" not in broker.log()
    assert "Violation" not in broker.log()


def disturb(
    gateway: GatewayProcess, broker: ProductionBroker, proxy: Proxy, kind: str, away_s: float, calm_s: float
) -> None:
    """Everything that may happen, one after the other, each followed by a calm."""
    gateway.restart(hard=False)
    time.sleep(calm_s)
    gateway.restart(hard=True)
    time.sleep(calm_s)
    broker.restart(hard=False)
    time.sleep(calm_s)
    if kind == "nats-server":  # mosquitto's kill has a test of its own
        broker.restart(hard=True)
        time.sleep(calm_s)
    proxy.cut()
    time.sleep(away_s)
    proxy.restore()
    time.sleep(calm_s)


def test_restarts_kills_and_an_absent_database(
    kind, broker, make_gateway, concentrators, account, database_proxy
) -> None:
    gateway = make_gateway()
    gateway.start()
    for concentrator in concentrators:
        concentrator.start(PACE)
    disturb(gateway, broker, database_proxy, kind, away_s=1.5, calm_s=0.3)
    assert gateway.is_alive, gateway.log()
    finish(concentrators, account, gateway.log)
    assert account.totals()["duplicates"] > 0  # there were repetitions to be told apart


@pytest.mark.slow
def test_restarts_kills_and_a_database_away_for_a_minute(
    kind, broker, make_gateway, concentrators, account, database_proxy
) -> None:
    gateway = make_gateway()
    gateway.start()
    for concentrator in concentrators:
        concentrator.start(4 * PACE)
    for away_s in (5, 60, 5):
        disturb(gateway, broker, database_proxy, kind, away_s, calm_s=2)
        assert gateway.is_alive, gateway.log()
    finish(concentrators, account, gateway.log, timeout_s=300)


def test_two_gateways_of_which_one_is_killed(kind, make_gateway, concentrators, account) -> None:
    """Sharing by the broker where it can, by topics where not; what waits for the killed one comes when it is back."""
    if kind == "mosquitto":
        shared = "$share/meterproof/mp/v1/+/+/readings"
        first = make_gateway(client_id="meterproof-1", topic_filter=shared)
        second = make_gateway(client_id="meterproof-2", topic_filter=shared)
    else:
        first = make_gateway(client_id="meterproof-1", topic_filter="mp/v1/city/gw-1/readings")
        second = make_gateway(client_id="meterproof-2", topic_filter="mp/v1/city/gw-2/readings")
    for gateway in (first, second):
        gateway.start()
    for concentrator in concentrators:
        concentrator.start(PACE)
    time.sleep(1)
    second.end(hard=True)
    stored = account.stored()
    wait_until(lambda: account.stored() > stored + 200)  # the other goes on
    second.start()
    time.sleep(0.5)
    finish(concentrators, account, lambda: first.log() + second.log())
    shares = account.batches_by_gateway()
    assert set(shares) == {first.name, second.name}


@pytest.mark.parametrize("kind", ["mosquitto"], indirect=True)
def test_killed_mosquitto_loses_no_more_than_it_is_configured_to(
    broker, make_gateway, concentrators, account, database_proxy
) -> None:
    """What it may lose within `autosave_interval` is what the concentrators' repetition brings back."""
    gateway = make_gateway()
    gateway.start()
    for concentrator in concentrators:
        concentrator.start(PACE)
    time.sleep(1)
    database_proxy.cut()  # nothing is acknowledged by the gateway from now on: all lies at the broker
    time.sleep(0.5)
    killed_at = time.monotonic()
    broker.restart(hard=True)
    database_proxy.restore()
    time.sleep(0.5)
    for concentrator in concentrators:
        concentrator.finish()
    expected = set[tuple]().union(*(concentrator.expected for concentrator in concentrators))
    account.wait_until_still()
    assert len(expected) - account.stored() <= LOST_MESSAGES_MAX * READINGS_A_MESSAGE
    for concentrator in concentrators:
        concentrator.send_again(since=killed_at - 2 * LOST_S)
    finish(concentrators, account, gateway.log)
