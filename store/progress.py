"""How far the system has come: what a sender asks who waits until its messages are stored and verified."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

Connection = psycopg.Connection[Any]
VERIFIER: Final = "verifier"  # the follower's name in follower_cursor


@dataclass(frozen=True, slots=True)
class Progress:
    """The last committed batch, the last one verified, and what arrived so far."""

    commit_seq: int
    verified_seq: int
    readings_in: int
    quarantined: int


def system_progress(connection: Connection, since_seq: int = 0) -> Progress:
    """Progress so far; `readings_in` counts the batches after `since_seq` only."""
    row = connection.execute(
        "select (select commit_seq from batch_counter),"
        " coalesce((select commit_seq from follower_cursor where follower = %s), 0),"
        " coalesce((select sum(readings_in) from batch where commit_seq > %s), 0),"
        " (select count(*) from quarantine)",
        (VERIFIER, since_seq),
    ).fetchone()
    assert row is not None  # a select without a table has one row
    return Progress(*(int(value) for value in row))


def quarantined_rows(connection: Connection, digests: Sequence[bytes]) -> list[tuple[bytes, tuple[int, ...] | None]]:
    """Of these messages, those in quarantine: digest and the rows concerned (None: the whole message)."""
    rows = connection.execute(
        "select message_digest, rows from quarantine where message_digest = any(%s)", (list(digests),)
    ).fetchall()
    return [(bytes(digest), None if numbers is None else tuple(numbers)) for digest, numbers in rows]


def findings_by_kind(
    connection: Connection, utility: str | None = None, serials: Sequence[str] | None = None
) -> dict[str, int]:
    """How many findings are in force, by kind; of these meters only, if given."""
    rows = connection.execute(
        "select f.kind, count(*) from finding f join utility u using (utility_id) left join meter m using (meter_id)"
        " where f.superseded_at is null and (%(utility)s::text is null or u.code = %(utility)s)"
        " and (%(serials)s::text[] is null or m.serial = any(%(serials)s)) group by f.kind order by f.kind",
        {"utility": utility, "serials": None if serials is None else list(serials)},
    ).fetchall()
    return dict(rows)


def alerts_for_scoring(connection: Connection, utility: str | None = None) -> list[dict[str, Any]]:
    """Every alert that stands: kind, utility, meter, zone, starts_at, last_at, opened_at, state, told_at.

    `told_at` is the time of the last reading that its first finding needed, None for an alert without one in force.
    """
    names = ("kind", "utility", "meter", "zone", "starts_at", "last_at", "opened_at", "state", "told_at")
    rows = connection.execute(
        "select a.kind, u.code, m.serial, z.code, a.starts_at, a.last_at, a.opened_at, a.state,"
        " (select min(f.ends_at) from finding f where f.kind = a.kind and f.superseded_at is null"
        "   and f.meter_id is not distinct from a.meter_id and f.starts_at >= a.starts_at)"
        " from alert a"
        " join utility u using (utility_id) left join meter m using (meter_id)"
        " left join zone z on z.zone_id = a.zone_id"
        " where a.state <> 'withdrawn' and (%(utility)s::text is null or u.code = %(utility)s) order by a.alert_id",
        {"utility": utility},
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]
