"""A zone's registers on its grid: nothing is lost, whatever is missing inside."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.balance.timeline import Timeline, zone_timeline
from verifier.balance.types import DAY_US, Floats, MemberSeries

STEP_US = 900_000_000
START_US = 100 * DAY_US


def series(total: Floats, missing: tuple[int, ...] = (), meter_id: int = 1, shift_us: int = 0) -> MemberSeries:
    """A customer read at every instant from `START_US` on, but for some."""
    kept = np.setdiff1d(np.arange(total.size), missing)
    at = START_US + kept * STEP_US + shift_us
    return MemberSeries(meter_id, False, 1, at, total[kept], 0.001, 0.6, 2.0)


def line(*customers: MemberSeries, count: int, reference: MemberSeries | None = None, reach: float = 1.5) -> Timeline:
    references = [] if reference is None else [reference]
    return zone_timeline(customers, references, START_US, START_US + count * STEP_US, STEP_US, reach)


def walk(seed: int, count: int) -> Floats:
    return np.asarray(np.concatenate([[5.0], 5 + np.cumsum(np.random.default_rng(seed).gamma(1, 0.2, count))]))


def test_readings_on_the_grid_give_their_differences() -> None:
    a, b, r = walk(1, 200), walk(2, 200), walk(3, 200)
    found = line(series(a), series(b, meter_id=2), count=200, reference=replace(series(r), is_reference=True))
    np.testing.assert_allclose(found.customers, np.column_stack([np.diff(a), np.diff(b)]), rtol=1e-12)
    np.testing.assert_allclose(found.references[:, 0], np.diff(r), rtol=1e-12)
    assert found.usable.all()
    assert not found.gaps
    assert np.all(found.collected_pct == 100)
    assert found.hours == 0.25
    np.testing.assert_allclose(found.instant_variance, 3 * 0.001**2 / 12)


def test_between_two_readings_the_register_goes_straight() -> None:
    """Read a third of an interval late: each instant lies two thirds of the way between readings."""
    total = walk(4, 3000)
    found = line(series(total, shift_us=STEP_US // 3), count=3000)
    inner = total[:-1] + (total[1:] - total[:-1]) * 2 / 3  # at the instants 1, 2, …
    np.testing.assert_allclose(found.customers[1:, 0], np.diff(inner), rtol=1e-9)
    # The bridge between two readings adds f·(1 − f) of an interval's variance at every instant.
    usual = np.var(np.diff(inner))
    assert found.instant_variance[5] == pytest.approx(0.001**2 / 12 + 2 / 9 * usual, rel=0.1)


def test_readings_further_apart_than_the_reach_leave_the_course_open() -> None:
    total = walk(5, 40)
    found = line(series(total, missing=(10,)), count=40, reach=2.0)
    assert not found.gaps
    assert found.customers[9, 0] == pytest.approx((total[11] - total[9]) / 2)
    found = line(series(total, missing=(10,)), count=40, reach=1.5)
    assert [(gap.member, gap.first, gap.last) for gap in found.gaps] == [(0, 9, 11)]
    assert found.collected_pct[9] == 0


def test_a_gap_follows_the_usual_course_scaled_to_its_total() -> None:
    day = np.concatenate([np.full(48, 0.1), np.full(48, 0.4)])
    day[60] = 0.8
    total = np.concatenate([[0.0], np.cumsum(np.tile(day, 40))])
    hole = tuple(range(5 * 96 + 41, 5 * 96 + 70))
    total[5 * 96 + 70 :] += 2.0  # more than usual flowed in the gap
    found = line(series(total, missing=hole), count=3840)
    course = found.customers[5 * 96 + 40 : 5 * 96 + 70, 0]
    assert course.sum() == pytest.approx(total[5 * 96 + 70] - total[5 * 96 + 40], rel=1e-12)
    np.testing.assert_allclose(course / course[0], day[40:70] / day[40], rtol=0.25)
    assert found.usable.all()


def test_a_gap_beyond_two_days_is_left_out_and_an_end_is_none() -> None:
    total = walk(6, 480)
    found = line(series(total, missing=tuple(range(101, 101 + 200))), count=480)
    assert not found.usable[100:301].any()
    assert found.usable[:100].all()
    assert found.usable[301:].all()
    assert not line(series(total, missing=tuple(range(470, 481))), count=480).usable[469:].any()


@given(
    micro=st.lists(st.integers(0, 3_000_000), min_size=6, max_size=40),
    lost=st.sets(st.integers(0, 40)),
    sign=st.sampled_from([1, -1]),
)
def test_quantities_add_up_to_the_totals_whatever_is_missing(micro: list[int], lost: set[int], sign: int) -> None:
    total = np.concatenate([[7_000_000], 7_000_000 + np.cumsum(micro)]) / 1e6
    kept = [i for i in range(total.size) if i not in lost]
    if len(kept) < 2:
        return
    found = line(replace(series(total, tuple(lost)), sign=sign), count=total.size - 1)
    first, last = kept[0], kept[-1]
    assert found.customers[first:last, 0].sum() == pytest.approx(sign * (total[last] - total[first]), abs=1e-9)
    assert found.usable[first:last].all()
    assert not found.usable[:first].any()
    assert not found.usable[last:].any()
    # And between any two readings, not only in sum.
    for a, b in pairwise(kept):
        assert found.customers[a:b, 0].sum() == pytest.approx(sign * (total[b] - total[a]), abs=1e-9)
        assert np.all(sign * found.customers[a:b, 0] >= -1e-9)


def test_exported_quantities_count_negative() -> None:
    total = walk(7, 50)
    found = line(replace(series(total), sign=-1), count=50)
    np.testing.assert_allclose(found.customers[:, 0], -np.diff(total), rtol=1e-12)


def test_an_exchange_of_meters_hands_over_and_loses_at_most_two_intervals() -> None:
    old, new = walk(8, 100), walk(9, 100)
    at_us = START_US + 40 * STEP_US + STEP_US // 2
    before = replace(series(old, tuple(range(41, 101))), removed_us=at_us)
    after = replace(series(new, tuple(range(41)), meter_id=2), installed_us=at_us)
    found = line(before, after, count=100)
    np.testing.assert_allclose(found.customers[:40, 0], np.diff(old)[:40], rtol=1e-12)
    np.testing.assert_allclose(found.customers[41:, 1], np.diff(new)[41:], rtol=1e-12)
    assert np.all(found.customers[41:, 0] == 0)
    assert np.all(found.customers[:40, 1] == 0)
    assert np.flatnonzero(~found.usable).tolist() == [40]
    assert np.all(found.collected_pct == 100)  # no meter is missed that wasn't there


def test_spoiled_spans_are_left_out() -> None:
    total = walk(10, 60)
    spoiled = ((START_US + 10 * STEP_US + 1, START_US + 12 * STEP_US),)
    found = line(replace(series(total), spoiled_us=spoiled), count=60)
    assert np.flatnonzero(~found.usable).tolist() == [10, 11]


def test_a_coarse_register_that_hardly_moves_is_charged_less_than_evenly_spread_rounding() -> None:
    """Of a register of 1 kWh at 0.05 kWh an interval, differences are wrong by x·Δ in square, not by Δ²/6.

    Day by day as the register moved, so on the mean of many days.
    """
    rng = np.random.default_rng(11)
    true = np.cumsum(rng.gamma(1, 0.05, 4000)) + rng.uniform()
    shown = np.floor(true)
    found = line(replace(series(shown), resolution=1.0), count=3999)
    seen = np.var(np.diff(shown) - np.diff(true))
    assert 2 * found.instant_variance.mean() == pytest.approx(seen, rel=0.15)
    fine = line(replace(series(np.floor(true / 0.01) * 0.01), resolution=0.01), count=3999)
    assert fine.instant_variance[0] == pytest.approx(0.01**2 / 12, rel=1e-6)


def test_a_window_without_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="no interval"):
        zone_timeline([series(walk(1, 4))], [], START_US, START_US + STEP_US - 1, STEP_US, 1.5)
