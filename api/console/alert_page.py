"""One alert for the inspector: what happened, the figures, the evidence, the history, and the form to decide."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from api.charts import COVERAGE_FACTOR
from api.console.formatting import Formatter
from api.console.site_tests import SiteTestForm, site_test_values
from api.context import Context
from api.evidence import EvidenceReading, read_evidence
from api.models import Alert, AlertFinding
from api.routers.alerts import load_alert, ongoing_until
from api.texts import Texts
from metrology.errors import MeterproofError
from store.alert_decisions import (
    MAX_ACTOR_LENGTH,
    MAX_REASON_LENGTH,
    DecisionConflictError,
    MissingFieldError,
)
from store.alert_listings import list_assessments, list_zone_assessments
from store.alerts import VERIFIER

MAX_EVIDENCE_ROWS = 40
_MAX_ASSESSMENT_ROWS = 12


@dataclass(frozen=True, slots=True)
class FormState:
    """What was typed into the decision form, and what was wrong with it."""

    actor: str = ""
    reason: str = ""
    error: str = ""
    error_field: str = ""


def alert_values(
    context: Context,
    alert_id: int,
    finding_id: int | None,
    form: FormState,
    texts: Texts,
    fmt: Formatter,
    site_test_form: SiteTestForm | None = None,
) -> dict[str, Any]:
    """What the alert's template needs. Raises NotFoundError."""
    with context.reading() as conn:
        alert = load_alert(conn, alert_id)
        assessments = _assessments(conn, alert, texts)
        shown = _shown_finding(alert, finding_id)
        tests = site_test_values(conn, alert.meter_id, alert.medium, site_test_form or SiteTestForm())
        until = ongoing_until(conn, alert.meter_id, shown.model_dump()) if shown else None
    evidence = read_evidence(shown.evidence) if shown else []
    return {
        "alert": alert,
        "title": texts.of("kind", alert.kind),
        "story": _story(alert, shown, until, texts, fmt),
        "advice": texts.of("advice", alert.kind if texts.has("advice", alert.kind) else "other"),
        "shown": shown,
        "reasons": _reasons(shown.detail.get("reasons"), texts) if shown else [],
        "figures": fmt.figures(_told(shown, until, texts, fmt), alert.medium) if shown else [],
        "evidence": _evidence_rows(evidence[:MAX_EVIDENCE_ROWS]),
        "evidence_left_out": max(0, len(evidence) - MAX_EVIDENCE_ROWS),
        "assessments": assessments,
        "coverage_factor": COVERAGE_FACTOR,
        "form": form,
        "can_acknowledge": alert.state == "open",
        "can_decide": alert.state in ("open", "acknowledged"),
        "revision": {"confirmed": "dismiss", "dismissed": "confirm"}.get(alert.state),
        **tests,
        "max_actor": MAX_ACTOR_LENGTH,
        "max_reason": MAX_REASON_LENGTH,
    }


def form_after_error(error: MeterproofError, actor: str, reason: str, texts: Texts) -> FormState:
    """The form as it was typed, with the error in the reader's words."""
    if isinstance(error, MissingFieldError):
        if error.field == "actor" and actor.strip().casefold() == VERIFIER:
            return FormState(actor, reason, texts("error_actor_reserved"), error.field)
        limit = MAX_ACTOR_LENGTH if error.field == "actor" else MAX_REASON_LENGTH
        return FormState(actor, reason, texts(f"error_{error.field}", limit=limit), error.field)
    if isinstance(error, DecisionConflictError):
        key = "error_successor" if error.has_other else "error_conflict"
        return FormState(actor, reason, texts(key, state=texts.of("state", error.state)))
    return FormState(actor, reason, str(error))


def _shown_finding(alert: Alert, finding_id: int | None) -> AlertFinding | None:
    for finding in alert.finding_items:
        if finding_id is None or finding.finding_id == finding_id:
            return finding
    return alert.finding_items[0] if alert.finding_items else None


def _told(shown: AlertFinding, until: datetime | None, texts: Texts, fmt: Formatter) -> dict[str, Any]:
    """The finding's figures; what was frozen when it was recognised is told as such, and how it stands at `until`."""
    detail = dict(shown.detail)
    lasted_s = detail.get("lasted_s")
    if detail.get("ongoing") is not True or not isinstance(lasted_s, int | float):
        return detail
    del detail["lasted_s"]
    recognised = fmt.duration(lasted_s)
    if until is None:
        detail |= {"lasted": texts("lasted_recognised", lasted=recognised), "ongoing": texts("ongoing_recognised")}
        return detail
    lasted = fmt.duration((until - shown.starts_at).total_seconds())
    detail["lasted"] = texts("lasted_so_far", lasted=lasted, recognised=recognised)
    detail["ongoing"] = texts("ongoing_until", until=fmt.time(until))
    return detail


def _story(alert: Alert, shown: AlertFinding | None, until: datetime | None, texts: Texts, fmt: Formatter) -> str:
    subject = (
        texts.of("subject", alert.medium, serial=alert.serial)
        if alert.serial
        else texts.of("subject", "zone", code=alert.zone)
    )
    ongoing = f"{alert.kind}_ongoing"
    key = alert.kind if texts.has("story", alert.kind) else "other"
    if until is not None and texts.has("story", ongoing):
        key = ongoing
    since, end = (shown.starts_at, shown.ends_at) if shown else (alert.starts_at, alert.last_at)
    return texts.of("story", key, subject=subject, since=fmt.time(since), until=fmt.time(until or end))


def _evidence_rows(evidence: list[EvidenceReading]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before: int | None = None
    for reading in evidence:
        register = reading.register_micro
        step = None if before is None or register is None else register - before
        rows.append({"reading": reading, "step_micro": step})
        before = register
    return rows


def _reasons(reasons: object, texts: Texts) -> list[dict[str, str]]:
    """Reasons {code, text} as they were written down, each with its title."""
    known = [reason for reason in reasons if isinstance(reason, dict)] if isinstance(reasons, list) else []
    return [
        {"title": texts.of("reason", str(reason.get("code", ""))), "text": str(reason.get("text", ""))}
        for reason in known
    ]


def _assessments(conn: psycopg.Connection[Any], alert: Alert, texts: Texts) -> list[dict[str, Any]]:
    """Of a meter, the latest windows; of a zone, its meters in the last window."""
    if alert.kind == "zone_imbalance" and alert.zone:
        rows = list_zone_assessments(conn, (alert.utility, alert.zone), MAX_EVIDENCE_ROWS)
    elif alert.kind == "error_beyond_mpe" and alert.meter_id is not None:
        rows = list(reversed(list_assessments(conn, alert.meter_id, _MAX_ASSESSMENT_ROWS)))
    else:
        rows = []
    return [{"serial": None, **row, "reasons": _reasons(row["reasons"], texts)} for row in rows]
