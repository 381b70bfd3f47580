# ruff: noqa: DTZ001 (local times without a zone are what is tested)
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from simulators.local_time import localise, offset_pieces, parse_zone

EPOCH = datetime(1970, 1, 1)
ZONES = ["Europe/Madrid", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]


def micro(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def brute_force(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """Every UTC time that the zone's clocks showed as `local`, by zoneinfo's own conversion there and back."""
    candidates = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {moment for moment in candidates if moment.astimezone(zone).replace(tzinfo=None) == local}


@settings(deadline=None)  # other work may share the machine
@given(
    st.sampled_from(ZONES), st.integers(1971, 2036), st.lists(st.timedeltas(timedelta(0), timedelta(700)), min_size=1)
)
def test_agrees_with_zoneinfo_on_any_time(name: str, year: int, spans: list[timedelta]) -> None:
    zone = ZoneInfo(name)
    moments = [datetime(year, 1, 1) + span for span in spans]
    local_us = np.array([micro(moment) for moment in moments], dtype=np.int64)
    found = localise(local_us, offset_pieces(zone, int(local_us.min()), int(local_us.max())))
    for i, moment in enumerate(moments):
        expected = {micro(utc.replace(tzinfo=None)) for utc in brute_force(moment, zone)}
        assert bool(found.nonexistent[i]) == (not expected)
        if expected:
            assert {int(found.earlier_us[i]), int(found.later_us[i])} == expected
            assert found.earlier_us[i] <= found.later_us[i]


@pytest.mark.parametrize(
    ("name", "day"),
    [("Europe/Madrid", datetime(2016, 10, 30)), ("Australia/Lord_Howe", datetime(2024, 4, 7)),
     ("Europe/Madrid", datetime(2016, 3, 27)), ("Asia/Shanghai", datetime(1990, 9, 16))],
)  # fmt: skip
def test_every_minute_of_a_day_with_a_change(name: str, day: datetime) -> None:
    zone = ZoneInfo(name)
    minutes = [day + timedelta(minutes=m) for m in range(24 * 60)]
    local_us = np.array([micro(m) for m in minutes], dtype=np.int64)
    found = localise(local_us, offset_pieces(zone, int(local_us[0]), int(local_us[-1])))
    expected = [brute_force(m, zone) for m in minutes]
    assert [len(e) for e in expected] == [
        0 if n else 2 if a else 1 for n, a in zip(found.nonexistent, found.ambiguous, strict=True)
    ]
    assert {len(e) for e in expected} != {1}, "the day was to hold a change of the clocks"


def test_a_fixed_offset_and_unknown_names() -> None:
    pieces = offset_pieces(parse_zone("+08:00"), 0, 86_400_000_000)
    assert pieces.offset_us.tolist() == [8 * 3600 * 1_000_000]
    with pytest.raises(InvalidInputError, match=r"Europe/Madrid, UTC"):
        parse_zone("Europe/Madird")
    with pytest.raises(InvalidInputError, match=r"\+08:00"):
        parse_zone("+8 hours")
