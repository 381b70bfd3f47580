"""A connection to a fresh schema, with a utility and a few meters."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(migrated_dsn: str) -> Iterator[Connection]:
    """An open connection to a database with the schema in place."""
    with psycopg.connect(migrated_dsn) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def five_meters(connection: Connection) -> Connection:
    """The connection; its registry has the utility `u` and meters 1 to 5 (serials m1 to m5)."""
    connection.execute("insert into utility (code) values ('u')")
    connection.execute(
        "insert into meter (utility_id, serial, medium, unit, resolution_micro)"
        " select 1, 'm' || i, 'water', 'm3', 1000 from generate_series(1, 5) i"
    )
    connection.commit()
    return connection
