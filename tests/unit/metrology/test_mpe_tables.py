"""Every entry of the tables of maximum permissible errors against the clause, and the side on which each bound falls.

The expected figures are written here from the clauses, not read from the data files: OIML R 46 (base maximum
permissible errors), R 49-1 (4.2), R 137-1, JJG 596-2012 (direct connection), JJG 162-2019, JJG 577-2012, and tables 1
of the rules of Hebei and Anhui.
"""

import math

import pytest

from metrology.errors import InvalidInputError
from metrology.mpe import Conditions, applicable_limit, mpe_pct
from metrology.regulation import get_regulation, load_regulations

R46_MARKS = {"i_st": 0.02, "i_min": 0.25, "i_tr": 0.5, "i_max": 60.0}
UNITY = {"power_factor": 1.0}
INDUCTIVE = {"power_factor": 0.5}
CAPACITIVE = {"power_factor": 0.8, "leading": True}

# class: (i_tr to i_max, i_min to i_tr), at unity power factor and from 0.5 inductive to 0.8 capacitive
R46 = {
    "A": ((2.0, 2.5), (2.5, 2.5)),
    "B": ((1.0, 1.5), (1.5, 1.8)),
    "C": ((0.5, 1.0), (0.6, 1.0)),
    "D": ((0.2, 0.4), (0.3, 0.5)),
}


@pytest.mark.parametrize("accuracy_class", R46)
@pytest.mark.parametrize(
    ("influence", "column"), [(UNITY, 0), (INDUCTIVE, 1), (CAPACITIVE, 1), ({"power_factor": 0.99}, 1)]
)
def test_oiml_r46_over_the_whole_range_and_on_the_stated_side_of_each_bound(accuracy_class, influence, column):
    upper, middle = R46[accuracy_class][column]

    def mpe(current_a: float) -> float:
        conditions = Conditions(marks=R46_MARKS, **influence)
        return mpe_pct(get_regulation("oiml-r46-2012"), "initial", accuracy_class, current_a, conditions)

    assert mpe(60.0) == mpe(10.0) == mpe(0.5) == upper
    assert mpe(math.nextafter(0.5, 0)) == mpe(0.3) == mpe(0.25) == middle
    assert mpe(math.nextafter(0.25, 0)) == pytest.approx(middle, rel=1e-12)  # the 1/I zone begins continuously
    assert mpe(0.125) == pytest.approx(2 * middle, rel=1e-14)
    assert mpe(0.02) == pytest.approx(middle * 0.25 / 0.02, rel=1e-14)


# class: (Q1 to Q2, Q2 to Q4 up to 30 degC, Q2 to Q4 above 30 degC); in service twice
WATER = {"1": (3.0, 1.0, 2.0), "2": (5.0, 2.0, 3.0)}
WATER_MARKS = {"q1": 0.025, "q2": 0.04, "q3": 2.5, "q4": 3.125}


@pytest.mark.parametrize("regulation_id", ["oiml-r49-2013", "jjg-162-2019"])
@pytest.mark.parametrize("accuracy_class", WATER)
@pytest.mark.parametrize(("stage", "factor"), [("initial", 1), ("in_service", 2)])
def test_water_zones_and_temperature_bands(regulation_id, accuracy_class, stage, factor):
    lower, cool, warm = (factor * value for value in WATER[accuracy_class])

    def mpe(flow_m3ph: float, temperature_degc: float) -> float:
        conditions = Conditions(marks=WATER_MARKS, temperature_degc=temperature_degc)
        return mpe_pct(get_regulation(regulation_id), stage, accuracy_class, flow_m3ph, conditions)

    for temperature in (0.1, 20.0, 30.0, math.nextafter(30.0, 31), 50.0):
        assert mpe(0.025, temperature) == mpe(math.nextafter(0.04, 0), temperature) == lower
    for temperature in (0.1, 20.0, 30.0):
        assert mpe(0.04, temperature) == mpe(2.5, temperature) == mpe(3.125, temperature) == cool
    for temperature in (math.nextafter(30.0, 31), 50.0):
        assert mpe(0.04, temperature) == mpe(2.5, temperature) == mpe(3.125, temperature) == warm


# class: (q_min to q_t, q_t to q_max); in service twice
GAS = {"0.5": (1.0, 0.5), "1": (2.0, 1.0), "1.5": (3.0, 1.5)}
GAS_MARKS = {"q_min": 0.025, "q_t": 0.4, "q_max": 4.0}


@pytest.mark.parametrize(
    ("regulation_id", "accuracy_class"),
    [("oiml-r137-2012", name) for name in GAS] + [("jjg-577-2012", "1"), ("jjg-577-2012", "1.5")],
)
@pytest.mark.parametrize(("stage", "factor"), [("initial", 1), ("in_service", 2)])
def test_gas_zones(regulation_id, accuracy_class, stage, factor):
    lower, upper = (factor * value for value in GAS[accuracy_class])

    def mpe(flow_m3ph: float) -> float:
        return mpe_pct(get_regulation(regulation_id), stage, accuracy_class, flow_m3ph, Conditions(marks=GAS_MARKS))

    assert mpe(0.025) == mpe(0.1) == mpe(math.nextafter(0.4, 0)) == lower
    assert mpe(0.4) == mpe(2.0) == mpe(4.0) == upper


# class: limits at unity from 0.05 and from 0.1 i_b; the same two at 0.5 inductive from 0.1 and from 0.2 i_b
@pytest.mark.parametrize(("accuracy_class", "low", "high"), [("1", 1.5, 1.0), ("2", 2.5, 2.0)])
@pytest.mark.parametrize(("power_factor", "start", "turn"), [(1.0, 0.25, 0.5), (0.5, 0.5, 1.0)])
def test_jjg_596_2012_direct_connection(accuracy_class, low, high, power_factor, start, turn):
    conditions = Conditions(marks={"i_b": 5.0, "i_max": 60.0}, power_factor=power_factor, connection="direct")

    def mpe(current_a: float) -> float:
        return mpe_pct(get_regulation("jjg-596-2012"), "initial", accuracy_class, current_a, conditions)

    assert mpe(start) == mpe(math.nextafter(turn, 0)) == low
    assert mpe(turn) == mpe(5.0) == mpe(60.0) == high


# class: (from, turning point, limit below it, limit above it) in multiples of i_n, at unity and at 0.5 inductive
THROUGH_TRANSFORMERS = {
    "0.2S": ((0.01, 0.05, 0.4, 0.2), (0.02, 0.1, 0.5, 0.3)),
    "0.5S": ((0.01, 0.05, 1.0, 0.5), (0.02, 0.1, 1.0, 0.6)),
    "1": ((0.02, 0.05, 1.5, 1.0), (0.05, 0.1, 1.5, 1.0)),
    "2": ((0.02, 0.05, 2.5, 2.0), (0.05, 0.1, 2.5, 2.0)),
}


@pytest.mark.parametrize("accuracy_class", THROUGH_TRANSFORMERS)
@pytest.mark.parametrize(("power_factor", "column"), [(1.0, 0), (0.5, 1)])
def test_jjg_596_2012_connection_through_transformers(accuracy_class, power_factor, column):
    start, turn, low, high = THROUGH_TRANSFORMERS[accuracy_class][column]
    conditions = Conditions(marks={"i_n": 1.0, "i_max": 6.0}, power_factor=power_factor, connection="transformer")

    def mpe(current_a: float) -> float:
        return mpe_pct(get_regulation("jjg-596-2012"), "initial", accuracy_class, current_a, conditions)

    assert mpe(start) == mpe(math.nextafter(turn, 0)) == low
    assert mpe(turn) == mpe(1.0) == mpe(6.0) == high
    with pytest.raises(InvalidInputError, match=r"0\.00999"):
        mpe(0.00999)


@pytest.mark.parametrize("i_b", [1.5, 3.0, 5.0, 10.0, 0.3, 0.7])
@pytest.mark.parametrize("tenths", [1, 2])
def test_a_load_written_as_a_decimal_multiple_of_the_mark_lies_on_the_bound(i_b, tenths):
    """0.1 * 3 is 0.30000000000000004: a test at 0.3 A must not fall into the zone below."""
    load = float(f"{i_b * tenths / 10:.12g}")
    power_factor = 1.0 if tenths == 1 else 0.5
    conditions = Conditions(marks={"i_b": i_b, "i_max": 60.0}, power_factor=power_factor, connection="direct")
    assert mpe_pct(get_regulation("jjg-596-2012"), "initial", "1", load, conditions) == 1.0


@pytest.mark.parametrize(
    ("regulation_id", "accuracy_class", "expected"),
    [
        ("jjf-hebei-174-2020", "1", 1.75),
        ("jjf-hebei-174-2020", "2", 3.5),
        ("jjf-anhui-111-2021", "1", 1.0),
        ("jjf-anhui-111-2021", "2", 2.0),
    ],
)
def test_running_errors_have_one_limit_over_the_whole_range(regulation_id, accuracy_class, expected):
    regulation = get_regulation(regulation_id)
    assert mpe_pct(regulation, "in_service", accuracy_class) == expected
    assert mpe_pct(regulation, "in_service", accuracy_class, 0.0) == expected
    assert mpe_pct(regulation, "in_service", accuracy_class, 1e6) == expected


def test_the_tests_above_reach_every_limit_of_every_regulation():
    """So that no figure is added to the data without its line in a table here."""
    tested = {
        "oiml-r46-2012": {"initial": set(R46)},
        "oiml-r49-2013": {"initial": set(WATER), "in_service": set(WATER)},
        "jjg-162-2019": {"initial": set(WATER), "in_service": set(WATER)},
        "oiml-r137-2012": {"initial": set(GAS), "in_service": set(GAS)},
        "jjg-577-2012": {"initial": {"1", "1.5"}, "in_service": {"1", "1.5"}},
        "jjg-596-2012": {"initial": set(THROUGH_TRANSFORMERS)},
        "jjf-hebei-174-2020": {"in_service": {"1", "2"}},
        "jjf-anhui-111-2021": {"in_service": {"1", "2"}},
    }
    held: dict[str, dict[str, set[str]]] = {}
    for regulation in load_regulations():
        for limit in regulation.limits:
            held.setdefault(regulation.id, {}).setdefault(str(limit.stage), set()).update(limit.mpe_pct)
    assert held == tested


def test_the_limit_names_its_figure_clause_and_confidence():
    limit = applicable_limit(
        get_regulation("oiml-r49-2013"), "in_service", "2", 1.0, Conditions(marks=WATER_MARKS, temperature_degc=31.0)
    )
    assert (limit.mpe_pct, limit.confidence, limit.limit.id) == (6.0, "A", "in_service-upper-above-30")
    assert "4.2" in limit.clause
    unsure = applicable_limit(
        get_regulation("jjg-596-2012"),
        "initial",
        "1",
        5.0,
        Conditions(marks={"i_b": 5.0, "i_max": 60.0}, power_factor=1.0, connection="direct"),
    )
    assert unsure.confidence == "C"
