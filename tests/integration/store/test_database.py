"""Connections with their limits, and faults as a real server raises them."""

import psycopg
import pytest

from store.database import DatabaseSettings, connect, is_transient, open_pool


def test_connections_speak_utc_and_have_their_limits(migrated_dsn: str) -> None:
    settings = DatabaseSettings(dsn=migrated_dsn, statement_timeout_s=7.5, lock_timeout_s=3, application_name="probe")
    names = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
    query = "select " + ", ".join(f"current_setting('{name}')" for name in names)
    expected = ("UTC", "7500ms", "3s", "10min", "probe")
    with connect(settings) as connection:
        assert not connection.autocommit
        assert connection.execute(query.encode()).fetchone() == expected
    with open_pool(settings) as pool, pool.connection() as connection:
        assert connection.execute(query.encode()).fetchone() == expected


def test_the_pool_replaces_a_connection_that_died(migrated_dsn: str) -> None:
    with open_pool(DatabaseSettings(dsn=migrated_dsn, pool_max=1)) as pool:
        with pool.connection() as connection:
            killed = connection.info.backend_pid
        with psycopg.connect(migrated_dsn, autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s, 5000)", (killed,))
        with pool.connection() as connection:
            assert connection.info.backend_pid != killed


def test_a_connection_that_is_cut_in_a_transaction_is_a_passing_fault(migrated_dsn: str) -> None:
    with connect(DatabaseSettings(dsn=migrated_dsn)) as connection:
        connection.execute("select 1")
        with psycopg.connect(migrated_dsn, autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute("select 1")
        assert is_transient(caught.value)
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute("select 1")
        assert is_transient(caught.value)


def test_a_server_that_is_away_passes_and_a_database_that_is_not_there_lasts(migrated_dsn: str) -> None:
    away = psycopg.conninfo.make_conninfo(migrated_dsn, port=1)
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(DatabaseSettings(dsn=away))
    assert is_transient(caught.value)
    absent = psycopg.conninfo.make_conninfo(migrated_dsn, dbname="absent")
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(DatabaseSettings(dsn=absent))
    assert not is_transient(caught.value)


def test_a_statement_that_takes_too_long_is_a_passing_fault(migrated_dsn: str) -> None:
    with connect(DatabaseSettings(dsn=migrated_dsn, statement_timeout_s=0.05)) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled) as caught:
            connection.execute("select pg_sleep(5)")
        assert is_transient(caught.value)
