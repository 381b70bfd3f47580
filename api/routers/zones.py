"""Zones: the list, and one."""

from typing import Annotated

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
        row = find_zone(conn, utility, zone)
        report = last_zone_report(conn, utility, zone)
    if row is None:
        raise NotFoundError(
            f"zone {zone!r} of utility {utility!r} does not exist; /v1/zones lists the zones,"
            " `meterproof import zones` adds some"
        )
    return ZoneDetail.model_validate(row | {"report": report})
