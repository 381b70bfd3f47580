"""Alerts: the inbox, one with its evidence, and the inspector's decisions."""

from datetime import datetime
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.charts import Chart, NoChart, error_chart, register_chart
from api.context import Context, ContextDep
from api.evidence import read_evidence
from api.models import Alert, AlertSummary, DecisionBody, Page
from api.parameters import (
    MAX_ID,
    AlertState,
    IdPath,
    KindName,
    MediumName,
    PageParameters,
    Parameters,
    Severity,
    Text,
    decode_cursor,
    encode_cursor,
    refuse_parameters,
)
from metrology.errors import NotFoundError
from store.alert_decisions import Decision, DecisionRequest, decide
from store.alert_listings import (
    AlertFilter,
    AlertKey,
    checked_until,
    find_alert,
    list_alert_events,
    list_alert_findings,
    list_alerts,
)
from store.query import Row

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])
MAX_EVENTS = 500
MAX_FINDINGS = 50


class AlertFilterParameters(PageParameters):
    """Filters of the list of alerts."""

    state: list[AlertState] = Field(default_factory=list, max_length=5, description="May be repeated; none: all.")
    kind: KindName | None = None
    severity: Severity | None = None
    medium: MediumName | None = None
    utility: Text | None = None
    serial: Text | None = None
    zone: Text | None = Field(default=None, description="Code of the zone, or of the one that the meter lies in.")

    def to_filter(self) -> AlertFilter:
        """The filter that the store knows."""
        return AlertFilter(
            states=tuple(self.state) or None,
            kind=self.kind,
            severity=self.severity,
            medium=self.medium,
            utility=self.utility,
            serial=self.serial,
            zone=self.zone,
        )


class ChartParameters(Parameters):
    """Which of an alert's findings to draw."""

    finding: int | None = Field(default=None, ge=1, le=MAX_ID, description="By default the latest in force.")


@router.get("")
def get_alerts(query: Annotated[AlertFilterParameters, Query()], context: ContextDep) -> Page[AlertSummary]:
    """Alerts, alarms before warnings, the latest raised first."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, str, datetime, int)
    with context.reading() as conn:
        rows = list_alerts(conn, query.to_filter(), AlertKey(*after) if after else None, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor(last["severity"], last["opened_at"], last["alert_id"]) if last else None
    return Page[AlertSummary](items=[AlertSummary.model_validate(row) for row in rows[:limit]], next=following)


@router.get("/{alert_id}", dependencies=[Depends(refuse_parameters)])
def get_alert(alert_id: IdPath, context: ContextDep) -> Alert:
    """One alert with its findings and what became of it."""
    with context.reading() as conn:
        return load_alert(conn, alert_id)


@router.get("/{alert_id}/chart")
def get_alert_chart(alert_id: IdPath, query: Annotated[ChartParameters, Query()], context: ContextDep) -> Chart:
    """Registers around the evidence, or estimates of the error; for drawing."""
    with context.reading() as conn:
        return load_chart(conn, alert_id, query.finding, context.settings.chart_points_max)


@router.post("/{alert_id}/acknowledge")
def acknowledge_alert(alert_id: IdPath, body: DecisionBody, context: ContextDep) -> Alert:
    """Takes the alert in hand."""
    return _decide(context, alert_id, Decision.ACKNOWLEDGE, body)


@router.post("/{alert_id}/dismiss")
def dismiss_alert(alert_id: IdPath, body: DecisionBody, context: ContextDep) -> Alert:
    """Finds no fault of the meter, for a reason."""
    return _decide(context, alert_id, Decision.DISMISS, body)


@router.post("/{alert_id}/confirm")
def confirm_alert(alert_id: IdPath, body: DecisionBody, context: ContextDep) -> Alert:
    """Finds the alert to be right, for a reason."""
    return _decide(context, alert_id, Decision.CONFIRM, body)


def _decide(context: Context, alert_id: int, decision: Decision, body: DecisionBody) -> Alert:
    with context.writing() as conn:
        decide(conn, DecisionRequest(alert_id, decision, body.actor, body.reason, body.revise))
        return load_alert(conn, alert_id)


def load_alert(conn: psycopg.Connection[Any], alert_id: int) -> Alert:
    """One alert. Raises NotFoundError."""
    row = find_alert(conn, alert_id)
    if row is None:
        raise NotFoundError(f"alert {alert_id} does not exist; /v1/alerts lists the alerts")
    return Alert.model_validate(
        {
            **row,
            "events": list_alert_events(conn, alert_id, MAX_EVENTS),
            "finding_items": list_alert_findings(conn, alert_id, MAX_FINDINGS),
        }
    )


def ongoing_until(conn: psycopg.Connection[Any], meter_id: int | None, finding: Row) -> datetime | None:
    """The latest reading checked, if a finding in force still went on there; its own end is when it was recognised."""
    if meter_id is None or finding["detail"].get("ongoing") is not True or finding["superseded_at"] is not None:
        return None
    checked = checked_until(conn, meter_id)
    return None if checked is None else max(checked, finding["ends_at"])


def load_chart(conn: psycopg.Connection[Any], alert_id: int, finding_id: int | None, points_max: int) -> Chart:
    """What to draw for one of an alert's findings. Raises NotFoundError."""
    alert = find_alert(conn, alert_id)
    if alert is None:
        raise NotFoundError(f"alert {alert_id} does not exist; /v1/alerts lists the alerts")
    findings = list_alert_findings(conn, alert_id, MAX_FINDINGS)
    if finding_id is not None:
        findings = [row for row in findings if row["finding_id"] == finding_id]
    if not findings:
        raise NotFoundError(f"alert {alert_id} holds no finding {finding_id or ''}; /v1/alerts/{alert_id} lists them")
    if alert["meter_id"] is None:
        return NoChart()
    if alert["kind"] == "error_beyond_mpe":
        return error_chart(conn, alert["meter_id"])
    finding = findings[0]
    span = (finding["starts_at"], ongoing_until(conn, alert["meter_id"], finding) or finding["ends_at"])
    meter = (alert["meter_id"], alert["medium"])
    return register_chart(conn, meter, span, read_evidence(finding["evidence"]), points_max)
