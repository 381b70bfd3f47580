"""Units convert exactly within a quantity, and registers into millionths."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.quantities import (
    MAX_REGISTER_MICRO,
    QUANTITY_UNITS,
    Medium,
    Quantity,
    conversion_factor,
    decimals_to_micro,
    floats_to_micro,
    format_micro,
    mean_rate,
    micro_per_unit,
    parse_medium,
    quantity_of,
    ucum_name,
)

UNITS = st.sampled_from([unit for units in QUANTITY_UNITS.values() for unit in units])


@pytest.mark.parametrize(
    ("unit", "into", "factor"),
    [
        ("kW.h", "W.h", 1000),
        ("MJ", "kW.h", Fraction(10, 36)),
        ("m3", "L", 1000),
        ("[cft_i]", "L", Fraction("28.316846592")),  # NIST SP 811, appendix B.8
        ("[gal_us]", "L", Fraction("3.785411784")),
        ("MW", "W", 1_000_000),
        ("L/min", "m3/h", Fraction(6, 100)),
        ("L/s", "m3/h", Fraction(36, 10)),
        ("m3/s", "L/h", 3_600_000),
    ],
)
def test_published_conversions(unit, into, factor):
    assert conversion_factor(unit, into) == factor


@given(UNITS, UNITS)
def test_conversion_there_and_back_is_one_and_never_crosses_quantities(unit, into):
    if quantity_of(unit) is quantity_of(into):
        assert conversion_factor(unit, into) * conversion_factor(into, unit) == 1
    else:
        with pytest.raises(InvalidInputError, match="measures"):
            conversion_factor(unit, into)


@given(UNITS)
def test_the_ucum_name_has_the_same_size(unit):
    assert conversion_factor(unit, ucum_name(unit)) == 1
    assert ucum_name(ucum_name(unit)) == ucum_name(unit)


def test_ucum_names_at_the_edges():
    assert [ucum_name(u) for u in ("kWh", "m³", "ft3", "gal", "l/h")] == ["kW.h", "m3", "[cft_i]", "[gal_us]", "L/h"]
    with pytest.raises(InvalidInputError, match=r"'kwh' is unknown.*kWh"):
        ucum_name("kwh")


def test_rates():
    assert mean_rate(500_000, 1800) == 1  # 0.5 kWh in half an hour: 1 kW
    assert mean_rate(1, 3600) == Fraction(1, 1_000_000)
    assert quantity_of("L/h") is Quantity.FLOW
    with pytest.raises(InvalidInputError, match="order the readings"):
        mean_rate(1, 0)


@given(st.integers(-MAX_REGISTER_MICRO, MAX_REGISTER_MICRO))
def test_a_register_survives_its_decimal_text(register_micro):
    back, bad = decimals_to_micro([format_micro(register_micro)], micro_per_unit("kWh", Medium.ELECTRICITY))
    assert not bad[0]
    assert back[0] == register_micro


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=10))
def test_floats_become_the_nearest_millionth(values):
    micro, inexact = floats_to_micro(np.array(values), micro_per_unit("m3", Medium.WATER))
    assert not inexact.any()
    for value, got in zip(values, micro, strict=True):
        assert abs(Fraction(value) * 1_000_000 - int(got)) <= Fraction(1, 2) + Fraction(abs(value)) / 10**9


def test_what_cannot_be_exact_is_marked():
    _, inexact = floats_to_micro(np.array([np.nan, np.inf, 1e10, 1.0]), Fraction(1_000_000))
    assert inexact.tolist() == [True, True, True, False]
    _, bad = decimals_to_micro(["1e999999", "x", "NaN", "", "1e-99"], Fraction(1_000_000))
    assert bad.tolist() == [True, True, True, True, False]


def test_unknown_media_and_units_are_refused_with_the_valid_ones():
    with pytest.raises(InvalidInputError, match="electricity, water, gas"):
        parse_medium("steam")
    with pytest.raises(InvalidInputError, match=r"'kWh' does not measure water.*m3"):
        micro_per_unit("kWh", Medium.WATER)
