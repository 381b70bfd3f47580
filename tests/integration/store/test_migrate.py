"""The migration runner on a real database: forward only, and it refuses what doesn't fit."""

import threading
from typing import Any

import psycopg
import pytest

from store.errors import MigrationError
from store.migrate import MIGRATION_LOCK, Migration, load_migrations, migrate, parse_migrations, pending_migrations

FILES = {"0001_first.sql": "create table a (i integer);", "0002_second.sql": "create table b (i integer);"}


def tables(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    connection.rollback()
    return {row[0] for row in rows}


def test_own_migrations_apply_once(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        names = [migration.label for migration in load_migrations()]
        assert pending_migrations(connection) == names
        connection.rollback()
        assert migrate(connection) == names
        assert migrate(connection) == []
        assert pending_migrations(connection) == []


def test_later_files_are_applied_in_order_and_committed_one_by_one(postgres_dsn: str) -> None:
    broken = FILES | {"0003_third.sql": "create table c (i integer); select 1 / 0;"}
    with psycopg.connect(postgres_dsn) as connection:
        assert migrate(connection, parse_migrations({"0001_first.sql": FILES["0001_first.sql"]})) == ["0001_first"]
        with pytest.raises(MigrationError, match="0003_third failed: division by zero"):
            migrate(connection, parse_migrations(broken))
        assert tables(connection) == {"a", "b", "schema_migrations"}
        assert pending_migrations(connection, parse_migrations(broken)) == ["0003_third"]


def test_a_file_without_transaction_runs_outside_of_one(postgres_dsn: str) -> None:
    files = FILES | {"0003_index.sql": "-- no-transaction\ncreate index concurrently if not exists ai on a (i);"}
    with psycopg.connect(postgres_dsn) as connection:
        assert migrate(connection, parse_migrations(files))[-1] == "0003_index"
        assert not connection.autocommit
        assert migrate(connection, parse_migrations(files)) == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"0001_first.sql": "create table a (j integer);", **dict(list(FILES.items())[1:])}, "0001_first differs"),
        ({"0001_renamed.sql": FILES["0001_first.sql"]} | dict(list(FILES.items())[1:]), "0001_renamed differs"),
        ({"0001_first.sql": FILES["0001_first.sql"]}, "newer than this software's 0001"),
    ],
    ids=["changed", "renamed", "newer database"],
)
def test_a_database_that_does_not_fit_is_refused(postgres_dsn: str, files: dict[str, str], complaint: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        migrate(connection, parse_migrations(FILES))
        for function in (migrate, pending_migrations):
            with pytest.raises(MigrationError, match=complaint):
                function(connection, parse_migrations(files))
            connection.rollback()


def test_a_hole_in_the_applied_numbers_is_refused(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        migrate(connection, parse_migrations(FILES))
        connection.execute("delete from schema_migrations where version = 1")
        connection.commit()
        with pytest.raises(MigrationError, match="lacks migration 0001_first but has 0002_second"):
            migrate(connection, parse_migrations(FILES))


@pytest.mark.parametrize(
    "names", [["0001_a.sql", "0003_c.sql"], ["0002_b.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]]
)
def test_file_names_must_count_from_one(names: list[str]) -> None:
    with pytest.raises(MigrationError):
        parse_migrations(dict.fromkeys(names, "select 1"))


def test_line_ends_do_not_change_the_checksum() -> None:
    (unix,), (windows,) = parse_migrations({"0001_a.sql": "a\nb"}), parse_migrations({"0001_a.sql": "a\r\nb"})
    assert unix.sha256 == windows.sha256 != Migration(1, "a", "a b").sha256


def test_two_processes_migrate_one_after_the_other(postgres_dsn: str) -> None:
    applied = list[list[str]]()

    def run() -> None:
        with psycopg.connect(postgres_dsn) as connection:
            applied.append(migrate(connection, parse_migrations(FILES)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(applied) == [[], [], ["0001_first", "0002_second"]]


def test_a_migration_that_can_not_have_the_lock_gives_up(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.migrate.LOCK_TIMEOUT_S", 0.2)
    with psycopg.connect(postgres_dsn) as holder, psycopg.connect(postgres_dsn) as connection:
        holder.execute("select pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(connection, parse_migrations(FILES))
        assert tables(connection) == set()


def test_places_get_the_medium_of_what_they_hold(postgres_dsn: str) -> None:
    """A registry written before places were told apart by medium keeps what it held."""
    with psycopg.connect(postgres_dsn) as connection:
        for migration in load_migrations():
            if migration.label == "0005_place_per_medium":
                connection.execute(
                    "insert into utility (code) values ('u');"
                    " insert into service_point (utility_id, code) values (1, 'P');"
                    " insert into zone (utility_id, code, medium) values (1, 'Z', 'water');"
                    " insert into zone_membership (zone_id, service_point_id) values (1, 1);"
                    " insert into meter (utility_id, serial, medium, unit, resolution_micro)"
                    "  values (1, 'G', 'gas', 'm3', 1000);"
                    " insert into installation (meter_id, service_point_id, role, during)"
                    "  values (1, 1, 'customer', '(,)')"
                )
            if migration.in_transaction:
                connection.execute(migration.sql.encode())
        media = "select (select medium from installation), (select medium from zone_membership)"
        assert connection.execute(media).fetchone() == ("gas", "water")
