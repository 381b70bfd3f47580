"""Real servers for the tests: a PostgreSQL (or a TimescaleDB, by METERPROOF_TEST_DSN), a broker, a browser.

A test that needs a database gets an empty one of its own. In CI (CI=true) a test that would be skipped fails instead.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from meterproof.embedded.broker import EmbeddedBroker
from meterproof.embedded.postgres import EmbeddedPostgres
from store.migrate import migrate

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
# Tests lose nothing by a crash of the machine, so they need not wait for the disk.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skip is a failure, but for tests on data that lie outside of the project and may not be there."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not _on_outside_data(item):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


def _on_outside_data(item: pytest.Item) -> bool:
    return "swm_file" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a server's maintenance database, whose user may create databases."""
    given = os.environ.get("METERPROOF_TEST_DSN")
    if given:
        yield given
        return
    # Not below pytest's private folder when run as root: another account runs the server.
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), options=FAST)
    server.start()
    yield server.dsn()
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def _make_database(server_dsn: str, template: str | None = None) -> str:
    name = f"mp_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"create database {name}" + (f" template {template}" if template else ""))
    return psycopg.conninfo.make_conninfo(server_dsn, dbname=name)


def _drop_database(server_dsn: str, dsn: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """The DSN of a fresh, empty database."""
    dsn = _make_database(postgres_server)
    yield dsn
    _drop_database(postgres_server, dsn)


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: str) -> Iterator[str]:
    dsn = _make_database(postgres_server)
    with psycopg.connect(dsn) as conn:
        migrate(conn)
    yield dsn
    _drop_database(postgres_server, dsn)


@pytest.fixture
def migrated_dsn(postgres_server: str, _migrated_template: str) -> Iterator[str]:
    """The DSN of a fresh database with the schema in place."""
    with psycopg.connect(postgres_server) as conn:
        has_timescale = conn.execute(
            "select current_setting('shared_preload_libraries') like '%timescaledb%'"
        ).fetchone()
    if has_timescale and has_timescale[0]:
        # TimescaleDB's workers hold a template open, so it can't be copied.
        dsn = _make_database(postgres_server)
        with psycopg.connect(dsn) as conn:
            migrate(conn)
    else:
        dsn = _make_database(postgres_server, str(psycopg.conninfo.conninfo_to_dict(_migrated_template)["dbname"]))
    yield dsn
    _drop_database(postgres_server, dsn)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of the test's own, which it may stop, kill and start again."""
    server = EmbeddedBroker(tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mqtt_url(broker: EmbeddedBroker) -> str:
    """The address of the test's own broker."""
    return broker.url


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to run headless; scripts/browser installs it."""
    for name in (os.environ.get("METERPROOF_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    pytest.skip("no Chromium: run scripts/browser, or set METERPROOF_CHROMIUM to its path")


@pytest.fixture
def swm_file() -> Path:
    """The year of real water meters, where it lies beside the project."""
    path = SHARED_DATA / "swm_trialA.zip"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    return path
