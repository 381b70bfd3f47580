"""The schema after all migrations is the committed one, so that no change of it goes unseen.

After a new migration, renew the snapshot and commit it with the migration:

    METERPROOF_RENEW_SNAPSHOT=1 .venv/bin/python -m pytest tests/migration/test_schema_snapshot.py
"""

import os
from pathlib import Path

import psycopg

from store.migrate import schema_snapshot

SNAPSHOT = Path(__file__).with_name("schema.txt")


def test_the_schema_is_the_committed_one(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        schema = schema_snapshot(connection)
    if os.environ.get("METERPROOF_RENEW_SNAPSHOT") == "1":
        SNAPSHOT.write_text(schema, "utf-8")
    assert schema.splitlines() == SNAPSHOT.read_text("utf-8").splitlines()


def test_the_snapshot_shows_what_a_change_changes(migrated_dsn: str) -> None:
    changes = [
        "alter table reading alter column status drop not null",
        "alter table batch add column note text default 'x'",
        "create index on finding (severity)",
        "alter table zone drop constraint zone_interval_s_check",
    ]
    with psycopg.connect(migrated_dsn) as connection:
        seen = {schema_snapshot(connection)}
        for change in changes:
            connection.execute(change.encode())
            seen.add(schema_snapshot(connection))
        connection.rollback()
    assert len(seen) == 1 + len(changes)
