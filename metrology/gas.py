"""Gas from operating to base conditions and to energy, every assumption an argument.

V_b = V · (p/p_b) · (T_b/T) · (Z_b/Z) (ISO 15112, EN 12405-1), E = V_b · H_s. Pressures are absolute unless named gauge.
A meter without sensors is converted with an assumed temperature, a delivery (gauge) pressure and the atmospheric
pressure of its altitude; the energy budget carries the uncertainty of each.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.gas_composition import Composition
from metrology.gas_compressibility import Equation, compressibility, equation_range
from metrology.uncertainty import Budget, Component

FloatArray = NDArray[np.float64]
Floats = float | FloatArray

MJ_PER_KWH: Final = 3.6

# ISO 2533:1975 (standard atmosphere), clause 2 and table 1: sea level, lapse rate, g_n, molar mass, R*, Earth's radius.
_SEA_LEVEL_KPA: Final = 101.325
_SEA_LEVEL_K: Final = 288.15
_LAPSE_K_PER_M: Final = 0.0065
_EXPONENT: Final = 9.80665 * 0.028964420 / (8.31432 * _LAPSE_K_PER_M)
_EARTH_RADIUS_M: Final = 6_356_766.0
_ALTITUDE_M: Final = (-1000.0, 9000.0)  # places where meters stand, well inside the troposphere


@dataclass(frozen=True, slots=True)
class BaseConditions:
    """Temperature [K] and absolute pressure [kPa] that volumes are stated at."""

    temperature_k: float
    pressure_kpa: float = 101.325


BASE_20: Final = BaseConditions(293.15)  # China: GB/T 19205, natural gas standard reference conditions
BASE_15: Final = BaseConditions(288.15)  # ISO 13443, standard reference conditions
BASE_0: Final = BaseConditions(273.15)  # normal conditions, DIN 1343


def atmospheric_pressure_kpa(altitude_m: Floats) -> Floats:
    """Mean atmospheric pressure [kPa] at an altitude above sea level [m], by the standard atmosphere (ISO 2533, 2.6).

    p = p0·(1 - β·H/T0)^(g·M/(R·β)) with the geopotential altitude H = r·h/(r + h). Weather moves the true pressure by
    some percent about it: give that spread as the uncertainty of a component. Raises InvalidInputError for altitudes
    outside -1000 to 9000 m.
    """
    altitude = np.asarray(altitude_m, dtype=np.float64)
    inside = (altitude >= _ALTITUDE_M[0]) & (altitude <= _ALTITUDE_M[1])
    if not inside.all():
        wrong = float(altitude[~inside].flat[0])
        raise InvalidInputError(f"altitude_m = {wrong:g} is outside -1000 to 9000 m; check the place and the unit")
    geopotential = _EARTH_RADIUS_M * altitude / (_EARTH_RADIUS_M + altitude)
    pressure = _SEA_LEVEL_KPA * (1 - _LAPSE_K_PER_M * geopotential / _SEA_LEVEL_K) ** _EXPONENT
    return float(pressure) if pressure.ndim == 0 else pressure


def conversion_factor(
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    base: BaseConditions = BASE_20,
    z_ratio: Floats = 1.0,
) -> Floats:
    """C = (p/p_b)·(T_b/T)·(Z_b/Z), dimensionless; `z_ratio` = Z_b/Z from `z_ratio` or measured, 1 for an ideal gas.

    Raises InvalidInputError for temperatures, pressures or ratios that are not above 0.
    """
    temperature, pressure, ratio = (np.asarray(v, dtype=np.float64) for v in (temperature_k, pressure_kpa, z_ratio))
    for name, values, unit in (
        ("temperature", temperature, "K"),
        ("absolute pressure", pressure, "kPa"),
        ("Z_b/Z", ratio, ""),
    ):
        if not (values > 0).all():
            wrong = float(values[~(values > 0)].flat[0])
            raise InvalidInputError(
                f"{name} = {wrong:g} {unit}".rstrip() + " is not above 0; check the unit (K, absolute)"
            )
    factor = pressure / base.pressure_kpa * (base.temperature_k / temperature) * ratio
    return float(factor) if factor.ndim == 0 else np.asarray(factor)


def z_ratio(
    composition: Composition,
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    base: BaseConditions = BASE_20,
    equation: Equation = Equation.AGA8_DETAIL,
) -> Floats:
    """Z_b/Z for `conversion_factor`; temperatures [K], absolute pressures [kPa].

    Raises InvalidInputError outside the equation's range (see `compressibility`).
    """
    z_base = compressibility(composition, base.temperature_k, base.pressure_kpa, equation=equation)
    return z_base / compressibility(composition, temperature_k, pressure_kpa, equation=equation)


def base_volume_m3(
    volume_m3: Floats,
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    base: BaseConditions = BASE_20,
    composition: Composition | None = None,
    equation: Equation = Equation.AGA8_DETAIL,
) -> Floats:
    """Volume at base conditions [m3] from that at operating conditions [m3]; broadcast shape.

    Without a composition the gas is ideal (Z_b/Z = 1): at delivery pressures below some kPa the error is under 0.01 %.
    """
    ratio = (
        1.0 if composition is None else z_ratio(composition, temperature_k, pressure_kpa, base=base, equation=equation)
    )
    return volume_m3 * conversion_factor(temperature_k, pressure_kpa, base=base, z_ratio=ratio)


def energy_kwh(base_volume: Floats, calorific_value_mj_per_m3: Floats) -> Floats:
    """Energy [kWh] of a base volume [m3] whose gas has that calorific value [MJ/m3] at the same base conditions."""
    return base_volume * calorific_value_mj_per_m3 / MJ_PER_KWH


@dataclass(frozen=True, slots=True)
class GasDelivery:
    """One delivery with all that its energy rests on; each component brings its own uncertainty and source.

    `volume` [m3] at operating conditions, `temperature` [K], `gauge_pressure` and `atmospheric_pressure` [kPa],
    `calorific_value` [MJ/m3] at `base`. `composition` None means an ideal gas.
    """

    volume: Component
    temperature: Component
    gauge_pressure: Component
    atmospheric_pressure: Component
    calorific_value: Component
    base: BaseConditions = BASE_20
    composition: Composition | None = None
    equation: Equation = Equation.AGA8_DETAIL


def energy_budget(delivery: GasDelivery) -> Budget:
    """The budget of the delivered energy [kWh]: E = V·C·H_s/3.6 (ISO 15112, clause 10).

    Where a composition is given, Z_b/Z follows temperature and pressure through the equation, whose own uncertainty
    is a further component; at low pressure its share is small, and the composition's effect on Z is left out beside its
    effect on the calorific value. Raises InvalidInputError where the state lies outside the equation's range, also
    within one standard uncertainty.
    """
    gas, base = delivery.composition, delivery.base

    def model(
        volume: float, kelvin: float, gauge: float, atmospheric: float, calorific: float, z_error: float
    ) -> Floats:
        pressure = gauge + atmospheric
        ratio = 1.0 if gas is None else z_ratio(gas, kelvin, pressure, base=base, equation=delivery.equation)
        return energy_kwh(volume * conversion_factor(kelvin, pressure, base=base, z_ratio=ratio * z_error), calorific)

    if gas is None:
        z_line = Component("compression factor ratio", 1.0, 0.0, source="assumed ideal gas")
    else:
        valid = equation_range(delivery.equation)
        source = f"{delivery.equation}, {valid.source} (confidence {valid.confidence})"
        z_line = Component.from_expanded("compression factor ratio", 1.0, valid.uncertainty_rel, source=source)
    inputs = [
        delivery.volume,
        delivery.temperature,
        delivery.gauge_pressure,
        delivery.atmospheric_pressure,
        delivery.calorific_value,
        z_line,
    ]
    return Budget.from_model("delivered energy", "kWh", model, inputs)
