"""An inspector's decisions on alerts: checked against the alert's state, kept as an event and in the audit log.

open ──acknowledge──> acknowledged
open, acknowledged ──dismiss──> dismissed        (with a reason)
open, acknowledged ──confirm──> confirmed        (with a reason)
confirmed ──dismiss, revising──> dismissed       (a decision may be corrected, openly)
dismissed ──confirm, revising──> confirmed
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from metrology.errors import InvalidInputError, NotFoundError, StateConflictError
from store.alerts import VERIFIER

MAX_ACTOR_LENGTH = 100
MAX_REASON_LENGTH = 2000


class Decision(StrEnum):
    """What an inspector may do with an alert."""

    ACKNOWLEDGE = "acknowledge"
    DISMISS = "dismiss"
    CONFIRM = "confirm"


STATE_AFTER = {
    Decision.ACKNOWLEDGE: "acknowledged",
    Decision.DISMISS: "dismissed",
    Decision.CONFIRM: "confirmed",
}
STATES_BEFORE = {
    Decision.ACKNOWLEDGE: ("open",),
    Decision.DISMISS: ("open", "acknowledged"),
    Decision.CONFIRM: ("open", "acknowledged"),
}
REVISED_FROM = {Decision.DISMISS: "confirmed", Decision.CONFIRM: "dismissed"}


class MissingFieldError(InvalidInputError):
    """A field that the decision needs is empty, too long or not to be used; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class DecisionConflictError(StateConflictError):
    """The alert is in a state that rules the decision out; `state` names it.

    `has_other` tells that another alert stands for the same matter.
    """

    def __init__(self, state: str, message: str, *, has_other: bool = False) -> None:
        super().__init__(message)
        self.state = state
        self.has_other = has_other


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Who decides what on which alert and why; `revise` corrects an earlier confirmation or dismissal."""

    alert_id: int
    decision: Decision
    actor: str
    reason: str = ""
    revise: bool = False


def decide(conn: psycopg.Connection[Any], request: DecisionRequest) -> str:
    """Carries the decision out and returns the alert's new state. The caller commits.

    Raises MissingFieldError, NotFoundError, DecisionConflictError; nothing has changed then.
    """
    actor, reason = request.actor.strip(), request.reason.strip()
    _check_fields(request.decision, actor, reason)
    before = _lock_state(conn, request.alert_id)
    _check_transition(conn, request, before)
    after = STATE_AFTER[request.decision]
    conn.execute("update alert set state = %s where alert_id = %s", (after, request.alert_id))
    conn.execute(
        "insert into alert_event (alert_id, actor, action, reason) values (%s, %s, %s, %s)",
        (request.alert_id, actor, after, reason),
    )
    conn.execute(
        "insert into audit_log (actor, action, subject, detail) values (%s, %s, %s, %s)",
        (
            actor,
            f"alert.{request.decision}",
            f"alert/{request.alert_id}",
            Jsonb({"from": before, "to": after, "reason": reason, "revised": request.revise}),
        ),
    )
    return after


def _check_fields(decision: Decision, actor: str, reason: str) -> None:
    if not actor:
        raise MissingFieldError("actor", "actor is empty; give the name of the person who decides")
    if len(actor) > MAX_ACTOR_LENGTH:
        raise MissingFieldError("actor", f"actor has {len(actor)} characters; use at most {MAX_ACTOR_LENGTH}")
    if not reason and decision is not Decision.ACKNOWLEDGE:
        raise MissingFieldError("reason", f"reason is empty; to {decision} an alert, state what the decision rests on")
    if len(reason) > MAX_REASON_LENGTH:
        raise MissingFieldError("reason", f"reason has {len(reason)} characters; use at most {MAX_REASON_LENGTH}")
    if actor.casefold() == VERIFIER:
        raise MissingFieldError("actor", f"actor = {actor!r} is the software's own name; give a person's")
    for field, text in (("actor", actor), ("reason", reason)):
        if any((ord(char) < 32 and char not in "\n\r\t") or 0xD800 <= ord(char) <= 0xDFFF for char in text):
            raise MissingFieldError(field, f"{field} holds a control character or half a pair; write plain text")


def _lock_state(conn: psycopg.Connection[Any], alert_id: int) -> str:
    row = conn.execute("select state from alert where alert_id = %s for update", (alert_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"alert {alert_id} does not exist; /v1/alerts lists the alerts")
    return str(row[0])


def _check_transition(conn: psycopg.Connection[Any], request: DecisionRequest, state: str) -> None:
    if state in STATES_BEFORE[request.decision]:
        return
    if request.revise and state == REVISED_FROM.get(request.decision):
        if request.decision is Decision.CONFIRM:
            _check_stands_alone(conn, request.alert_id, state)
        return
    raise DecisionConflictError(state, _conflict_text(conn, request, state))


def _check_stands_alone(conn: psycopg.Connection[Any], alert_id: int, state: str) -> None:
    # After a dismissal another alert may stand for the same matter, which must not be decided in two places.
    row = conn.execute(
        """select other.alert_id from alert a join alert other
               on other.kind = a.kind and other.alert_id <> a.alert_id
               and other.meter_id is not distinct from a.meter_id and other.zone_id is not distinct from a.zone_id
               and other.state in ('open', 'acknowledged', 'confirmed')
           where a.alert_id = %s order by 1 limit 1""",
        (alert_id,),
    ).fetchone()
    if row is not None:
        raise DecisionConflictError(
            state,
            f"alert {alert_id} can't be revived: alert {row[0]} stands for the same matter; decide on that one",
            has_other=True,
        )


def _conflict_text(conn: psycopg.Connection[Any], request: DecisionRequest, state: str) -> str:
    text = f"alert {request.alert_id} can't be changed by {request.decision}: it is {state}"
    row = conn.execute(
        "select actor, at, reason from alert_event where alert_id = %s order by alert_event_id desc limit 1",
        (request.alert_id,),
    ).fetchone()
    if row is not None:
        actor, at, reason = row
        assert isinstance(at, datetime)
        text += f" since {at.isoformat(timespec='seconds')}, by {actor}" + (f" ({reason})" if reason else "")
    if state == REVISED_FROM.get(request.decision):
        return text + '; to correct that decision, send "revise": true'
    if state == "withdrawn":
        return text + "; later readings removed its ground, there is nothing left to decide"
    return text + "; read its history before deciding again"
