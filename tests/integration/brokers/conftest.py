"""The brokers of deploy/ as their operators run them: TLS, certificates, passwords, access rules, files on disk."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broker_process import KINDS, PASSWORDS, Certificates, ProductionBroker, mosquitto_program

sys.path.append(str(Path(__file__).parents[1] / "gateway"))  # its proxy serves here as well

StartBroker = Callable[..., ProductionBroker]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority with the broker's certificate."""
    made = Certificates(tmp_path_factory.mktemp("authority"))
    made.issue("authority")
    made.issue("server", "localhost", "127.0.0.1")
    return made


@pytest.fixture(scope="session")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Another authority that the broker knows nothing of."""
    made = Certificates(tmp_path_factory.mktemp("other_authority"))
    made.issue("authority")
    return made


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each broker in turn."""
    if request.param == "mosquitto" and not mosquitto_program():
        pytest.skip("no mosquitto: run scripts/mosquitto, or set METERPROOF_MOSQUITTO to its path")
    return str(request.param)


@pytest.fixture
def broker(kind: str, certificates: Certificates, tmp_path: Path) -> Iterator[ProductionBroker]:
    """A broker that wants certificates."""
    yield from _started(KINDS[kind](tmp_path, certificates))


@pytest.fixture
def password_broker(kind: str, certificates: Certificates, tmp_path: Path) -> Iterator[ProductionBroker]:
    """A broker that wants passwords."""
    yield from _started(KINDS[kind](tmp_path, certificates, PASSWORDS))


def _started(broker: ProductionBroker) -> Iterator[ProductionBroker]:
    broker.start()
    yield broker
    broker.stop()
