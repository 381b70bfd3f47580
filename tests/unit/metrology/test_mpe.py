"""Maximum permissible errors: arrays as scalars, refusals with the valid choices, dates, chunks."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.mpe import Conditions, applicable_limit, applicable_limits, mpe_pct
from metrology.regulation import get_regulation

R46 = get_regulation("oiml-r46-2012")
R49 = get_regulation("oiml-r49-2013")
R137 = get_regulation("oiml-r137-2012")
JJG596 = get_regulation("jjg-596-2012")
HEBEI = get_regulation("jjf-hebei-174-2020")
MARKS = {"i_st": 0.02, "i_min": 0.25, "i_tr": 0.5, "i_max": 60.0}
WATER_MARKS = {"q1": 0.025, "q2": 0.04, "q3": 2.5, "q4": 3.125}
BOUNDS = st.sampled_from([0.02, 0.25, 0.5, 60.0])
CURRENTS = st.lists(st.floats(0.0, 70.0) | BOUNDS, min_size=1, max_size=30)


@given(CURRENTS, st.sampled_from("ABCD"), st.data())
def test_an_array_gives_what_its_scalars_give(currents, accuracy_class, data):
    n = len(currents)
    power_factor = np.array(data.draw(st.lists(st.sampled_from([1.0, 0.9, 0.8, 0.5, 0.4]), min_size=n, max_size=n)))
    leading = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    load = np.array(currents)
    both = Conditions(marks=MARKS, power_factor=power_factor, leading=leading)
    values, rows = applicable_limits(R46, "initial", accuracy_class, load, both, outside="nan")
    np.testing.assert_array_equal(values, mpe_pct(R46, "initial", accuracy_class, load, both, outside="nan"))
    for i in range(n):
        one = Conditions(marks=MARKS, power_factor=float(power_factor[i]), leading=bool(leading[i]))
        try:
            limit = applicable_limit(R46, "initial", accuracy_class, currents[i], one)
        except InvalidInputError:
            assert np.isnan(values[i])
            assert rows[i] == -1
        else:
            assert values[i] == limit.mpe_pct
            assert R46.limits[rows[i]] == limit.limit


@given(st.lists(st.tuples(st.floats(0.02, 3.2), st.floats(0.1, 80.0)), min_size=1, max_size=30))
def test_water_arrays_with_marks_of_each_meter(points):
    flow, temperature = (np.array(column) for column in zip(*points, strict=True))
    scale = np.linspace(0.9, 1.1, len(points))
    marks = {name: value * scale for name, value in WATER_MARKS.items()}
    conditions = Conditions(marks=marks, temperature_degc=temperature)
    values = mpe_pct(R49, "in_service", "2", flow, conditions, outside="nan")
    for i, (q, degc) in enumerate(points):
        one = Conditions(marks={name: float(v[i]) for name, v in marks.items()}, temperature_degc=degc)
        expected = mpe_pct(R49, "in_service", "2", q, one, outside="nan")
        np.testing.assert_equal(values[i], expected)


@given(st.floats(0.02, 60.0), st.floats(0.02, 60.0), st.sampled_from("ABCD"))
def test_the_limit_never_grows_with_the_current(one, other, accuracy_class):
    conditions = Conditions(marks=MARKS, power_factor=1.0)
    low, high = sorted((one, other))
    assert mpe_pct(R46, "initial", accuracy_class, low, conditions) >= mpe_pct(
        R46, "initial", accuracy_class, high, conditions
    )


def test_arrays_longer_than_a_chunk_and_of_any_shape():
    load = np.random.default_rng(7).uniform(0.01, 65.0, (7, 12_345))
    conditions = Conditions(marks=MARKS, power_factor=1.0)
    values = mpe_pct(R46, "initial", "B", load, conditions, outside="nan")
    expected = np.select(
        [load < 0.02, load < 0.25, load < 0.5, load <= 60.0], [np.nan, 1.5 * 0.25 / load, 1.5, 1.0], np.nan
    )
    assert values.shape == load.shape
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    assert mpe_pct(R46, "initial", "B", np.empty(0), conditions).shape == (0,)


@pytest.mark.parametrize(
    ("regulation", "stage", "accuracy_class", "load", "conditions", "words"),
    [
        (R46, "initial", "2", 1.0, {}, ["'2'", "A, B, C, D"]),
        (R46, "yearly", "A", 1.0, {}, ["'yearly'", "initial, in_service"]),
        (R46, "in_service", "A", 1.0, {}, ["in_service", "national authority"]),
        (JJG596, "in_service", "1", 1.0, {}, ["in_service", "province"]),
        (HEBEI, "initial", "1", 1.0, {}, ["initial", "JJG 596"]),
        (get_regulation("jjf-yunnan-21-2022"), "in_service", "1", None, {}, ["none", "not seen"]),
        (R46, "initial", "A", 60.1, {"marks": MARKS, "power_factor": 1.0}, ["60.1", "i_st = 0.02 to i_max = 60"]),
        (R46, "initial", "A", 0.019, {"marks": MARKS, "power_factor": 1.0}, ["0.019", "i_st"]),
        (R46, "initial", "A", float("nan"), {"marks": MARKS, "power_factor": 1.0}, ["nan"]),
        (R46, "initial", "A", -1.0, {"marks": MARKS, "power_factor": 1.0}, ["-1"]),
        (R46, "initial", "A", 1.0, {"marks": MARKS}, ["power_factor"]),
        (R46, "initial", "A", 1.0, {"marks": MARKS, "power_factor": 0.49}, ["0.49", "0.5 inductive"]),
        (
            R46,
            "initial",
            "A",
            1.0,
            {"marks": MARKS, "power_factor": 0.7, "leading": True},
            ["leading", "0.8 capacitive"],
        ),
        (R46, "initial", "A", 1.0, {"marks": MARKS, "power_factor": 1.01}, ["1.01"]),
        (R46, "initial", "A", 1.0, {"power_factor": 1.0}, ["i_st, i_min, i_tr, i_max"]),
        (R46, "initial", "A", 1.0, {"marks": MARKS | {"q3": 1.0}, "power_factor": 1.0}, ["'q3'", "i_max"]),
        (R46, "initial", "A", 1.0, {"marks": MARKS | {"i_tr": -1.0}, "power_factor": 1.0}, ["i_tr", "positive"]),
        (R46, "initial", "A", 1.0, {"marks": MARKS | {"i_tr": 0.1}, "power_factor": 1.0}, ["i_min", "i_tr", "plate"]),
        (R46, "initial", "A", None, {"marks": MARKS, "power_factor": 1.0}, ["depend on the load"]),
        (R49, "initial", "2", 1.0, {"marks": WATER_MARKS}, ["temperature_degc"]),
        (R49, "initial", "2", 1.0, {"marks": WATER_MARKS, "temperature_degc": 0.0}, ["0 degC", "0.1 °C ≤ T ≤ 30 °C"]),
        (R49, "initial", "2", 1.0, {"marks": WATER_MARKS, "temperature_degc": 181.0}, ["181 degC", "180"]),
        (JJG596, "initial", "1", 1.0, {"power_factor": 1.0}, ["connection", "direct"]),
        (JJG596, "initial", "0.5S", 1.0, {"power_factor": 1.0, "connection": "direct"}, ["'direct'", "transformer"]),
        (HEBEI, "in_service", "0.5S", None, {}, ["'0.5S'", "1, 2"]),
    ],
)
def test_what_the_regulation_does_not_state_is_refused_with_the_valid_choices(
    regulation, stage, accuracy_class, load, conditions, words
):
    with pytest.raises(InvalidInputError) as refusal:
        mpe_pct(regulation, stage, accuracy_class, load, Conditions(**conditions))
    for word in words:
        assert word in str(refusal.value)


def test_jjg_596_2012_has_no_limit_for_a_leading_power_factor():
    conditions = Conditions(marks={"i_b": 5.0, "i_max": 60.0}, power_factor=0.9, leading=True, connection="direct")
    with pytest.raises(InvalidInputError, match="leading"):
        mpe_pct(JJG596, "initial", "1", 5.0, conditions)


def test_the_first_refused_point_of_an_array_is_named():
    load = np.full(100_000, 1.0)
    load[70_001] = 61.0
    with pytest.raises(InvalidInputError, match=r"point 70001: .*61 A"):
        mpe_pct(R46, "initial", "A", load, Conditions(marks=MARKS, power_factor=1.0))


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(InvalidInputError, match=r"power_factor has shape \(3,\), the load \(2,\)"):
        mpe_pct(R46, "initial", "A", np.ones(2), Conditions(marks=MARKS, power_factor=np.ones(3)))


def test_an_edition_serves_only_the_days_on_which_it_is_in_force():
    conditions = Conditions(marks={"i_b": 5.0, "i_max": 60.0}, power_factor=1.0, connection="direct")
    assert mpe_pct(JJG596, "initial", "1", 5.0, conditions, on=date(2013, 4, 8)) == 1.0
    assert mpe_pct(JJG596, "initial", "1", 5.0, conditions, on=date(2026, 6, 30)) == 1.0
    for day in (date(2013, 4, 7), date(2026, 7, 1)):
        with pytest.raises(InvalidInputError, match="from 2013-04-08 until before 2026-07-01"):
            mpe_pct(JJG596, "initial", "1", 5.0, conditions, on=day)


def test_a_temperature_on_the_bound_belongs_to_the_band_that_ends_there_in_arrays_too():
    temperature = np.array([0.1, 30.0, np.nextafter(30.0, 31), 180.0])
    conditions = Conditions(marks=WATER_MARKS, temperature_degc=temperature)
    np.testing.assert_array_equal(mpe_pct(R49, "initial", "2", np.full(4, 2.5), conditions), [2.0, 2.0, 3.0, 3.0])


def test_gas_limits_need_no_influence():
    marks = {"q_min": 0.025, "q_t": 0.4, "q_max": 4.0}
    flows = np.array([0.025, 0.4, 4.0])
    np.testing.assert_array_equal(mpe_pct(R137, "initial", "1.5", flows, Conditions(marks=marks)), [3.0, 1.5, 1.5])
