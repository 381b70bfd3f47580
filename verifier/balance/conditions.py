"""Pressure, temperature and atmosphere at a zone's intervals, and what they do to leakage and to gas volumes."""

import numpy as np

from verifier.balance.types import DAY_US, Floats, Instants, SideInformation

LEAKAGE_EXPONENT = 1.0  # of pressure, for networks of mixed pipes (May, 1994, FAVAD: 0.5 rigid, 1.5 elastic)
BASE_TEMPERATURE_K = 293.15  # GB/T 19205-2008: 20 degC
BASE_PRESSURE_HPA = 1013.25
DELIVERY_PRESSURE_HPA = 20.0  # above the atmosphere at domestic meters (GB 50028-2006, 10.2.2: appliances at 2.0 kPa)
_ZERO_CELSIUS_K = 273.15


def conditions_at(side: SideInformation, values: Floats | None, middle_us: Instants) -> Floats | None:
    """A condition at the intervals' middles, linearly between its records, the first and last beyond them, (T,).

    No interval takes a record of later days than its own: what a day was made of does not change with the next.
    """
    if values is None or side.conditions_us is None or side.conditions_us.size == 0:
        return None
    at = side.conditions_us
    ends_us = (middle_us // DAY_US + 1) * DAY_US
    after = np.minimum(np.searchsorted(at, middle_us), np.searchsorted(at, ends_us, side="right") - 1)
    after = np.maximum(after, 0)
    before = np.maximum(np.where(at[after] > middle_us, after - 1, after), 0)
    span_us = np.maximum(at[after] - at[before], 1)
    share = np.clip((middle_us - at[before]) / span_us, 0.0, 1.0)
    return np.asarray(values[before] + share * (values[after] - values[before]), dtype=np.float64)


def pressure_shape(pressure_m: Floats, mean_m: float) -> Floats:
    """Leakage by pressure relative to that at `mean_m`, and its change with the exponent, (T, 2).

    Leakage goes with p^n, n between 0.5 and 1.5 (May, 1994). To first order about n₀ it is p^n₀ + (n − n₀)·p^n₀·ln p,
    two columns whose coefficients are the level and the level times n − n₀.
    """
    relative = np.maximum(pressure_m, 0.0) / max(mean_m, 1e-9)
    level = relative**LEAKAGE_EXPONENT
    return np.stack([level, level * np.log(np.maximum(relative, 1e-6))], axis=1)


def volume_correction(
    temperature_degc: Floats | None, atmospheric_hpa: Floats | None
) -> tuple[Floats | None, Floats | None]:
    """Relative deviations of the gas's density from base conditions by temperature and by pressure, (T,).

    By the ideal gas's law the volume at base conditions is V·(p/p_b)·(T_b/T): to first order V·(1 + Δp/p_b − ΔT/T_b).
    """
    by_temperature = None
    if temperature_degc is not None:
        by_temperature = BASE_TEMPERATURE_K / (temperature_degc + _ZERO_CELSIUS_K) - 1.0
    by_pressure = None
    if atmospheric_hpa is not None:
        by_pressure = (atmospheric_hpa + DELIVERY_PRESSURE_HPA) / BASE_PRESSURE_HPA - 1.0
    return by_temperature, by_pressure
