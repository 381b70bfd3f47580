"""Oracles: JCGM 101:2008, clauses 9.2.2-9.2.4 (additive model, published intervals), scipy.stats, moments."""

import math

import numpy as np
import pytest
from scipy import stats

from metrology.errors import InvalidInputError
from metrology.montecarlo import check_gum, numerical_tolerance, propagate, propagate_budget
from metrology.uncertainty import Budget, Component, Correlation, Distribution

RECTANGULAR = Distribution.RECTANGULAR


def additive(std: list[float], distribution: Distribution) -> Budget:
    lines = tuple(Component(f"X{i}", 0.0, u, distribution=distribution) for i, u in enumerate(std))
    return Budget("Y", "", 0.0, lines)


def test_jcgm_101_normal_inputs():
    # 9.2.2: four standard normal inputs, u = 2.0, 95 % interval ±3.92, and the GUM is validated.
    budget = additive([1, 1, 1, 1], Distribution.NORMAL)
    result = propagate_budget(budget, seed=1)
    assert (result.mean, result.std_uncertainty) == pytest.approx((0, 2.0), abs=0.01)
    assert (result.low, result.high) == pytest.approx((-3.92, 3.92), abs=0.015)
    assert budget.expanded_uncertainty(0.95) == pytest.approx(3.92, abs=0.005)
    assert check_gum(budget, result).valid


def test_jcgm_101_rectangular_inputs_of_equal_width():
    # 9.2.3, table 3: Monte Carlo [-3.88, 3.88] against GUM ±3.92, δ = 0.05: valid.
    budget = additive([1, 1, 1, 1], RECTANGULAR)
    result = propagate_budget(budget, seed=2)
    assert (result.low, result.high) == pytest.approx((-3.88, 3.88), abs=0.015)
    check = check_gum(budget, result)
    assert (check.tolerance, check.valid) == (pytest.approx(0.05), True)


def test_jcgm_101_one_dominating_rectangle():
    # 9.2.4, table 4: u = 10.1, Monte Carlo [-17.0, 17.0] against GUM ±19.9, δ = 0.5: not valid.
    budget = additive([1, 1, 1, 10], RECTANGULAR)
    result = propagate_budget(budget, seed=3)
    assert result.std_uncertainty == pytest.approx(10.1, abs=0.06)
    assert (result.low, result.high) == pytest.approx((-17.0, 17.0), abs=0.06)
    check = check_gum(budget, result)
    assert (check.tolerance, check.valid) == (pytest.approx(0.5), False)
    assert check.high_difference == pytest.approx(2.8, abs=0.1)


@pytest.mark.parametrize(
    ("distribution", "reference"),
    [
        (Distribution.NORMAL, stats.norm()),
        (RECTANGULAR, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
        (Distribution.TRIANGULAR, stats.triang(0.5, -math.sqrt(6), 2 * math.sqrt(6))),
        (Distribution.U_SHAPED, stats.arcsine(-math.sqrt(2), 2 * math.sqrt(2))),
        (Distribution.STUDENT_T, stats.t(5)),
    ],
)
def test_each_distribution_is_drawn_as_stated(distribution, reference):
    line = Component("x", 3.0, 0.5, distribution=distribution, degrees_of_freedom=5)
    drawn = []
    propagate(lambda x: drawn.append(x) or x, [line], seed=5, draws=50_000)
    assert stats.kstest((np.concatenate(drawn) - 3.0) / 0.5, reference.cdf).pvalue > 0.001


def test_correlated_normal_inputs():
    inputs = [Component("a", 1.0, 2.0), Component("b", 2.0, 3.0), Component("c", 0.0, 1.0, distribution=RECTANGULAR)]
    pairs = [Correlation("a", "b", 0.8)]
    result = propagate(lambda a, b, c: a - b + c, inputs, pairs, seed=7, draws=400_000)
    expected = Budget("y", "", -1.0, (inputs[0], Component("b", 2, 3, -1.0), inputs[2]), tuple(pairs))
    assert result.std_uncertainty == pytest.approx(expected.combined_std_uncertainty, rel=0.01)
    with pytest.raises(InvalidInputError, match="'c' is rectangular and correlated"):
        propagate(lambda a, b, c: a, inputs, [Correlation("a", "c", 0.1)], seed=1)


def test_product_agrees_with_the_gum_where_it_is_nearly_linear():
    inputs = [Component("a", 100.0, 0.1), Component("b", 20.0, 0.02), Component("c", 5.0, 0.01)]
    budget = Budget.from_model("y", "", lambda a, b, c: a * b / c, inputs)
    result = propagate(lambda a, b, c: a * b / c, inputs, seed=11)
    assert check_gum(budget, result, digits=1).valid


def test_shortest_interval_of_a_skewed_result():
    line = Component("x", 0.0, 1.0)
    symmetric = propagate(lambda x: x**2, [line], seed=13)
    shortest = propagate(lambda x: x**2, [line], seed=13, shortest=True)
    assert (symmetric.low, symmetric.high) == pytest.approx(stats.chi2(1).ppf([0.025, 0.975]), rel=0.02)
    assert (shortest.low, shortest.high) == pytest.approx((0.0, stats.chi2(1).ppf(0.95)), abs=0.04)


def test_the_seed_decides_the_result():
    budget = additive([1, 2], RECTANGULAR)
    first = propagate_budget(budget, seed=17, draws=20_000)
    assert first == propagate_budget(budget, seed=17, draws=20_000)
    assert first.low != propagate_budget(budget, seed=18, draws=20_000).low


def test_numerical_tolerance():
    # JCGM 101, 7.9.2: 0.35 g with two digits is 35·10⁻², δ = 0.005 g; with one digit 4·10⁻¹... δ = 0.05 g.
    assert numerical_tolerance(0.35, 2) == pytest.approx(0.005)
    assert numerical_tolerance(0.35, 1) == pytest.approx(0.05)
    assert numerical_tolerance(2.0, 1) == pytest.approx(0.5)
    assert numerical_tolerance(0.0996, 2) == pytest.approx(0.005)
    assert numerical_tolerance(0.0, 2) == 0.0


def test_impossible_requests_are_refused():
    line = Component("x", 1.0, 1.0)
    for arguments, part in [
        ({"inputs": [line], "draws": 10}, "draws 10"),
        ({"inputs": [line], "draws": 10**9}, "draws 1000000000"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": [line], "probability": 1.5}, "probability 1.5"),
    ]:
        with pytest.raises(InvalidInputError, match=part):
            propagate(lambda x: x, **arguments, seed=1)
    with np.errstate(invalid="ignore"), pytest.raises(InvalidInputError, match="no finite number"):
        propagate(np.log, [line], seed=1, draws=10_000)
    with pytest.raises(InvalidInputError, match="digits = 3"):
        check_gum(additive([1], RECTANGULAR), propagate_budget(additive([1], RECTANGULAR), seed=1), digits=3)
