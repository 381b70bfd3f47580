"""Batches: what one transaction of a gateway brought, in commit order for the followers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from store.binary_copy import copy_out
from store.readings import READING, Readings
from store.repeats import REPEAT
from store.times import time_bound

Connection = psycopg.Connection[Any]

MAX_MESSAGES: Final = 32_768  # message_no is a smallint
DIGEST_BYTES: Final = 16
_HEADS_AT_ONCE: Final = 1_000
_RUN_GAP: Final = 64  # batch ids no further apart are read together


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch to be committed; the counts must add up to `readings_in`. Digests: 16 bytes a message, in order."""

    batch_id: int
    gateway: str
    received_at: datetime
    messages: int
    readings_in: int
    stored: int
    duplicates: int
    conflicting: int
    pending: int
    rejected: int
    min_observed_us: int | None
    max_observed_us: int | None
    message_digests: bytes
    archive: bytes | None


@dataclass(frozen=True, slots=True)
class BatchHead:
    """A committed batch without its messages; the times span its stored and conflicting readings (None: no such)."""

    batch_id: int
    commit_seq: int
    gateway: str
    received_at: datetime
    committed_at: datetime
    messages: int
    stored: int
    duplicates: int
    conflicting: int
    min_observed_at: datetime | None
    max_observed_at: datetime | None


def next_batch_id(connection: Connection) -> int:
    """A fresh batch id, for the rows that are written before their batch is committed."""
    row = connection.execute("select nextval(pg_get_serial_sequence('batch', 'batch_id'))").fetchone()
    assert row is not None
    return int(row[0])


def commit_batch(connection: Connection, batch: BatchRow) -> int:
    """Writes the batch and returns its commit_seq. Call it last: until the commit, no other batch can commit."""
    row = connection.execute("update batch_counter set commit_seq = commit_seq + 1 returning commit_seq").fetchone()
    assert row is not None
    commit_seq = int(row[0])
    connection.execute(
        "insert into batch (batch_id, commit_seq, gateway, received_at, messages, readings_in, stored, duplicates,"
        " conflicting, pending, rejected, min_observed_at, max_observed_at, message_digests, archive)"
        " overriding system value values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %b, %b)",
        (
            batch.batch_id,
            commit_seq,
            batch.gateway,
            batch.received_at,
            batch.messages,
            batch.readings_in,
            batch.stored,
            batch.duplicates,
            batch.conflicting,
            batch.pending,
            batch.rejected,
            None if batch.min_observed_us is None else time_bound(batch.min_observed_us),
            None if batch.max_observed_us is None else time_bound(batch.max_observed_us),
            batch.message_digests,
            batch.archive,
        ),
    )
    return commit_seq


def batches_after(connection: Connection, commit_seq: int, max_readings: int) -> list[BatchHead]:
    """The batches after `commit_seq` in commit order, as many as hold `max_readings` stored and conflicting readings.

    At least one if there is any, at most 1,000.
    """
    rows = connection.execute(
        "select batch_id, commit_seq, gateway, received_at, committed_at, messages, stored, duplicates, conflicting,"
        " min_observed_at, max_observed_at from batch where commit_seq > %s order by commit_seq limit %s",
        (commit_seq, _HEADS_AT_ONCE),
    ).fetchall()
    heads: list[BatchHead] = []
    readings = 0
    for row in rows:
        head = BatchHead(*row)
        readings += head.stored + head.conflicting
        if heads and readings > max_readings:
            break
        heads.append(head)
    return heads


def last_commit_seq(connection: Connection) -> int:
    """The commit_seq of the latest committed batch; 0 before the first."""
    row = connection.execute("select commit_seq from batch_counter").fetchone()
    return 0 if row is None else int(row[0])


def readings_of_batches(connection: Connection, batch_ids: Sequence[int]) -> Readings:
    """The readings that these batches stored, as a READING array sorted by meter and time."""
    return _rows_of_batches(connection, sql.Identifier("reading"), batch_ids)


def conflicts_of_batches(connection: Connection, batch_ids: Sequence[int]) -> Readings:
    """The conflicting readings that these batches brought, as a READING array sorted by meter and time."""
    return _rows_of_batches(connection, sql.Identifier("reading_conflict"), batch_ids)


def repeats_of_batches(connection: Connection, batch_ids: Sequence[int]) -> Readings:
    """The repetitions that these batches brought, as a REPEAT array sorted by meter and time."""
    with connection.cursor() as cursor:
        rows = copy_out(
            cursor,
            "select first_at, last_at, batch_id, meter_id, readings, message_digest from reading_repeat"
            " where batch_id = any(%s)",
            (list(batch_ids),),
            REPEAT,
        )
    return rows[np.lexsort((rows["first_us"], rows["meter_id"]))]


def _rows_of_batches(connection: Connection, table: sql.Identifier, batch_ids: Sequence[int]) -> Readings:
    ids = np.unique(np.asarray(batch_ids, dtype=np.int64))
    # The block-range index is read once a query: neighbouring batches share one.
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > _RUN_GAP) + 1) if len(ids) else []
    rows = np.concatenate([np.empty(0, READING), *(_rows_of_run(connection, table, run) for run in runs)])
    return rows[np.lexsort((rows["observed_us"], rows["meter_id"]))]


def _rows_of_run(connection: Connection, table: sql.Identifier, ids: NDArray[np.int64]) -> Readings:
    span = connection.execute(
        "select min(min_observed_at), max(max_observed_at) from batch where batch_id = any(%s)", (ids.tolist(),)
    ).fetchone()
    if span is None or span[0] is None:
        return np.empty(0, READING)
    # The range of times leaves other chunks of a hypertable alone.
    query = sql.SQL(
        "select observed_at, register_micro, batch_id, meter_id, status, message_no from {}"
        " where batch_id between %s and %s and observed_at between %s and %s"
    ).format(table)
    with connection.cursor() as cursor:
        rows = copy_out(cursor, query, (int(ids[0]), int(ids[-1]), *span), READING)
    return rows[np.isin(rows["batch_id"], ids)]
