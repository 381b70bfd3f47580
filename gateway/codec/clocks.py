"""Local times of meters' clocks, one at a time, to UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.codec.rowlist import Moment
from gateway.codec.rows import CodecContext
from gateway.errors import SourceError
from metrology.status import ReadingStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_HOUR = timedelta(hours=1)
_AHEAD_MS = 600_000


def zone_of_clocks(context: CodecContext, example: str) -> ZoneInfo:
    """The source's time zone, which a dialect with local clocks needs to be set. Raises SourceError with the remedy.

    A forgotten zone would shift every reading by hours, and nothing in the data would show it.
    """
    if context.time_zone.key == "UTC":
        raise SourceError(
            f"gateway.sources.{context.source}.time_zone is not set, but these meters send local times; "
            f"set it, e.g. {example} (Etc/UTC if their clocks do show UTC)"
        )
    return context.time_zone


def local_moment(local: datetime, zone: ZoneInfo, received_us: int | None = None) -> Moment | None:
    """The moment of a naive local time; None for one that the zone's clocks left out.

    Of the hour that occurs twice the later is chosen where it had come when the message was received (a clock may be
    ahead by ten minutes), else the earlier; it is flagged TIME_AMBIGUOUS: which one was meant is not said.
    """
    earlier, later = (_utc(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if earlier is None or later is None or earlier.astimezone(zone).replace(tzinfo=None) != local:
        return None
    earlier_ms, later_ms = (earlier - _EPOCH) // _MS, (later - _EPOCH) // _MS
    if earlier_ms == later_ms:
        return Moment(earlier_ms)
    has_come = received_us is not None and later_ms <= received_us // 1000 + _AHEAD_MS
    return Moment(later_ms if has_come else earlier_ms, ReadingStatus.TIME_AMBIGUOUS)


def flagged_moment(local: datetime, is_summer_time: bool, zone: ZoneInfo) -> Moment | None:
    """The moment of a naive local time that tells whether summer time (one hour ahead) is in force: exact.

    A clock that is left in winter time all year says so, and is right. None beyond the range of dates.
    """
    aware = local.replace(tzinfo=zone)
    standard = (zone.utcoffset(aware) or timedelta(0)) - (zone.dst(aware) or timedelta(0))
    try:
        utc = local.replace(tzinfo=UTC) - standard - (_HOUR if is_summer_time else timedelta(0))
    except OverflowError:
        return None
    return Moment((utc - _EPOCH) // _MS)


def _utc(aware: datetime) -> datetime | None:
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        return None
