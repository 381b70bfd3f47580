"""Quarantined messages once more, through the gateway's own decoding, checks and commit, with the present settings.

A message's readings, its entries' fates and the audit log are one transaction: killed at any moment, a message was
tried again or it was not. What it had brought before is told by its digest and changes nothing.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from gateway.codec.rows import RowReject
from gateway.commit import BatchWriter, Committed
from gateway.decode import Decoded, Message
from gateway.errors import GatewayError
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from store.quarantine import QuarantineRow
from store.quarantine_closing import (
    HeldMessage,
    Retried,
    last_entry_id,
    lock_quarantine,
    open_messages,
    settle_retried,
)
from store.quarantine_listing import QuarantineFilter

RETRYING_GATEWAY: Final = "quarantine"  # the gateway's name in batches that come of a retry
_ATTEMPTS_MAX: Final = 5  # of a batch, while the database is away
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Connection = psycopg.Connection[Any]
Decode = Callable[[Message], Decoded]


@dataclass(slots=True)
class RetrySummary:
    """What a retry came to: messages tried, readings by result, and each entry's fate."""

    messages: int = 0
    readings: dict[str, int] = field(default_factory=dict)
    entries: list[Retried] = field(default_factory=list)

    @property
    def released(self) -> int:
        """How many entries were released."""
        return sum(entry.released for entry in self.entries)


class QuarantineRetry:
    """Tries quarantined messages again; one at a time per database, beside gateways at work."""

    def __init__(
        self,
        settings: GatewaySettings,
        pool: ConnectionPool[Connection],
        decode: Decode,
        actor: str,
    ) -> None:
        self._settings = settings
        self._decode = decode
        self._actor = actor
        self._held: dict[bytes, HeldMessage] = {}
        self._settled: list[Retried] = []
        self._failures = 0
        self._stop = threading.Event()
        self._writer = BatchWriter(
            settings, RETRYING_GATEWAY, pool, self._count_failure, keep_rejected=self._settle_entries
        )

    def run(self, conn: Connection, wanted: QuarantineFilter) -> RetrySummary:
        """Try every message again that has an open entry of the filter; `conn` holds the lock until it is closed.

        Raises StateConflictError while another retry is at work, GatewayError where the database stays away.
        """
        summary = RetrySummary()
        lock_quarantine(conn)
        up_to_id, after_id = last_entry_id(conn), 0
        while True:
            messages, after_id = open_messages(conn, wanted, after_id, up_to_id)
            conn.rollback()  # nothing was written; later pages see what was settled meanwhile
            if not messages:
                return summary
            self._retry(messages, summary)

    def _retry(self, messages: Sequence[HeldMessage], summary: RetrySummary) -> None:
        batch: list[Decoded] = []
        readings = 0
        for message in messages:
            decoded = self._decoded(message)
            if batch and readings + decoded.readings > self._settings.batch_readings_max:
                self._write(batch, summary)
                batch, readings = [], 0
            self._held[message.digest] = message
            batch.append(decoded)
            readings += decoded.readings
        self._write(batch, summary)

    def _write(self, batch: Sequence[Decoded], summary: RetrySummary) -> None:
        def count(messages: Sequence[Decoded], committed: Committed) -> None:
            summary.messages += len(messages)
            for result, readings in committed.readings.items():
                summary.readings[result] = summary.readings.get(result, 0) + readings
            summary.entries += self._settled
            self._failures = 0

        if not self._writer.write(batch, count, self._stop):
            raise GatewayError(
                f"the database was away {_ATTEMPTS_MAX} times; {summary.messages} messages are done, the others "
                "wait: run the command again"
            )
        self._held.clear()

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= _ATTEMPTS_MAX:
            self._stop.set()

    def _settle_entries(
        self, conn: Connection, rows: Sequence[QuarantineRow], messages: Sequence[Decoded]
    ) -> list[QuarantineRow]:
        """In the batch's transaction: what still fails keeps its entries open, the others are released."""
        held = [self._held[decoded.digest] for decoded in messages]
        self._settled = settle_retried(conn, held, rows, self._actor)
        return []

    def _decoded(self, held: HeldMessage) -> Decoded:
        """What the message says today; rows that someone discarded stay out."""
        received_us = (held.received_at - _EPOCH) // timedelta(microseconds=1)
        decoded = self._decode(Message(held.topic, held.payload, received_us, retained=held.retained))
        rows = decoded.rows
        if rows is not None:
            discarded = [
                RowReject(row, Reason(entry.reason), "discarded")
                for entry in held.entries
                if entry.state == "discarded" and entry.reason in set(Reason)
                for row in entry.rows or ()
                if row < len(rows.meter)
            ]
            rows = msgspec.structs.replace(rows, rejects=[*discarded, *rows.rejects])
        # The digest as it was held: a topic with NUL was stored without it.
        return msgspec.structs.replace(decoded, digest=held.digest, rows=rows)
