"""Cumulative registers on a zone's common instants."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from verifier.grid import GridSeries, grid_instants, on_grid, zone_intervals

HOUR_US = 3_600_000_000


def test_instants_lie_on_multiples_of_the_interval() -> None:
    assert grid_instants(1, 3 * HOUR_US, 3600).tolist() == [HOUR_US, 2 * HOUR_US, 3 * HOUR_US]
    assert grid_instants(0, 0, 3600).tolist() == [0]


def test_readings_on_the_instants_are_taken_as_they_are() -> None:
    at = np.array([0, HOUR_US, 3 * HOUR_US])
    series = on_grid(at, np.array([1.0, 2.0, 7.0]), grid_instants(0, 4 * HOUR_US, 3600), reach_us=HOUR_US)
    assert series.known.tolist() == [True, True, False, True, False]
    assert series.total.tolist() == [1.0, 2.0, 0.0, 7.0, 0.0]


def test_between_close_readings_the_course_is_linear() -> None:
    at = np.array([-HOUR_US // 4, 3 * HOUR_US // 4])
    series = on_grid(at, np.array([10.0, 14.0]), grid_instants(0, 0, 3600), reach_us=HOUR_US)
    assert series.known.tolist() == [True]
    assert series.total[0] == 11.0


def test_no_reading_knows_nothing() -> None:
    series = on_grid(np.empty(0, np.int64), np.empty(0), grid_instants(0, HOUR_US, 3600), reach_us=HOUR_US)
    assert not series.known.any()


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_no_quantity_is_lost_in_a_gap(known: list[list[bool]]) -> None:
    """Whatever is missing, the intervals add up to the difference between the first and last common instant."""
    instants = grid_instants(0, 5 * HOUR_US, 3600)
    rng = np.random.default_rng(1)
    series = [GridSeries(np.cumsum(rng.random(6)), np.array(row)) for row in known]
    zone = zone_intervals(instants, series, [series[0]], 10**12)
    common = np.flatnonzero(np.all(known, axis=0))
    assert zone.reference.size == max(common.size - 1, 0)
    if common.size >= 2:
        for column, meter in enumerate(series):
            assert np.isclose(zone.customers[:, column].sum(), meter.total[common[-1]] - meter.total[common[0]])
        assert np.array_equal(zone.reference, zone.customers[:, 0])


def test_intervals_that_are_too_long_are_left_out() -> None:
    instants = np.arange(6, dtype=np.int64) * 10
    known = np.array([True, True, False, False, True, True])
    series = GridSeries(np.arange(6.0), known)
    zone = zone_intervals(instants, [series], [series], 20)
    assert zone.start_us.tolist() == [0, 40]
    assert zone.reference.tolist() == [1.0, 1.0]
