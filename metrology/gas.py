"""Gas from operating to base conditions and to energy, every assumption an argument.

V_b = V · (p/p_b) · (T_b/T) · (Z_b/Z) (ISO 15112, EN 12405-1), E = V_b · H_s. Pressures are absolute unless named gauge.
A meter without sensors is converted with an assumed temperature, a delivery (gauge) pressure and the atmospheric
pressure of its altitude; the energy budget carries the uncertainty of each.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from metrology.arrays import Floats, drop_0d, finite, finite_scalar, floats, same_shape
from metrology.errors import InvalidInputError
from metrology.gas_composition import Composition
from metrology.gas_compressibility import Equation, compressibility, equation_range
from metrology.uncertainty import Budget, Component

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
    """Temperature [K] and absolute pressure [kPa] that volumes are stated at; refuses values not above 0."""

    temperature_k: float
    pressure_kpa: float = 101.325

    def __post_init__(self) -> None:
        finite_scalar("base temperature", self.temperature_k, "K", above=0.0)
        finite_scalar("base pressure", self.pressure_kpa, "kPa", above=0.0)


BASE_20: Final = BaseConditions(293.15)  # China: GB/T 19205, natural gas standard reference conditions
BASE_15: Final = BaseConditions(288.15)  # ISO 13443, standard reference conditions
BASE_0: Final = BaseConditions(273.15)  # normal conditions, DIN 1343


def atmospheric_pressure_kpa(altitude_m: Floats) -> Floats:
    """Mean atmospheric pressure [kPa] at an altitude above sea level [m], by the standard atmosphere (ISO 2533, 2.6).

    p = p0·(1 - β·H/T0)^(g·M/(R·β)) with the geopotential altitude H = r·h/(r + h). Weather moves the true pressure by
    some percent about it: give that spread as the uncertainty of a component. Raises InvalidInputError for altitudes
    outside -1000 to 9000 m.
    """
    altitude = floats("altitude_m", altitude_m)
    inside = (altitude >= _ALTITUDE_M[0]) & (altitude <= _ALTITUDE_M[1])
    if not inside.all():
        wrong = float(altitude[~inside].flat[0])
        raise InvalidInputError(f"altitude_m = {wrong:g} is outside -1000 to 9000 m; check the place and the unit")
    geopotential = _EARTH_RADIUS_M * altitude / (_EARTH_RADIUS_M + altitude)
    pressure = _SEA_LEVEL_KPA * (1 - _LAPSE_K_PER_M * geopotential / _SEA_LEVEL_K) ** _EXPONENT
    return drop_0d(pressure)


def volume_conversion_factor(
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    base: BaseConditions = BASE_20,
    z_ratio: Floats = 1.0,
) -> Floats:
    """C = (p/p_b)·(T_b/T)·(Z_b/Z), dimensionless; `z_ratio` = Z_b/Z from `z_ratio` or measured, 1 for an ideal gas.

    Broadcast shape. Raises InvalidInputError for temperatures, pressures or ratios that are not finite and above 0.
    """
    temperature, pressure, ratio = same_shape(
        temperature_k=finite("temperature", temperature_k, "K (absolute)", above=0.0),
        pressure_kpa=finite("absolute pressure", pressure_kpa, "kPa", above=0.0),
        z_ratio=finite("Z_b/Z", z_ratio, above=0.0),
    )
    return drop_0d(pressure / base.pressure_kpa * (base.temperature_k / temperature) * ratio)


def z_ratio(
    composition: Composition,
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    base: BaseConditions = BASE_20,
    equation: Equation = Equation.AGA8_DETAIL,
) -> Floats:
    """Z_b/Z for `volume_conversion_factor`; temperatures [K], absolute pressures [kPa].

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
    A volume may be negative (a correction) but must be finite; otherwise raises InvalidInputError as
    `volume_conversion_factor` and `z_ratio` do.
    """
    volume = finite("volume_m3", volume_m3, "m3")
    ratio = (
        1.0 if composition is None else z_ratio(composition, temperature_k, pressure_kpa, base=base, equation=equation)
    )
    factor = volume_conversion_factor(temperature_k, pressure_kpa, base=base, z_ratio=ratio)
    volume, factor = same_shape(volume_m3=volume, factor=np.asarray(factor))
    return drop_0d(volume * factor)


def energy_kwh(base_volume_m3: Floats, calorific_value_mj_per_m3: Floats) -> Floats:
    """Energy [kWh] of a base volume [m3] whose gas has that calorific value [MJ/m3] at the same base conditions.

    E = V_b · H_s / 3.6 (ISO 15112, clause 10). Broadcast shape. Raises InvalidInputError for volumes that are not
    finite and calorific values that are not finite and above 0.
    """
    volume, calorific = same_shape(
        base_volume_m3=finite("base_volume_m3", base_volume_m3, "m3"),
        calorific_value=finite("calorific_value_mj_per_m3", calorific_value_mj_per_m3, "MJ/m3", above=0.0),
    )
    return drop_0d(volume / MJ_PER_KWH * calorific)


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
        return energy_kwh(
            volume * volume_conversion_factor(kelvin, pressure, base=base, z_ratio=ratio * z_error), calorific
        )

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
