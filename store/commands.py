"""Commands to concentrators: written before they are sent, closed with what came of them, meter by meter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import class_row

from store.binary_copy import copy_out
from store.times import to_datetime

Connection = psycopg.Connection[Any]
Ids = Sequence[int] | NDArray[np.integer[Any]]
Kind = Literal["read_profile", "sync_clock"]

REPAIR_LOCK: Final = 0x6D70_0003  # advisory lock of a transaction: one repairer works at a time

# Ranges that were asked for before: how often, before when not again, and whether they were given up.
ASKED: Final = np.dtype(
    [
        ("meter_id", "<i4"),
        ("attempt", "<i2"),
        ("is_given_up", "?"),
        ("from_us", "<i8"),
        ("until_us", "<i8"),
        ("retry_us", "<i8"),
    ]
)
_NOT_NOW: Final = datetime(9999, 1, 1, tzinfo=UTC)  # while a command is under way


@dataclass(frozen=True, slots=True)
class NewTarget:
    """What is asked of a meter: the `points` readings in [from_us, until_us) at `interval_s`, or None: its clock."""

    meter_id: int
    attempt: int
    interval_s: int | None = None
    from_us: int | None = None
    until_us: int | None = None
    points: int = 0


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to be sent: `body` byte for byte as UTF-8."""

    command_id: str
    concentrator_id: int
    kind: Kind
    body: str
    created_at: datetime
    expires_at: datetime
    targets: Sequence[NewTarget]


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """A command that waits to be sent, with the names in its topic."""

    command_id: str
    utility: str
    gateway: str
    body: str


def lock_repair(connection: Connection) -> None:
    """Keeps other repairers out until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (REPAIR_LOCK,))


def add_command(connection: Connection, command: NewCommand) -> bool:
    """Writes a command with its targets; False, changing nothing, if it is there already."""
    added = connection.execute(
        "insert into command (command_id, concentrator_id, kind, body, created_at, expires_at, check_at, points)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        (
            command.command_id,
            command.concentrator_id,
            command.kind,
            command.body,
            command.created_at,
            command.expires_at,
            command.expires_at,
            sum(target.points for target in command.targets),
        ),
    ).rowcount
    if not added:
        return False
    columns = (
        [target.meter_id for target in command.targets],
        [target.interval_s for target in command.targets],
        [None if target.from_us is None else to_datetime(target.from_us) for target in command.targets],
        [None if target.until_us is None else to_datetime(target.until_us) for target in command.targets],
        [target.attempt for target in command.targets],
        [target.points for target in command.targets],
    )
    connection.execute(
        "insert into command_target (command_id, target_no, meter_id, interval_s, starts_at, ends_at, attempt, points)"
        " select %s, s.n - 1, s.meter_id, s.interval_s, s.starts_at, s.ends_at, s.attempt, s.points from unnest("
        " %s::integer[], %s::integer[], %s::timestamptz[], %s::timestamptz[], %s::smallint[], %s::integer[])"
        " with ordinality s (meter_id, interval_s, starts_at, ends_at, attempt, points, n)",
        (command.command_id, *columns),
    )
    return True


def open_commands(connection: Connection, limit: int) -> list[OpenCommand]:
    """The commands that wait to be sent, oldest first."""
    with connection.cursor(row_factory=class_row(OpenCommand)) as cursor:
        return cursor.execute(
            "select command_id, u.code as utility, gateway, body from command join concentrator using (concentrator_id)"
            " join utility u using (utility_id) where state = 'open' order by created_at, command_id limit %s",
            (limit,),
        ).fetchall()


def mark_sent(connection: Connection, command_ids: Sequence[str], at: datetime) -> None:
    """The broker has taken these commands."""
    connection.execute(
        "update command set sent_at = %s, state = case state when 'open' then 'sent' else state end"
        " where command_id = any(%s) and sent_at is null",
        (at, list(command_ids)),
    )


def commands_since(connection: Connection, concentrator_id: int, since: datetime) -> tuple[int, int]:
    """How many commands to this concentrator were made after `since`, and how many wait for any acknowledgement."""
    row = connection.execute(
        "select count(*) filter (where created_at > %(since)s),"
        " count(*) filter (where state in ('open', 'sent')) from command where concentrator_id = %(id)s"
        " and (created_at > %(since)s or state in ('open', 'sent'))",
        {"id": concentrator_id, "since": since},
    ).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def asked_ranges(connection: Connection, meter_ids: Ids, from_at: datetime) -> NDArray[np.void]:
    """What was asked of these meters for times after `from_at`, ASKED; one under way may not be asked again."""
    with connection.cursor() as cursor:
        return copy_out(
            cursor,
            "select meter_id, attempt, coalesce(outcome = 'given_up', false), starts_at, ends_at,"
            " case when outcome is null then %s else coalesce(retry_at, '-infinity') end"
            " from command_target where meter_id = any(%s) and ends_at > %s",
            (_NOT_NOW, [int(meter_id) for meter_id in meter_ids], from_at),
            ASKED,
        )


def last_synchronisations(connection: Connection, meter_ids: Ids) -> dict[int, tuple[int, datetime, str | None]]:
    """By meter its last command to set the clock: attempt, when it was made, and its outcome (None: under way)."""
    rows = connection.execute(
        "select distinct on (t.meter_id) t.meter_id, t.attempt, c.created_at, t.outcome"
        " from command_target t join command c using (command_id)"
        " where t.meter_id = any(%s) and t.starts_at is null order by t.meter_id, c.created_at desc",
        ([int(meter_id) for meter_id in meter_ids],),
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows.fetchall()}
