"""The quarantine as people look at it: entries by filter, counts by reason, one entry with its message and history."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from metrology.errors import NotFoundError
from store.quarantine import QuarantineEntry, State
from store.query import Conditions, Row, fetch_rows

Connection = psycopg.Connection[Any]
ROWS_LISTED: Final = 100  # of each entry in a list
_ALL_ROWS: Final = 2**31 - 1
_COLUMNS = sql.SQL(
    "quarantine_id, message_digest, reason, detail, utility, topic, octet_length(payload) as payload_bytes,"
    " rows[:%(rows)s], cardinality(rows) as rows_total, batch_id, received_at, deliveries, state"
)


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which entries; None is no restriction. `topic` is an MQTT filter; `since` bounds the receipt from below."""

    state: State | None = "open"
    reason: str | None = None
    utility: str | None = None
    topic: str | None = None
    since: datetime | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many entries have a reason; `at_least` where not all were counted."""

    reason: str
    entries: int
    at_least: bool


def conditions(wanted: QuarantineFilter) -> Conditions:
    """The filter's conditions on the table `quarantine`."""
    where = Conditions()
    where.add("state = %(state)s", state=wanted.state)
    where.add("reason = %(reason)s", reason=wanted.reason)
    where.add("utility = %(utility)s", utility=wanted.utility)
    where.add("topic ~ %(topic)s", topic=None if wanted.topic is None else topic_pattern(wanted.topic))
    where.add("received_at >= %(since)s", since=wanted.since)
    where.add("quarantine_id = any(%(ids)s)", ids=None if wanted.ids is None else list(wanted.ids))
    return where


def topic_pattern(topic_filter: str) -> str:
    """A regular expression for the topics of an MQTT filter: `+` is one level, `#` the rest with its parent (4.7.1)."""
    levels = ["[^/]*" if level == "+" else _escaped(level) for level in topic_filter.split("/")]
    if levels[-1] == "\\#":
        levels.pop()
        return "^" + "/".join(levels) + ("(/.*)?$" if levels else ".*$")
    return "^" + "/".join(levels) + "$"


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() or char == "_" else "\\" + char for char in text)


def list_quarantine(
    connection: Connection, wanted: QuarantineFilter, before_id: int | None = None, limit: int = 100
) -> list[QuarantineEntry]:
    """Entries, the newest first; `before_id` is the id of the last one seen."""
    where = conditions(wanted)
    where.add("quarantine_id < %(before_id)s", before_id=before_id)
    query = sql.SQL("select {} from quarantine {} order by quarantine_id desc limit %(limit)s").format(
        _COLUMNS, where.where()
    )
    with connection.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        return cursor.execute(query, {**where.params, "limit": limit, "rows": ROWS_LISTED}).fetchall()


def count_by_reason(connection: Connection, wanted: QuarantineFilter, at_most: int) -> list[ReasonCount]:
    """Entries by reason, the most frequent first; of the newest `at_most` entries, so that the cost is bounded."""
    where = conditions(wanted)
    query = sql.SQL(
        "select reason, count(*), sum(count(*)) over () >= %(at_most)s from"
        " (select reason from quarantine {} order by quarantine_id desc limit %(at_most)s) q"
        " group by reason order by count(*) desc, reason"
    ).format(where.where())
    rows = connection.execute(query, {**where.params, "at_most": at_most}).fetchall()
    return [ReasonCount(reason, int(entries), bool(at_least)) for reason, entries, at_least in rows]


def find_entry(connection: Connection, quarantine_id: int) -> tuple[QuarantineEntry, bytes]:
    """An entry and the raw bytes of its message. Raises NotFoundError."""
    query = sql.SQL("select {} from quarantine where quarantine_id = %(id)s").format(_COLUMNS)
    with connection.cursor(row_factory=class_row(QuarantineEntry)) as cursor:
        entry = cursor.execute(query, {"id": quarantine_id, "rows": _ALL_ROWS}).fetchone()
    row = connection.execute("select payload from quarantine where quarantine_id = %s", (quarantine_id,)).fetchone()
    if entry is None or row is None:
        raise NotFoundError(f"quarantine entry {quarantine_id} does not exist; `meterproof quarantine list` lists them")
    return entry, bytes(row[0])


def entry_history(connection: Connection, quarantine_id: int) -> list[Row]:
    """What was done about an entry, the earliest first: at, actor, action, detail."""
    query = sql.SQL("select at, actor, action, detail from audit_log where subject = %(subject)s order by audit_id")
    return fetch_rows(connection, query, {"subject": subject(quarantine_id)})


def subject(quarantine_id: int) -> str:
    """An entry's name in the audit log."""
    return f"quarantine/{quarantine_id}"
