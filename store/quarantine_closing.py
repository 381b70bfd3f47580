"""Entries of the quarantine that were tried again or given up, each act with its author in the audit log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from metrology.errors import InvalidInputError, NotFoundError, StateConflictError
from store.quarantine import QuarantineRow, State, insert_quarantine, storable
from store.quarantine_listing import QuarantineFilter, conditions, subject

Connection = psycopg.Connection[Any]
QUARANTINE_LOCK: Final = 0x6D70_7175  # one retry or discard at a time; gateways go on
MAX_REASON_LENGTH: Final = 2000
_PAGE_ENTRIES: Final = 500
_PAGE_BYTES: Final = 32 * 2**20


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """One of a message's entries; `rows` None: the whole message."""

    quarantine_id: int
    reason: str
    rows: tuple[int, ...] | None
    state: State


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A quarantined message with all its entries, closed ones included."""

    digest: bytes
    topic: str
    payload: bytes
    received_at: datetime
    retained: bool
    entries: tuple[HeldEntry, ...]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of an open entry: `released`, or still open with `reason` and `detail`."""

    quarantine_id: int
    released: bool
    reason: str
    detail: str


def lock_quarantine(connection: Connection) -> None:
    """Hold the lock of retries and discards until this session ends. Raises StateConflictError if it is held."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (QUARANTINE_LOCK,)).fetchone()
    if row is None or not row[0]:
        raise StateConflictError("another retry or discard of the quarantine is at work; try again when it has ended")


def open_messages(
    connection: Connection, wanted: QuarantineFilter, after_id: int, up_to_id: int
) -> tuple[list[HeldMessage], int]:
    """Messages with open entries of the filter in (after_id, up_to_id], a page of them, and where the page ended."""
    where = conditions(wanted)
    where.add("state = 'open'")
    where.add("quarantine_id > %(after)s", after=after_id)
    where.add("quarantine_id <= %(up_to)s", up_to=up_to_id)
    query = sql.SQL(
        "select quarantine_id, message_digest, octet_length(payload) from quarantine {}"
        " order by quarantine_id limit %(limit)s"
    ).format(where.where())
    digests: dict[bytes, None] = {}
    size = 0
    for quarantine_id, digest, payload_bytes in connection.execute(query, {**where.params, "limit": _PAGE_ENTRIES}):
        size += payload_bytes
        if digests and size > _PAGE_BYTES:
            break
        digests[bytes(digest)] = None
        after_id = int(quarantine_id)
    return _messages(connection, list(digests)), after_id


def last_entry_id(connection: Connection) -> int:
    """The largest id so far; 0 without any entry."""
    row = connection.execute("select coalesce(max(quarantine_id), 0) from quarantine").fetchone()
    return 0 if row is None else int(row[0])


def _messages(connection: Connection, digests: list[bytes]) -> list[HeldMessage]:
    entries: dict[bytes, list[HeldEntry]] = {digest: [] for digest in digests}
    for digest, *entry in connection.execute(
        "select message_digest, quarantine_id, reason, rows, state from quarantine where message_digest = any(%b)"
        " order by quarantine_id",
        (digests,),
    ):
        number, reason, rows, state = entry
        entries[bytes(digest)].append(HeldEntry(number, reason, None if rows is None else tuple(rows), state))
    raw = connection.execute(
        "select distinct on (message_digest) message_digest, topic, payload, received_at, retained"
        " from quarantine where message_digest = any(%b) order by message_digest, quarantine_id",
        (digests,),
    ).fetchall()
    messages = [
        HeldMessage(bytes(digest), topic, bytes(payload), received_at, retained, tuple(entries[bytes(digest)]))
        for digest, topic, payload, received_at, retained in raw
    ]
    return sorted(messages, key=lambda message: (message.received_at, message.entries[0].quarantine_id))


def settle_retried(
    connection: Connection, messages: Sequence[HeldMessage], failing: Sequence[QuarantineRow], actor: str
) -> list[Retried]:
    """Closes the open entries whose rows all became readings, and tells the others' present reasons.

    `failing` is what still can't be used, a row a message and reason. An entry takes over a reason that its message had
    not had; rows that fail for one that it had are joined to that entry. Nothing that fails is left without an open
    entry, but for what was discarded.
    """
    outcomes: dict[bytes, dict[str, QuarantineRow]] = {message.digest: {} for message in messages}
    for row in failing:
        outcomes[row.message_digest][row.reason] = row
    retried: list[Retried] = []
    left: list[QuarantineRow] = []
    for message in messages:
        fates, unplaced = _fates(message, outcomes[message.digest])
        retried += [_settle(connection, entry, outcome, is_own, actor) for entry, outcome, is_own in fates]
        left += unplaced
    insert_quarantine(connection, left)
    return retried


def _fates(
    message: HeldMessage, outcomes: dict[str, QuarantineRow]
) -> tuple[list[tuple[HeldEntry, QuarantineRow | None, bool]], list[QuarantineRow]]:
    """Each open entry with what its rows fail for (None: nothing) and whether it holds that; outcomes without entry."""
    had = {entry.reason for entry in message.entries}
    new = [outcome for reason, outcome in outcomes.items() if reason not in had]
    fates: list[tuple[HeldEntry, QuarantineRow | None, bool]] = []
    for entry in message.entries:
        if entry.state != "open":
            continue
        taken = next((outcome for outcome in new if _overlap(entry.rows, outcome.rows)), None)
        if entry.reason in outcomes:
            fates.append((entry, outcomes[entry.reason], True))
        elif taken is not None:
            new.remove(taken)
            fates.append((entry, taken, True))
        else:
            elsewhere = (outcome for outcome in outcomes.values() if _overlap(entry.rows, outcome.rows))
            fates.append((entry, next(elsewhere, None), False))
    return fates, new


def _overlap(one: Iterable[int] | None, other: Iterable[int] | None) -> bool:
    return one is None or other is None or not set(one).isdisjoint(other)


def _settle(
    connection: Connection, entry: HeldEntry, outcome: QuarantineRow | None, is_own: bool, actor: str
) -> Retried:
    """Writes an open entry's fate; where another entry holds the outcome, this one waits under its old reason."""
    number = entry.quarantine_id
    if outcome is None:
        connection.execute("update quarantine set state = 'released' where quarantine_id = %s", (number,))
        _audit(connection, actor, "quarantine.release", number, {"reason": entry.reason})
        return Retried(number, True, entry.reason, "")
    reason, rows = (outcome.reason, outcome.rows) if is_own else (entry.reason, entry.rows)
    connection.execute(
        "update quarantine set reason = %s, detail = %s, rows = %s where quarantine_id = %s",
        (reason, storable(outcome.detail), None if rows is None else list(rows), number),
    )
    if reason != entry.reason:
        _audit(connection, actor, "quarantine.retry", number, {"from": entry.reason, "to": reason})
    return Retried(number, False, outcome.reason, outcome.detail)


def discard_entries(connection: Connection, ids: Sequence[int], actor: str, reason: str) -> None:
    """Closes open entries for good, all or none; they stay as evidence. The caller commits.

    Raises InvalidInputError without a reason, NotFoundError, and StateConflictError for one that is closed already.
    """
    reason, actor = reason.strip(), actor.strip()
    if not reason or len(reason) > MAX_REASON_LENGTH:
        raise InvalidInputError(
            f"the reason has {len(reason)} characters; state in 1 to {MAX_REASON_LENGTH} why nothing is lost by this"
        )
    if not actor:
        raise InvalidInputError("the actor is empty; give the name of the person who answers for it")
    for quarantine_id in sorted(set(ids)):
        row = connection.execute(
            "select reason, state from quarantine where quarantine_id = %s for update", (quarantine_id,)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"quarantine entry {quarantine_id} does not exist; nothing was discarded")
        if row[1] != "open":
            raise StateConflictError(
                f"quarantine entry {quarantine_id} is {row[1]} already; only an open one can be closed, "
                "nothing was discarded"
            )
        connection.execute("update quarantine set state = 'discarded' where quarantine_id = %s", (quarantine_id,))
        _audit(connection, actor, "quarantine.discard", quarantine_id, {"reason": row[0], "because": reason})


def _audit(connection: Connection, actor: str, action: str, quarantine_id: int, detail: dict[str, Any]) -> None:
    connection.execute(
        "insert into audit_log (actor, action, subject, detail) values (%s, %s, %s, %s)",
        (actor, action, subject(quarantine_id), Jsonb(detail)),
    )
