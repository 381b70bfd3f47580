"""Media, units and exact conversion into millionths of the base unit.

A register is an integer in millionths of a kWh (electricity) or of a m³ (water, gas): legal figures are exact
(`register_micro`, int64). Conversion factors are exact fractions; only the last step rounds, half to even.
"""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError

MICRO = 1_000_000
MAX_REGISTER_MICRO = 2**62  # leaves room for differences and rollovers within int64
# Python's own Decimal would also take "1_000", blanks, digits of other scripts, "NaN" and "Infinity".
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
# Text to float64 and the product each round by half a unit in the last place: below 2**51 the sum is under a half.
_MAX_EXACT_FLOAT = 2.0**51


class Medium(StrEnum):
    """What a meter measures."""

    ELECTRICITY = "electricity"
    WATER = "water"
    GAS = "gas"


BASE_UNIT: dict[Medium, str] = {Medium.ELECTRICITY: "kWh", Medium.WATER: "m3", Medium.GAS: "m3"}

# Exact size of each unit in the base unit. Imperial volumes: the international yard (0.9144 m) and the
# US liquid gallon (231 in³), both exact by definition (NIST SP 811, appendix B.8).
_ENERGY_KWH: dict[str, Fraction] = {
    "Wh": Fraction(1, 1000),
    "W.h": Fraction(1, 1000),
    "kWh": Fraction(1),
    "kW.h": Fraction(1),
    "MWh": Fraction(1000),
    "MW.h": Fraction(1000),
    "kJ": Fraction(1, 3600),
    "MJ": Fraction(1000, 3600),
}
_VOLUME_M3: dict[str, Fraction] = {
    "mL": Fraction(1, 1_000_000),
    "L": Fraction(1, 1000),
    "l": Fraction(1, 1000),
    "dm3": Fraction(1, 1000),
    "m3": Fraction(1),
    "m³": Fraction(1),
    "[cft_i]": Fraction(3048, 10000) ** 3,
    "ft3": Fraction(3048, 10000) ** 3,
    "[gal_us]": 231 * Fraction(254, 10000) ** 3,
    "gal": 231 * Fraction(254, 10000) ** 3,
}
UNITS: dict[Medium, dict[str, Fraction]] = {
    Medium.ELECTRICITY: _ENERGY_KWH,
    Medium.WATER: _VOLUME_M3,
    Medium.GAS: _VOLUME_M3,
}
_POWER_KW: dict[str, Fraction] = {"W": Fraction(1, 1000), "kW": Fraction(1), "MW": Fraction(1000)}
_FLOW_M3PH: dict[str, Fraction] = {
    "m3/h": Fraction(1),
    "m³/h": Fraction(1),
    "L/h": Fraction(1, 1000),
    "l/h": Fraction(1, 1000),
    "L/min": Fraction(60, 1000),
    "l/min": Fraction(60, 1000),
    "L/s": Fraction(3600, 1000),
    "l/s": Fraction(3600, 1000),
    "m3/s": Fraction(3600),
    "[gal_us]/min": 60 * 231 * Fraction(254, 10000) ** 3,
}


class Quantity(StrEnum):
    """A kind of quantity; units convert within one kind alone."""

    ENERGY = "energy"
    VOLUME = "volume"
    POWER = "power"
    FLOW = "flow"


# Each kind's units with their exact size in its base unit, which is the one of size 1 (kW.h, m3, kW, m3/h).
QUANTITY_UNITS: dict[Quantity, dict[str, Fraction]] = {
    Quantity.ENERGY: _ENERGY_KWH,
    Quantity.VOLUME: _VOLUME_M3,
    Quantity.POWER: _POWER_KW,
    Quantity.FLOW: _FLOW_M3PH,
}
# Names in everyday use, and the UCUM name that is written at the edges (ucum.org, case sensitive).
_UCUM_OF_ALIAS: dict[str, str] = {
    "Wh": "W.h",
    "kWh": "kW.h",
    "MWh": "MW.h",
    "l": "L",
    "m³": "m3",
    "ft3": "[cft_i]",
    "gal": "[gal_us]",
    "m³/h": "m3/h",
    "l/h": "L/h",
    "l/min": "L/min",
    "l/s": "L/s",
}


def parse_medium(text: str) -> Medium:
    """The medium of that name. Raises InvalidInputError with the valid names."""
    try:
        return Medium(text)
    except ValueError:
        raise InvalidInputError(f"medium {text!r} is unknown; use one of {', '.join(Medium)}") from None


def micro_per_unit(unit: str, medium: Medium) -> Fraction:
    """How many millionths of the medium's base unit one `unit` is. Raises InvalidInputError with the valid units."""
    try:
        return UNITS[medium][unit] * MICRO
    except KeyError:
        raise InvalidInputError(
            f"unit {unit!r} does not measure {medium}; use one of {', '.join(UNITS[medium])}"
        ) from None


def quantity_of(unit: str) -> Quantity:
    """What the unit measures. Raises InvalidInputError with the valid units."""
    for quantity, units in QUANTITY_UNITS.items():
        if unit in units:
            return quantity
    known = ", ".join(name for units in QUANTITY_UNITS.values() for name in units)
    raise InvalidInputError(f"unit {unit!r} is unknown; use one of {known}")


def ucum_name(unit: str) -> str:
    """The unit's UCUM name, such as kW.h for kWh. Raises InvalidInputError with the valid units."""
    quantity_of(unit)
    return _UCUM_OF_ALIAS.get(unit, unit)


def conversion_factor(unit: str, into: str) -> Fraction:
    """By what a value in `unit` is multiplied to be in `into`, exact. Raises InvalidInputError for unlike ones."""
    quantity, other = quantity_of(unit), quantity_of(into)
    if quantity is not other:
        valid = ", ".join(QUANTITY_UNITS[quantity])
        raise InvalidInputError(f"{unit!r} measures {quantity}, {into!r} measures {other}; convert into one of {valid}")
    return QUANTITY_UNITS[quantity][unit] / QUANTITY_UNITS[quantity][into]


def mean_rate(difference_micro: int, seconds: int) -> Fraction:
    """Mean power [kW] or flow rate [m3/h] of a register's step over a time [s], exact."""
    if not isinstance(seconds, int) or seconds <= 0:
        raise InvalidInputError(f"a time of {seconds} s must be whole and above 0; order the readings by time")
    return Fraction(difference_micro, MICRO) * 3600 / seconds


def floats_to_micro(
    values: NDArray[np.float64], micro_per_value: Fraction
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Registers given as floats [unit], shape (n,), to millionths, with a mask of those that can't be had exactly.

    A value is not exact (mask True, result 0) when it is not finite or so large that a float64 can't tell
    neighbouring millionths apart after scaling (2**51 of them); such a register must be sent as a decimal string.
    """
    with np.errstate(over="ignore"):  # an infinite product is not exact, and is marked
        scaled = values * (micro_per_value.numerator / micro_per_value.denominator)
    inexact = ~(np.abs(scaled) < _MAX_EXACT_FLOAT)  # True for NaN as well
    return np.rint(np.where(inexact, 0.0, scaled)).astype(np.int64), inexact


def decimals_to_micro(texts: Sequence[str], micro_per_value: Fraction) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Registers given as decimal strings [unit] to millionths, exactly; the mask is True where one is not in range."""
    out = np.zeros(len(texts), dtype=np.int64)
    bad = np.zeros(len(texts), dtype=np.bool_)
    for i, text in enumerate(texts):
        micro = _decimal_to_micro(text, micro_per_value)
        if micro is None:
            bad[i] = True
        else:
            out[i] = micro
    return out, bad


def _decimal_to_micro(text: str, micro_per_value: Fraction) -> int | None:
    if not _DECIMAL.fullmatch(text):
        return None
    value = Decimal(text)
    # The exponent's bound keeps a short text such as 1e999999 from becoming a huge integer.
    if not value.is_finite() or value.adjusted() > 18:
        return None
    micro = round(Fraction(value) * micro_per_value) if value.adjusted() > -40 else 0
    return micro if abs(micro) <= MAX_REGISTER_MICRO else None


def format_micro(register_micro: int) -> str:
    """A register as an exact decimal text in the base unit, e.g. 1234560000 -> '1234.56'."""
    value = Decimal(int(register_micro)).scaleb(-6).quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN)
    text = f"{value:f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
