"""A batch in one transaction, whatever stands in the way: passing faults are waited out, a poisonous message is found.

Nothing is acknowledged here: `on_committed` is called after each commit, with the messages that it holds.
"""

import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from gateway.backoff import Backoff
from gateway.batch import resolve
from gateway.codec.rows import MessageRejected
from gateway.columns import Columns, columns_of
from gateway.decode import Decoded
from gateway.errors import GatewayError
from gateway.identity import IdentityCache
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from metrology.errors import MeterproofError
from store.archive import RawMessage, pack
from store.batches import BatchRow, commit_batch, next_batch_id
from store.database import is_transient
from store.pending import insert_pending
from store.quarantine import QuarantineRow, insert_quarantine
from store.readings import insert_readings
from store.registry import lock_registry_shared

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_CONNECTION_TIMEOUT_S = 5.0  # then look whether to stop
_PROGRAM_LIMIT_EXCEEDED = "54"  # class of SQLSTATE: e.g. a value too large for an index


@dataclass(frozen=True, slots=True)
class Committed:
    """What a committed batch held: `readings` by result, `quarantined` by reason, and of these what is new."""

    commit_seq: int
    messages: int
    readings: dict[str, int]
    quarantined: dict[str, int]
    rejected: list[QuarantineRow] = field(default_factory=list)
    quarantined_by_source: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that can be made of messages without the database, so that it need not wait for it."""

    digests: bytes
    archive: bytes
    columns: Columns


def prepare(messages: Sequence[Decoded]) -> Prepared:
    """The messages' part of a batch. A message that trips the program may raise anything."""
    digests = b"".join([decoded.digest for decoded in messages])
    archive = pack([RawMessage(d.message.topic, d.message.payload, d.message.received_at) for d in messages])
    return Prepared(digests, archive, columns_of(messages))


OnCommitted = Callable[[Sequence[Decoded], Committed], None]
Pool = ConnectionPool[psycopg.Connection[Any]]
# Keeps what can't be used, within the batch's transaction; returns the rows that the sender is to hear of.
KeepRejected = Callable[[psycopg.Connection[Any], Sequence[QuarantineRow], Sequence[Decoded]], list[QuarantineRow]]


def _quarantine(
    conn: psycopg.Connection[Any], rows: Sequence[QuarantineRow], _messages: Sequence[Decoded]
) -> list[QuarantineRow]:
    return insert_quarantine(conn, rows)


class BatchWriter:
    """Writes batches to the database; used by one thread."""

    def __init__(
        self,
        settings: GatewaySettings,
        gateway: str,
        pool: Pool,
        on_retry: Callable[[], None],
        rng: random.Random | None = None,
        keep_rejected: KeepRejected = _quarantine,
    ) -> None:
        self._settings = settings
        self._keep_rejected = keep_rejected
        self._gateway = gateway
        self._pool = pool
        self._on_retry = on_retry
        self._identities = IdentityCache()
        self._backoff = Backoff(_FIRST_PAUSE_S, settings.retry_pause_max_s, rng or random.SystemRandom())

    def write(
        self,
        messages: Sequence[Decoded],
        on_committed: OnCommitted,
        stop: threading.Event,
        prepared: Prepared | None = None,
    ) -> bool:
        """Commit all messages, in more than one batch where the database refuses some; False if stopped before the end.

        `prepared` is what `prepare` made of them, if that was done before. Raises GatewayError where neither waiting
        nor leaving out a message helps.
        """
        parts = deque([messages])
        while parts:
            part = parts[0]
            try:
                committed = self._commit(part, prepared if part is messages else None)
            except Exception as error:
                if is_transient(error):
                    if not self._wait(error, stop):
                        return False
                    continue
                parts.popleft()
                parts.extendleft(reversed(_parted(part, error)))
            else:
                parts.popleft()
                self._backoff.reset()
                on_committed(part, committed)
        return True

    def _wait(self, error: Exception, stop: threading.Event) -> bool:
        """Pause after a passing fault; False if the service is to stop."""
        pause_s = self._backoff.next_pause_s()
        _log.warning("database: %s; the batch is kept, next attempt in %.1f s", _first_line(error), pause_s)
        self._on_retry()
        return not stop.wait(pause_s)

    def _commit(self, messages: Sequence[Decoded], prepared: Prepared | None) -> Committed:
        ready = prepared or prepare(messages)
        with self._pool.connection(timeout=min(self._pool.timeout, _CONNECTION_TIMEOUT_S)) as conn:
            identities = self._identities.at(conn, lock_registry_shared(conn))
            batch_id = next_batch_id(conn)
            assembly = resolve(messages, ready.columns, identities, self._settings, batch_id)
            inserted = insert_readings(conn, assembly.readings, ready.digests)
            pending = insert_pending(conn, assembly.pending)
            rejected = self._keep_rejected(conn, assembly.quarantine, messages)
            readings = {
                "stored": inserted.stored,
                "duplicates": inserted.duplicates + pending.duplicates,
                "conflicting": inserted.conflicting,
                "pending": pending.pending,
                "rejected": assembly.rejected,
            }
            commit_seq = commit_batch(
                conn,
                BatchRow(
                    batch_id=batch_id,
                    gateway=self._gateway,
                    received_at=max(decoded.message.received_at for decoded in messages),
                    messages=len(messages),
                    readings_in=assembly.readings_in,
                    **readings,
                    min_observed_us=inserted.min_observed_us,
                    max_observed_us=inserted.max_observed_us,
                    message_digests=ready.digests,
                    archive=ready.archive,
                ),
            )
        # Only now, behind the commit, does the batch exist.
        quarantined = Counter(row.reason for row in assembly.quarantine)
        source_of = {decoded.digest: decoded.source for decoded in messages} if quarantined else {}
        by_source = Counter((source_of[row.message_digest], row.reason) for row in assembly.quarantine)
        return Committed(commit_seq, len(messages), readings, dict(quarantined), rejected, dict(by_source))


def _parted(messages: Sequence[Decoded], error: Exception) -> list[Sequence[Decoded]]:
    """What to try instead of a batch that the database refused: its halves, or its only message as quarantined.

    Raises GatewayError for faults that lie in no message.
    """
    if not _is_data_fault(error):
        raise GatewayError(
            f"the database can't take readings: {_first_line(error)}; check database.dsn, its rights, and `migrate`"
        ) from error
    if len(messages) > 1:
        _log.warning("a batch of %d messages was refused (%s); looking for the cause", len(messages), error)
        middle = len(messages) // 2
        return [messages[:middle], messages[middle:]]
    decoded = messages[0]
    if decoded.rejection and decoded.rejection.reason == Reason.STORE_REFUSED:
        raise GatewayError(f"a message can't even be quarantined: {_first_line(error)}") from error
    _log.error("quarantined a message of topic %r that was refused", decoded.message.topic, exc_info=error)
    rejection = MessageRejected(Reason.STORE_REFUSED, f"{type(error).__name__}: {_first_line(error)}", decoded.readings)
    return [[msgspec.structs.replace(decoded, rows=None, rejection=rejection)]]


def _is_data_fault(error: Exception) -> bool:
    """True where the cause may lie in a message: the database refused a value, or the program tripped over it."""
    if isinstance(error, psycopg.Error):
        return isinstance(error, psycopg.DataError | psycopg.IntegrityError) or (error.sqlstate or "").startswith(
            _PROGRAM_LIMIT_EXCEEDED
        )
    return not isinstance(error, MeterproofError | MemoryError | OSError)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]
