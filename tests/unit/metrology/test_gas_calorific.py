"""Oracles: formation enthalpies (NIST-JANAF, CODATA) for the molar values; the independent implementation of
ISO 6976:2016 in NeqSim (github.com/equinor/neqsim, its test Standard_ISO6976_2016) for mixtures; NIST's AGA8 reference
code (github.com/usnistgov/AGA8, TESTDATA/Tables.xls) for heating values and GERG-2008 for Z at base conditions."""

import math
import tomllib
from importlib import resources

import pytest

from metrology.errors import InvalidInputError
from metrology.gas_calorific import (
    CHINA_20_20,
    EUROPE_25_0,
    ISO_15_15,
    NORMAL_0_0,
    CalorificConditions,
    base_compression_factor,
    calorific_value_budget,
    calorific_value_mj_per_m3,
    component_table,
    density_kg_per_m3,
    molar_calorific_value_kj,
    molar_mass_g_per_mol,
)
from metrology.gas_composition import COMPONENTS, Composition
from metrology.gas_compressibility import Equation, compressibility
from metrology.montecarlo import propagate

METHANE = Composition.of({"methane": 1.0})
NEQSIM = Composition.of(
    {
        n: x / 0.983163
        for n, x in [("methane", 0.931819), ("ethane", 0.025618), ("nitrogen", 0.010335), ("carbon_dioxide", 0.015391)]
    }
)
NAMES = (
    "methane",
    "nitrogen",
    "carbon_dioxide",
    "ethane",
    "propane",
    "isobutane",
    "n_butane",
    "isopentane",
    "n_pentane",
    "hexane",
)
# Mole percent, molar mass [g/mol], heating value [MJ/m3] (sheet "Tables", rows 8 to 21).
NIST_GASES = [
    ((96.5222, 0.2595, 0.5956, 1.8186, 0.4596, 0.0977, 0.1007, 0.0473, 0.0324, 0.0664), 16.7989, 40.7259),
    ((90.6724, 3.1284, 0.4676, 4.5279, 0.8280, 0.1037, 0.1563, 0.0321, 0.0443, 0.0393), 17.5950, 40.6797),
    ((85.9063, 1.0068, 1.4954, 8.4919, 2.3015, 0.3486, 0.3506, 0.0509, 0.0480, 0.0), 18.7677, 43.5627),
    ((81.4410, 13.4650, 0.9850, 3.3000, 0.6050, 0.1000, 0.1040, 0.0, 0.0, 0.0), 18.6483, 35.6381),
    ((81.2120, 5.7020, 7.5850, 4.3030, 0.8950, 0.1510, 0.1520, 0.0, 0.0, 0.0), 19.8285, 36.6798),
]
# Enthalpy of formation of the ideal gas at 25 degC [kJ/mol]: carbon and hydrogen atoms, value (NIST Chemistry WebBook).
FORMATION = {
    "methane": (1, 4, -74.6), "ethane": (2, 6, -84.0), "propane": (3, 8, -104.7), "n_butane": (4, 10, -125.6),
    "isobutane": (4, 10, -134.2), "n_pentane": (5, 12, -146.8), "isopentane": (5, 12, -153.7),
    "hexane": (6, 14, -167.1), "heptane": (7, 16, -187.8), "octane": (8, 18, -208.7),
    "nonane": (9, 20, -228.2), "decane": (10, 22, -249.7),
    "hydrogen": (0, 2, 0.0), "carbon_monoxide": (1, 0, -110.53),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATION)
def test_molar_values_follow_from_formation_enthalpies(name):
    carbon, hydrogen, formation = FORMATION[name]
    expected = carbon * 393.51 + hydrogen / 2 * 285.83 + formation
    pure = Composition.of({name: 1.0})
    assert molar_calorific_value_kj(pure, 25.0) == pytest.approx(expected, rel=4e-4)
    # Net: the water stays vapour, 44.0 kJ/mol at 25 degC.
    net = molar_calorific_value_kj(pure, 25.0, inferior=True)
    assert net == pytest.approx(expected - hydrogen / 2 * 44.0, rel=4e-4)


@pytest.mark.parametrize("name", [n for n in COMPONENTS if n not in ("helium", "water", "hydrogen")])
def test_compression_factors_agree_with_gerg(name):
    # ISO 12213 and 6976 describe the same gas: a mixture of 10 % in methane, all at 101.325 kPa.
    share = {"hexane": 0.001, "heptane": 5e-4, "octane": 5e-4, "nonane": 5e-4, "decane": 5e-4}.get(name, 0.005)
    share = 1e-4 if name in ("oxygen", "argon", "hydrogen_sulfide") else share
    gas = Composition.of({"methane": 1 - share, name: share} if name != "methane" else {name: 1.0})
    for degc in (0.0, 15.0, 20.0):
        z = compressibility(gas, degc + 273.15, 101.325, equation=Equation.GERG_2008)
        assert base_compression_factor(gas, degc) == pytest.approx(z, abs=3e-5)


def test_the_mixture_of_an_independent_implementation():
    conditions = CalorificConditions(15.55, 0.0)
    assert molar_mass_g_per_mol(NEQSIM) == pytest.approx(16.97159718679405, rel=1e-12)
    assert base_compression_factor(NEQSIM, 0.0) == pytest.approx(0.9974581843581334, rel=1e-12)
    assert calorific_value_mj_per_m3(NEQSIM, conditions) == pytest.approx(39.61208330867018, rel=1e-12)
    # Its net values are those of the 1995 edition, hence the tolerance.
    assert calorific_value_mj_per_m3(NEQSIM, conditions, inferior=True) == pytest.approx(35.6935928445084, rel=1e-4)
    relative_density = 0.5870771657884608
    air = 28.96546e-3 * 101325 / (0.999419 * 8.3144621 * 273.15)  # ISO 6976:2016, clause 10: dry air at 0 degC
    assert density_kg_per_m3(NEQSIM, 0.0) / air == pytest.approx(relative_density, rel=1e-5)


@pytest.mark.parametrize(("percent", "molar_mass", "heating_value"), NIST_GASES)
def test_heating_values_of_the_aga8_gases(percent, molar_mass, heating_value):
    gas = Composition.of({n: x / 100 for n, x in zip(NAMES, percent, strict=True)})
    assert molar_mass_g_per_mol(gas) == pytest.approx(molar_mass, abs=2e-4)
    # The sheet burns near 60 degF and meters at 0 degC (as its own 39.8712 MJ/m3 and 891.546 kJ/mol of methane show).
    assert calorific_value_mj_per_m3(gas, CalorificConditions(15.55, 0.0)) == pytest.approx(heating_value, rel=3e-4)


def test_methane_at_the_usual_conditions():
    # Z from GERG-2008 instead of the summation: an independent real molar volume.
    for conditions in (CHINA_20_20, ISO_15_15, NORMAL_0_0, EUROPE_25_0):
        kelvin = conditions.metering_degc + 273.15
        volume = compressibility(METHANE, kelvin, 101.325, equation=Equation.GERG_2008) * 8.3144621 * kelvin / 101325
        molar = molar_calorific_value_kj(METHANE, conditions.combustion_degc)
        assert calorific_value_mj_per_m3(METHANE, conditions) == pytest.approx(molar / 1000 / volume, rel=3e-5)
    assert calorific_value_mj_per_m3(METHANE, ISO_15_15) == pytest.approx(37.78, abs=0.01)
    assert calorific_value_mj_per_m3(METHANE, CHINA_20_20) == pytest.approx(37.11, abs=0.01)


def test_values_fall_smoothly_with_temperature():
    # Kirchhoff: over each interval of combustion temperatures the slope of one component stays nearly the same.
    table = component_table()
    for row, name in zip(table.gross_kj_per_mol, COMPONENTS, strict=True):
        if name == "water":
            continue
        slope_low = (row[1] - row[0]) / 15
        slope_high = (row[4] - row[1]) / 10
        assert slope_low == pytest.approx(slope_high, abs=0.0035 + 0.02 * abs(slope_low)), name
    for row, name in zip(table.summation_factor, COMPONENTS, strict=True):
        assert list(row) == sorted(row, reverse=True), name


def test_the_data_file_states_its_confidence():
    raw = tomllib.loads(resources.files("metrology").joinpath("gas_data", "iso6976_2016.toml").read_text("utf-8"))
    assert set(raw["component"]) == set(COMPONENTS)
    for row in raw["component"].values():
        assert len(row["gross_kj_per_mol"]) == len(raw["combustion_degc"]) == len(raw["vaporisation_kj_per_mol"])
        assert len(row["summation_factor"]) == len(raw["metering_degc"])
        assert set(row["confidence"].values()) <= {"A", "B", "C"}


@pytest.mark.parametrize(
    ("conditions", "part"),
    [(CalorificConditions(18.0, 20.0), "combustion temperature 18 .* 0, 15, 15.55, 20, 25"),
     (CalorificConditions(25.0, 25.0), "metering temperature 25 .* 0, 15, 15.55, 20 degC")],
)  # fmt: skip
def test_untabulated_temperatures_are_refused(conditions, part):
    with pytest.raises(InvalidInputError, match=part):
        calorific_value_mj_per_m3(METHANE, conditions)


def test_dense_gases_are_refused():
    with pytest.raises(InvalidInputError, match=r"Z above 0\.9"):
        base_compression_factor(Composition.of({"octane": 1.0}), 0.0)


def test_budget_of_the_calorific_value():
    std = {"methane": 0.001, "ethane": 0.0003, "nitrogen": 0.0002}
    budget = calorific_value_budget(NEQSIM, std)
    assert budget.value == pytest.approx(calorific_value_mj_per_m3(NEQSIM), rel=1e-12)

    def by_fractions(*values):
        # The same model written anew on arrays: only fractions vary.
        table, names = component_table(), list(NEQSIM.present())
        total = sum(values[: len(names)])
        x = {n: v / total for n, v in zip(names, values, strict=False)}
        row = [COMPONENTS.index(n) for n in names]
        hc = sum(
            x[n] * (table.gross_kj_per_mol[i, 3] + v) for n, i, v in zip(names, row, values[len(names) :], strict=False)
        )
        z = 1 - sum(x[n] * table.summation_factor[i, 3] for n, i in zip(names, row, strict=True)) ** 2
        return hc * 101.325 / (z * 8.3144621 * 293.15) / values[-1]

    result = propagate(by_fractions, budget.components, seed=6, draws=100_000)
    assert result.std_uncertainty == pytest.approx(budget.combined_std_uncertainty, rel=0.02)
    assert budget.share("fraction of ethane") > budget.share("fraction of methane")
    net = calorific_value_budget(NEQSIM, std, ISO_15_15, inferior=True)
    assert net.measurand == "net calorific value 15/15 degC"
    assert net.value == pytest.approx(calorific_value_mj_per_m3(NEQSIM, ISO_15_15, inferior=True))


def test_budget_of_traces_and_of_strangers():
    gas = Composition.of({"methane": 0.9999, "hexane": 0.0001})
    assert math.isfinite(calorific_value_budget(gas, {"hexane": 0.0002}).combined_std_uncertainty)
    with pytest.raises(InvalidInputError, match="fraction_std of ethane"):
        calorific_value_budget(gas, {"ethane": 0.001})
