"""The console's addresses."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field, field_validator

from api.console.alert_page import FormState, alert_values, form_after_error
from api.console.inbox import InboxParameters, inbox_values, summary_cards
from api.console.rendering import Links, Renderer
from api.context import ContextDep
from api.models import AlertSummary
from api.parameters import MAX_ID, IdPath, Parameters, SerialPath, UtilityPath
from api.routers.meters import load_meter_detail
from api.routers.quarantine import QuarantineParameters, load_quarantine
from api.routers.replacements import ReplacementParameters, load_replacements
from api.routers.summary import load_summary
from metrology.errors import MeterproofError, NotFoundError
from store.alert_decisions import Decision, DecisionRequest, decide
from store.alert_listings import AlertFilter, list_alerts

router = APIRouter(include_in_schema=False)
_MAX_METER_ALERTS = 100


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


@router.get("/meters/{utility}/{serial:path}")
def meter_page(
    request: Request,
    utility: UtilityPath,
    serial: SerialPath,
    context: ContextDep,
) -> Response:
    """One meter's card."""
    meter = load_meter_detail(context, utility, serial)
    with context.reading() as conn:
        rows = list_alerts(conn, AlertFilter(utility=utility, serial=serial), None, _MAX_METER_ALERTS)
    values: dict[str, Any] = {"meter": meter, "alerts": [AlertSummary.model_validate(row) for row in rows]}
    return _renderer(request).page(request, "meter.html", values)
