"""Zones: the list, and one."""

from collections.abc import Mapping
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query

from api.context import ContextDep
from api.models import Page, Zone, ZoneDetail
from api.parameters import (
    MediumName,
    PageParameters,
    Text,
    UtilityPath,
    ZonePath,
    decode_cursor,
    encode_cursor,
    refuse_parameters,
)
from metrology.errors import NotFoundError
from store.listings import find_zone, last_zone_report, list_zones
from store.query import Row
from store.zone_views import count_zone_estimates, meter_serials

router = APIRouter(prefix="/v1/zones", tags=["zones"])


class ZoneParameters(PageParameters):
    """Filters of the list of zones."""

    utility: Text | None = None
    medium: MediumName | None = None


@router.get("")
def get_zones(query: Annotated[ZoneParameters, Query()], context: ContextDep) -> Page[Zone]:
    """Zones by utility and code. `/v1/meters?zone=` lists the meters of one."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, int, str)
    with context.reading() as conn:
        rows = list_zones(conn, query.utility, query.medium, (after[0], after[1]) if after else None, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor(last["utility_id"], last["zone"]) if last else None
    return Page[Zone](items=[Zone.model_validate(row) for row in rows[:limit]], next=following)


@router.get("/{utility}/{zone:path}", dependencies=[Depends(refuse_parameters)])
def get_zone(utility: UtilityPath, zone: ZonePath, context: ContextDep) -> ZoneDetail:
    """One zone, with how well its balance was understood on the last day that was assessed."""
    with context.reading() as conn:
        row, report = load_zone(conn, utility, zone)
    return ZoneDetail.model_validate(row | {"report": report})


def load_zone(conn: psycopg.Connection[Any], utility: str, zone: str) -> tuple[Row, Row | None]:
    """A zone, and the report of its last day with the serials of the meters that it names. Raises NotFoundError."""
    row = find_zone(conn, utility, zone)
    if row is None:
        raise NotFoundError(
            f"zone {zone!r} of utility {utility!r} does not exist; /v1/zones lists the zones,"
            " `meterproof import zones` adds some"
        )
    report = last_zone_report(conn, utility, zone)
    if report is None:
        return row, None
    named = [meter_of(one) for one in (*report["remedies"], *report["reasons"])]
    serials = meter_serials(conn, {meter_id for meter_id in named if meter_id is not None})
    told = [remedy | {"serial": serials.get(meter_of(remedy) or 0)} for remedy in report["remedies"]]
    meters = count_zone_estimates(conn, row["zone_id"], report["window_end"])
    return row, report | {"remedies": told, "serials": serials, "meters": meters}


def meter_of(told: Mapping[str, Any]) -> int | None:
    """The meter that a reason or a remedy is about, as the verifier wrote it down."""
    data = told.get("data")
    meter_id = data.get("meter_id") if isinstance(data, dict) else None
    return meter_id if isinstance(meter_id, int) and not isinstance(meter_id, bool) else None
