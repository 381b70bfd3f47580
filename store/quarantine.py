"""What could not become readings: raw messages with the reason, kept as evidence and for a later decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from metrology.errors import NotFoundError, StateConflictError

Connection = psycopg.Connection[Any]
State = Literal["open", "released", "discarded"]


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A message, or rows of it, that could not be used; `reason` is a code, `detail` names place, value and remedy."""

    message_digest: bytes
    reason: str
    detail: str
    utility: str
    topic: str
    payload: bytes
    rows: tuple[int, ...] | None  # None: the whole message
    batch_id: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A quarantined message as held, without its payload; `deliveries` counts how often it came."""

    quarantine_id: int
    message_digest: bytes
    reason: str
    detail: str
    utility: str
    topic: str
    payload_bytes: int
    rows: list[int] | None
    batch_id: int
    received_at: datetime
    deliveries: int
    state: State


def insert_quarantine(connection: Connection, rows: Sequence[QuarantineRow]) -> int:
    """Keeps the rows and returns how many are new; of a (message, reason) held already only the deliveries rise."""
    # A fixed order: transactions that share messages can't deadlock.
    ordered = sorted(rows, key=lambda row: (row.message_digest, row.reason))
    if not ordered:
        return 0
    new = 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into quarantine"
            " (message_digest, reason, detail, utility, topic, payload, rows, batch_id, received_at)"
            " values (%b, %s, %s, %s, %s, %b, %s, %s, %s) on conflict (message_digest, reason)"
            " do update set deliveries = quarantine.deliveries + 1 returning deliveries",
            [
                (
                    row.message_digest,
                    _storable(row.reason),
                    _storable(row.detail),
                    _storable(row.utility),
                    _storable(row.topic),
                    row.payload,
                    None if row.rows is None else list(row.rows),
                    row.batch_id,
                    row.received_at,
                )
                for row in ordered
            ],
            returning=True,
        )
        for result in cursor.results():
            new += sum(deliveries == 1 for (deliveries,) in result.fetchall())
    return new


def _storable(text: str) -> str:
    """PostgreSQL's text holds neither NUL nor lone surrogates; what a stranger sent must not stop the batch."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def list_quarantine(
    connection: Connection, state: State | None = "open", after_id: int = 0, limit: int = 100
) -> list[QuarantineEntry]:
    """Entries in this state (None: any) with ids above `after_id`, in the order of their ids."""
    with connection.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        return cursor.execute(
            "select quarantine_id, message_digest, reason, detail, utility, topic, octet_length(payload)"
            " as payload_bytes, rows, batch_id, received_at, deliveries, state from quarantine"
            " where quarantine_id > %s and (%s::text is null or state = %s)"
            " order by quarantine_id limit %s",
            (after_id, state, state, limit),
        ).fetchall()


def count_quarantine(connection: Connection, state: State | None = "open") -> int:
    """How many entries are in this state (None: any)."""
    row = connection.execute(
        "select count(*) from quarantine where %s::text is null or state = %s", (state, state)
    ).fetchone()
    return 0 if row is None else int(row[0])


def quarantined_payload(connection: Connection, quarantine_id: int) -> bytes:
    """The raw bytes of an entry's message. Raises NotFoundError."""
    row = connection.execute("select payload from quarantine where quarantine_id = %s", (quarantine_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"quarantine entry {quarantine_id} does not exist")
    return bytes(row[0])


def close_quarantine(connection: Connection, quarantine_id: int, state: Literal["released", "discarded"]) -> None:
    """Closes an open entry; it stays as evidence. Raises NotFoundError, and StateConflictError if closed already."""
    row = connection.execute(
        "select state from quarantine where quarantine_id = %s for update", (quarantine_id,)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"quarantine entry {quarantine_id} does not exist")
    if row[0] != "open":
        raise StateConflictError(
            f"quarantine entry {quarantine_id} is {row[0]} already; only an open one can be closed"
        )
    connection.execute("update quarantine set state = %s where quarantine_id = %s", (state, quarantine_id))
