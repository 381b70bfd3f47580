"""Exact conversion between aware datetimes and microseconds since 1970 UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_datetime(time_us: int) -> datetime:
    """The aware UTC datetime of `time_us` [us since 1970]. Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=int(time_us))


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime, exactly (no float in between)."""
    return (time - EPOCH) // _MICROSECOND


def time_bound(time_us: int) -> datetime | str:
    """A query's bound: the datetime, or PostgreSQL's infinity where a datetime can't hold it."""
    try:
        return to_datetime(time_us)
    except OverflowError:
        return "infinity" if time_us > 0 else "-infinity"
