"""Meters: the list, and one with its history."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.context import Context, ContextDep
from api.models import Meter, MeterDetail, Page, base_unit
from api.parameters import (
    MediumName,
    PageParameters,
    SerialPath,
    Text,
    UtilityPath,
    decode_cursor,
    encode_cursor,
    refuse_parameters,
)
from metrology.errors import NotFoundError
from store.alert_listings import AlertFilter, count_alerts
from store.listings import MeterFilter, find_meter, list_installations, list_meters
from store.query import Row
from store.reading_series import latest_reading

router = APIRouter(prefix="/v1/meters", tags=["meters"])
_MAX_INSTALLATIONS = 200


class MeterParameters(PageParameters):
    """Filters of the list of meters."""

    utility: Text | None = None
    medium: MediumName | None = None
    lot: Text | None = None
    zone: Text | None = Field(default=None, description="Code of the zone that the meter lies in now.")


@router.get("")
def get_meters(query: Annotated[MeterParameters, Query()], context: ContextDep) -> Page[Meter]:
    """Meters by utility and serial."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, int, str)
    wanted = MeterFilter(query.utility, query.medium, query.lot, query.zone)
    with context.reading() as conn:
        rows = list_meters(conn, wanted, (after[0], after[1]) if after else None, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor(last["utility_id"], last["serial"]) if last else None
    return Page[Meter](items=[Meter.model_validate(row) for row in rows[:limit]], next=following)


@router.get("/{utility}/{serial:path}", dependencies=[Depends(refuse_parameters)])
def get_meter(utility: UtilityPath, serial: SerialPath, context: ContextDep) -> MeterDetail:
    """One meter with its places and its latest reading."""
    return load_meter_detail(context, utility, serial)


def load_meter_detail(context: Context, utility: str, serial: str) -> MeterDetail:
    """One meter. Raises NotFoundError."""
    with context.reading() as conn:
        meter = known_meter(find_meter(conn, utility, serial), utility, serial)
        counts = count_alerts(conn, AlertFilter(states=("open", "acknowledged"), utility=utility, serial=serial))
        return MeterDetail.model_validate(
            {
                **meter,
                "base_unit": base_unit(meter["medium"]),
                "installations": list_installations(conn, meter["meter_id"], _MAX_INSTALLATIONS),
                "latest_reading": latest_reading(conn, meter["meter_id"]),
                "alerts_at_work": sum(row["alerts"] for row in counts),
            }
        )


def known_meter(row: Row | None, utility: str, serial: str) -> Row:
    """The row, or NotFoundError with the remedy."""
    if row is None:
        raise NotFoundError(
            f"meter {serial!r} of utility {utility!r} is not registered; /v1/meters lists the meters,"
            " `meterproof import meters` adds some"
        )
    return row
