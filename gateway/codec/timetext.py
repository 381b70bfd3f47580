"""RFC 3339 times of many rows at once, exact to the microsecond.

Texts of one length share one layout of characters, so each length is parsed as a matrix of bytes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

US_PER_S = 1_000_000
_S_PER_DAY = 86_400
_MIN_LENGTH = len("2026-01-01T00:00:00Z")
_MAX_LENGTH = len("2026-01-01T00:00:00.123456789123456789+00:00")
_DAYS_BEFORE_MONTH = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], dtype=np.int64)
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


def parse_rfc3339(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """n texts to microseconds since 1970 UTC, shape (n,), and a mask of those that are no such time (result 0).

    RFC 3339, 5.6: date, `T` (or blank), time, any number of decimals, `Z` or an offset, which is required. Decimals
    beyond the sixth are cut off. Leap seconds (:60) are refused: the scale has no place for them.
    """
    n = len(texts)
    # One byte a character whatever was sent, so that lengths stay those of the texts.
    data = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=n)
    observed_us = np.zeros(n, dtype=np.int64)
    bad = np.ones(n, dtype=np.bool_)
    if n == 0:
        return observed_us, bad
    if lengths[0] * n == len(data) and (lengths == lengths[0]).all():
        _parse_one_length(data.reshape(n, -1), slice(None), observed_us, bad)
        return observed_us, bad
    starts = np.cumsum(lengths) - lengths
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        if _MIN_LENGTH <= length <= _MAX_LENGTH:
            _parse_one_length(data[starts[rows, None] + np.arange(length)], rows, observed_us, bad)
    return observed_us, bad


def _parse_one_length(
    text: NDArray[np.uint8], rows: NDArray[np.int64] | slice, observed_us: NDArray[np.int64], bad: NDArray[np.bool_]
) -> None:
    """Parse the matrix `text`, a row a time; Z and numeric offsets each in their layout."""
    if not _MIN_LENGTH <= text.shape[1] <= _MAX_LENGTH:
        return
    utc = (text[:, -1] | 0x20) == ord("z")
    if utc.all():
        observed_us[rows], bad[rows] = _parse_layout(text, 1)
        return
    index = np.arange(len(bad))[rows]
    for is_utc, suffix in ((True, 1), (False, 6)):
        part = utc if is_utc else ~utc
        observed_us[index[part]], bad[index[part]] = _parse_layout(text[part], suffix)


def _parse_layout(text: NDArray[np.uint8], suffix: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times whose zone takes the last `suffix` characters: 1 for Z, 6 for +hh:mm."""
    length = text.shape[1]
    decimals = length - 20 - suffix  # characters behind the decimal point; -1: there is none
    if decimals < -1 or decimals == 0:
        return np.zeros(len(text), dtype=np.int64), np.ones(len(text), dtype=np.bool_)
    digits = text - ord("0")  # wraps around: whatever is no digit becomes larger than 9
    positions = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, *range(20, length - suffix)]
    if suffix == 6:
        positions += [length - 5, length - 4, length - 2, length - 1]
    ok = (digits[:, positions] <= 9).all(axis=1)
    ok &= (text[:, [4, 7]] == ord("-")).all(axis=1) & (text[:, [13, 16]] == ord(":")).all(axis=1)
    ok &= ((text[:, 10] | 0x20) == ord("t")) | (text[:, 10] == ord(" "))
    if decimals > 0:
        ok &= text[:, 19] == ord(".")
    second, ok = _civil_seconds(digits, ok)
    if suffix == 6:
        offset_s, ok = _offset_seconds(text, digits, ok)
        second = second - offset_s
    us = second * US_PER_S
    if decimals > 0:
        us += _number(digits, 20, min(decimals, 6)) * 10 ** max(6 - decimals, 0)
    return np.where(ok, us, 0), ~ok


def _civil_seconds(digits: NDArray[np.uint8], ok: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds since 1970 of the first 19 characters read as UTC, and where they are a real date and time."""
    year, month, day = _number(digits, 0, 4), _number(digits, 5, 2), _number(digits, 8, 2)
    hour, minute, second = _number(digits, 11, 2), _number(digits, 14, 2), _number(digits, 17, 2)
    ok = ok & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 59)
    month = np.where(ok, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    ok &= day <= _DAYS_IN_MONTH[month] + (leap & (month == 2))
    # Days of the proleptic Gregorian calendar: full years before this one, their leap days, months, days.
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162
    days += _DAYS_BEFORE_MONTH[month] + (leap & (month > 2)) + day - 1
    return days * _S_PER_DAY + hour * 3600 + minute * 60 + second, ok


def _offset_seconds(
    text: NDArray[np.uint8], digits: NDArray[np.uint8], ok: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    length = text.shape[1]
    sign, hours, minutes = text[:, -6], _number(digits, length - 5, 2), _number(digits, length - 2, 2)
    ok = ok & ((sign == ord("+")) | (sign == ord("-"))) & (text[:, -3] == ord(":")) & (hours <= 23) & (minutes <= 59)
    return np.where(sign == ord("-"), -1, 1) * (hours * 3600 + minutes * 60), ok


def _number(digits: NDArray[np.uint8], start: int, count: int) -> NDArray[np.int64]:
    """The number that `count` digits from column `start` on make."""
    value = digits[:, start].astype(np.int64)
    for column in range(start + 1, start + count):
        value = value * 10 + digits[:, column]
    return value
