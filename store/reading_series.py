"""A meter's readings for lists and charts: page by page, or thinned out in the database."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from store.query import Row, fetch_rows

_PAGE = sql.SQL("""
    select observed_at, register_micro, status, batch_id, message_no from reading
    where meter_id = %(meter_id)s and observed_at >= %(start)s and observed_at < %(end)s
    order by observed_at limit %(limit)s
""")
_CONFLICTS = sql.SQL("""
    select observed_at, register_micro, status, batch_id, message_no from reading_conflict
    where meter_id = %(meter_id)s and observed_at between %(start)s and %(end)s
    order by observed_at, register_micro limit %(limit)s
""")
# Of each bucket the extremes (so that a spike is never thinned away) and the first and last reading.
_BUCKETS = sql.SQL("""
    select date_bin(%(width)s, observed_at, %(start)s) as bucket_start, count(*) as readings,
           min(register_micro) as min_micro, max(register_micro) as max_micro,
           min(observed_at) as first_at, max(observed_at) as last_at,
           (array_agg(observed_at order by register_micro, observed_at))[1] as min_at,
           (array_agg(observed_at order by register_micro desc, observed_at))[1] as max_at,
           (array_agg(register_micro order by observed_at))[1] as first_micro,
           (array_agg(register_micro order by observed_at desc))[1] as last_micro
    from reading
    where meter_id = %(meter_id)s and observed_at >= %(start)s and observed_at < %(end)s
    group by 1 order by 1
""")


def list_readings(
    conn: psycopg.Connection[Any], meter_id: int, start: datetime, end: datetime, limit: int
) -> list[Row]:
    """Readings of one meter in [start, end) in order of time, at most `limit`."""
    return fetch_rows(conn, _PAGE, {"meter_id": meter_id, "start": start, "end": end, "limit": limit})


def list_conflicting(
    conn: psycopg.Connection[Any], meter_id: int, start: datetime, end: datetime, limit: int
) -> list[Row]:
    """The other values that arrived for times in [start, end] (both included)."""
    return fetch_rows(conn, _CONFLICTS, {"meter_id": meter_id, "start": start, "end": end, "limit": limit})


def count_readings(conn: psycopg.Connection[Any], meter_id: int, start: datetime, end: datetime, at_most: int) -> int:
    """How many readings lie in [start, end); counting stops at `at_most`."""
    row = conn.execute(
        """select count(*) from (select from reading where meter_id = %s and observed_at >= %s and observed_at < %s
           limit %s) counted""",
        (meter_id, start, end, at_most),
    ).fetchone()
    return int(row[0]) if row else 0


def reading_span(conn: psycopg.Connection[Any], meter_id: int) -> tuple[datetime, datetime] | None:
    """Times of the first and the last reading of a meter, or None where there are none."""
    row = conn.execute(
        """select (select observed_at from reading where meter_id = %(m)s order by observed_at limit 1),
                  (select observed_at from reading where meter_id = %(m)s order by observed_at desc limit 1)""",
        {"m": meter_id},
    ).fetchone()
    return (row[0], row[1]) if row and row[0] is not None else None


def latest_reading(conn: psycopg.Connection[Any], meter_id: int) -> Row | None:
    """The reading with the latest time, or None."""
    query = sql.SQL("""select observed_at, register_micro, status, batch_id, message_no from reading
               where meter_id = %(meter_id)s order by observed_at desc limit 1""")
    return next(iter(fetch_rows(conn, query, {"meter_id": meter_id})), None)


def downsample(
    conn: psycopg.Connection[Any], meter_id: int, start: datetime, end: datetime, width: timedelta
) -> list[Row]:
    """Readings in [start, end) in buckets of `width` from `start` on; buckets without readings are left out."""
    return fetch_rows(conn, _BUCKETS, {"meter_id": meter_id, "start": start, "end": end, "width": width})
