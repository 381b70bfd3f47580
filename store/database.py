"""Connections to PostgreSQL: opening them, and telling passing faults from lasting ones."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from store.errors import StoreError
from store.settings import DatabaseSettings

__all__ = ["DatabaseSettings", "connect", "is_transient", "open_pool"]

Connection = psycopg.Connection[Any]

# Classes of SQLSTATE after which the same transaction may well succeed: connection lost, rolled back by the server
# (serialization, deadlock), out of resources, the operator intervened (shutdown, start-up).
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57"})
_TRANSIENT_STATES = frozenset({"55P03"})  # a lock was not had in time
_LASTING_STATES = frozenset({"57P04"})  # the database was dropped
# A refused connection carries no SQLSTATE, only the server's words.
_LASTING_REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")


def connect(settings: DatabaseSettings) -> Connection:
    """One connection, autocommit off, in UTC, with the settings' time limits.

    Raises StoreError for a connection string that can't be read and psycopg.OperationalError if the server can't be
    reached (see `is_transient`).
    """
    connection: Connection = psycopg.connect(_conninfo(settings), **_arguments(settings))
    _configure(settings, connection)
    return connection


def open_pool(settings: DatabaseSettings) -> ConnectionPool[Connection]:
    """A pool of such connections. It opens at once and connects in the background: the server may still be away."""
    return ConnectionPool(
        _conninfo(settings),
        kwargs=_arguments(settings),
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=settings.pool_timeout_s,
        configure=lambda connection: _configure(settings, connection),
        # After a restart of the server the pool's connections are dead; find out before handing one over.
        check=ConnectionPool.check_connection,
        name=settings.application_name,
        open=True,
    )


def is_transient(error: BaseException) -> bool:
    """True if trying again later may help: the server is away, restarting, overloaded, or ended a deadlock."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        text = str(error)
        return isinstance(error, psycopg.OperationalError) and not any(words in text for words in _LASTING_REFUSALS)
    if state in _LASTING_STATES:
        return False
    return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES


def _conninfo(settings: DatabaseSettings) -> str:
    if not settings.dsn:
        raise StoreError("database.dsn is empty; give a connection string such as postgresql://user@host/meterproof")
    try:
        conninfo_to_dict(settings.dsn)
    except psycopg.ProgrammingError as error:
        # The string itself may hold a password, so it isn't shown.
        raise StoreError(
            f"database.dsn can't be read ({str(error).splitlines()[0]}); write it as postgresql://user@host/meterproof"
        ) from None
    return settings.dsn


def _arguments(settings: DatabaseSettings) -> dict[str, Any]:
    return {"connect_timeout": settings.connect_timeout_s, "application_name": settings.application_name}


def _configure(settings: DatabaseSettings, connection: Connection) -> None:
    limits_ms = {
        "statement_timeout": settings.statement_timeout_s,
        "lock_timeout": settings.lock_timeout_s,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout_s,
    }
    connection.execute("select set_config('TimeZone', 'UTC', false)")
    for name, limit_s in limits_ms.items():
        connection.execute("select set_config(%s, %s, false)", (name, str(round(limit_s * 1000))))
    connection.commit()
