"""Leakage by pressure and gas by its density, against the laws written out."""

import numpy as np
import pytest

from verifier.balance.conditions import conditions_at, pressure_shape, volume_correction
from verifier.balance.types import SideInformation


def test_conditions_lie_straight_between_records_and_stay_beyond_them() -> None:
    side = SideInformation(conditions_us=np.array([100, 200, 400]), pressure_m=np.array([30.0, 40.0, 20.0]))
    found = conditions_at(side, side.pressure_m, np.array([0, 100, 150, 300, 500]))
    assert found is not None
    np.testing.assert_allclose(found, [30, 30, 35, 30, 20])
    assert conditions_at(side, side.temperature_degc, np.array([0])) is None
    assert conditions_at(SideInformation(pressure_m=np.array([1.0])), np.array([1.0]), np.array([0])) is None


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.2])
def test_two_columns_hold_leakage_of_any_exponent(exponent: float) -> None:
    """p^n = level + (n − n₀)·slope, to a percent within a third about the mean pressure."""
    pressure = np.linspace(28.0, 52.0, 20)
    level, slope = pressure_shape(pressure, 40.0).T
    np.testing.assert_allclose(level + (exponent - 1.0) * slope, (pressure / 40.0) ** exponent, rtol=0.01)


def test_no_pressure_leaks_nothing() -> None:
    np.testing.assert_allclose(pressure_shape(np.array([0.0, -1.0]), 40.0), 0, atol=1e-12)


def test_gas_is_corrected_by_the_ideal_gas_law() -> None:
    """V_b/V = p/p_b·T_b/T, with 20 hPa above the atmosphere at the meter; factors' product, to second order."""
    temperature, atmosphere = np.array([-5.0, 20.0, 35.0]), np.array([985.0, 993.25, 1030.0])
    by_temperature, by_pressure = volume_correction(temperature, atmosphere)
    assert by_temperature is not None
    assert by_pressure is not None
    exact = (atmosphere + 20.0) / 1013.25 * 293.15 / (temperature + 273.15)
    np.testing.assert_allclose((1 + by_temperature) * (1 + by_pressure), exact, rtol=1e-12)
    assert (by_temperature[1], by_pressure[1]) == (0.0, 0.0)
    assert volume_correction(None, None) == (None, None)
