"""Operating characteristics, outgoing quality and sample numbers.

Oracles: exact rational arithmetic (math.comb, Fraction), the recomputed acceptance probabilities of MID module F plans,
the published constants of AOQL (Dodge and Romig: n AOQL = 0.3679, 0.8400, 1.3711, 1.9424, ... for Ac 0, 1, 2, 3),
and simulated inspection.
"""

from fractions import Fraction
from math import comb, exp, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.sampling.characteristics import (
    average_outgoing_quality,
    average_outgoing_quality_limit,
    average_sample_number,
    oc_binomial,
    oc_hypergeometric,
    oc_poisson,
    quality_at_acceptance,
)

plans = st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, min(n - 1, 30))))
fractions = st.floats(0, 1)


@pytest.mark.parametrize(
    ("n", "c", "at_1_pct", "at_7_pct"),
    [
        (80, 1, 80.9, 2.11),
        (88, 2, 94.1, 4.94),
        (125, 2, 86.9, 0.62),
        (138, 3, 94.9, 1.11),
        (199, 4, 94.9, 0.15),
        (263, 5, 95.0, 0.02),
    ],
)
def test_module_f_plans(n, c, at_1_pct, at_7_pct):
    """Acceptance of 1 % and 7 % nonconforming under plans of MID (2014/32/EU) module F."""
    accepted = 100 * oc_binomial([0.01, 0.07], n, c)
    assert accepted == pytest.approx([at_1_pct, at_7_pct], abs=0.06)
    assert accepted[1] == pytest.approx(at_7_pct, abs=0.006)


def test_plan_of_a_large_finite_lot():
    accepted = 100 * oc_hypergeometric([314, 627, 1568, 2195], 31362, 125, 5)  # 1, 2, 5, 7 %
    assert accepted == pytest.approx([99.8, 96.0, 40.2, 12.3], abs=0.1)


@given(plan=plans, p=st.fractions(0, 1, max_denominator=1000))
def test_binomial_is_exact(plan, p):
    n, c = plan
    exact = sum(comb(n, d) * p**d * (1 - p) ** (n - d) for d in range(c + 1))
    assert float(oc_binomial(float(p), n, c)) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@given(lot=st.integers(1, 400), data=st.data())
def test_hypergeometric_is_exact(lot, data):
    n = data.draw(st.integers(1, lot))
    c, bad = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, lot))
    exact = Fraction(sum(comb(bad, d) * comb(lot - bad, n - d) for d in range(c + 1)), comb(lot, n))
    assert float(oc_hypergeometric(bad, lot, n, c)) == pytest.approx(float(exact), rel=1e-8, abs=1e-10)


@given(n=st.integers(1, 300), c=st.integers(0, 44), mean=st.floats(0, 60))
def test_poisson_is_the_sum_of_its_terms(n, c, mean):
    terms = sum(mean**d * exp(-mean) / factorial(d) for d in range(c + 1))
    assert float(oc_poisson(mean / n, n, c)) == pytest.approx(terms, rel=1e-9, abs=1e-12)


@given(plan=plans, qualities=st.lists(fractions, min_size=2, max_size=8))
def test_scalar_equals_vector_and_acceptance_never_rises_with_p(plan, qualities):
    n, c = plan
    p = np.sort(qualities)
    for characteristic in (oc_binomial, oc_poisson):
        accepted = characteristic(p, n, c)
        assert np.all(np.diff(accepted) <= 1e-12)
        assert [float(characteristic(x, n, c)) for x in p] == accepted.tolist()
    units = np.floor(p * 400).astype(int)
    accepted = oc_hypergeometric(units, 400, n, c)
    assert np.all(np.diff(accepted) <= 1e-9)
    assert [float(oc_hypergeometric(x, 400, n, c)) for x in units] == accepted.tolist()


@given(plan=plans)
def test_certain_ends(plan):
    n, c = plan
    assert oc_binomial([0, 1], n, c).tolist() == [1, 0]
    assert oc_hypergeometric([0, c, 500], 500, n, c) == pytest.approx([1, 1, 0])


@given(plan=plans, probability=st.floats(0.001, 0.999))
def test_quality_at_acceptance_inverts_the_characteristic(plan, probability):
    n, c = plan
    assert float(oc_binomial(quality_at_acceptance(probability, n, c), n, c)) == pytest.approx(probability, rel=1e-6)
    quality = quality_at_acceptance(probability, n, c, "poisson")
    assert float(oc_poisson(quality, n, c)) == pytest.approx(probability, rel=1e-6)


@pytest.mark.parametrize(
    ("c", "constant"), [(0, 0.3679), (1, 0.8400), (2, 1.3711), (3, 1.9424), (4, 2.5435), (5, 3.1682)]
)
def test_aoql_tends_to_the_published_constants(c, constant):
    limit, at = average_outgoing_quality_limit(5000, c)
    assert limit * 5000 == pytest.approx(constant, rel=1e-3)
    assert float(average_outgoing_quality(at, 5000, c)) == pytest.approx(limit)


@given(plan=plans)
def test_aoql_is_the_largest_outgoing_quality(plan):
    n, c = plan
    limit, _ = average_outgoing_quality_limit(n, c, lot_size=4 * n)
    grid = average_outgoing_quality(np.linspace(0, 1, 2001), n, c, lot_size=4 * n)
    assert grid.max() <= limit * (1 + 1e-6)
    assert limit == pytest.approx(0.75 * average_outgoing_quality_limit(n, c)[0], rel=1e-6)


@pytest.mark.parametrize("p", [0.005, 0.03, 0.2, 0.9])
def test_average_sample_number_against_simulated_inspection(p):
    n, c, runs = 80, 2, 20_000
    failed = np.random.default_rng(20260701).random((runs, n)) < p
    bad, good = np.cumsum(failed, axis=1), np.cumsum(~failed, axis=1)
    rejected = np.where(bad[:, -1] > c, np.argmax(bad > c, axis=1) + 1, n)
    decided = np.minimum(rejected, np.where(good[:, -1] >= n - c, np.argmax(good >= n - c, axis=1) + 1, n))
    for curtailment, units in (("rejection", rejected), ("full", decided)):
        expected = float(average_sample_number(p, n, c, curtailment))
        assert units.mean() == pytest.approx(expected, abs=5 * units.std() / runs**0.5 + 1e-9)
    assert float(average_sample_number(p, n, c)) == n


@given(plan=plans, p=fractions)
def test_curtailment_saves_and_keeps_its_bounds(plan, p):
    n, c = plan
    full, rejection = (float(average_sample_number(p, n, c, kind)) for kind in ("full", "rejection"))
    slack = 1e-6 * n
    assert min(c + 1, n - c) - slack <= full <= rejection + slack
    assert rejection <= n + slack


@pytest.mark.parametrize(
    "call",
    [
        lambda: oc_binomial(1.1, 10, 0),
        lambda: oc_binomial(float("nan"), 10, 0),
        lambda: oc_binomial(0.1, 0, 0),
        lambda: oc_binomial(0.1, 10, 10),
        lambda: oc_hypergeometric(1.5, 100, 10, 0),
        lambda: oc_hypergeometric(101, 100, 10, 0),
        lambda: oc_hypergeometric(1, 100, 101, 0),
        lambda: oc_poisson(-0.1, 10, 0),
        lambda: average_outgoing_quality(0.1, 10, 0, 5),
    ],
)
def test_impossible_plans_and_qualities_are_refused(call):
    with pytest.raises(InvalidInputError):
        call()
