"""The console's addresses."""

from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError, field_validator

from api.console.alert_page import FormState, alert_values, form_after_error
from api.console.inbox import InboxParameters, inbox_values, summary_cards
from api.console.rendering import Links, Renderer
from api.console.site_tests import POINT_ROWS, SiteTestForm, form_error, record_by_form, site_test_values
from api.console.zone_page import meter_estimate, zone_values
from api.context import ContextDep
from api.models import AlertSummary
from api.parameters import MAX_ID, IdPath, Parameters, SerialPath, UtilityPath, ZonePath
from api.routers.alerts import load_alert
from api.routers.meters import load_meter_detail
from api.routers.quarantine import QuarantineParameters, load_quarantine
from api.routers.replacements import ReplacementParameters, load_replacements
from api.routers.summary import load_summary
from metrology.errors import MeterproofError, NotFoundError
from store.alert_decisions import Decision, DecisionRequest, decide
from store.alert_listings import AlertFilter, list_alerts
from store.listings import find_meter

router = APIRouter(include_in_schema=False)
_MAX_METER_ALERTS = 100
Typed = Annotated[str, Field(max_length=1000)]


class AlertPageParameters(Parameters):
    """Which of the alert's findings to show."""

    finding: int | None = Field(default=None, ge=1, le=MAX_ID)
    lang: str | None = Field(default=None, max_length=20)


class ReplacementPageParameters(ReplacementParameters):
    """The list's filters; a form sends its empty fields as well, they are no filter."""

    lang: str | None = Field(default=None, max_length=20)

    @field_validator("as_of", "utility", "medium", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class QuarantinePageParameters(QuarantineParameters):
    """The quarantine's filters; a form sends its empty fields as well, they are no filter."""

    lang: str | None = Field(default=None, max_length=20)

    @field_validator("reason", "utility", "topic", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class SiteTestFields(BaseModel):
    """The fields of the form on tests; every one is a text, told apart by what it says."""

    tested_at: Typed = ""
    standard: Typed = ""
    tested_by: Typed = ""
    note: str = Field(default="", max_length=10_000)
    corrects: Typed = ""
    coverage_factor: Typed = "2"
    load: list[Typed] = Field(default_factory=list, max_length=POINT_ROWS)
    error_pct: list[Typed] = Field(default_factory=list, max_length=POINT_ROWS)
    expanded_uncertainty_pct: list[Typed] = Field(default_factory=list, max_length=POINT_ROWS)

    def typed(self) -> SiteTestForm:
        """What was typed."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.model_dump().items()
        }
        return SiteTestForm(**fields)


def _renderer(request: Request) -> Renderer:
    return cast(Renderer, request.app.state.renderer)


@router.get("/")
def inbox(request: Request, query: Annotated[InboxParameters, Query()], context: ContextDep) -> Response:
    """The alert inbox."""
    renderer = _renderer(request)
    texts, fmt = renderer.texts(request), renderer.formatter(request)
    values = inbox_values(context, query, texts)
    values["cards"] = summary_cards(load_summary(context), texts, fmt)
    return renderer.page(request, "inbox.html", values)


@router.get("/alerts/{alert_id}")
def alert_page(
    request: Request, alert_id: IdPath, query: Annotated[AlertPageParameters, Query()], context: ContextDep
) -> Response:
    """One alert."""
    renderer = _renderer(request)
    texts, fmt = renderer.texts(request), renderer.formatter(request)
    values = alert_values(context, alert_id, query.finding, FormState(), texts, fmt)
    return renderer.page(request, "alert.html", values)


@router.post("/alerts/{alert_id}/site-tests")
def record_site_test_by_form(
    request: Request, alert_id: IdPath, form: Annotated[SiteTestFields, Form()], context: ContextDep
) -> Response:
    """Records a test on site; an error is shown beside the form, with what was typed."""
    renderer, typed = _renderer(request), form.typed()
    try:
        with context.writing() as conn:
            record_by_form(conn, load_alert(conn, alert_id), typed, context.settings.zone)
    except (ValidationError, MeterproofError) as error:
        texts, fmt = renderer.texts(request), renderer.formatter(request)
        text, status = form_error(error, texts)
        shown = replace(typed, error=text)
        values = alert_values(context, alert_id, None, FormState(), texts, fmt, shown)
        return renderer.page(request, "alert.html", values, status)
    return RedirectResponse(Links(request)("alerts", alert_id) + "#site-tests", status_code=303)


@router.post("/alerts/{alert_id}/{decision}")
def decide_by_form(
    request: Request,
    alert_id: IdPath,
    decision: Decision,
    context: ContextDep,
    actor: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    revise: Annotated[str, Form()] = "",
) -> Response:
    """Carries a decision out; an error is shown beside the form, with what was typed."""
    renderer = _renderer(request)
    try:
        with context.writing() as conn:
            decide(conn, DecisionRequest(alert_id, decision, actor, reason, revise == "yes"))
    except NotFoundError:
        raise
    except MeterproofError as error:
        texts, fmt = renderer.texts(request), renderer.formatter(request)
        form = form_after_error(error, actor, reason, texts)
        values = alert_values(context, alert_id, None, form, texts, fmt)
        return renderer.page(request, "alert.html", values, error.status)
    return RedirectResponse(Links(request)("alerts", alert_id), status_code=303)


@router.get("/replacements")
def replacements_page(
    request: Request, query: Annotated[ReplacementPageParameters, Query()], context: ContextDep
) -> Response:
    """The replacement list."""
    page = load_replacements(context, query)
    return _renderer(request).page(request, "replacements.html", {"page": page, "query": query})


@router.get("/quarantine")
def quarantine_page(
    request: Request, query: Annotated[QuarantinePageParameters, Query()], context: ContextDep
) -> Response:
    """What could not become readings, with reason and remedy."""
    renderer = _renderer(request)
    texts = renderer.texts(request)
    # The choice of reasons stays whole while one of them is chosen.
    page = load_quarantine(context, query, query.to_filter(with_reason=False))
    states = [
        ("open", texts("quarantine_open")),
        ("released", texts("quarantine_released")),
        ("discarded", texts("quarantine_discarded")),
        ("any", texts("filter_all")),
    ]
    values = {"page": page, "query": query, "states": states, "reasons": page.reasons}
    return renderer.page(request, "quarantine.html", values)


@router.get("/zones/{utility}/{zone:path}")
def zone_page(request: Request, utility: UtilityPath, zone: ZonePath, context: ContextDep) -> Response:
    """One zone: how well its balance was understood on the last day, and its meters' estimates."""
    renderer = _renderer(request)
    texts, fmt = renderer.texts(request), renderer.formatter(request)
    return renderer.page(request, "zone.html", zone_values(context, utility, zone, texts, fmt, Links(request)))


@router.get("/meters/{utility}/{serial:path}")
def meter_page(
    request: Request,
    utility: UtilityPath,
    serial: SerialPath,
    context: ContextDep,
) -> Response:
    """One meter's card, with what the balance last said of it."""
    renderer = _renderer(request)
    texts, fmt = renderer.texts(request), renderer.formatter(request)
    meter = load_meter_detail(context, utility, serial)
    with context.reading() as conn:
        rows = list_alerts(conn, AlertFilter(utility=utility, serial=serial), None, _MAX_METER_ALERTS)
        row = find_meter(conn, utility, serial)
        tests = site_test_values(conn, row["meter_id"] if row else None, meter.medium, SiteTestForm())
        estimate = meter_estimate(conn, row["meter_id"], texts, fmt) if row else None
    alerts = [AlertSummary.model_validate(row) for row in rows]
    values: dict[str, Any] = {"meter": meter, "alerts": alerts, "estimate": estimate, **tests}
    return renderer.page(request, "meter.html", values)
