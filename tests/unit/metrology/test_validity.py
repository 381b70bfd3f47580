"""Periods of validity against the regulations' tables: JJG 162-2019, JJG 577-2012, JJG 596-2012 and -2026."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.regulation import get_regulation
from metrology.validity import MeterTraits, add_years, validity_until

WATER, GAS = get_regulation("jjg-162-2019"), get_regulation("jjg-577-2012")


@pytest.mark.parametrize(
    ("diameter_mm", "q3_m3ph", "years", "kind"),
    [
        (15, 2.5, 6, "use_limit"),
        (25, 16, 6, "use_limit"),
        (25.1, 16, 4, "use_limit"),
        (50, 16, 4, "use_limit"),
        (50.1, 16, 2, "verification_interval"),
        (25, 16.1, 2, "verification_interval"),
        (40, 16.1, 2, "verification_interval"),
        (80, 40, 2, "verification_interval"),
    ],
)
def test_water_by_diameter_and_flow(diameter_mm, q3_m3ph, years, kind):
    validity = validity_until(WATER, date(2021, 5, 17), MeterTraits(nominal_diameter_mm=diameter_mm, q3_m3ph=q3_m3ph))
    assert (validity.until, validity.rule.kind) == (date(2021 + years, 5, 17), kind)


@pytest.mark.parametrize(
    ("family", "q_max_m3ph", "years"),
    [
        ("natural", 10.0, 10),
        ("manufactured", 4.0, 6),
        ("lpg", 2.5, 6),
        ("natural", 10.1, 3),
        ("lpg", 10.1, 3),
        ("manufactured", 16.0, 3),
    ],
)
def test_gas_by_family_and_size(family, q_max_m3ph, years):
    traits = MeterTraits(gas_family=family, q_max_m3ph=q_max_m3ph)
    assert validity_until(GAS, date(2015, 1, 1), traits).until == date(2015 + years, 1, 1)


@pytest.mark.parametrize(
    ("regulation_id", "day", "accuracy_class", "years", "confidence"),
    [
        ("jjg-596-2012", date(2020, 3, 1), "0.2S", 6, "B"),
        ("jjg-596-2012", date(2020, 3, 1), "0.5S", 6, "B"),
        ("jjg-596-2012", date(2020, 3, 1), "1", 8, "B"),
        ("jjg-596-2012", date(2020, 3, 1), "2", 8, "B"),
        ("jjg-596-2026", date(2026, 8, 1), "C", 8, "C"),
        ("jjg-596-2026", date(2026, 8, 1), "A", 10, "C"),
        ("jjg-596-2026", date(2026, 8, 1), "B", 10, "C"),
    ],
)
def test_electricity_by_class_and_edition(regulation_id, day, accuracy_class, years, confidence):
    validity = validity_until(get_regulation(regulation_id), day, MeterTraits(accuracy_class=accuracy_class))
    assert validity.until == day.replace(year=day.year + years)
    assert validity.rule.confidence == confidence


@pytest.mark.parametrize(
    ("regulation", "traits", "words"),
    [
        (WATER, MeterTraits(), "nominal_diameter_mm, q3_m3ph"),
        (WATER, MeterTraits(nominal_diameter_mm=20.0), "depends on q3_m3ph"),
        (GAS, MeterTraits(q_max_m3ph=4.0), "depends on gas_family"),
        (GAS, MeterTraits(q_max_m3ph=10.0), "depends on gas_family"),
        (GAS, MeterTraits(q_max_m3ph=4.0, gas_family="hydrogen"), "natural.*manufactured, lpg"),
        (
            WATER,
            MeterTraits(nominal_diameter_mm=-1.0, q3_m3ph=2.5),
            "nominal_diameter_mm = -1 must be a number, above 0",
        ),
        (get_regulation("jjg-596-2012"), MeterTraits(accuracy_class="B"), "class 0.2S, 0.5S.*class 1, 2"),
        (get_regulation("oiml-r46-2012"), MeterTraits(accuracy_class="B"), "national authority"),
    ],
)
def test_meters_without_a_stated_period_are_refused_with_the_reason(regulation, traits, words):
    with pytest.raises(InvalidInputError, match=words):
        validity_until(regulation, date(2021, 1, 1), traits)


def test_one_trait_suffices_where_it_decides_alone():
    assert validity_until(WATER, date(2021, 1, 1), MeterTraits(q3_m3ph=40.0)).until == date(2023, 1, 1)


def test_a_day_before_the_edition_is_refused():
    with pytest.raises(InvalidInputError, match="not in force on 2019-01-01"):
        validity_until(WATER, date(2019, 1, 1), MeterTraits(nominal_diameter_mm=20.0, q3_m3ph=2.5))


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(1, 10))
def test_whole_years_pass(day, years):
    until = add_years(day, years)
    assert until.year == day.year + years
    assert (until.month, until.day) == (day.month, day.day) or ((day.month, day.day), until.month) == ((2, 29), 3)
