"""OBIS codes: reading and writing, and the codes that utilities send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.obis import ObisCode, obis_meaning, parse_obis
from metrology.quantities import Medium, quantity_of

GROUP = st.integers(0, 255)
CODES = st.builds(ObisCode, GROUP, GROUP, GROUP, GROUP, GROUP, GROUP)


@given(CODES)
def test_what_is_written_is_read_again(code):
    assert parse_obis(str(code)) == code
    assert parse_obis(code.hex) == code
    assert parse_obis(code.hex.lower()) == code
    assert parse_obis(f"{code.a}.{code.b}.{code.c}.{code.d}.{code.e}.{code.f}") == code


@given(st.text(max_size=20))
def test_any_text_is_a_code_or_a_clear_refusal(text):
    try:
        code = parse_obis(text)
    except InvalidInputError:
        return
    assert parse_obis(str(code)) == code


@pytest.mark.parametrize(
    ("text", "medium", "quantity", "unit", "direction"),
    [
        ("1-0:1.8.0", Medium.ELECTRICITY, "energy", "kW.h", "import"),
        ("1-0:2.8.0", Medium.ELECTRICITY, "energy", "kW.h", "export"),
        ("1-0:1.7.0", Medium.ELECTRICITY, "power", "kW", "import"),
        ("1-0:2.7.0", Medium.ELECTRICITY, "power", "kW", "export"),
        ("1-0:16.7.0", Medium.ELECTRICITY, "power", "kW", "net"),
        ("7-0:3.0.0", Medium.GAS, "volume", "m3", "import"),
        ("7-0:13.2.0", Medium.GAS, "volume", "m3", "import"),
        ("8-0:1.0.0", Medium.WATER, "volume", "m3", "import"),
        ("9-0:1.0.0", Medium.WATER, "volume", "m3", "import"),
    ],
)
def test_the_registers_of_the_media(text, medium, quantity, unit, direction):
    meaning = obis_meaning(parse_obis(text))
    assert (meaning.medium, meaning.quantity, meaning.unit, meaning.direction) == (medium, quantity, unit, direction)
    assert quantity_of(meaning.unit) == quantity


def test_gas_at_operating_and_at_base_conditions_are_told_apart():
    assert "operating" in obis_meaning(parse_obis("7-0:3.0.0")).text
    assert "base" in obis_meaning(parse_obis("7-0:13.2.0")).text
    assert "cold" in obis_meaning(parse_obis("8-0:1.0.0")).text
    assert "hot" in obis_meaning(parse_obis("9-0:1.0.0")).text


def test_channel_tariff_serial_number_and_short_form():
    assert obis_meaning(parse_obis("1-1:1.8.2*255")).tariff == 2
    assert obis_meaning(parse_obis("1-0:1.8.0")).tariff == 0
    assert obis_meaning(parse_obis("0-0:96.1.1")).quantity == "text"
    assert parse_obis("1.8.0", Medium.ELECTRICITY) == ObisCode(1, 0, 1, 8, 0)
    assert str(parse_obis("1-0:1.8.0*12")) == "1-0:1.8.0*12"


@pytest.mark.parametrize(
    ("text", "words"),
    [("1.8.0", "1-0:1.8.0"), ("energy", "1-0:1.8.0"), ("1-0:1.8.300", "0 to 255"), ("", "''"), ("1-0:", "'1-0:'")],
)
def test_codes_that_cannot_be_read_are_refused(text, words):
    with pytest.raises(InvalidInputError, match=words):
        parse_obis(text)


def test_an_unknown_meaning_is_refused_with_the_known_codes():
    with pytest.raises(InvalidInputError, match=r"6-0:1\.0\.0 is not known.*1-0:1\.8\.0.*8-0:1\.0\.0"):
        obis_meaning(parse_obis("6-0:1.0.0"))  # heat
