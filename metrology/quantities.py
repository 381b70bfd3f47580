"""Media, units and exact conversion into millionths of the base unit.

A register is an integer in millionths of a kWh (electricity) or of a m³ (water, gas): legal figures are exact
(`register_micro`, int64). Conversion factors are exact fractions; only the last step rounds, half to even.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError

MICRO = 1_000_000
MAX_REGISTER_MICRO = 2**62  # leaves room for differences and rollovers within int64
_MAX_EXACT_FLOAT = 2.0**53  # beyond, a float64 can't hold every integer


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


def floats_to_micro(
    values: NDArray[np.float64], micro_per_value: Fraction
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Registers given as floats [unit], shape (n,), to millionths, with a mask of those that can't be had exactly.

    A value is not exact (mask True, result 0) when it is not finite or so large that a float64 can't tell
    neighbouring millionths apart (2**53 of them); such a register must be sent as a decimal string.
    """
    scaled = values * (micro_per_value.numerator / micro_per_value.denominator)
    inexact = ~(np.abs(scaled) < _MAX_EXACT_FLOAT)  # True for NaN as well
    return np.rint(np.where(inexact, 0.0, scaled)).astype(np.int64), inexact


def decimals_to_micro(texts: Sequence[str], micro_per_value: Fraction) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Registers given as decimal strings [unit] to millionths, exactly; the mask is True where one is no number in range."""
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
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
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
