"""Oracles: the worked examples H.1 (gauge block) and H.2 (correlated voltage, current, phase) of JCGM 100:2008."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrology.budget_table import budget_as_markdown, budget_as_text
from metrology.errors import InvalidInputError
from metrology.uncertainty import Budget, Component, Correlation, Distribution

INF = math.inf


def gauge_block() -> Budget:
    """GUM H.1.7 and table H.1, lengths in nm and differences from 50 mm."""
    lines = (
        Component("calibration of the standard", 50_000_623.0, 25.0, 1.0, "nm", degrees_of_freedom=18),
        Component("measured difference", 215.0, 9.7, 1.0, "nm", degrees_of_freedom=25.6),
        Component("expansion of the standard", 11.5e-6, 1.2e-6, 0.0, "1/K", Distribution.RECTANGULAR),
        Component("temperature of the bed", -0.1, 0.41, 0.0, "K", Distribution.U_SHAPED),
        Component("difference of expansion", 0.0, 0.58e-6, 50_000_623 * 0.1, "1/K", degrees_of_freedom=50),
        Component("difference of temperature", 0.0, 0.029, -50_000_623 * 11.5e-6, "K", degrees_of_freedom=2),
    )
    return Budget("length of the block", "nm", 50_000_838.0, lines)


def impedance() -> tuple[list[Component], list[Correlation]]:
    """GUM table H.2: five simultaneous readings of V [V], I [A] and phase [rad]; the budget of their means."""
    readings = np.array(
        [[5.007, 4.994, 5.005, 4.990, 4.999],
         [19.663e-3, 19.639e-3, 19.640e-3, 19.685e-3, 19.678e-3],
         [1.0456, 1.0438, 1.0468, 1.0428, 1.0433]]
    )  # fmt: skip
    names = ["V", "I", "phase"]
    inputs = [Component(n, row.mean(), row.std(ddof=1) / math.sqrt(5)) for n, row in zip(names, readings, strict=True)]
    r = np.corrcoef(readings)
    pairs = [Correlation(names[i], names[j], float(r[i, j])) for i, j in [(0, 1), (0, 2), (1, 2)]]
    return inputs, pairs


def test_gum_h1_gauge_block():
    budget = gauge_block()
    assert budget.combined_std_uncertainty == pytest.approx(32, abs=0.5)
    assert budget.effective_degrees_of_freedom == pytest.approx(16.7, abs=0.15)
    assert budget.coverage_factor(0.99) == pytest.approx(2.92, abs=0.005)
    assert budget.expanded_uncertainty(0.99) == pytest.approx(93, abs=1)


def test_gum_h2_correlated_inputs():
    inputs, pairs = impedance()
    assert [c.std_uncertainty for c in inputs] == pytest.approx([0.0032, 0.0095e-3, 0.00075], rel=0.01)
    assert [p.coefficient for p in pairs] == pytest.approx([-0.36, 0.86, -0.65], abs=0.006)
    resistance = Budget.from_model("R", "ohm", lambda v, i, phase: v / i * math.cos(phase), inputs, pairs)
    reactance = Budget.from_model("X", "ohm", lambda v, i, phase: v / i * math.sin(phase), inputs, pairs)
    size = Budget.from_model("Z", "ohm", lambda v, i, _: v / i, inputs, pairs)
    assert (resistance.value, resistance.combined_std_uncertainty) == pytest.approx((127.732, 0.071), abs=6e-4)
    assert (reactance.value, reactance.combined_std_uncertainty) == pytest.approx((219.847, 0.295), abs=1e-3)
    assert (size.value, size.combined_std_uncertainty) == pytest.approx((254.260, 0.236), abs=1e-3)


def test_sensitivities_are_the_derivatives():
    inputs = [Component("a", 2.0, 0.001), Component("b", 3.0, 0.0), Component("c", 5.0, 0.002)]
    budget = Budget.from_model("y", "", lambda a, b, c: a**2 * b / c, inputs)
    assert [line.sensitivity for line in budget.components] == pytest.approx([12 / 5, 0.0, -12 / 25], rel=1e-6)


def test_coverage_factor_follows_the_t_distribution():
    t = Component("mean", 0.0, 1.0, degrees_of_freedom=4)
    assert Budget("y", "", 0.0, (t,)).coverage_factor(0.95) == pytest.approx(stats.t(4).ppf(0.975))
    both = Budget("y", "", 0.0, (t, Component("certificate", 0.0, 1.0)))
    assert both.effective_degrees_of_freedom == pytest.approx(16.0)  # (2²)/(1/4): u_c² = 2
    assert both.coverage_factor(0.95) == pytest.approx(stats.t(16).ppf(0.975))
    certain = Budget("y", "", 0.0, (Component("x", 0.0, 1.0),))
    assert certain.coverage_factor(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert certain.coverage_factor(0.9545) == pytest.approx(2.0, abs=1e-4)


def test_component_constructors():
    assert Component.from_half_width("d", 0.0, 1.0, "rectangular").std_uncertainty == pytest.approx(1 / math.sqrt(3))
    assert Component.from_half_width("d", 0.0, 1.0, "triangular").std_uncertainty == pytest.approx(1 / math.sqrt(6))
    assert Component.from_half_width("d", 0.0, 1.0, "u-shaped").std_uncertainty == pytest.approx(1 / math.sqrt(2))
    assert Component.from_expanded("d", 0.0, 0.3, 2.0).std_uncertainty == pytest.approx(0.15)
    readings = [10.1, 10.3, 9.9, 10.2]
    line = Component.from_readings("d", readings, unit="%")
    assert line.std_uncertainty == pytest.approx(stats.sem(readings))
    assert (line.degrees_of_freedom, line.distribution, line.unit) == (3, "t", "%")


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Component("x", 0.0, -1.0), "'x'.*std_uncertainty = -1"),
        (lambda: Component("x", math.nan, 1.0), "'x'.*value = nan"),
        (lambda: Component("x", 0.0, 1.0, degrees_of_freedom=0.5), "degrees_of_freedom = 0.5"),
        (lambda: Component("x", 0.0, 1.0, distribution=Distribution.STUDENT_T), "needs finite"),
        (lambda: Component.from_half_width("x", 0.0, 1.0, "normal"), "rectangular, triangular"),
        (lambda: Component.from_half_width("x", 0.0, 1.0, "square"), "'square' is unknown"),
        (lambda: Component.from_expanded("x", 0.0, 1.0, 0.0), "coverage_factor = 0"),
        (lambda: Component.from_readings("x", [1.0]), "at least two"),
        (lambda: Budget("y", "", 0.0, ()), "no components"),
        (lambda: Budget("y", "", 0.0, (Component("x", 0, 1), Component("x", 0, 1))), "x named twice"),
        (lambda: Budget("y", "", 0.0, (Component("x", 0, 1),), (Correlation("x", "z", 0.1),)), "'x'-'z'"),
        (lambda: gauge_block().share("nothing"), "'nothing'"),
        (lambda: gauge_block().coverage_factor(1.0), "probability 1"),
    ],
)
def test_impossible_budgets_are_refused(make, part):
    with pytest.raises(InvalidInputError, match=part):
        make()


def test_contradicting_correlations_are_refused():
    lines = tuple(Component(n, 0.0, 1.0) for n in "abc")
    pairs = (Correlation("a", "b", 0.9), Correlation("b", "c", 0.9), Correlation("a", "c", -0.9))
    with pytest.raises(InvalidInputError, match="contradict"):
        Budget("y", "", 0.0, lines, pairs)


def test_welch_satterthwaite_is_refused_for_correlated_components():
    lines = (Component("a", 0.0, 1.0, degrees_of_freedom=5), Component("b", 0.0, 1.0))
    budget = Budget("y", "", 0.0, lines, (Correlation("a", "b", 0.5),))
    assert budget.combined_std_uncertainty == pytest.approx(math.sqrt(3))
    with pytest.raises(InvalidInputError, match="Welch-Satterthwaite"):
        budget.coverage_factor(0.95)


def test_full_correlation_adds_linearly_and_cancels():
    lines = (Component("a", 0.0, 1.0), Component("b", 0.0, 2.0))
    assert Budget("y", "", 0, lines, (Correlation("a", "b", 1.0),)).combined_std_uncertainty == pytest.approx(3.0)
    assert Budget("y", "", 0, lines, (Correlation("a", "b", -1.0),)).combined_std_uncertainty == pytest.approx(1.0)


numbers = st.floats(-1e6, 1e6)
spreads = st.floats(1e-6, 1e6)
components = st.builds(
    Component,
    name=st.text(min_size=1, max_size=8),
    value=numbers,
    std_uncertainty=spreads,
    sensitivity=numbers,
    unit=st.sampled_from(["%", "K", ""]),
    distribution=st.sampled_from([d for d in Distribution if d is not Distribution.STUDENT_T]),
    degrees_of_freedom=st.just(INF) | st.floats(1, 100),
    source=st.text(max_size=10),
)
budgets = st.builds(
    Budget,
    measurand=st.text(max_size=5),
    unit=st.just("%"),
    value=numbers,
    components=st.lists(components, min_size=1, max_size=5, unique_by=lambda c: c.name).map(tuple),
)


@given(budgets)
def test_round_trip_through_json(budget):
    assert Budget.from_dict(json.loads(json.dumps(budget.to_dict(), allow_nan=False))) == budget


@given(budgets)
def test_root_sum_of_squares_and_bounds_of_freedom(budget):
    parts = np.array([c.contribution for c in budget.components])
    assert budget.combined_std_uncertainty == pytest.approx(np.sqrt((parts**2).sum()), rel=1e-9)
    if parts.any():
        assert sum(budget.share(c.name) for c in budget.components) == pytest.approx(1.0)
    # GUM G.4.1, note: never below the smallest, never above the sum of the degrees of freedom.
    dofs = [c.degrees_of_freedom for c in budget.components]
    assert min(dofs) * (1 - 1e-9) <= budget.effective_degrees_of_freedom


@given(budgets, st.floats(0.5, 0.99))
def test_tables_name_every_component(budget, probability):
    text, markdown = budget_as_text(budget, probability), budget_as_markdown(budget, probability)
    assert text.endswith("\n")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(budget.components)


def test_correlations_survive_the_round_trip_and_the_table():
    inputs, pairs = impedance()
    budget = Budget.from_model("R", "ohm", lambda v, i, phase: v / i * math.cos(phase), inputs, pairs)
    assert Budget.from_dict(budget.to_dict()) == budget
    assert "correlation V / phase: 0.85" in budget_as_text(budget)


def test_the_printed_result_is_rounded_to_its_uncertainty():
    text = budget_as_text(gauge_block(), 0.99)
    assert "expanded uncertainty U = 93 nm (k = 2.92, coverage probability 99 %)" in text
    assert "(50000838 ± 93) nm" in text
    small = Budget("error", "%", 0.123456, (Component("ref|erence", 0.0, 0.05, unit="%", source="cert. 7"),))
    assert "error = (0.123 ± 0.098) %" in budget_as_text(small)
    assert "ref\\|erence" in budget_as_markdown(small)
    tidy = Budget("y", "", 37.9054, (Component("x", 0.0, 0.0102),))
    assert "y = (37.905 ± 0.020)" in budget_as_text(tidy)
    coarse = Budget("y", "", 123456.0, (Component("x", 0.0, 510.0),))
    assert "y = (123500 ± 1000)" in budget_as_text(coarse)
    assert "y = (1 ± 0)" in budget_as_text(Budget("y", "", 1.0, (Component("x", 0.0, 0.0),)))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.pop("value"), "'value' is missing"),
        (lambda d: d["components"][0].update(distribution="odd"), "'odd'"),
        (lambda d: d["components"][0].update(colour="red"), "colour"),
        (lambda d: d.update(value="many"), "many"),
    ],
)
def test_broken_dictionaries_are_refused(change, part):
    fields = gauge_block().to_dict()
    change(fields)
    with pytest.raises(InvalidInputError, match=part):
        Budget.from_dict(fields)
