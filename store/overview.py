"""Figures for the summary, the readiness check and the metrics, each at a bounded cost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from store.query import Row, fetch_rows


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """Sums over the batches up to `commit_seq`; batches never change, so later ones can be added to them."""

    commit_seq: int = 0
    batches: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0
    rejected: int = 0
    last_committed_at: datetime | None = None


def add_batch_totals(conn: psycopg.Connection[Any], totals: BatchTotals) -> BatchTotals:
    """`totals` and all batches committed since, read by the index on commit_seq."""
    row = conn.execute(
        """select coalesce(max(commit_seq), %(seq)s), count(*), coalesce(sum(stored), 0), coalesce(sum(duplicates), 0),
                  coalesce(sum(conflicting), 0), coalesce(sum(rejected), 0), max(committed_at)
           from batch where commit_seq > %(seq)s""",
        {"seq": totals.commit_seq},
    ).fetchone()
    assert row is not None  # an aggregate without group by has one row
    seq, batches, stored, duplicates, conflicting, rejected, last = row
    return BatchTotals(
        int(seq),
        totals.batches + int(batches),
        totals.stored + int(stored),
        totals.duplicates + int(duplicates),
        totals.conflicting + int(conflicting),
        totals.rejected + int(rejected),
        last or totals.last_committed_at,
    )


def count_waiting(conn: psycopg.Connection[Any], at_most: int) -> Row:
    """Open quarantine entries, readings of unregistered meters, alerts at work; each count stops at `at_most`."""
    query = sql.SQL("""
        select (select count(*) from (select from quarantine where state = 'open' limit %(n)s) q) as quarantined,
               (select count(*) from (select from pending_reading limit %(n)s) p) as pending,
               (select count(*) from (select from alert where state = 'open' limit %(n)s) a) as open_alerts,
               (select count(*) from (select from alert where state = 'acknowledged' limit %(n)s) a)
                   as acknowledged_alerts
    """)
    return fetch_rows(conn, query, {"n": at_most})[0]


def count_open_alerts(conn: psycopg.Connection[Any]) -> list[Row]:
    """Open alerts by kind and severity."""
    query = sql.SQL("select kind, severity, count(*) as alerts from alert where state = 'open' group by 1, 2")
    return fetch_rows(conn, query, {})


def follower_lags(conn: psycopg.Connection[Any]) -> list[Row]:
    """How far each follower lags behind the committed batches: `lag_batches`, and `lag_s`, the age of the oldest one it
    has not dealt with [s]."""
    query = sql.SQL("""
        select f.follower, f.commit_seq, c.commit_seq - f.commit_seq as lag_batches, f.updated_at,
               coalesce(extract(epoch from clock_timestamp() - (
                   select b.committed_at from batch b where b.commit_seq > f.commit_seq order by b.commit_seq limit 1
               )), 0)::double precision as lag_s
        from follower_cursor f, batch_counter c order by f.follower
    """)
    return fetch_rows(conn, query, {})
