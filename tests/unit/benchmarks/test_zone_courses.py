"""Courses: exact between knots, scaled piece by piece, made of appliances without losing energy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zones.appliances import synthetic_home
from zones.course import Course, from_events
from zones.filling import Runs, filled
from zones.injection import DAY_S, MeterErrors


def test_a_course_is_linear_between_knots_and_goes_on_at_the_mean_rate() -> None:
    course = Course(np.array([0.0, 10.0, 20.0]), np.array([0.0, 10.0, 40.0]))
    assert course.at(np.array([5.0, 15.0, -10.0, 30.0])) == pytest.approx([5.0, 25.0, -20.0, 60.0])


def test_events_add_up_to_their_energy() -> None:
    course = from_events(np.array([100.0, 150.0]), np.array([100.0, 100.0]), np.array([3600.0, 1800.0]), 1000.0)
    assert course.at(np.array([1000.0]))[0] == pytest.approx(0.1 + 0.05)
    # Where both run, 5.4 kW.
    assert np.diff(course.at(np.array([160.0, 190.0])))[0] == pytest.approx(5.4 * 30 / 3600)


@given(st.lists(st.integers(0, 5000), min_size=12, max_size=200), st.integers(0, 2**32))
def test_a_filled_half_hour_keeps_its_energy_and_never_runs_back(energy_wh: list[int], seed: int) -> None:
    edges_s, energy_kwh = 1800.0 * np.arange(len(energy_wh) + 1), np.array(energy_wh) / 1000
    course = filled(edges_s, energy_kwh, Runs(1.0, 0.7, 6.0), 6, np.random.default_rng(seed))
    assert np.diff(course.at(edges_s)) == pytest.approx(energy_kwh, abs=1e-9)
    assert np.diff(course.total).min() >= 0


def test_a_filled_half_hour_has_spikes_of_its_own() -> None:
    edges_s, energy_kwh = 1800.0 * np.arange(201), np.tile([0.1, 0.1, 0.1, 1.1], 50)
    course = filled(edges_s, energy_kwh, Runs(1.0, 0.7, 6.0), 6, np.random.default_rng(1))
    minutes_w = np.diff(course.at(60.0 * np.arange(200 * 30 + 1))) * 60_000
    assert minutes_w.max() > 3000  # the half-hour's mean is 2200 W
    assert np.median(minutes_w) == pytest.approx(200, rel=0.05)


def test_synthetic_homes_differ_and_are_of_a_plausible_size() -> None:
    rng = np.random.default_rng(4)
    homes = [synthetic_home(30, rng) for _ in range(20)]
    daily_kwh = np.array([home.at(np.array([30 * DAY_S]))[0] / 30 for home in homes])
    half_hours = np.array([np.diff(home.at(1800.0 * np.arange(30 * 48 + 1))) for home in homes])
    likeness = np.corrcoef(half_hours)[np.triu_indices(20, 1)]
    assert 2 < np.median(daily_kwh) < 30
    assert np.abs(likeness).mean() < 0.25
    assert half_hours.min() > 0


@pytest.mark.parametrize(
    ("fault", "at_end", "leaves"),
    [("step", 5.2, 10.0), ("drift", 5.2, 37.0), ("stopped", -100.0, 10.0), ("reversed", -200.2, 10.0)],
)
def test_faults_begin_at_their_date_and_leave_the_limit_when_the_error_does(
    fault: str, at_end: float, leaves: float
) -> None:
    one = MeterErrors(0.2, fault, 10 * DAY_S, 90 * DAY_S, 5.0)
    assert one.error_pct(np.array([9.9 * DAY_S]))[0] == 0.2
    assert one.error_pct(np.array([90 * DAY_S]))[0] == pytest.approx(at_end)
    left_s = one.leaves_limit_s(1.8875)
    assert left_s is not None
    assert left_s / DAY_S == pytest.approx(leaves)
    assert abs(one.error_pct(np.array([left_s + 1.0]))[0]) >= 1.8875


def test_a_meter_counts_its_use_times_its_error() -> None:
    use = Course(np.array([0.0, 100 * DAY_S]), np.array([0.0, 100.0]))
    steady = MeterErrors(0.0, "drift", 0.0, 100 * DAY_S, 10.0).registered(use)
    assert steady.at(np.array([100 * DAY_S]))[0] == pytest.approx(105.0)  # the mean of a drift from 0 to 10 %
    back = MeterErrors(0.0, "reversed", 50 * DAY_S, 100 * DAY_S).registered(use)
    assert back.at(np.array([100 * DAY_S]))[0] == pytest.approx(0.0, abs=1e-9)
