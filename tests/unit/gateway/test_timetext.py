from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.timetext import parse_rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
FIRST, LAST = datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-29")
TIMES = st.datetimes(FIRST, LAST, timezones=OFFSETS)


def _render(moment: datetime, decimals: int, use_z: bool, separator: str) -> str:
    """RFC 3339 text by string formatting, apart from the parser's arithmetic."""
    if use_z:
        moment = moment.astimezone(UTC)
    text = moment.strftime(f"%m-%d{separator}%H:%M:%S")
    fraction = f"{moment.microsecond:06d}"
    fraction = fraction[:decimals] if decimals <= 6 else fraction + "0" * (decimals - 6)
    offset = moment.utcoffset() or timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    zone = "Z" if use_z else f"{'-' if offset < timedelta() else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{moment.year:04d}-{text}{'.' + fraction if decimals else ''}{zone}"


@settings(deadline=None)
@given(st.lists(st.tuples(TIMES, st.integers(0, 9), st.booleans(), st.sampled_from("Tt ")), max_size=20))
def test_agrees_with_datetime_for_any_offset_and_decimals(cases):
    texts = [_render(*case) for case in cases]
    expected = []
    for moment, decimals, _, _ in cases:
        kept = min(decimals, 6)
        cut = moment.replace(microsecond=moment.microsecond // 10 ** (6 - kept) * 10 ** (6 - kept))
        expected.append((cut - EPOCH) // timedelta(microseconds=1))
    observed_us, bad = parse_rfc3339(texts)
    assert not bad.any()
    assert observed_us.tolist() == expected


@settings(deadline=None)
@given(st.lists(st.text(max_size=40) | st.text("0123456789-:TZ+. ", min_size=18, max_size=30), max_size=10))
def test_arbitrary_text_is_refused_or_a_time_that_datetime_reads_alike(texts):
    observed_us, bad = parse_rfc3339(texts)
    for text, us, is_bad in zip(texts, observed_us, bad, strict=True):
        if not is_bad:
            assert EPOCH + timedelta(microseconds=int(us)) == datetime.fromisoformat(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00 01:00",
        "2026-1-01T00:00:000Z",
        "２026-01-01T00:00:00Z",
        "2026-01-01T00:00:00,5Z",
        "",
        "\x00" * 20,
    ],
)
def test_what_is_no_time_is_refused_and_leaves_its_neighbours(text):
    observed_us, bad = parse_rfc3339(["2026-01-01T00:15:00Z", text, "2026-01-01T00:15:00+00:15"])
    assert bad.tolist() == [False, True, False]
    assert (observed_us[2] - observed_us[0]) / 1e6 == -900.0
    assert observed_us[1] == 0


def test_leap_days_of_centuries():
    _, bad = parse_rfc3339([f"{year}-02-29T12:00:00Z" for year in (1900, 2000, 2024, 2100)])
    assert bad.tolist() == [True, False, False, True]


def test_result_is_microseconds_as_int64():
    observed_us, _ = parse_rfc3339(["1970-01-01T00:00:00.000001Z"])
    assert observed_us.dtype == np.int64
    assert observed_us.tolist() == [1]
