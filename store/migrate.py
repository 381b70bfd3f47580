"""Brings a database to this software's schema, forward only.

Migrations are the files `store/migrations/NNNN_name.sql`, numbered from 1 without holes. Each runs in one transaction
together with its entry in `schema_migrations`. A file whose first line is `-- no-transaction` holds exactly one
statement that can't run in a transaction and may be repeated (`if not exists`), should the machine fail in between.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from store.errors import MigrationError

MIGRATION_LOCK = 0x6D70_0001  # advisory lock, session-wide: one migration at a time
LOCK_TIMEOUT_S = 30
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_NO_TRANSACTION = "-- no-transaction"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"

    @property
    def in_transaction(self) -> bool:
        return not self.sql.startswith(_NO_TRANSACTION)


def load_migrations() -> list[Migration]:
    """This software's migrations, in order. Raises MigrationError for a wrong name or a hole in the numbers."""
    folder = resources.files("store") / "migrations"
    return parse_migrations({f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".sql")})


def parse_migrations(files: dict[str, str]) -> list[Migration]:
    """Migrations from file names and texts, in order, checked as `load_migrations` says."""
    found = []
    for file_name, text in sorted(files.items()):
        match = _FILE_NAME.fullmatch(file_name)
        if match is None:
            raise MigrationError(f"migration file {file_name!r}: name it NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], text.replace("\r\n", "\n")))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationError(
                f"migration {migration.label}: number {expected:04d} was expected; reinstall the software"
            )
    return found


def migrate(connection: Connection, migrations: list[Migration] | None = None) -> list[str]:
    """Applies what is missing and returns the names; commits file by file. The connection must not be in a transaction.

    Raises MigrationError if the database does not fit: an applied file was changed, a number is missing, or the
    database is newer than this software; psycopg.errors.LockNotAvailable if another migration runs for too long.
    """
    migrations = load_migrations() if migrations is None else migrations
    with connection.transaction():
        connection.execute("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_S}s",))
        connection.execute("select pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    try:
        with connection.transaction():
            connection.execute(
                "create table if not exists schema_migrations ("
                " version integer primary key, name text not null, sha256 text not null,"
                " applied_at timestamptz not null default clock_timestamp())"
            )
        missing = _missing(connection, migrations)
        connection.rollback()
        for migration in missing:
            _apply(connection, migration)
        return [migration.label for migration in missing]
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("select pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
            connection.commit()


def pending_migrations(connection: Connection, migrations: list[Migration] | None = None) -> list[str]:
    """Names of the migrations that this database lacks; changes nothing. Raises MigrationError as `migrate` does."""
    migrations = load_migrations() if migrations is None else migrations
    row = connection.execute("select to_regclass('schema_migrations') is not null").fetchone()
    if row is None or not row[0]:
        return [migration.label for migration in migrations]
    return [migration.label for migration in _missing(connection, migrations)]


def _missing(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    applied = connection.execute("select version, name, sha256 from schema_migrations order by version").fetchall()
    if len(applied) > 0 and applied[-1][0] > len(migrations):
        version, name, _ = applied[-1]
        raise MigrationError(
            f"the database is at migration {version:04d}_{name}, newer than this software's {len(migrations):04d};"
            " install the software's newer version"
        )
    for expected, (version, name, sha256) in zip(migrations, applied, strict=False):
        if version != expected.version:
            raise MigrationError(
                f"the database lacks migration {expected.label} but has {version:04d}_{name}; restore it from a backup"
            )
        if (name, sha256) != (expected.name, expected.sha256):
            raise MigrationError(
                f"migration {expected.label} differs from what the database was made with ({version:04d}_{name},"
                f" sha256 {sha256[:12]}...); install the software that made it, or a newer release"
            )
    return migrations[len(applied) :]


def _apply(connection: Connection, migration: Migration) -> None:
    # The files are part of this software: as trusted as its code.
    statement = migration.sql.encode()  # bytes: psycopg takes them as they are
    try:
        if not migration.in_transaction:
            connection.autocommit = True
            try:
                connection.execute(statement)
            finally:
                connection.autocommit = False
        with connection.transaction():
            # `local`: these end with the transaction.
            connection.execute("select set_config('statement_timeout', '0', true)")
            connection.execute("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_S}s",))
            if migration.in_transaction:
                connection.execute(statement)
            connection.execute(
                "insert into schema_migrations (version, name, sha256) values (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationError(f"migration {migration.label} failed: {str(error).splitlines()[0]}") from error


def schema_snapshot(connection: Connection) -> str:
    """Tables, columns, constraints and indexes of the schema `public` as sorted lines, the same on every server.

    What extensions add of their own is left out.
    """
    return "\n".join(sorted(row[0] for row in connection.execute(_SNAPSHOT).fetchall())) + "\n"


# Since PostgreSQL 18, not-null constraints are listed as well; the columns tell of them already.
_SNAPSHOT = """
    with own (oid, name) as (
        select c.oid, c.relname from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and not exists (
            select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
    select format('table %s column %s: %s%s%s%s', own.name, a.attname, format_type(a.atttypid, a.atttypmod),
                  case when a.attnotnull then ' not null' end,
                  case a.attidentity when 'a' then ' generated always as identity' when 'd' then ' identity' end,
                  ' default ' || pg_get_expr(d.adbin, d.adrelid))
    from own join pg_attribute a on a.attrelid = own.oid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped
    union all
    select format('table %s constraint %s: %s', own.name, k.conname, pg_get_constraintdef(k.oid))
    from own join pg_constraint k on k.conrelid = own.oid where k.contype <> 'n'
    union all
    select format('table %s index %s: %s', own.name, x.indexrelid::regclass, pg_get_indexdef(x.indexrelid))
    from own join pg_index x on x.indrelid = own.oid"""
