"""Calorific value, compression factor and density of natural gas from its composition (ISO 6976:2016)."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.gas_composition import COMPONENTS, Composition
from metrology.uncertainty import Budget, Component

FloatArray = NDArray[np.float64]
KELVIN: Final = 273.15
_MIN_COMPRESSION: Final = 0.9  # ISO 6976:2016, clause 1: volume basis for mixtures with Z above 0.9


@dataclass(frozen=True, slots=True)
class ComponentTable:
    """The standard's data as arrays over COMPONENTS; columns follow `combustion_degc` and `metering_degc`."""

    combustion_degc: tuple[float, ...]
    metering_degc: tuple[float, ...]
    molar_mass_g_per_mol: FloatArray
    gross_kj_per_mol: FloatArray
    gross_std_kj_per_mol: FloatArray
    hydrogen_atoms: FloatArray
    summation_factor: FloatArray
    vaporisation_kj_per_mol: FloatArray
    gas_constant_j_per_mol_k: float
    pressure_kpa: float
    compression_half_width_rel: float


@dataclass(frozen=True, slots=True)
class CalorificConditions:
    """Reference temperatures [degC] of combustion and of metering; 101.325 kPa both (ISO 6976:2016, clause 4)."""

    combustion_degc: float
    metering_degc: float


# GB/T 11062 and GB 17820: combustion and metering at 20 °C; ISO 13443: 15 °C.
CHINA_20_20: Final = CalorificConditions(20.0, 20.0)
ISO_15_15: Final = CalorificConditions(15.0, 15.0)
NORMAL_0_0: Final = CalorificConditions(0.0, 0.0)
EUROPE_25_0: Final = CalorificConditions(25.0, 0.0)


@cache
def component_table() -> ComponentTable:
    """ISO 6976:2016, tables 1 to 3, from the package's data file (which states the confidence of each value)."""
    raw = tomllib.loads(resources.files("metrology").joinpath("gas_data", "iso6976_2016.toml").read_text("utf-8"))
    rows = [raw["component"][name] for name in COMPONENTS]

    def column(key: str) -> FloatArray:
        return np.array([row[key] for row in rows], dtype=np.float64)

    return ComponentTable(
        tuple(raw["combustion_degc"]),
        tuple(raw["metering_degc"]),
        column("molar_mass_g_per_mol"),
        column("gross_kj_per_mol"),
        column("gross_std_kj_per_mol"),
        column("hydrogen_atoms"),
        column("summation_factor"),
        np.array(raw["vaporisation_kj_per_mol"], dtype=np.float64),
        raw["gas_constant_j_per_mol_k"],
        raw["metering_pressure_kpa"],
        raw["compression_half_width_rel"],
    )


def molar_mass_g_per_mol(composition: Composition) -> float:
    """M = Σ x_j·M_j [g/mol] (ISO 6976:2016, 5.1)."""
    return float(np.dot(composition.fractions, component_table().molar_mass_g_per_mol))


def base_compression_factor(composition: Composition, metering_degc: float) -> float:
    """Z = 1 - (Σ x_j·s_j)² at 101.325 kPa (ISO 6976:2016, 5.2). Raises InvalidInputError for other temperatures [degC]
    than the tabulated ones and for Z not above 0.9, to which the method is limited."""
    table = component_table()
    column = _column(table.metering_degc, metering_degc, "metering")
    z = 1.0 - float(np.dot(composition.fractions, table.summation_factor[:, column])) ** 2
    if not z > _MIN_COMPRESSION:
        raise InvalidInputError(f"Z = {z:.4f} at base conditions; ISO 6976 holds for mixtures with Z above 0.9")
    return z


def density_kg_per_m3(composition: Composition, metering_degc: float) -> float:
    """ρ = M·p2 / (Z·R·T2) [kg/m3] of the real gas at 101.325 kPa (ISO 6976:2016, clause 10)."""
    return molar_mass_g_per_mol(composition) / 1000.0 / _molar_volume_m3(composition, metering_degc)


def molar_calorific_value_kj(composition: Composition, combustion_degc: float, *, inferior: bool = False) -> float:
    """Gross (superior) or net (inferior) calorific value [kJ/mol] (ISO 6976:2016, 6.1 and 6.2).

    (Hc)N = (Hc)G - Σ x_j·(b_j/2)·L0, with b_j hydrogen atoms of component j and L0 of water at that temperature.
    """
    table = component_table()
    column = _column(table.combustion_degc, combustion_degc, "combustion")
    gross = table.gross_kj_per_mol[:, column]
    if inferior:
        gross = gross - table.hydrogen_atoms / 2 * table.vaporisation_kj_per_mol[column]
    return float(np.dot(composition.fractions, gross))


def calorific_value_mj_per_m3(
    composition: Composition, conditions: CalorificConditions = CHINA_20_20, *, inferior: bool = False
) -> float:
    """Calorific value of the real gas per volume [MJ/m3], Hv = Hc·p2 / (Z·R·T2) (ISO 6976:2016, 8.3 and 8.4).

    Raises InvalidInputError for temperatures that the standard doesn't tabulate, naming those it does.
    """
    molar = molar_calorific_value_kj(composition, conditions.combustion_degc, inferior=inferior)
    return molar / 1000.0 / _molar_volume_m3(composition, conditions.metering_degc)


def calorific_value_budget(
    composition: Composition,
    fraction_std: Mapping[str, float],
    conditions: CalorificConditions = CHINA_20_20,
    *,
    inferior: bool = False,
) -> Budget:
    """The budget of the calorific value [MJ/m3] (ISO 6976:2016, annex B, with independent mole fractions).

    `fraction_std` holds the standard uncertainties of the fractions as analysed, before they are scaled to sum to one;
    the scaling is part of the model, which is what ties the fractions together. Besides them: the tabulated molar
    values (all alkanes' independent) and the compression factor. Raises InvalidInputError for components that are
    unknown or have an uncertainty but no fraction, and for calorific conditions that are not tabulated.
    """
    present = composition.present()
    unknown = [name for name, u in fraction_std.items() if name not in present and u > 0]
    if unknown:
        raise InvalidInputError(f"fraction_std of {', '.join(unknown)}: the composition has no such component")
    table, names = component_table(), list(present)
    nominal = calorific_value_mj_per_m3(composition, conditions, inferior=inferior)
    molar = molar_calorific_value_kj(composition, conditions.combustion_degc, inferior=inferior)

    def model(*values: float) -> float:
        count = len(names)
        given = dict(zip(names, values[:count], strict=True))
        # Not `Composition.of`: a trace component less its uncertainty may be negative, which a derivative may use.
        scaled = Composition(tuple(given.get(n, 0.0) / math.fsum(values[:count]) for n in COMPONENTS))
        hv = calorific_value_mj_per_m3(scaled, conditions, inferior=inferior)
        shift = math.fsum(scaled.fraction(n) * d for n, d in zip(names, values[count:-1], strict=True))
        return (hv + nominal / molar * shift) / values[-1]

    lines = [
        Component(f"fraction of {n}", present[n], fraction_std.get(n, 0.0), unit="mol/mol", source="gas analysis")
        for n in names
    ]
    for n in names:
        u = float(table.gross_std_kj_per_mol[COMPONENTS.index(n)])
        lines.append(Component(f"molar value of {n}", 0.0, u, unit="kJ/mol", source="ISO 6976:2016, table 3"))
    half = table.compression_half_width_rel
    lines.append(
        Component.from_half_width(
            "relative compression factor", 1.0, half, "rectangular", source="ISO 6976:1995, 4.2 (confidence C)"
        )
    )
    kind = "net" if inferior else "gross"
    where = f"{conditions.combustion_degc:g}/{conditions.metering_degc:g} degC"
    return Budget.from_model(f"{kind} calorific value {where}", "MJ/m3", model, lines)


def _molar_volume_m3(composition: Composition, metering_degc: float) -> float:
    table = component_table()
    ideal = table.gas_constant_j_per_mol_k * (metering_degc + KELVIN) / (table.pressure_kpa * 1000.0)
    return base_compression_factor(composition, metering_degc) * ideal


def _column(tabulated: tuple[float, ...], wanted: float, what: str) -> int:
    for i, value in enumerate(tabulated):
        if math.isclose(value, wanted, abs_tol=1e-6):
            return i
    known = ", ".join(f"{t:g}" for t in tabulated)
    raise InvalidInputError(f"{what} temperature {wanted:g} degC is not tabulated in ISO 6976; use one of {known} degC")
