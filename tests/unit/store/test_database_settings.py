"""The connection's settings, and which faults are worth waiting out."""

import psycopg
import pytest
from psycopg_pool import PoolTimeout
from pydantic import ValidationError

from store.database import DatabaseSettings, connect, is_transient
from store.errors import StoreError


def test_settings_hide_the_connection_string_and_describe_every_field() -> None:
    settings = DatabaseSettings(dsn="postgresql://u:secret@h/d")
    assert "secret" not in repr(settings)
    assert all(field.description for field in DatabaseSettings.model_fields.values())


@pytest.mark.parametrize("wrong", [{"pool_min": 5, "pool_max": 4}, {"statement_timeout_s": -1}, {"dns": "typo"}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DatabaseSettings.model_validate(wrong)


@pytest.mark.parametrize(("dsn", "complaint"), [("", "is empty"), ("host=h pass word=secret", "can't be read")])
def test_a_connection_string_that_can_not_be_read_is_named_without_showing_it(dsn: str, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint) as caught:
        connect(DatabaseSettings(dsn=dsn))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.CannotConnectNow(),
        psycopg.errors.TooManyConnections(),
        psycopg.errors.DiskFull(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.ConnectionFailure(),
        psycopg.OperationalError("server closed the connection unexpectedly"),
        PoolTimeout("couldn't get a connection after 30.00 sec"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_faults_that_pass(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UniqueViolation(),
        psycopg.errors.UndefinedTable(),
        psycopg.errors.DatabaseDropped(),
        psycopg.errors.InsufficientPrivilege(),
        psycopg.OperationalError('FATAL:  password authentication failed for user "u"'),
        psycopg.OperationalError('FATAL:  database "d" does not exist'),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_faults_that_last(error: Exception) -> None:
    assert not is_transient(error)
