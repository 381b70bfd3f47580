"""What came of commands: acknowledgements, the messages that answered, and how each command was closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from store.commands import Kind

Connection = psycopg.Connection[Any]
Outcome = Literal["complete", "retry", "given_up"]


@dataclass(frozen=True, slots=True)
class ActiveCommand:
    """A command under way."""

    command_id: str
    concentrator_id: int
    kind: Kind
    state: str
    created_at: datetime
    expires_at: datetime
    acknowledged_at: datetime | None
    done_at: datetime | None
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a command under way; see NewTarget. `reason`: what the concentrator said of this meter."""

    target_no: int
    meter_id: int
    serial: str
    attempt: int
    points: int
    interval_s: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """What became of a target: readings arrived and missing; `retry_at` where it is to be asked again."""

    target_no: int
    arrived: int
    missing: int
    attempt: int
    outcome: Outcome
    retry_at: datetime | None
    reason: str


def note_acknowledgement(
    connection: Connection,
    command_id: str,
    sender: tuple[str, str],
    at: datetime,
    state: str,
    reason: str,
    unavailable: dict[str, str],
) -> bool:
    """Notes what a concentrator (`sender`: utility's code and gateway) says of a command that is under way.

    `state`: accepted, done or failed; `unavailable`: reasons by serial. Said again, it changes nothing. False if no
    such command is under way at this sender.
    """
    changed = connection.execute(
        "update command c set acknowledged_at = coalesce(c.acknowledged_at, %(at)s),"
        " sent_at = coalesce(c.sent_at, %(at)s), state = 'acknowledged',"
        " reason = case when c.reason = '' then %(reason)s else c.reason end,"
        " done_at = case when %(final)s then coalesce(c.done_at, %(at)s) else c.done_at end,"
        " has_failed = c.has_failed or %(failed)s,"
        " check_at = case when %(final)s then %(at)s else c.check_at end"
        " from concentrator k join utility u using (utility_id) where c.command_id = %(id)s"
        " and c.concentrator_id = k.concentrator_id and (u.code, k.gateway) = (%(utility)s, %(gateway)s)"
        " and c.state in ('open', 'sent', 'acknowledged')",
        {
            "at": at,
            "reason": reason,
            "failed": state == "failed",
            "final": state in ("done", "failed"),
            "id": command_id,
            "utility": sender[0],
            "gateway": sender[1],
        },
    ).rowcount
    if changed and unavailable:
        connection.execute(
            "update command_target t set reason = s.reason from unnest(%s::text[], %s::text[]) s (serial, reason)"
            " join meter m using (serial) where t.command_id = %s and t.meter_id = m.meter_id",
            (list(unavailable), list(unavailable.values()), command_id),
        )
    return bool(changed)


def note_answers(connection: Connection, answers: Sequence[tuple[str, int, int, int]], senders: Sequence[str]) -> int:
    """Notes messages that answered commands: command id, batch, message and its readings; by `utility/gateway`.

    Commands of other senders, and ids of none, are left out. A command under way is to be checked at once.
    """
    if not answers:
        return 0
    columns: list[list[Any]] = [list(column) for column in zip(*answers, strict=True)]
    noted = connection.execute(
        "insert into command_answer (command_id, batch_id, message_no, readings)"
        " select c.command_id, s.batch_id, s.message_no, s.readings"
        " from unnest(%s::text[], %s::bigint[], %s::integer[], %s::integer[], %s::text[])"
        " s (command_id, batch_id, message_no, readings, sender) join command c using (command_id)"
        " join concentrator k using (concentrator_id) join utility u using (utility_id)"
        " where s.sender = u.code || '/' || k.gateway on conflict do nothing returning command_id",
        (*columns, list(senders)),
    ).fetchall()
    connection.execute(
        "update command set check_at = '-infinity' where command_id = any(%s) and closed_at is null",
        ([row[0] for row in noted],),
    )
    return len(noted)


def commands_to_check(connection: Connection, at: datetime, limit: int) -> list[ActiveCommand]:
    """Commands under way of which it is time to see what came, locked until the transaction ends."""
    with connection.cursor(row_factory=class_row(ActiveCommand)) as cursor:
        return cursor.execute(
            "select command_id, concentrator_id, kind, state, created_at, expires_at, acknowledged_at, done_at,"
            " has_failed from command where state in ('open', 'sent', 'acknowledged') and check_at <= %s"
            " order by check_at, command_id limit %s for update",
            (at, limit),
        ).fetchall()


def targets_of(connection: Connection, command_id: str) -> list[Target]:
    """The command's targets, in their order."""
    with connection.cursor(row_factory=class_row(Target)) as cursor:
        return cursor.execute(
            "select target_no, meter_id, serial, attempt, points, interval_s, starts_at, ends_at, reason"
            " from command_target join meter using (meter_id) where command_id = %s order by target_no",
            (command_id,),
        ).fetchall()


def check_again(connection: Connection, command_id: str, at: datetime) -> None:
    """The command stays under way until `at`."""
    connection.execute("update command set check_at = %s where command_id = %s", (at, command_id))


def close_command(
    connection: Connection, command_id: str, at: datetime, state: str, reason: str, outcomes: Sequence[TargetOutcome]
) -> None:
    """Ends a command as answered, expired or failed, with what became of each of its targets."""
    columns = (
        [outcome.target_no for outcome in outcomes],
        [outcome.arrived for outcome in outcomes],
        [outcome.attempt for outcome in outcomes],
        [outcome.outcome for outcome in outcomes],
        [outcome.retry_at for outcome in outcomes],
        [outcome.reason for outcome in outcomes],
    )
    connection.execute(
        "update command_target t set arrived = s.arrived, attempt = s.attempt, outcome = s.outcome,"
        " retry_at = s.retry_at, reason = s.reason"
        " from unnest(%s::integer[], %s::integer[], %s::smallint[], %s::text[], %s::timestamptz[], %s::text[])"
        " s (target_no, arrived, attempt, outcome, retry_at, reason)"
        " where t.command_id = %s and t.target_no = s.target_no",
        (*columns, command_id),
    )
    connection.execute(
        "update command set state = %s, closed_at = %s, arrived = %s,"
        " reason = case when %s = '' then reason else %s end where command_id = %s",
        (state, at, sum(columns[1]), reason, reason, command_id),
    )
