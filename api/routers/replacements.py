"""Meters due for replacement by rule."""

from datetime import date, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field, WithJsonSchema

from api.context import Context, ContextDep
from api.models import Count, Replacement, ReplacementPage
from api.parameters import MediumName, PageParameters, Text, decode_cursor, encode_cursor
from store.query import Row
from store.replacements import ReplacementRule, count_without_validity, list_replacements

router = APIRouter(prefix="/v1/replacements", tags=["replacements"])


def _parse_day(value: object) -> date:
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("is no calendar day; write it as 2026-12-31") from None
    if not 1970 <= day.year < 2200:
        raise ValueError("lies outside of the years 1970 to 2199; give a day within them")
    return day


Day = Annotated[date, BeforeValidator(_parse_day), WithJsonSchema({"type": "string", "format": "date"})]


class ReplacementParameters(PageParameters):
    """Filters of the replacement list."""

    as_of: Day | None = Field(default=None, description="At the end of which day; by default today.")
    utility: Text | None = None
    medium: MediumName | None = None


@router.get("")
def get_replacements(query: Annotated[ReplacementParameters, Query()], context: ContextDep) -> ReplacementPage:
    """Installed meters whose validity has ended or that are confirmed to be faulty, the longest due first."""
    return load_replacements(context, query)


def load_replacements(context: Context, query: ReplacementParameters) -> ReplacementPage:
    """One page of the list."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, datetime, int)
    as_of = query.as_of or context.today()
    rule = ReplacementRule(as_of, context.end_of_day(as_of), context.settings.replacement_kinds)
    with context.reading() as conn:
        rows = list_replacements(
            conn,
            rule,
            utility=query.utility,
            medium=query.medium,
            after=(after[0], after[1]) if after else None,
            limit=limit + 1,
        )
        bound = context.settings.count_max
        unknown = count_without_validity(conn, rule, utility=query.utility, medium=query.medium, at_most=bound)
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor(last["since"], last["meter_id"]) if last else None
    return ReplacementPage(
        as_of=as_of,
        items=[_replacement(row) for row in rows[:limit]],
        next=following,
        validity_unknown=Count(count=unknown, at_least=unknown >= bound),
    )


def _replacement(row: Row) -> Replacement:
    reasons: list[Row] = []
    if row["expired_on"] is not None:
        evidence = f"/v1/meters/{quote(row['utility'], safe='')}/{quote(row['serial'], safe='')}"
        reasons.append({"rule": "expired", "since": row["expired_on"], "evidence": evidence})
    for alert in row["alerts"] or []:
        evidence = f"/v1/alerts/{alert['alert_id']}"
        since = datetime.fromisoformat(alert["since"])
        reasons.append({**alert, "since": since, "rule": "confirmed_alert", "evidence": evidence})
    return Replacement.model_validate({**row, "due_since": row["since"], "reasons": reasons})
