"""A meter's readings: page by page, or downsampled for a chart."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.context import ContextDep
from api.errors import ParameterError
from api.models import Bucket, DownsampledReadings, Reading, ReadingPage, ReadingValue, base_unit
from api.parameters import (
    Instant,
    PageParameters,
    Parameters,
    SerialPath,
    UtilityPath,
    bounded_limit,
    decode_cursor,
    encode_cursor,
)
from api.routers.meters import known_meter
from store.listings import find_meter
from store.reading_series import downsample, list_conflicting, list_readings, reading_span

router = APIRouter(prefix="/v1/meters/{utility}/{serial:path}/readings", tags=["readings"])
_BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class ReadingParameters(PageParameters):
    """A stretch of time, half-open."""

    start: Instant | None = Field(default=None, alias="from", description="First time included.")
    end: Instant | None = Field(default=None, alias="to", description="First time not included.")


class DownsampleParameters(Parameters):
    """A stretch of time, half-open; by default from the first reading to the last."""

    start: Instant | None = Field(default=None, alias="from", description="First time included.")
    end: Instant | None = Field(default=None, alias="to", description="First time not included.")
    buckets: int = Field(default=500, ge=1, description="In how many buckets of equal length.")


@router.get("")
def get_readings(
    utility: UtilityPath, serial: SerialPath, query: Annotated[ReadingParameters, Query()], context: ContextDep
) -> ReadingPage:
    """Readings of one meter in order of time, [from, to)."""
    limit = bounded_limit(query.limit, context.settings.page_size, context.settings.readings_max)
    start, end = query.start or _BEGINNING, query.end or _END
    _check_order(start, end)
    after = decode_cursor(query.cursor, datetime)
    if after:
        start = max(start, after[0] + _TICK)
    with context.reading() as conn:
        meter = known_meter(find_meter(conn, utility, serial), utility, serial)
        rows = list_readings(conn, meter["meter_id"], start, end, limit + 1)
        shown = rows[:limit]
        # A time may hold several other values; their number is bounded as well.
        others = (
            list_conflicting(conn, meter["meter_id"], shown[0]["observed_at"], shown[-1]["observed_at"], 10 * limit)
            if shown
            else []
        )
    conflicting: dict[datetime, list[ReadingValue]] = {}
    for row in others:
        conflicting.setdefault(row["observed_at"], []).append(ReadingValue.model_validate(row))
    items = [Reading.model_validate({**row, "conflicting": conflicting.get(row["observed_at"], [])}) for row in shown]
    following = encode_cursor(shown[-1]["observed_at"]) if len(rows) > limit else None
    return ReadingPage(utility=utility, serial=serial, unit=base_unit(meter["medium"]), items=items, next=following)


@router.get("/downsampled")
def get_downsampled_readings(
    utility: UtilityPath, serial: SerialPath, query: Annotated[DownsampleParameters, Query()], context: ContextDep
) -> DownsampledReadings:
    """The least, greatest, first and last register of each bucket."""
    if query.buckets > context.settings.buckets_max:
        raise ParameterError(
            "query.buckets", str(query.buckets), f"exceeds {context.settings.buckets_max}; ask for fewer"
        )
    with context.reading() as conn:
        meter = known_meter(find_meter(conn, utility, serial), utility, serial)
        span = reading_span(conn, meter["meter_id"]) or (_BEGINNING, _BEGINNING)
        start, end = query.start or span[0], query.end or span[1] + _TICK
        if query.start and query.end:
            _check_order(start, end)
        end = max(end, start + _TICK)
        # Rounded up to whole microseconds, so that there are never more buckets than asked for.
        width = timedelta(microseconds=-(-((end - start) // _TICK) // query.buckets))
        rows = downsample(conn, meter["meter_id"], start, end, width)
    return DownsampledReadings(
        utility=utility,
        serial=serial,
        unit=base_unit(meter["medium"]),
        start=start,
        end=end,
        bucket_s=width.total_seconds(),
        items=[Bucket.model_validate(row) for row in rows],
    )


def _check_order(start: datetime, end: datetime) -> None:
    if start >= end:
        raise ParameterError(
            "query.from", start.isoformat(), f"is not before to = {end.isoformat()}; the stretch is [from, to)"
        )
