"""The s-method. Oracles: simulated samples, numerical integration over the distribution of s, the attributes plan that
must be matched, and a plan published for two stated risks. Tabulated k are not used: the plans are computed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from metrology.errors import InvalidInputError
from metrology.sampling.characteristics import oc_binomial
from metrology.sampling.plans import plan_for_code_letter
from metrology.sampling.variables import (
    acceptability_constant,
    estimated_fraction_nonconforming,
    judge_sample,
    matching_variables_plan,
    oc_s_method,
    s_method_plan,
)


@pytest.mark.parametrize(("n", "k", "p"), [(15, 1.9, 0.01), (35, 1.88, 0.03), (100, 2.0, 0.02), (4, 1.2, 0.1)])
def test_acceptance_against_integration_over_the_spread(n, k, p):
    """P(mean + k s <= U) with mean and s independent: no noncentral t involved."""
    z = stats.norm.isf(p)

    def given_spread(s):
        return stats.norm.cdf(math.sqrt(n) * (z - k * s)) * 2 * (n - 1) * s * stats.chi2.pdf((n - 1) * s * s, n - 1)

    integral, _ = integrate.quad(given_spread, 0, 4, points=[1], limit=200)
    assert float(oc_s_method(p, n, k)) == pytest.approx(integral, abs=1e-7)


def test_a_published_plan_for_two_stated_risks():
    """n 42, k 1.905285 for 1 % at 5 % and 6 % at 10 %: the example of J. Lawson (R package AQLSchemes, page MPn)."""
    plan = s_method_plan(0.01, 0.05, 0.06, 0.10)
    assert plan.sample_size == 42
    assert plan.acceptability_constant == pytest.approx(1.905285, abs=5e-7)


def test_acceptance_against_simulated_lots():
    plan = matching_variables_plan(plan_for_code_letter("J", 1.0))
    rng, runs, upper = np.random.default_rng(7), 4000, 2.0
    for p in (0.01, 0.03, 0.06):
        errors = rng.normal(upper - 0.5 * stats.norm.isf(p), 0.5, (runs, plan.sample_size))
        accepted = sum(judge_sample(row, plan, upper_limit=upper).accepted for row in errors[:1000]) / 1000
        q = (upper - errors.mean(axis=1)) / errors.std(axis=1, ddof=1)
        share = float(np.mean(q >= plan.acceptability_constant))
        expected = float(oc_s_method(p, plan.sample_size, plan.acceptability_constant))
        assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / runs))
        assert accepted == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 1000))


@pytest.mark.parametrize(("letter", "aql"), [("E", 1.0), ("G", 0.65), ("J", 1.0), ("K", 1.5), ("M", 0.25), ("N", 1.0)])
def test_matching_plan_has_the_characteristic_of_the_attributes_plan(letter, aql):
    attributes = plan_for_code_letter(letter, aql)
    plan = matching_variables_plan(attributes)
    assert plan.sample_size < 0.75 * attributes.sample_size
    n, c = attributes.sample_size, attributes.acceptance_number
    good, bad = plan.good_fraction, plan.bad_fraction
    assert float(oc_binomial(good, n, c)) == pytest.approx(0.95)
    assert float(oc_s_method(good, plan.sample_size, plan.acceptability_constant)) == pytest.approx(0.95)
    assert 0.07 < float(oc_s_method(bad, plan.sample_size, plan.acceptability_constant)) <= 0.10
    middle = np.linspace(good, bad, 7)
    difference = oc_s_method(middle, plan.sample_size, plan.acceptability_constant) - oc_binomial(middle, n, c)
    assert np.abs(difference).max() < 0.07  # an Ac = 0 plan has another shape between the two points
    assert "computed" in plan.confidence


@given(p1=st.floats(0.001, 0.04), ratio=st.floats(2.5, 8))
def test_plan_is_the_smallest_that_keeps_both_risks(p1, ratio):
    plan = s_method_plan(p1, 0.05, p1 * ratio, 0.10)
    assert float(oc_s_method(p1, plan.sample_size, plan.acceptability_constant)) == pytest.approx(0.95)
    assert plan.consumers_risk <= 0.10 + 1e-9
    if plan.sample_size > 3:
        k = acceptability_constant(plan.sample_size - 1, p1, 0.95)
        assert float(oc_s_method(p1 * ratio, plan.sample_size - 1, k)) > 0.10


@given(n=st.integers(3, 200), k=st.floats(0.3, 3), fractions=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_characteristic_falls_with_p_and_scalar_equals_vector(n, k, fractions):
    p = np.sort(fractions)
    accepted = oc_s_method(p, n, k)
    assert np.all(np.diff(accepted) <= 1e-9)
    assert [float(oc_s_method(x, n, k)) for x in p] == accepted.tolist()


def test_estimate_is_unbiased():
    rng, n, p = np.random.default_rng(3), 20, 0.03
    sample = rng.normal(0, 1, (40_000, n))
    q = (stats.norm.isf(p) - sample.mean(axis=1)) / sample.std(axis=1, ddof=1)
    estimates = estimated_fraction_nonconforming(q, n)
    assert estimates.mean() == pytest.approx(p, abs=4 * estimates.std() / 200)


def test_two_limits_count_both_tails():
    plan = matching_variables_plan(plan_for_code_letter("J", 1.0))
    shape = stats.norm.ppf((np.arange(plan.sample_size) + 0.5) / plan.sample_size)
    k = plan.acceptability_constant

    def errors(spread):
        return shape / shape.std(ddof=1) * spread

    barely = errors(1.0 / (k + 1e-6))  # each tail alone is just accepted
    assert judge_sample(barely, plan, upper_limit=1.0).accepted
    assert judge_sample(barely, plan, lower_limit=-1.0).accepted
    both = judge_sample(barely, plan, -1.0, 1.0)
    assert not both.accepted
    assert both.estimated_fraction == pytest.approx(2 * both.allowed_fraction, rel=1e-3)
    assert judge_sample(errors(0.8 / k), plan, -1.0, 1.0).accepted
    assert judge_sample(barely, plan, upper_limit=1.0).normality_p_value > 0.9


def test_departure_from_normality_is_reported():
    plan = s_method_plan(0.01, 0.05, 0.07, 0.10)
    skewed = np.random.default_rng(1).exponential(size=plan.sample_size)
    assert judge_sample(skewed, plan, upper_limit=10).normality_p_value < 0.05


@pytest.mark.parametrize(
    ("values", "limits", "message"),
    [
        ([1.0, 2.0], (0, 5), "asks for"),
        ([1.0] * 9, (0, 5), "equal"),
        ([1.0] * 8 + [math.nan], (0, 5), "value 8"),
        (list(range(9)), (5, 0), "limits"),
        (list(range(9)), (-math.inf, math.inf), "limits"),
    ],
)
def test_samples_that_cannot_be_judged_are_refused(values, limits, message):
    plan = matching_variables_plan(plan_for_code_letter("E", 1.0))
    assert plan.sample_size == 9
    with pytest.raises(InvalidInputError, match=message):
        judge_sample(values, plan, *limits)


@pytest.mark.parametrize(
    "call",
    [
        lambda: oc_s_method(1.2, 10, 1),
        lambda: oc_s_method(0.1, 2, 1),
        lambda: acceptability_constant(10, 0, 0.9),
        lambda: s_method_plan(0.05, 0.05, 0.01, 0.1),
        lambda: s_method_plan(0.05, 0.05, 0.0501, 0.1),
    ],
)
def test_impossible_plans_are_refused(call):
    with pytest.raises(InvalidInputError):
        call()
