"""Oracles: the E_n table that PTB's D-Comparison software must reproduce (github.com/daniel-hutzschenreuter/
D-Comparison-Backend, EnKcCalculationTest: 12 national laboratories, weighted mean of all), the creosote example of
ISO 5725-5 for algorithm A, scipy's root finder and chi-squared distribution, enumeration, simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from metrology.errors import InvalidInputError
from metrology.laboratories import (
    ReferenceMethod,
    algorithm_a,
    assigned_value,
    compare,
    consistency_test,
    en_score,
    is_satisfactory,
    largest_consistent_subset,
    weighted_mean,
    zeta_score,
    zeta_signal,
)

PTB_VALUES = np.array(
    [5.169930, 5.169860, 5.169886, 5.169979, 5.169950, 5.169875, 5.169900, 5.170060, 5.170660, 5.169600,
     5.170025, 5.169950]
)  # fmt: skip
PTB_EXPANDED = np.array(
    [0.000088, 0.000086, 0.000100, 0.000062, 0.000108, 0.000100, 0.000400, 0.000160, 0.000200, 0.000260,
     0.000120, 0.000200]
)  # fmt: skip
PTB_EN = np.array([0.25, 1.13, 0.68, 0.53, 0.01, 0.80, 0.13, 0.70, 3.59, 1.36, 0.64, 0.00])
CREOSOTE = [24.140, 20.155, 19.500, 20.300, 20.705, 17.570, 20.100, 20.940, 21.185]  # ISO 5725-5, cell means

results = st.floats(-100, 100)
uncertainties = st.floats(0.01, 10)
laboratories = st.lists(st.tuples(results, uncertainties), min_size=2, max_size=7)


def test_published_en_scores_of_twelve_laboratories():
    comparison = compare(PTB_VALUES, PTB_EXPANDED / 2, weighted_mean(PTB_VALUES, PTB_EXPANDED / 2))
    assert np.abs(comparison.en).round(2).tolist() == PTB_EN.tolist()
    assert comparison.satisfactory.tolist() == (PTB_EN <= 1).tolist()
    assert not comparison.consistency.consistent


def test_the_discrepant_laboratories_are_left_out():
    reference = largest_consistent_subset(PTB_VALUES, PTB_EXPANDED / 2)
    assert [i for i, kept in enumerate(reference.members) if not kept] == [8, 9]
    comparison = compare(PTB_VALUES, PTB_EXPANDED / 2, reference)
    assert comparison.consistency.consistent
    assert comparison.consistency.degrees_of_freedom == 9
    assert np.flatnonzero(~comparison.satisfactory).tolist() == [8, 9]
    # A laboratory outside the reference value is independent of it: its variances add.
    expected = en_score(PTB_VALUES[8], PTB_EXPANDED[8], reference.value, 2 * reference.std_uncertainty)
    assert comparison.en[8] == pytest.approx(expected)


def test_scores_by_hand():
    # Difference 0.5 and 3-4-5: U = 0.3 and 0.4 combine to 0.5.
    assert en_score(10.5, 0.3, 10.0, 0.4) == pytest.approx(1.0)
    assert zeta_score(10.5, 0.15, 10.0, 0.2) == pytest.approx(2.0)
    assert en_score(np.array([9.0, 10.0]), 0.6, 10.0, 0.8).tolist() == [-1.0, 0.0]
    with pytest.raises(InvalidInputError, match=r"expanded uncertainty = -0\.1 must be a number, at least 0"):
        en_score(1.0, -0.1, 1.0, 0.1)
    with pytest.raises(InvalidInputError, match="standard uncertainty are 0"):
        zeta_score(1.0, 0.0, 1.0, 0.0)


@given(results, uncertainties, results, uncertainties)
def test_en_is_zeta_over_the_coverage_factor(x, u, ref, u_ref):
    assert en_score(x, 2 * u, ref, 2 * u_ref) == pytest.approx(zeta_score(x, u, ref, u_ref) / 2)
    assert en_score(x, u, ref, u_ref) == pytest.approx(-en_score(ref, u_ref, x, u))


@given(laboratories)
def test_weighted_mean_is_the_least_squares_solution(rows):
    x, u = (np.array(c) for c in zip(*rows, strict=True))
    reference = weighted_mean(x, u)
    solution = np.linalg.lstsq((1 / u)[:, None], x / u, rcond=None)[0][0]
    assert reference.value == pytest.approx(solution, rel=1e-9, abs=1e-9)
    assert reference.std_uncertainty <= u.min() * (1 + 1e-12)
    test = consistency_test(x, u)
    chi2 = np.sum(((x - solution) / u) ** 2)
    assert test.p_value == pytest.approx(stats.chi2(len(x) - 1).sf(chi2), rel=1e-6, abs=1e-12)
    assert test.consistent == (test.p_value >= 0.05)


@settings(max_examples=40)
@given(laboratories)
def test_largest_consistent_subset_by_enumeration(rows):
    x, u = (np.array(c) for c in zip(*rows, strict=True))
    best = None
    for kept in range(len(x), len(x) // 2, -1):
        if kept < 2:
            break
        consistent = [
            (test.chi_squared, subset)
            for subset in itertools.combinations(range(len(x)), kept)
            if (test := consistency_test(x[list(subset)], u[list(subset)])).consistent
        ]
        if consistent:
            best = min(consistent)
            break
    if best is None:
        with pytest.raises(InvalidInputError, match="no majority"):
            largest_consistent_subset(x, u)
        return
    members = np.flatnonzero(largest_consistent_subset(x, u).members)
    assert len(members) == len(best[1])
    assert consistency_test(x[members], u[members]).chi_squared == pytest.approx(best[0], rel=1e-6, abs=1e-9)


def test_differences_have_the_stated_spread():
    # 20,000 simulated comparisons of four laboratories: E_n of a member is N(0, 1/4), and so is that of an outsider.
    rng = np.random.default_rng(5)
    u = np.array([0.1, 0.2, 0.3, 0.15])
    draws = rng.normal(50.0, u, (20_000, 4))
    weight = u[:3] ** -2 / np.sum(u[:3] ** -2)
    reference = largest_consistent_subset([50.0, 50.0, 50.0], u[:3])
    template = compare(draws[0], u, assigned_value(float(draws[0, :3] @ weight), reference.std_uncertainty, 4))
    assert template.expanded_uncertainty[3] == pytest.approx(2 * np.hypot(u[3], reference.std_uncertainty))
    members = compare(draws[0, :3], u[:3], weighted_mean(draws[0, :3], u[:3]))
    d = draws - (draws[:, :3] @ weight)[:, None]
    assert d[:, :3].std(axis=0) == pytest.approx(members.expanded_uncertainty / 2, rel=0.03)
    assert d[:, 3].std() == pytest.approx(template.expanded_uncertainty[3] / 2, rel=0.03)


def test_consistency_level_is_kept():
    rng = np.random.default_rng(8)
    u = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    refused = [not consistency_test(rng.normal(7.0, u), u).consistent for _ in range(4000)]
    assert np.mean(refused) == pytest.approx(0.05, abs=0.012)


def test_algorithm_a_creosote_example():
    reference = algorithm_a(CREOSOTE)
    assert reference.value == pytest.approx(20.412, abs=5e-4)
    assert reference.robust_std == pytest.approx(1.070, abs=5e-4)
    assert reference.std_uncertainty == pytest.approx(1.25 * reference.robust_std / 3)
    assert reference.method is ReferenceMethod.ALGORITHM_A


@settings(max_examples=60)
@given(st.lists(st.floats(-10, 10), min_size=5, max_size=30, unique=True))
def test_algorithm_a_solves_its_equations(values):
    x = np.array(values)
    found = algorithm_a(x)

    def residual(p):
        drawn_in = np.clip(x, p[0] - 1.5 * p[1], p[0] + 1.5 * p[1])
        return [drawn_in.mean() - p[0], 1.134 * drawn_in.std(ddof=1) - p[1]]

    assert residual([found.value, found.robust_std]) == pytest.approx([0, 0], abs=1e-6)


def test_algorithm_a_agrees_with_a_root_finder_and_resists_outliers():
    x = np.random.default_rng(3).normal(5.0, 0.2, 40)
    x[:3] += 8

    def residual(p):
        drawn_in = np.clip(x, p[0] - 1.5 * p[1], p[0] + 1.5 * p[1])
        return [drawn_in.mean() - p[0], 1.134 * drawn_in.std(ddof=1) - p[1]]

    root = optimize.root(residual, [np.median(x), 0.3])
    found = algorithm_a(x)
    assert (found.value, found.robust_std) == pytest.approx(tuple(root.x), rel=1e-6)
    assert abs(found.value - 5.0) < 0.1 < abs(x.mean() - 5.0)


def test_algorithm_a_at_its_edges():
    assert algorithm_a([3.0, 3.0, 3.0]).robust_std == 0.0
    same = algorithm_a([3.0, 3.0, 3.0, 3.0, 9.0])
    assert 3.0 <= same.value < 4.3
    for values in ([1.0], [], [1.0, math.nan], [[1.0, 2.0], [3.0, 4.0]]):
        with pytest.raises(InvalidInputError, match="algorithm A"):
            algorithm_a(values)


def test_robust_and_assigned_references_add_their_variance():
    u = np.full(9, 0.5)
    for reference in (algorithm_a(CREOSOTE), assigned_value(20.4, 0.1, 9)):
        comparison = compare(CREOSOTE, u, reference)
        expected = en_score(np.array(CREOSOTE), 2 * u, reference.value, 2 * reference.std_uncertainty)
        assert comparison.en == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: weighted_mean([1.0], [0.1]), "at least two"),
        (lambda: weighted_mean([1.0, 2.0], [0.1]), "shapes"),
        (lambda: weighted_mean([1.0, 2.0], [0.1, 0.0]), "laboratory 1"),
        (lambda: weighted_mean([1.0, math.inf], [0.1, 0.1]), "laboratory 1"),
        (lambda: consistency_test([1.0, 2.0], [0.1, 0.1], level=0.0), "level 0.0 must lie between 0 and 1"),
        (lambda: largest_consistent_subset(np.zeros(21), np.ones(21)), "21 laboratories are too many"),
        (lambda: largest_consistent_subset([1.0, 9.0], [0.1, 0.1]), "no majority"),
        (lambda: compare([1.0, 2.0], [0.1, 0.1], assigned_value(1.0, 0.1, 3)), "knows 3 laboratories"),
    ],
)
def test_impossible_comparisons_are_refused(call, part):
    with pytest.raises(InvalidInputError, match=part):
        call()


def test_signals_and_scores_on_their_limits():
    assert zeta_signal([0.0, -2.0, 2.01, -2.99, 3.0, -7.0]).tolist() == [0, 0, 1, 1, 2, 2]
    # 10.3 - 10.0 exceeds 0.3 in binary arithmetic: an E_n of 1 in decimals is satisfactory all the same.
    comparison = compare([10.3, 10.0], [0.15, 0.15], assigned_value(10.0, 0.0, 2))
    assert comparison.en[0] > 1
    assert comparison.satisfactory.tolist() == [True, True]
    assert is_satisfactory([1.0, -1.0, 1.001, -1.001]).tolist() == [True, True, False, False]
    assert zeta_signal((2.3 - 2.0) / 0.15) == 0
    with pytest.raises(InvalidInputError, match="zeta = nan"):
        zeta_signal(np.nan)


def test_correlation_of_a_member_with_the_reference_value():
    """u²(d) = u² - u_ref² from the covariance of x_i with the weighted mean, by propagating the covariance matrix."""
    u = np.array([0.1, 0.2, 0.4])
    weights = u**-2 / np.sum(u**-2)
    to_difference = np.eye(3) - weights  # d = (1 - w) x
    spread = np.sqrt(np.diag(to_difference @ np.diag(u**2) @ to_difference.T))
    found = compare([1.0, 1.1, 0.8], u, weighted_mean([1.0, 1.1, 0.8], u), coverage_factor=2.0)
    assert found.expanded_uncertainty == pytest.approx(2 * spread, rel=1e-12)
