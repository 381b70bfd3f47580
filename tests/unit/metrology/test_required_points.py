"""Required test points of each medium and class."""

from fractions import Fraction

import pytest

from metrology.errors import InvalidInputError
from metrology.load_marks import water_marks
from metrology.mpe import Conditions, mpe_pct
from metrology.regulation import get_regulation, load_regulations, rule_value
from metrology.test_points import point_rules, required_points

R49 = get_regulation("oiml-r49-2013")


@pytest.mark.parametrize("regulation_id", ["oiml-r49-2013", "jjg-162-2019"])
def test_water_points_are_ranges_from_the_plate(regulation_id):
    regulation = get_regulation(regulation_id)
    marks = water_marks(2.5, 100, rule_value(R49, "q2_over_q1"), rule_value(R49, "q4_over_q3"))
    assert marks == pytest.approx({"q1": 0.025, "q2": 0.04, "q3": 2.5, "q4": 3.125})
    points = required_points(regulation, "initial", "2", marks)
    ranges = [(point.load_from, point.load_to) for point in points]
    assert ranges == [pytest.approx(r) for r in ((0.025, 0.0275), (0.04, 0.044), (2.25, 2.5))]
    assert [points[2].includes(flow) for flow in (2.24, 2.25, 2.5, 2.51)] == [False, True, True, False]
    assert points[0].unit == "m3/h"


@pytest.mark.parametrize(("regulation_id", "accuracy_class"), [("oiml-r137-2012", "0.5"), ("jjg-577-2012", "1.5")])
def test_gas_points(regulation_id, accuracy_class):
    marks = {"q_min": 0.025, "q_t": 0.4, "q_max": 4.0}
    points = required_points(get_regulation(regulation_id), "initial", accuracy_class, marks)
    assert [point.load_from for point in points] == [0.025, 0.8, 4.0]
    assert all(point.load_from == point.load_to for point in points)


def test_electricity_points_by_connection():
    regulation = get_regulation("jjg-596-2012")
    points = required_points(regulation, "initial", "1", {"i_b": 5.0, "i_max": 60.0}, "direct")
    assert {(p.load_from, p.rule.power_factor) for p in points} == {
        (60.0, 1.0),
        (5.0, 1.0),
        (0.5, 1.0),
        (60.0, 0.5),
        (5.0, 0.5),
        (1.0, 0.5),
    }
    for accuracy_class, expected in (("2", {1.0, 0.05, 6.0}), ("0.2S", {1.0, 0.05, 6.0, 0.01})):
        points = required_points(regulation, "initial", accuracy_class, {"i_n": 1.0, "i_max": 6.0}, "transformer")
        assert {p.load_from for p in points if p.rule.power_factor == 1} == expected
    with pytest.raises(InvalidInputError, match=r"'direct' is not one of transformer"):
        point_rules(regulation, "initial", "0.5S", "direct")
    with pytest.raises(InvalidInputError, match=r"None is not one of direct, transformer"):
        point_rules(regulation, "initial", "1")


@pytest.mark.parametrize("regulation", [r for r in load_regulations() if r.test_points], ids=lambda r: r.id)
def test_every_required_point_has_a_limit(regulation):
    """A point at which no error limit is stated could not be judged."""
    marks = {
        "electricity": {"i_st": 0.02, "i_min": 0.25, "i_tr": 0.5, "i_b": 5.0, "i_n": 5.0, "i_max": 60.0},
        "water": {"q1": 0.025, "q2": 0.04, "q3": 2.5, "q4": 3.125},
        "gas": {"q_min": 0.025, "q_t": 0.4, "q_max": 4.0},
    }[regulation.media[0]]
    kinds = {(name, limit.connection) for limit in regulation.limits for name in limit.mpe_pct}
    for accuracy_class, connection in kinds:
        for point in required_points(regulation, "initial", accuracy_class, marks, connection):
            conditions = Conditions(
                marks=marks,
                power_factor=point.rule.power_factor,
                leading=point.rule.leading,
                temperature_degc=20.0,
                connection=connection,
            )
            assert mpe_pct(regulation, "initial", accuracy_class, point.load_from, conditions) > 0


@pytest.mark.parametrize(
    ("regulation_id", "stage", "accuracy_class", "words"),
    [
        ("jjf-hebei-174-2020", "initial", "1", "without test points"),
        ("oiml-r49-2013", "in_service", "2", "it has initial"),
        ("oiml-r49-2013", "initial", "3", "use one of 1, 2"),
        ("jjg-596-2026", "initial", "A", "not seen"),
    ],
)
def test_what_is_not_stated_is_refused(regulation_id, stage, accuracy_class, words):
    with pytest.raises(InvalidInputError, match=words):
        point_rules(get_regulation(regulation_id), stage, accuracy_class)


def test_a_plate_that_cannot_be_is_refused():
    for q3, ratio in ((0.0, 100), (2.5, 1), (float("nan"), 100)):
        with pytest.raises(InvalidInputError, match=r"(q3_m3ph = (0|nan)|ratio_r = 1) must be a number"):
            water_marks(q3, ratio, 1.6, 1.25)


def test_flows_of_a_plate_are_the_decimals_that_people_write():
    """Q1 to Q4 of every usual plate equal the nearest float64 of the decimal figure, so that 0.04 m3/h lies on Q2."""
    for q3 in ("1.0", "1.6", "2.5", "4.0", "6.3", "10", "16", "25", "40", "63", "100"):
        for ratio in ("40", "50", "63", "80", "100", "125", "160", "200", "250", "315", "400", "500", "630", "800"):
            marks = water_marks(float(q3), float(ratio), 1.6, 1.25)
            q1 = Fraction(q3) / Fraction(ratio)
            exact = {"q1": q1, "q2": q1 * Fraction("1.6"), "q3": Fraction(q3), "q4": Fraction(q3) * Fraction("1.25")}
            assert marks == {name: float(value) for name, value in exact.items()}, (q3, ratio)
    assert water_marks(2.5, 100, 1.6, 1.25)["q2"] == 0.04  # 0.025 * 1.6 is 0.04000000000000001
