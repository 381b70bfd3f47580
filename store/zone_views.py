"""What the latest day says of a zone's meters, and of one meter, for people to look at."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from store.query import Row, fetch_rows


def list_zone_estimates(
    conn: psycopg.Connection[Any], zone_id: int, window_end: datetime | None, limit: int
) -> list[Row]:
    """A zone's assessments at a day's end, by error, the greatest first, those without an error last.

    Without a `window_end` [aware], those of the last day that has any.
    """
    query = sql.SQL("""
        select m.meter_id, u.code as utility, m.serial, s.window_end, s.error_pct, s.std_pct, s.mpe_pct,
               s.p_nonconforming, s.outcome, s.reasons, s.change_at, s.decidable
        from assessment s
        join meter m on m.meter_id = s.meter_id
        join utility u on u.utility_id = m.utility_id
        where s.zone_id = %(zone_id)s and s.window_end = coalesce(
            %(window_end)s::timestamptz, (select max(window_end) from assessment where zone_id = %(zone_id)s))
        order by s.error_pct desc nulls last, m.serial limit %(limit)s
    """)
    return fetch_rows(conn, query, {"zone_id": zone_id, "window_end": window_end, "limit": limit})


def count_zone_estimates(conn: psycopg.Connection[Any], zone_id: int, window_end: datetime) -> int:
    """How many meters of a zone were assessed at a day's end."""
    query = sql.SQL(
        "select count(*) as meters from assessment where zone_id = %(zone_id)s and window_end = %(window_end)s"
    )
    return int(fetch_rows(conn, query, {"zone_id": zone_id, "window_end": window_end})[0]["meters"])


def latest_estimate(conn: psycopg.Connection[Any], meter_id: int) -> Row | None:
    """A meter's assessment of its last day, or None; of nested zones on one day, the one that estimated it better."""
    query = sql.SQL("""
        select u.code as utility, z.code as zone, z.medium, z.interval_s, s.window_start, s.window_end, s.error_pct,
               s.std_pct, s.mpe_pct, s.p_nonconforming, s.outcome, s.reasons, s.change_at, s.decidable,
               s.contributions_pct, s.assessed_at, s.software_version
        from assessment s
        join zone z on z.zone_id = s.zone_id
        join utility u on u.utility_id = z.utility_id
        where s.meter_id = %(meter_id)s
        order by s.window_end desc, s.std_pct nulls last, z.zone_id limit 1
    """)
    return next(iter(fetch_rows(conn, query, {"meter_id": meter_id})), None)


def meter_serials(conn: psycopg.Connection[Any], meter_ids: Collection[int]) -> dict[int, str]:
    """The serials of some meters."""
    query = sql.SQL("select meter_id, serial from meter where meter_id = any(%(meter_ids)s)")
    rows = fetch_rows(conn, query, {"meter_ids": list(meter_ids)}) if meter_ids else []
    return {row["meter_id"]: row["serial"] for row in rows}
