# ruff: noqa: DTZ001 (local times without a zone are what is tested)
from datetime import datetime, timedelta
from itertools import pairwise, product
from math import log
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.local_time import localise, offset_pieces
from simulators.repeated_hour import MeterRows, place_rows

MADRID = ZoneInfo("Europe/Madrid")
NIGHT = datetime(2016, 10, 30)
FIRST_PASS_US = (datetime(2016, 10, 30) - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # 02:00 CEST in UTC
HOUR_US = 3_600_000_000


def rows(*readings: tuple[str, int], meters: list[int] | None = None) -> MeterRows:
    local = [NIGHT + timedelta(hours=int(t[:2]), minutes=int(t[3:5]), seconds=int(t[6:] or 0)) for t, _ in readings]
    local_us = np.array([(m - datetime(1970, 1, 1)) // timedelta(microseconds=1) for m in local], dtype=np.int64)
    times = localise(local_us, offset_pieces(MADRID, int(local_us.min()), int(local_us.max())))
    meter = np.array(meters or [0] * len(readings), dtype=np.int32)
    return MeterRows(meter, times, np.array([r for _, r in readings], dtype=np.int64))


def passes(placed: np.ndarray, given_rows: MeterRows) -> str:
    """1 or 2 for each row in the repeated hour, - for the others."""
    ambiguous = given_rows.times.ambiguous
    second = placed == given_rows.times.later_us
    return "".join("-" if not a else "2" if s else "1" for a, s in zip(ambiguous, second, strict=True))


CASES = [
    # hourly, the same local time twice
    ([("00:08:53", 4), ("01:08:53", 5), ("02:08:53", 7), ("02:08:53", 7), ("03:08:53", 7), ("04:08:53", 7)], "--12--"),
    ([("01:11:10", 5), ("02:11:08", 7), ("02:11:08", 9), ("03:11:08", 9)], "-12-"),
    ([("01:11:10", 5), ("02:11:08", 9), ("02:11:08", 7), ("03:11:08", 9)], "-21-"),
    # three rows of an hourly meter: one of them is a line written twice
    ([("01:27:21", 44), ("02:27:19", 51), ("02:27:21", 44), ("02:27:19", 51), ("03:27:19", 51)], "-212-"),
    ([("01:56:14", 5), ("02:56:14", 5), ("02:56:28", 5), ("02:56:28", 5), ("03:56:28", 5)], "-122-"),
    ([("01:24:37", 5), ("02:24:37", 5), ("02:41:15", 5), ("02:41:15", 5), ("03:41:15", 5)], "-122-"),
    # a single row goes where the spacing fits; the earlier pass if both fit alike
    ([("01:49:37", 5), ("02:49:37", 5), ("03:09:00", 5), ("04:09:00", 5)], "-1--"),
    ([("00:20:00", 5), ("01:20:00", 5), ("02:40:00", 5), ("03:41:00", 5), ("04:41:00", 5)], "--2--"),
    ([("00:31:02", 5), ("01:31:02", 5), ("02:31:02", 5), ("03:31:02", 5)], "--1-"),
    # every quarter of an hour, sorted by the local clock
    ([("01:45", 1), ("02:00", 2), ("02:00", 6), ("02:15", 3), ("02:15", 7), ("02:30", 4), ("02:30", 8), ("02:45", 5),
      ("02:45", 9), ("03:00", 10)], "-12121212-"),
    # only rows of the repeated hour: nothing to compare with but each other
    ([("02:10", 9), ("02:10", 4)], "21"),
]  # fmt: skip


@pytest.mark.parametrize(("readings", "expected"), CASES)
def test_known_nights(readings: list[tuple[str, int]], expected: str) -> None:
    given_rows = rows(*readings)
    assert passes(place_rows(given_rows), given_rows) == expected


def test_meters_and_nights_do_not_mix() -> None:
    readings = [("00:08", 4), ("01:08", 5), ("01:09", 900), ("02:08", 7), ("02:09", 910), ("02:08", 7), ("02:09", 905)]
    given_rows = rows(*readings, meters=[0, 0, 1, 0, 1, 0, 1])
    assert passes(place_rows(given_rows), given_rows) == "---1221"


@settings(deadline=None)  # other work may share the machine
@given(
    interval_min=st.sampled_from([5, 10, 15, 20, 30, 60]),
    phase_s=st.integers(0, 299),
    steps=st.lists(st.integers(1, 50), min_size=60, max_size=60),
    by_clock=st.booleans(),
)
def test_a_regular_meter_with_consumption_is_placed_as_it_was(
    interval_min: int, phase_s: int, steps: list[int], by_clock: bool
) -> None:
    count = 5 * 60 // interval_min
    step_us = interval_min * 60_000_000
    utc_us = FIRST_PASS_US - 2 * HOUR_US + phase_s * 1_000_000 + step_us * np.arange(count)
    local_us = utc_us + np.where(utc_us < FIRST_PASS_US + HOUR_US, 2, 1) * HOUR_US
    register = np.cumsum(np.array(steps[:count], dtype=np.int64))
    # As a file has it: sorted by the local clock (stable), or as it happened.
    order = np.argsort(local_us, kind="stable") if by_clock else np.arange(count)
    times = localise(local_us[order], offset_pieces(MADRID, int(local_us.min()), int(local_us.max())))
    placed = place_rows(MeterRows(np.zeros(count, dtype=np.int32), times, register[order]))
    assert placed.tolist() == utc_us[order].tolist()


def brute_force(readings: list[tuple[int, int]], before: tuple[int, int], after: tuple[int, int], usual: int) -> float:
    """The least (contradictions, strangeness) over all divisions, as one number."""
    best = float("inf")
    for choice in product((0, 1), repeat=len(readings)):
        placed = sorted((t + HOUR_US * c, r) for (t, r), c in zip(readings, choice, strict=True))
        best = min(best, _score([before, *placed, after], usual))
    return best


def _score(chain: list[tuple[int, int]], usual: int) -> float:
    total = 0.0
    for (t0, r0), (t1, r1) in pairwise(chain):
        total += 1000.0 * (r1 < r0 or (t1 == t0 and r1 != r0))
        total += log(2) if t1 == t0 else abs(log((t1 - t0) / usual))
    return total


@settings(deadline=None)  # other work may share the machine
@given(st.lists(st.tuples(st.integers(0, 59), st.integers(10, 14)), min_size=1, max_size=6))
def test_no_division_is_better_than_the_chosen_one(minutes: list[tuple[int, int]]) -> None:
    edge = [("00:30", 9), ("01:30", 10), ("03:30", 14), ("04:30", 15)]
    given_rows = rows(*edge, *((f"02:{m:02d}", r) for m, r in minutes))
    placed = place_rows(given_rows)
    before, after = (int(placed[1]), 10), (int(placed[2]), 14)
    gaps = np.diff(np.sort(placed[:4]))
    chain = [before, *sorted(zip(placed[4:].tolist(), [r for _, r in minutes], strict=True)), after]
    usual = int(np.median(gaps))
    first = [(FIRST_PASS_US + m * 60_000_000, r) for m, r in minutes]
    assert _score(chain, usual) == pytest.approx(brute_force(first, before, after, usual))


@settings(deadline=None)  # other work may share the machine
@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 5)), min_size=9, max_size=40))
def test_many_rows_are_all_placed_in_one_of_the_two_passes(minutes: list[tuple[int, int]]) -> None:
    given_rows = rows(*((f"02:{m:02d}", r) for m, r in minutes))
    placed = place_rows(given_rows)
    assert ((placed == given_rows.times.earlier_us) | (placed == given_rows.times.later_us)).all()
