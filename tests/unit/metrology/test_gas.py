"""Oracles: NIST's AGA8 reference code (github.com/usnistgov/AGA8, TESTDATA/Tables.xls and the C tests), which prints
Z of the five gases of AGA Report No. 8 by DETAIL and GERG-2008; ISO 2533's table; the physics of ideal gases."""

import math

import numpy as np
import pyaga8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.gas import (
    BASE_0,
    BASE_15,
    BASE_20,
    GasDelivery,
    atmospheric_pressure_kpa,
    base_volume_m3,
    energy_budget,
    energy_kwh,
    volume_conversion_factor,
    z_ratio,
)
from metrology.gas_composition import COMPONENTS, Composition
from metrology.gas_compressibility import Equation, compressibility, equation_range
from metrology.montecarlo import check_gum, propagate
from metrology.uncertainty import Component

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
# Mole percent: Gulf Coast, Amarillo, Ekofisk, high nitrogen, high carbon dioxide (sheet "Tables").
GASES = [
    Composition.of({n: x / 100 for n, x in zip(NAMES, percent, strict=True)})
    for percent in (
        (96.5222, 0.2595, 0.5956, 1.8186, 0.4596, 0.0977, 0.1007, 0.0473, 0.0324, 0.0664),
        (90.6724, 3.1284, 0.4676, 4.5279, 0.8280, 0.1037, 0.1563, 0.0321, 0.0443, 0.0393),
        (85.9063, 1.0068, 1.4954, 8.4919, 2.3015, 0.3486, 0.3506, 0.0509, 0.0480, 0.0),
        (81.4410, 13.4650, 0.9850, 3.3000, 0.6050, 0.1000, 0.1040, 0.0, 0.0, 0.0),
        (81.2120, 5.7020, 7.5850, 4.3030, 0.8950, 0.1510, 0.1520, 0.0, 0.0, 0.0),
    )
]
GULF_COAST = GASES[0]
# Temperature [K], pressure [kPa], Z of the five gases by DETAIL and by GERG-2008 (rows 74 to 85).
PUBLISHED_Z = [
    (
        273.15,
        101.325,
        (0.997412, 0.997308, 0.996787, 0.997675, 0.997214),
        (0.997422, 0.997321, 0.996812, 0.997685, 0.997229),
    ),
    (
        273.15,
        6000.000,
        (0.847589, 0.840933, 0.803397, 0.866943, 0.834033),
        (0.847953, 0.841063, 0.803646, 0.866770, 0.834221),
    ),
    (
        273.15,
        12000.000,
        (0.734037, 0.723739, 0.657514, 0.774260, 0.709585),
        (0.734146, 0.723348, 0.657292, 0.773582, 0.709430),
    ),
    (
        293.15,
        101.325,
        (0.997975, 0.997893, 0.997469, 0.998197, 0.997818),
        (0.997982, 0.997902, 0.997486, 0.998204, 0.997829),
    ),
    (
        293.15,
        6000.000,
        (0.885078, 0.880119, 0.852050, 0.900309, 0.875026),
        (0.885386, 0.880267, 0.852280, 0.900248, 0.875260),
    ),
    (
        293.15,
        12000.000,
        (0.802268, 0.794318, 0.743111, 0.833366, 0.783867),
        (0.802475, 0.794150, 0.742991, 0.833049, 0.783971),
    ),
    (
        313.15,
        101.325,
        (0.998409, 0.998343, 0.997994, 0.998599, 0.998283),
        (0.998414, 0.998350, 0.998006, 0.998605, 0.998291),
    ),
    (
        313.15,
        6000.000,
        (0.912380, 0.908558, 0.886634, 0.924793, 0.904631),
        (0.912631, 0.908703, 0.886855, 0.924798, 0.904868),
    ),
    (
        313.15,
        12000.000,
        (0.851843, 0.845670, 0.805678, 0.876739, 0.837684),
        (0.852125, 0.845679, 0.805632, 0.876661, 0.837966),
    ),
    (
        333.15,
        101.325,
        (0.998749, 0.998695, 0.998405, 0.998913, 0.998646),
        (0.998754, 0.998701, 0.998414, 0.998918, 0.998653),
    ),
    (
        333.15,
        6000.000,
        (0.932930, 0.929919, 0.912304, 0.943293, 0.926803),
        (0.933136, 0.930057, 0.912515, 0.943347, 0.927027),
    ),
    (
        333.15,
        12000.000,
        (0.888883, 0.884020, 0.852060, 0.909387, 0.877727),
        (0.889205, 0.884157, 0.852145, 0.909460, 0.878116),
    ),
]


@pytest.mark.parametrize(("temperature", "pressure", "detail", "gerg"), PUBLISHED_Z)
def test_z_of_the_published_gases(temperature, pressure, detail, gerg):
    for gas, z_detail, z_gerg in zip(GASES, detail, gerg, strict=True):
        assert compressibility(gas, temperature, pressure) == pytest.approx(z_detail, abs=1.5e-6)
        assert compressibility(gas, temperature, pressure, equation=Equation.GERG_2008) == pytest.approx(
            z_gerg, abs=1.5e-6
        )


def test_the_library_is_the_reference_code():
    # Detail_test_01.cpp and GERG2008_test_01.cpp: 21 components at 400 K and 50 MPa, outside the range admitted here.
    fractions = (
        0.77824, 0.02, 0.06, 0.08, 0.03, 0.0015, 0.003, 0.0005, 0.00165, 0.00215, 0.00088, 0.00024, 0.00015, 0.00009,
        0.004, 0.005, 0.002, 0.0001, 0.0025, 0.007, 0.001,
    )  # fmt: skip
    gas = pyaga8.Composition()
    for name, x in zip(COMPONENTS, fractions, strict=True):
        setattr(gas, name, x)
    detail, gerg = pyaga8.Detail(), pyaga8.Gerg2008()
    for solver in (detail, gerg):
        solver.set_composition(gas)
        solver.temperature, solver.pressure = 400.0, 50_000.0
    detail.calc_density()
    gerg.calc_density(0)
    detail.calc_properties()
    gerg.calc_properties()
    assert (detail.d, detail.z) == pytest.approx((12.80792403648801, 1.173801364147326), abs=1e-10)
    assert (gerg.d, gerg.z) == pytest.approx((12.79828626082062, 1.174690666383717), abs=1e-10)
    with pytest.raises(InvalidInputError, match="range of aga8-detail"):
        compressibility(Composition.of(dict(zip(COMPONENTS, fractions, strict=True))), 400.0, 50_000.0)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(263, 338), st.floats(50, 12_000)), min_size=1, max_size=5), st.sampled_from(Equation)
)
def test_scalar_equals_vector(states, equation):
    temperature, pressure = (np.array(c) for c in zip(*states, strict=True))
    many = compressibility(GULF_COAST, temperature, pressure, equation=equation)
    assert isinstance(many, np.ndarray)
    assert many.tolist() == [compressibility(GULF_COAST, t, p, equation=equation) for t, p in states]
    volumes = base_volume_m3(10.0, temperature, pressure, composition=GULF_COAST, equation=equation)
    one = base_volume_m3(10.0, *states[0], composition=GULF_COAST, equation=equation)
    assert np.asarray(volumes)[0] == pytest.approx(one, rel=1e-14)


def test_a_thin_gas_is_ideal():
    assert compressibility(GULF_COAST, 300.0, 0.001) == pytest.approx(1.0, abs=1e-7)
    assert compressibility(GULF_COAST, np.full((2, 3), 300.0), 100.0).shape == (2, 3)


@pytest.mark.parametrize(
    ("temperature", "pressure", "equation", "part"),
    [
        (262.9, 100.0, Equation.AGA8_DETAIL, "temperature = 262.9 K is outside 263 to 338"),
        (338.1, 100.0, Equation.AGA8_DETAIL, "temperature = 338.1"),
        (20.0, 100.0, Equation.AGA8_DETAIL, "temperature = 20 K"),
        (300.0, 12_000.1, Equation.AGA8_DETAIL, "absolute pressure = 12000.1 kPa"),
        (300.0, 0.0, Equation.AGA8_DETAIL, "absolute pressure = 0 kPa"),
        (300.0, -2.0, Equation.GERG_2008, "absolute pressure = -2 kPa"),
        (math.nan, 100.0, Equation.GERG_2008, "temperature = nan"),
        (249.0, 100.0, Equation.GERG_2008, "250 to 350 K, the range of gerg-2008"),
    ],
)
def test_states_outside_the_range_are_refused(temperature, pressure, equation, part):
    with pytest.raises(InvalidInputError, match=part):
        compressibility(GULF_COAST, temperature, pressure, equation=equation)


def test_limits_belong_to_the_range():
    for equation in Equation:
        valid = equation_range(equation)
        for t in valid.temperature_k:
            assert 0 < compressibility(GULF_COAST, t, valid.pressure_kpa[1], equation=equation) < 1.2


def test_compositions_outside_the_range_are_refused():
    hydrogen = Composition.of({"methane": 0.8, "hydrogen": 0.2})
    with pytest.raises(InvalidInputError, match=r"hydrogen = 0.2 is outside 0 to 0.1, the range of aga8-detail"):
        compressibility(hydrogen, 288.15, 101.325)
    assert compressibility(hydrogen, 288.15, 101.325, equation=Equation.GERG_2008) == pytest.approx(0.9988, abs=5e-4)
    with pytest.raises(InvalidInputError, match=r"methane = 0.2 is outside"):
        compressibility(Composition.of({"methane": 0.2, "nitrogen": 0.8}), 288.15, 101.325)
    with pytest.raises(InvalidInputError, match=r"isobutane \+ n_butane = 0.02"):
        compressibility(Composition.of({"methane": 0.98, "isobutane": 0.01, "n_butane": 0.01}), 288.15, 101.325)
    assert compressibility(Composition.of({"methane": 0.8, "nitrogen": 0.2}), 288.15, 101.325) < 1


@pytest.mark.parametrize(
    ("fractions", "normalise", "part"),
    [
        ({"methane": 0.5, "neon": 0.5}, False, "'neon' is unknown"),
        ({"methane": 1.1, "ethane": -0.1}, False, "ethane = -0.1"),
        ({"methane": math.nan}, False, "methane = nan"),
        ({"methane": 0.99}, False, "sum to 0.99, not to 1"),
        ({"methane": 96.5, "ethane": 3.5}, True, "outside 0.98 to 1.02"),
        ({}, False, "sum to 0"),
    ],
)
def test_broken_compositions_are_refused(fractions, normalise, part):
    with pytest.raises(InvalidInputError, match=part):
        Composition.of(fractions, normalise=normalise)


def test_normalisation_is_asked_for_by_name():
    gas = Composition.of({"methane": 0.95, "ethane": 0.04}, normalise=True)
    assert math.fsum(gas.fractions) == pytest.approx(1.0, abs=1e-15)
    assert gas.fraction("methane") == pytest.approx(0.95 / 0.99)
    assert set(gas.present()) == {"methane", "ethane"}


def test_standard_atmosphere():
    # ISO 2533, table 5: geopotential altitude [m] and pressure [kPa].
    for geopotential, pressure in [(0, 101.325), (1000, 89.8746), (2000, 79.4952), (3000, 70.1085), (5000, 54.0199)]:
        altitude = 6_356_766 * geopotential / (6_356_766 - geopotential)
        assert atmospheric_pressure_kpa(altitude) == pytest.approx(pressure, abs=1e-4)
    assert atmospheric_pressure_kpa(np.array([0.0, 310.0])).shape == (2,)
    for altitude in (-1001.0, 9001.0, math.nan):
        with pytest.raises(InvalidInputError, match="altitude_m"):
            atmospheric_pressure_kpa(altitude)


def test_conversion_factor_by_hand():
    assert volume_conversion_factor(293.15, 101.325) == 1.0
    assert volume_conversion_factor(273.15, 202.65) == pytest.approx(2 * 293.15 / 273.15)
    assert volume_conversion_factor(288.15, 101.325, base=BASE_15, z_ratio=1.01) == pytest.approx(1.01)
    # EN 12405-1's formula at 6 MPa and 0 degC, Z from the reference code's table.
    expected = 6000 / 101.325 * 293.15 / 273.15 * 0.997975 / 0.847589
    assert base_volume_m3(1.0, 273.15, 6000.0, composition=GULF_COAST) == pytest.approx(expected, rel=3e-6)
    assert z_ratio(GULF_COAST, 273.15, 101.325, base=BASE_0) == 1.0
    assert base_volume_m3(1.0, 293.15, 103.325) == pytest.approx(
        base_volume_m3(1.0, 293.15, 103.325, composition=GULF_COAST), rel=1e-4
    )


@pytest.mark.parametrize(("t", "p", "z"), [(0.0, 100.0, 1.0), (293.15, -1.0, 1.0), (293.15, 100.0, 0.0)])
def test_impossible_states_are_refused(t, p, z):
    with pytest.raises(InvalidInputError, match="must be a number, above 0"):
        volume_conversion_factor(t, p, z_ratio=z)


@given(st.floats(263, 330), st.floats(80, 500))
def test_warmer_or_thinner_gas_gives_less_base_volume(temperature, pressure):
    volume = base_volume_m3(1.0, temperature, pressure, composition=GULF_COAST)
    assert base_volume_m3(1.0, temperature + 1, pressure, composition=GULF_COAST) < volume
    assert base_volume_m3(1.0, temperature, pressure * 1.01, composition=GULF_COAST) > volume


def delivery(**changes) -> GasDelivery:
    fields = {
        "volume": Component.from_half_width("volume", 100.0, 1.5, "rectangular", unit="m3"),
        "temperature": Component("temperature", 288.15, 3.0, unit="K"),
        "gauge_pressure": Component("gauge pressure", 2.0, 0.1, unit="kPa"),
        "atmospheric_pressure": Component("atmospheric pressure", 97.6561, 1.0, unit="kPa"),
        "calorific_value": Component("calorific value", 37.9, 0.1, unit="MJ/m3"),
        "composition": GULF_COAST,
    }
    return GasDelivery(**(fields | changes))


def test_energy_budget_against_the_relative_rule():
    # Of a product of powers the relative variances add (GUM 5.1.6); Z changes little at 100 kPa.
    budget = energy_budget(delivery(composition=None))
    volume = base_volume_m3(100.0, 288.15, 99.6561)
    assert budget.value == pytest.approx(energy_kwh(volume, 37.9))
    relative = math.sqrt(
        (1.5 / math.sqrt(3) / 100) ** 2 + (3 / 288.15) ** 2 + (0.1**2 + 1.0**2) / 99.6561**2 + (0.1 / 37.9) ** 2
    )
    assert budget.combined_std_uncertainty == pytest.approx(budget.value * relative, rel=1e-3)
    real = energy_budget(delivery())
    assert real.value == pytest.approx(budget.value, rel=2e-4)
    assert real.components[-1].std_uncertainty == pytest.approx(0.0005)
    assert "confidence B" in real.components[-1].source


def test_energy_budget_against_monte_carlo():
    given = delivery(composition=None)
    budget = energy_budget(given)

    def model(volume, kelvin, gauge, atmospheric, calorific, z_error):
        return volume * (gauge + atmospheric) / 101.325 * 293.15 / kelvin * calorific / 3.6 * z_error

    result = propagate(model, budget.components, seed=4, draws=200_000)
    assert result.mean == pytest.approx(budget.value, rel=5e-4)
    assert check_gum(budget, result, digits=1).valid


def test_an_energy_budget_outside_the_range_is_refused():
    with pytest.raises(InvalidInputError, match="temperature"):
        energy_budget(delivery(temperature=Component("temperature", 264.0, 3.0, unit="K")))


def test_base_conditions():
    assert (BASE_0.temperature_k, BASE_15.temperature_k, BASE_20.temperature_k) == (273.15, 288.15, 293.15)
    assert BASE_20.pressure_kpa == 101.325
