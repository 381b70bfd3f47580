"""A meter's week at light load: what is counted, on registers fine and coarse, and what never stops or never varies."""

import numpy as np
import pytest
from households import MINUTES, START, draws, register

from metrology.quantities import Medium
from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import (
    DAY_US,
    HOUR_US,
    MONDAY_US,
    WEEK_US,
    SmallLoads,
    digest_week,
    small_loads,
    week_start,
)
from verifier.light_load_settings import LightLoadSettings

SETTINGS = LightLoadSettings()
WATER = SmallLoads(0.05, 0.0)
REGULATION = "oiml-r49-2013"


def hourly(flow, resolution=0.001):
    """Constant mean rates by hour [base unit/h], from START on, and a day more."""
    total = np.concatenate([[0.0], np.cumsum(flow)])
    shown = np.floor(total / resolution + 1e-9) * resolution
    return CumulativeSeries(START + np.arange(shown.size, dtype=np.int64) * HOUR_US, shown, resolution)


def test_small_loads_come_from_the_marks_of_the_meters_kind():
    """Q2 = 1.6 · 2.5 / 80 = 0.05 m3/h; I_tr · U = 0.5 A · 220 V = 110 W, I_st · U = 4.4 W, after the transformers."""
    assert small_loads(Medium.WATER, "", 1.0, REGULATION, SETTINGS) == SmallLoads(pytest.approx(0.05), 0.0)
    assert small_loads(Medium.ELECTRICITY, "", 40.0, REGULATION, SETTINGS) == SmallLoads(
        pytest.approx(4.4), pytest.approx(0.176)
    )
    assert small_loads(Medium.GAS, "", 1.0, REGULATION, SETTINGS).small_rate == 0.04
    own = LightLoadSettings(small_rate_by_model={"X": 0.02})
    assert small_loads(Medium.WATER, "X", 10.0, REGULATION, own).small_rate == pytest.approx(0.2)


def test_weeks_begin_on_mondays():
    assert week_start(MONDAY_US) == MONDAY_US
    assert week_start(MONDAY_US - 1) == MONDAY_US - WEEK_US
    assert week_start(0) == MONDAY_US - WEEK_US


def test_blocks_of_days_in_use_are_counted_by_hand():
    """Two days with one large hour and two small ones each; five days with a small hour alone: nobody was there."""
    day = np.zeros(24)
    day[7:10] = (0.3, 0.004, 0.04)
    alone = np.zeros(24)
    alone[3] = 0.01
    found = digest_week(hourly(np.concatenate([day, day, *[alone] * 6])), WATER, START, SETTINGS)
    assert (found.block_s, found.known, found.large) == (3600, 168, 2)
    assert (found.idle, found.small) == (2 * 21, (2, 0, 0, 2))
    assert found.quantity == pytest.approx(2 * 0.344 + 5 * 0.01)
    assert found.least_rate == (0.0,) * 7
    assert found.light_quantity_least == 0
    assert found.light_quantity_most == pytest.approx(2 * 0.044 + 5 * 0.01)


@pytest.mark.parametrize(("resolution", "block_s"), [(0.001, 900), (0.01, 1800), (0.1, 14_400), (1.0, None)])
def test_a_coarse_register_makes_longer_blocks_or_no_digest(resolution, block_s):
    flow = draws(np.random.default_rng(1), 2)
    found = digest_week(register(flow, resolution), WATER, START, SETTINGS)
    assert (None if found is None else found.block_s) == block_s


def test_readings_off_the_hour_and_gaps_leave_the_known_blocks_as_they_are():
    flow = np.zeros(24 * 8)
    flow[7::24], flow[9::24] = 0.3, 0.02
    series = hourly(flow)
    jitter = np.random.default_rng(2).integers(-300, 300, series.observed_us.size) * 1_000_000
    shifted = CumulativeSeries(series.observed_us + jitter, series.total, 0.001)
    whole, moved = (digest_week(one, WATER, START, SETTINGS) for one in (series, shifted))
    assert (moved.large, moved.idle, moved.small) == (whole.large, whole.idle, whole.small)
    kept = np.ones(series.observed_us.size, bool)
    kept[30:40] = False  # of the second day, with its large hour
    holed = digest_week(CumulativeSeries(series.observed_us[kept], series.total[kept], 0.001), WATER, START, SETTINGS)
    assert holed.known == 168 - 11
    assert (holed.large, holed.least_rate[1]) == (6, None)
    assert holed.quantity == whole.quantity


@pytest.mark.parametrize("resolution", [0.001, 0.01])
def test_a_leak_shows_as_the_least_rate_and_what_stops_does_not(resolution):
    rng = np.random.default_rng(3)
    leaking = digest_week(register(draws(rng, 2, leak_m3ph=0.02), resolution), WATER, START, SETTINGS)
    assert all(rate == pytest.approx(0.02, abs=1.01 * resolution / 3) for rate in leaking.least_rate)
    assert leaking.light_quantity_least == pytest.approx(0.02 * 168, rel=0.2)
    tight = digest_week(register(draws(rng, 2, trickles=0.3), resolution), WATER, START, SETTINGS)
    assert 0.0 in tight.least_rate


def test_a_leak_slower_than_the_register_can_show_is_not_told():
    """1 L/h on a register of 10 L: for three hours and more it stands, as it does where nothing flows."""
    found = digest_week(register(np.full(2 * MINUTES, 0.001), 0.01), WATER, START, SETTINGS)
    assert found.least_rate == (0.0,) * 7


ELECTRIC = SmallLoads(0.11, 0.0044)


@pytest.mark.parametrize(("rate_kw", "resolution"), [(0.004, 0.001), (0.004, 0.01), (0.0012, 0.01)])
def test_an_exactly_constant_small_rate_is_seen_through_the_register(rate_kw, resolution):
    found = digest_week(hourly(np.full(24 * 8, rate_kw), resolution), ELECTRIC, START, SETTINGS)
    assert found.steady_rate == pytest.approx(rate_kw, rel=0.02)


def test_what_varies_is_larger_or_was_not_read_throughout_is_no_creep():
    cycles = np.where(np.arange(24 * 8) % 6 < 3, 0.002, 0.006)
    assert digest_week(hourly(cycles), ELECTRIC, START, SETTINGS).steady_rate is None
    once = np.full(24 * 8, 0.004)
    once[50] = 0.02
    assert digest_week(hourly(once), ELECTRIC, START, SETTINGS).steady_rate is None
    assert digest_week(hourly(np.full(24 * 8, 0.02)), ELECTRIC, START, SETTINGS).steady_rate is None
    series = hourly(np.full(24 * 8, 0.004))
    kept = (series.observed_us < START + 3 * DAY_US) | (series.observed_us > START + 4 * DAY_US)
    holed = CumulativeSeries(series.observed_us[kept], series.total[kept], 0.001)
    assert digest_week(holed, ELECTRIC, START, SETTINGS).steady_rate is None


def test_a_week_without_readings_has_no_digest():
    series = hourly(np.ones(24 * 8))
    assert digest_week(series, WATER, START - 2 * WEEK_US, SETTINGS) is None
    assert digest_week(CumulativeSeries(np.empty(0, np.int64), np.empty(0), 0.001), WATER, START, SETTINGS) is None
