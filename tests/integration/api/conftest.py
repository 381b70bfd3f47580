"""The interface on a free port over a seeded database, asked through real HTTP."""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from seeded_city import City, seed_city

from api.app import create_app
from api.settings import ApiSettings
from store.database import DatabaseSettings, open_pool
from store.migrate import migrate

VERSION = "0.1.0"


@dataclass
class Running:
    """A running interface: its address, a client, and what the database holds."""

    url: str
    client: httpx.Client
    dsn: str
    city: City

    def query(self, text: str, *params: object) -> list[Any]:
        """Rows straight from the database."""
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(text, params).fetchall()


@contextmanager
def serve(dsn: str, **settings: Any) -> Iterator[str]:
    """Serves the application on a free port; yields its address."""
    pool = open_pool(DatabaseSettings(dsn=dsn, pool_min=1, pool_max=4, connect_timeout_s=2))
    app = create_app(ApiSettings(**settings), pool, CollectorRegistry(), VERSION)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive(), "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        pool.close()


@pytest.fixture
def running(migrated_dsn: str) -> Iterator[Running]:
    """The interface over the seeded city."""
    with psycopg.connect(migrated_dsn) as conn:
        city = seed_city(conn)
    with serve(migrated_dsn, language="en") as url, httpx.Client(base_url=url, timeout=10) as client:
        yield Running(url, client, migrated_dsn, city)


@pytest.fixture(scope="session")
def shared(postgres_server: str) -> Iterator[Running]:
    """The same, once for all tests that change nothing."""
    name = f"mp_api_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as conn:
        conn.execute(f"create database {name}")
    dsn = psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(dsn) as conn:
        migrate(conn)
        city = seed_city(conn)
    with serve(dsn, language="en") as url, httpx.Client(base_url=url, timeout=10) as client:
        yield Running(url, client, dsn, city)
    with psycopg.connect(postgres_server, autocommit=True) as conn:
        conn.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def serving() -> Callable[..., Any]:
    """Serves another database, or none."""
    return serve
