"""What could not become readings: raw messages with the reason, kept as evidence and for a later decision.

States: an entry is `open` until a retry made readings of all its rows (`released`) or someone answered for leaving it
(`discarded`). Nothing is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg

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
    retained: bool = False  # the broker had kept it for new subscribers


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A quarantined message as held, without its payload; `deliveries` counts how often it came.

    `rows` None: the whole message is concerned; in lists, the first of `rows_total` rows.
    """

    quarantine_id: int
    message_digest: bytes
    reason: str
    detail: str
    utility: str
    topic: str
    payload_bytes: int
    rows: list[int] | None
    rows_total: int | None
    batch_id: int
    received_at: datetime
    deliveries: int
    state: State


def insert_quarantine(connection: Connection, rows: Sequence[QuarantineRow]) -> list[QuarantineRow]:
    """Keeps the rows and returns the new ones; of a (message, reason) held already only the deliveries rise."""
    # A fixed order: transactions that share messages can't deadlock.
    ordered = sorted(rows, key=lambda row: (row.message_digest, row.reason))
    if not ordered:
        return []
    deliveries: list[int] = []
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into quarantine"
            " (message_digest, reason, detail, utility, topic, payload, rows, batch_id, received_at, retained)"
            " values (%b, %s, %s, %s, %s, %b, %s, %s, %s, %s) on conflict (message_digest, reason)"
            " do update set deliveries = quarantine.deliveries + 1 returning deliveries",
            [
                (
                    row.message_digest,
                    storable(row.reason),
                    storable(row.detail),
                    storable(row.utility),
                    storable(row.topic),
                    row.payload,
                    None if row.rows is None else list(row.rows),
                    row.batch_id,
                    row.received_at,
                    row.retained,
                )
                for row in ordered
            ],
            returning=True,
        )
        for result in cursor.results():
            deliveries += [row[0] for row in result.fetchall()]
    return [row for row, times in zip(ordered, deliveries, strict=True) if times == 1]


def storable(text: str) -> str:
    """PostgreSQL's text holds neither NUL nor lone surrogates; what a stranger sent must not stop the batch."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
