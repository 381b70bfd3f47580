"""Oracles: the resistor example of JCGM 106 (9.5.4), scipy's bivariate normal, Monte Carlo, a dense trapezoid."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrology.conformity import NormalPrior
from metrology.errors import InvalidInputError
from metrology.risk import (
    global_risks,
    guard_band_for_consumer_risk,
    specific_consumer_risk,
    specific_producer_risk,
)

means = st.floats(-1.5, 1.5)
spreads = st.floats(0.05, 2)
us = st.floats(0.02, 1)


def bivariate(mean, spread, u, low, high, guard):
    """Both risks from the joint normal distribution of true and measured value (JCGM 106, 9.5.1)."""
    covariance = [[spread**2, spread**2], [spread**2, spread**2 + u**2]]
    joint = stats.multivariate_normal([mean, mean], covariance, abseps=1e-11, releps=1e-11, maxpts=200_000)
    both = joint.cdf([high, high - guard], lower_limit=[low, low + guard])
    true, measured = stats.norm(mean, spread), stats.norm(mean, np.hypot(spread, u))
    conforming = true.cdf(high) - true.cdf(low)
    accepted = measured.cdf(high - guard) - measured.cdf(low + guard)
    return accepted - both, conforming - both, accepted


def test_jcgm_106_simple_acceptance():
    # Tolerance ±0.2, u0 = 0.12, um = 0.04, process centred (inputs as remembered, results recomputed by integration).
    risks = global_risks(NormalPrior(0.0, 0.12), 0.04, lower_pct=-0.2, upper_pct=0.2)
    assert risks.consumer == pytest.approx(0.0189, abs=5e-5)
    assert risks.producer == pytest.approx(0.0372, abs=5e-5)


@settings(max_examples=60)
@given(means, spreads, us, st.floats(-0.2, 0.6))
def test_agrees_with_the_bivariate_normal(mean, spread, u, guard):
    risks = global_risks(NormalPrior(mean, spread), u, lower_pct=-1.0, upper_pct=1.0, guard_band_pct=guard)
    expected = bivariate(mean, spread, u, -1.0, 1.0, guard)
    assert (risks.consumer, risks.producer, risks.accepted) == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize("u", [1e-4, 0.01, 0.3, 5.0])
@pytest.mark.parametrize("spread", [0.02, 0.5, 20.0])
def test_agrees_with_a_dense_trapezoid_over_scales(spread, u):
    low, high, guard, mean = -1.0, 1.0, min(2 * u, 0.9), 0.3
    prior, a_low, a_high = stats.norm(mean, spread), low + guard, high - guard

    def accepted(x):
        return prior.pdf(x) * (stats.norm.cdf((a_high - x) / u) - stats.norm.cdf((a_low - x) / u))

    total = 0.0
    for start, end in [(mean - 10 * spread, low), (high, mean + 10 * spread)]:
        marks = [start, mean, end, *(edge + k * u for edge in (a_low, a_high) for k in (-8, -1, 0, 1, 8))]
        for left, right in itertools.pairwise(sorted({m for m in marks if start <= m <= end})):
            x = np.linspace(left, right, 20_001)
            total += np.trapezoid(accepted(x), x)
    risk = global_risks(NormalPrior(mean, spread), u, lower_pct=low, upper_pct=high, guard_band_pct=guard).consumer
    assert risk == pytest.approx(total, rel=1e-6, abs=1e-13)


def test_monte_carlo_against_the_integral():
    rng = np.random.default_rng(20260101)
    count, mean, spread, u, mpe, guard = 1_000_000, 0.1, 0.45, 0.15, 1.0, 0.1
    true = rng.normal(mean, spread, count)
    accepted = np.abs(true + rng.normal(0, u, count)) <= mpe - guard
    bad = np.abs(true) > mpe
    risks = global_risks(NormalPrior(mean, spread), u, lower_pct=-mpe, upper_pct=mpe, guard_band_pct=guard)
    for share, risk in [((accepted & bad).mean(), risks.consumer), ((~accepted & ~bad).mean(), risks.producer)]:
        assert abs(share - risk) < 4 * np.sqrt(risk / count)
    # Specific risk: among meters measured near 0.95 %, the share of nonconforming ones.
    measured = true + rng.normal(0, u, count)
    near = np.abs(measured - 0.95) < 0.005
    risk = specific_consumer_risk(0.95, u, NormalPrior(mean, spread), lower_pct=-mpe, upper_pct=mpe)
    assert bad[near].mean() == pytest.approx(risk, abs=4 * np.sqrt(risk / near.sum()))
    assert specific_producer_risk(0.95, u, NormalPrior(mean, spread), upper_pct=mpe) == pytest.approx(
        1 - risk, abs=1e-6
    )


@given(means, spreads, us, st.floats(-0.5, 0.9), st.floats(-0.5, 0.9))
def test_the_guard_band_trades_one_risk_for_the_other(mean, spread, u, first, second):
    narrow, wide = sorted((first, second))
    prior = NormalPrior(mean, spread)
    less, more = (global_risks(prior, u, lower_pct=-1, upper_pct=1, guard_band_pct=g) for g in (narrow, wide))
    assert more.consumer <= less.consumer * (1 + 1e-9) + 1e-15
    assert more.producer >= less.producer * (1 - 1e-9) - 1e-15
    assert more.accepted <= less.accepted + 1e-12


@given(st.lists(st.tuples(means, spreads, us, st.floats(0, 0.9)), min_size=1, max_size=6))
def test_scalar_equals_vector_and_the_risks_add_up(rows):
    mean, spread, u, guard = (np.array(c) for c in zip(*rows, strict=True))
    many = global_risks(NormalPrior(mean, spread), u, lower_pct=-1, upper_pct=1, guard_band_pct=guard)
    for i, row in enumerate(rows):
        one = global_risks(NormalPrior(row[0], row[1]), row[2], lower_pct=-1, upper_pct=1, guard_band_pct=row[3])
        assert isinstance(one.consumer, float)
        assert (many.consumer[i], many.producer[i]) == pytest.approx((one.consumer, one.producer), rel=1e-12)
        # accepted = accepted and conforming + consumer's risk; conforming = that + producer's risk.
        conforming = stats.norm.cdf(1, row[0], row[1]) - stats.norm.cdf(-1, row[0], row[1])
        assert one.accepted - one.consumer == pytest.approx(conforming - one.producer, abs=1e-9)


def test_more_cases_than_one_chunk():
    mean = np.linspace(-1, 1, 2500)
    many = global_risks(NormalPrior(mean, 0.3), 0.1, lower_pct=-1, upper_pct=1)
    assert many.consumer[2000] == pytest.approx(
        global_risks(NormalPrior(mean[2000], 0.3), 0.1, lower_pct=-1, upper_pct=1).consumer
    )
    assert many.consumer[::-1] == pytest.approx(many.consumer, rel=1e-9)


def test_one_sided_limit():
    risks = global_risks(NormalPrior(0.0, 1.0), 0.5, upper_pct=1.0)
    expected = bivariate(0.0, 1.0, 0.5, -60.0, 1.0, 0.0)
    assert (risks.consumer, risks.producer) == pytest.approx(expected[:2], abs=1e-7)


@pytest.mark.parametrize("target", [5e-3, 1e-3, 1e-5])
def test_guard_band_for_a_wanted_risk(target):
    prior = NormalPrior(0.0, 0.5)
    guard = guard_band_for_consumer_risk(target, prior, 0.2, lower_pct=-1, upper_pct=1)
    assert guard > 0
    risk = global_risks(prior, 0.2, lower_pct=-1, upper_pct=1, guard_band_pct=guard).consumer
    assert risk <= target
    assert risk == pytest.approx(target, rel=1e-5)
    one_sided = guard_band_for_consumer_risk(target, prior, 0.2, upper_pct=1)
    assert global_risks(prior, 0.2, upper_pct=1, guard_band_pct=one_sided).consumer == pytest.approx(target, rel=1e-5)


def test_no_guard_band_where_none_is_needed_or_none_helps():
    assert guard_band_for_consumer_risk(0.5, NormalPrior(0.0, 0.5), 0.2, lower_pct=-1, upper_pct=1) == 0.0
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        guard_band_for_consumer_risk(0.0, NormalPrior(0.0, 0.5), 0.2, upper_pct=1)
    with pytest.raises(InvalidInputError, match="no limit"):
        guard_band_for_consumer_risk(0.1, NormalPrior(0.0, 0.5), 0.2)


def test_impossible_cases_are_refused():
    with pytest.raises(InvalidInputError, match=r"prior\.std_pct = 0 must be a number, at least 1e-15 %"):
        global_risks(NormalPrior(0.0, 0.0), 0.1, upper_pct=1)
    with pytest.raises(InvalidInputError, match=r"^std_pct = 0 must be a number"):
        global_risks(NormalPrior(0.0, 0.5), 0.0, upper_pct=1)
    with pytest.raises(InvalidInputError, match="lower_pct = 1 lies above upper_pct"):
        global_risks(NormalPrior(0.0, 0.5), 0.1, lower_pct=1, upper_pct=-1)
    with pytest.raises(InvalidInputError, match="leave nothing"):
        global_risks(NormalPrior(0.0, 0.5), 0.1, lower_pct=-1, upper_pct=1, guard_band_pct=1.1)
