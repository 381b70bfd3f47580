"""Plans computed for stated risks. Oracles: published plans, brute force over every (n, Ac)."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.sampling.design import (
    LQ_SERIES_PCT,
    limiting_quality_plan,
    limiting_quality_plans,
    two_point_plan,
    units_at_quality,
)


def _accept(lot, bad, n, c):
    return Fraction(sum(comb(bad, d) * comb(lot - bad, n - d) for d in range(c + 1)), comb(lot, n))


@pytest.mark.parametrize(
    ("lq_pct", "published"),
    [
        (5, [(45, 0), (77, 1), (132, 3), (183, 5)]),
        (8, [(28, 0), (48, 1), (82, 3), (114, 5)]),
    ],
)
def test_published_plans_for_lots_of_3201_to_10000(lq_pct, published):
    """Limiting-quality plans as provinces use them for meters in service (GB/T 2828.2), at the range's upper end."""
    plans = limiting_quality_plans(10_000, lq_pct)
    assert [(plan.sample_size, plan.acceptance_number) for plan in plans] == published
    assert all(plan.consumers_risk <= 0.10 for plan in plans)


@settings(max_examples=40, deadline=None)
@given(lot=st.integers(5, 90), lq=st.sampled_from(LQ_SERIES_PCT), c=st.integers(0, 4))
def test_limiting_quality_against_brute_force(lot, lq, c):
    bad = -(-Fraction(str(lq)) * lot // 100)
    sizes = [n for n in range(c + 1, lot + 1) if _accept(lot, int(bad), n, c) <= Fraction(1, 10)]
    if not sizes:
        with pytest.raises(InvalidInputError, match="lower Ac"):
            limiting_quality_plan(lot, lq, c)
        return
    plan = limiting_quality_plan(lot, lq, c)
    assert plan.sample_size == sizes[0]
    assert plan.full_inspection == (sizes[0] == lot)
    assert plan.consumers_risk == pytest.approx(float(_accept(lot, int(bad), sizes[0], c)), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    lot=st.integers(5, 60),
    good=st.sampled_from([0, 0.5, 1, 2, 5]),
    bad=st.sampled_from([7, 10, 20, 35]),
    alpha=st.sampled_from([0.05, 0.1]),
    beta=st.sampled_from([0.05, 0.1]),
)
def test_two_point_plan_is_the_smallest_that_keeps_both_risks(lot, good, bad, alpha, beta):
    plan = two_point_plan(lot, good, alpha, bad, beta)
    most_good, fewest_bad = units_at_quality(lot, good, at_least=False), units_at_quality(lot, bad, at_least=True)
    kept = [
        (n, c)
        for n in range(1, lot + 1)
        for c in range(n)
        if _accept(lot, most_good, n, c) >= 1 - Fraction(str(alpha))
        and _accept(lot, fewest_bad, n, c) <= Fraction(str(beta))
    ]
    assert plan.sample_size == min(kept)[0]
    assert (plan.sample_size, plan.acceptance_number) in kept
    assert plan.producers_risk <= alpha + 1e-9
    assert plan.consumers_risk <= beta + 1e-9


@pytest.mark.parametrize(
    ("alpha", "beta", "n", "c", "producers_risk", "consumers_risk"),
    [(0.05, 0.10, 132, 3, 0.04425251, 0.0992283), (0.02, 0.15, 144, 4, 0.01534843, 0.1487162)],
)
def test_published_two_point_plans_of_a_series(alpha, beta, n, c, producers_risk, consumers_risk):
    """1 % against 5 % nonconforming: the examples in the manual of the R package AccSamplingDesign."""
    plan = two_point_plan(None, 1.0, alpha, 5.0, beta)
    assert (plan.sample_size, plan.acceptance_number) == (n, c)
    assert plan.producers_risk == pytest.approx(producers_risk, abs=1e-8)
    assert plan.consumers_risk == pytest.approx(consumers_risk, abs=1e-7)


def test_small_lots_need_smaller_samples_than_a_series():
    """The finite lot is the reason for hypergeometric plans (OIML G 20)."""
    series = two_point_plan(None, 1, 0.05, 7, 0.05)
    assert (series.sample_size, series.acceptance_number) == (109, 3)
    sizes = [two_point_plan(lot, 1, 0.05, 7, 0.05).sample_size for lot in (100, 1000, 10_000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= series.sample_size


def test_units_are_counted_exactly():
    assert units_at_quality(200, 31.5, at_least=True) == 63
    assert units_at_quality(1000, 0.1, at_least=True) == 1  # 0.1 / 100 * 1000 is above 1 in floating point
    assert units_at_quality(1001, 0.1, at_least=True) == 2
    assert units_at_quality(1001, 0.1, at_least=False) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_point_plan(100, 7, 0.05, 1, 0.05), "must be below"),
        (lambda: two_point_plan(100, 1, 0, 7, 0.05), "producer's risk"),
        (lambda: two_point_plan(None, 1.0, 0.05, 1.0001, 0.05), "further apart"),
        (lambda: limiting_quality_plan(100, 0, 0), "limiting quality"),
        (lambda: limiting_quality_plan(100, 5, 5), "lower Ac"),
        (lambda: limiting_quality_plan(0, 5, 0), "lot size 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
