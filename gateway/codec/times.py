"""Times as the JSON dialects write them, one at a time, to UTC; to the millisecond, finer digits are cut off."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from gateway.codec.clocks import local_moment
from gateway.codec.rowlist import Moment
from gateway.reasons import Reason, show
from metrology.status import ReadingStatus

_FORMS = ("iso", "epoch_s", "epoch_ms")
# ISO 8601, 5.4: extended (2019-06-06T12:12:12.5+08:00) or basic (20190606T121212Z); the offset may be missing.
_ISO = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})[Tt ]([0-9]{2})(:?)([0-9]{2})(?:\6([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" ?(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
_EPOCH_TEXT = re.compile(r"-?[0-9]{1,17}(?:\.[0-9]{1,9})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MS_MAX = 2**52
# A meter's clock may be this much ahead: of the two moments of an ambiguous time the later one may lie so far after
# the receipt and still be meant.
_AHEAD_MS = 600_000


def _checked_form(form: str) -> str:
    if form in _FORMS:
        return form
    if "%" not in form:
        raise ValueError(f"{form!r} is no form of time; use iso, epoch_s, epoch_ms or a pattern such as %d.%m.%Y %H:%M")
    try:
        datetime.strptime(datetime(2026, 12, 31, 13, 14, 15, tzinfo=UTC).strftime(form), form)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(f"{form!r} is no pattern of a time: {error}") from None
    return form


TimeForm = Annotated[str, AfterValidator(_checked_form)]


class TimeRejected(Exception):  # noqa: N818  # a verdict that travels, not a fault of the program
    """The value is no time of that form."""

    def __init__(self, reason: Reason, found: str) -> None:
        super().__init__(found)
        self.reason = reason
        self.found = found


def read_time(value: Any, form: str, zone: ZoneInfo, received_us: int | None) -> Moment:
    """The moment that `value` states. Raises TimeRejected.

    `form`: `iso` text with an offset, or local without one; `epoch_s` or `epoch_ms`, a number or its text; or a
    pattern of `strptime`. A local time needs `zone`; of the two moments of an hour that occurs twice the later one is
    taken where it had come when the message was received, and both are flagged TIME_AMBIGUOUS.
    """
    if form.startswith("epoch"):
        return _epoch(value, 1000 if form == "epoch_s" else 1)
    if not isinstance(value, str):
        raise TimeRejected(Reason.OBSERVED_AT_INVALID, f"{show(value)} is no text")
    try:
        parsed = _iso(value) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007  # see below
    except (ValueError, OverflowError):
        parsed = None
    if parsed is None:
        raise TimeRejected(Reason.OBSERVED_AT_INVALID, f"{show(value)} is not of the form {form}")
    if parsed.tzinfo is not None:
        return Moment((parsed - _EPOCH) // _MS)
    return _local(parsed, zone, received_us)


def _epoch(value: Any, ms_per_unit: int) -> Moment:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    text = format(value, "f") if is_number and -_MS_MAX < value < _MS_MAX else value
    if not isinstance(text, str) or not _EPOCH_TEXT.fullmatch(text):
        raise TimeRejected(Reason.OBSERVED_AT_INVALID, f"{show(value)} is no count since 1970")
    ms = int(Decimal(text) * ms_per_unit // 1)
    if not -_MS_MAX < ms < _MS_MAX:
        raise TimeRejected(Reason.OBSERVED_AT_INVALID, f"{show(value)} is out of range")
    return Moment(ms)


def _iso(text: str) -> datetime | None:
    match = _ISO.fullmatch(text)
    if not match:
        return None
    year, dash, month, day, hour, colon, minute, second, decimals, utc, sign, offset_h, offset_min = match.groups()
    if bool(dash) != bool(colon):
        return None  # a mixture of the basic and the extended form
    zone: timezone | None = UTC if utc else None
    if sign:
        offset = timedelta(hours=int(offset_h), minutes=int(offset_min or 0))
        zone = timezone(-offset if sign == "-" else offset)
    us = int((decimals or "0").ljust(6, "0")[:6])
    return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), us, tzinfo=zone)


def _local(local: datetime, zone: ZoneInfo, received_us: int | None) -> Moment:
    if zone.key == "UTC":  # the default: nobody said where these clocks are
        raise TimeRejected(
            Reason.OBSERVED_AT_INVALID,
            f"{local.isoformat()} has no offset, and the source's time_zone is not set (Etc/UTC if it is UTC)",
        )
    moment = local_moment(local, zone)
    if moment is None:
        raise TimeRejected(Reason.OBSERVED_AT_NONEXISTENT, f"{local.isoformat()} in {zone.key}")
    if moment.status & ReadingStatus.TIME_AMBIGUOUS and received_us is not None:
        later_ms = (local.replace(tzinfo=zone, fold=1) - _EPOCH) // _MS
        if later_ms <= received_us // 1000 + _AHEAD_MS:
            return Moment(later_ms, moment.status)
    return moment
