"""Water meters err by flow; gas volumes obey temperature and pressure, and their zones balance at base conditions."""

from dataclasses import replace

import numpy as np
import pytest
from zones.course import from_rates
from zones.gas import GasPlan, Weather, at_meter, gas_zone, make_weather
from zones.injection import DAY_S, EXACT
from zones.water import by_flow
from zones.water_demand import synthetic_household


@pytest.mark.parametrize(("flow_lph", "error_pct"), [(10, -15), (30, -15), (60, -8.4), (120, -1.8), (600, -1.8)])
def test_a_water_meter_errs_by_its_flow(flow_lph: float, error_pct: float) -> None:
    use = from_rates(np.array([0.0, 3600.0]), np.array([flow_lph / 3.6e6]))
    counted = by_flow(use, 1.0).total[-1] / use.total[-1]
    assert 100 * (counted - 1) == pytest.approx(error_pct, abs=0.05)


def test_synthetic_households_use_plausible_amounts_at_plausible_flows() -> None:
    rng = np.random.default_rng(5)
    homes = [synthetic_household(30, rng) for _ in range(20)]
    daily_l = np.array([1000 * home.total[-1] / 30 for home in homes])
    assert 100 < np.median(daily_l) < 800
    rate_lph = 3.6e6 * np.diff(homes[0].total) / np.diff(homes[0].knots_s)
    assert 150 < np.median(rate_lph[rate_lph > 20]) < 900


def test_gas_at_the_meter_by_hand() -> None:
    weather = Weather(np.array([1800.0, DAY_S - 1800.0]), np.array([0.0, 0.0]), np.array([993.25, 993.25]))
    base = from_rates(np.array([0.0, DAY_S]), np.array([1.0 / DAY_S]))
    # 993.25 + 20 = 1013.25 hPa of base pressure: only the temperature is left, 273.15 / 293.15.
    assert at_meter(base, weather, 1.0, 0.0).total[-1] == pytest.approx(273.15 / 293.15)
    assert at_meter(base, weather, 0.0, 1.0).total[-1] == pytest.approx(293.15 / 293.15)


def test_weather_has_days_and_a_season() -> None:
    weather = make_weather(GasPlan(), 90, np.random.default_rng(2))
    by_day = weather.ambient_degc.reshape(90, 24)
    assert by_day[-20:].mean() > by_day[:20].mean() + 2
    assert by_day[:, 14].mean() > by_day[:, 4].mean() + 3
    assert 950 < weather.atmosphere_hpa.min() < weather.atmosphere_hpa.max() < 1010


def test_a_gas_zone_balances_at_base_conditions_and_meters_count_what_passes_them() -> None:
    case = gas_zone("test", 1, GasPlan(customers=10), replace(EXACT, unlisted=1, foreign=1), days=14)
    truth = case.truth
    per_day = np.add.reduceat(np.diff(case.total(0)), np.arange(0, 14 * 24, 24))
    assert per_day == pytest.approx(truth.reference, abs=1e-4)
    assert truth.reference == pytest.approx(truth.true_use[:10].sum(axis=0) + truth.loss + truth.unmetered)
    assert np.abs(truth.error_pct).max() < 1e-6  # perfect meters, though their volumes are not those at base conditions
    shown = sum(case.total(place)[-1] - case.total(place)[0] for place in case.customers[:10])
    assert abs(100 * (shown / truth.true_use[:10].sum() - 1)) > 1.0
    assert case.side.temperature_degc is not None


def test_faults_of_gas_meters_leave_the_limit_about_when_they_begin() -> None:
    case = gas_zone(
        "test", 3, GasPlan(customers=10), replace(EXACT, steps=2, size_pct=(8.0, 9.0), mpe_pct=3.0), days=60
    )
    assert [fault.kind for fault in case.truth.faults] == ["step", "step"]
    for fault in case.truth.faults:
        assert fault.leaves_limit_us is not None
        assert 0 <= fault.leaves_limit_us - fault.begins_us < 7 * 86_400_000_000
