"""Readings of meters that the registry doesn't know yet: kept, and released when the meter is registered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg

from store.archive import MessageReference, pack
from store.batches import BatchRow, commit_batch, next_batch_id
from store.binary_copy import copy_out
from store.readings import READING, Readings, insert_readings
from store.times import to_datetime

Connection = psycopg.Connection[Any]

RELEASING_GATEWAY: Final = "registry"  # the gateway's name in batches that release pending readings
_MESSAGES_A_BATCH: Final = 10_000
_READINGS_A_BATCH: Final = 500_000


class PendingRow(NamedTuple):
    """A reading as READING has it, with the meter's name for its id."""

    utility_id: int
    serial: str
    medium: str
    observed_us: int
    register_micro: int
    status: int
    batch_id: int
    message_no: int


@dataclass(frozen=True, slots=True)
class PendingCounts:
    """Rows newly kept, and rows that were kept already."""

    pending: int
    duplicates: int


def insert_pending(connection: Connection, rows: Sequence[PendingRow]) -> PendingCounts:
    """Keeps the rows until their meters are registered; each (meter, medium, time, register, status) once.

    Raises OverflowError for times outside of the years 1 to 9999.
    """
    if not rows:
        return PendingCounts(0, 0)
    columns = list(zip(*rows, strict=True))
    columns[3] = tuple(to_datetime(time_us) for time_us in columns[3])
    inserted = connection.execute(
        "insert into pending_reading"
        " (utility_id, serial, medium, observed_at, register_micro, status, batch_id, message_no)"
        # A fixed order: transactions that share rows can't deadlock. Of equal rows the earliest message's is kept.
        " select * from unnest(%b::integer[], %b::text[], %b::text[], %b::timestamptz[], %b::bigint[], %b::smallint[],"
        " %b::bigint[], %b::smallint[])"
        " as p (utility_id, serial, medium, observed_at, register_micro, status, batch_id, message_no)"
        " order by utility_id, serial, medium, observed_at, register_micro, status, message_no"
        " on conflict do nothing",
        [list(column) for column in columns],
    ).rowcount
    return PendingCounts(inserted, len(rows) - inserted)


def release_pending(connection: Connection, utility_id: int) -> int:
    """Moves what is pending of the utility's registered meters into `reading`, in batches of its own; returns how many.

    The caller holds the registry's lock. Rows of another medium than the registered meter's stay pending.
    """
    released = 0
    while part := _take_part(connection, utility_id):
        rows, digests, sources, received_at = part
        batch_id = next_batch_id(connection)
        rows["batch_id"] = batch_id
        counts = insert_readings(connection, rows, digests)
        commit_batch(
            connection,
            BatchRow(
                batch_id=batch_id,
                gateway=RELEASING_GATEWAY,
                received_at=received_at,
                messages=len(sources),
                readings_in=len(rows),
                stored=counts.stored,
                duplicates=counts.duplicates,
                conflicting=counts.conflicting,
                pending=0,
                rejected=0,
                min_observed_us=counts.min_observed_us,
                max_observed_us=counts.max_observed_us,
                message_digests=digests,
                archive=pack(sources),
            ),
        )
        released += len(rows)
    return released


def _take_part(
    connection: Connection, utility_id: int
) -> tuple[Readings, bytes, list[MessageReference], datetime] | None:
    """Removes the oldest messages' releasable rows; returns them in order of arrival, their messages renumbered."""
    messages = connection.execute(
        "select batch_id, message_no, rows, substring(message_digests from message_no * 16 + 1 for 16), received_at"
        " from (select p.batch_id, p.message_no, count(*) as rows from pending_reading p"
        "  join meter using (utility_id, serial, medium) where utility_id = %s"
        "  group by p.batch_id, p.message_no order by p.batch_id, p.message_no limit %s) m join batch using (batch_id)"
        " order by batch_id, message_no",
        (utility_id, _MESSAGES_A_BATCH),
    ).fetchall()
    if not messages:
        return None
    room = np.cumsum([message[2] for message in messages]) <= _READINGS_A_BATCH
    messages = messages[: max(1, int(room.sum()))]
    with connection.cursor() as cursor:
        rows = copy_out(
            cursor,
            "with gone as (delete from pending_reading p using meter m where p.utility_id = %s"
            "  and (m.utility_id, m.serial, m.medium) = (p.utility_id, p.serial, p.medium)"
            "  and (p.batch_id, p.message_no) <= (%s, %s) returning p.*, m.meter_id)"
            " select observed_at, register_micro, batch_id, meter_id, status, message_no from gone"
            " order by batch_id, message_no, observed_at, register_micro, status",
            (utility_id, messages[-1][0], messages[-1][1]),
            READING,
        )
    starts = np.ones(len(rows), dtype=np.bool_)
    starts[1:] = (np.diff(rows["batch_id"]) != 0) | (np.diff(rows["message_no"]) != 0)
    rows["message_no"] = np.cumsum(starts) - 1
    digests = b"".join(bytes(message[3]) for message in messages)
    sources = [MessageReference(message[0], message[1]) for message in messages]
    return rows, digests, sources, max(message[4] for message in messages)


def count_pending(connection: Connection) -> int:
    """How many readings wait for their meter's registration."""
    row = connection.execute("select count(*) from pending_reading").fetchone()
    return 0 if row is None else int(row[0])
