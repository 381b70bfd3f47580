"""Weibull lifetimes. Oracles: scipy.stats.weibull_min.fit on CensoredData, grid search over the likelihood of scipy's
own distribution, a published data set, and coverage over simulated lots."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrology.errors import InvalidInputError
from metrology.lifetime import (
    age_at_proportion,
    data_from_inspections,
    fit_weibull,
    lifetime_data,
    proportion_failed,
    zero_failure_bound,
)


def _lot(seed, units=300):
    """Mixed censoring: exact, between yearly tests, still conforming, failed before the first test."""
    rng = np.random.default_rng(seed)
    life = stats.weibull_min.rvs(2.5, scale=14, size=units, random_state=rng)
    kind = rng.integers(0, 4, units)
    lower, upper = life.copy(), life.copy()
    yearly = kind == 1
    lower[yearly], upper[yearly] = np.floor(life[yearly]), np.floor(life[yearly]) + 1
    tested = rng.uniform(3, 12, units)
    late = (kind >= 2) & (life > tested)
    early = (kind >= 2) & (life <= tested)
    lower[late], upper[late] = tested[late], np.inf
    lower[early], upper[early] = 0.0, tested[early]
    return lower, upper


def _censored(lower, upper):
    exact, right, left = lower == upper, np.isinf(upper), (lower == 0) & (upper > 0)
    between = ~(exact | right | left)
    return stats.CensoredData(lower[exact], left=upper[left], right=lower[right], interval=np.c_[lower, upper][between])


@pytest.mark.parametrize("seed", range(4))
def test_fit_agrees_with_scipy_on_mixed_censoring(seed):
    lower, upper = _lot(seed)
    fit = fit_weibull(lifetime_data(lower, upper))
    shape, _, scale = stats.weibull_min.fit(_censored(lower, upper), 2.5, floc=0, scale=14)
    assert (fit.shape, fit.scale_years) == pytest.approx((shape, scale), rel=1e-3)
    scipys = -stats.weibull_min.nnlf((fit.shape, 0, fit.scale_years), lower[lower == upper])
    between = lower != upper
    survival = [stats.weibull_min.sf(x[between], fit.shape, scale=fit.scale_years) for x in (lower, upper)]
    assert fit.log_likelihood == pytest.approx(scipys + np.log(survival[0] - survival[1]).sum(), rel=1e-9)


def test_published_data_set():
    """Ball bearings of Lieblein and Zelen (1956), in many textbooks: shape 2.10, scale 81.9 (million revolutions)."""
    life = [17.88, 28.92, 33.0, 41.52, 42.12, 45.6, 48.4, 51.84, 51.96, 54.12, 55.56, 67.8, 68.64, 68.64, 68.88, 84.12,
            93.12, 98.64, 105.12, 105.84, 127.92, 128.04, 173.4]  # fmt: skip
    fit = fit_weibull(lifetime_data(life, life))
    assert (fit.shape, fit.scale_years) == pytest.approx((2.10, 81.9), rel=0.002)


def test_counts_weigh_like_repeated_rows():
    lower, upper = [1.0, 3.0, 5.0, 5.0], [2.0, 4.0, 6.0, np.inf]
    counted = fit_weibull(lifetime_data(lower, upper, [3, 2, 4, 10]))
    repeated = fit_weibull(lifetime_data(np.repeat(lower, [3, 2, 4, 10]), np.repeat(upper, [3, 2, 4, 10])))
    assert (counted.shape, counted.scale_years) == pytest.approx((repeated.shape, repeated.scale_years))
    assert (counted.units, counted.failures) == (19, 9)


def test_profile_interval_against_a_grid_over_scipys_likelihood():
    rng = np.random.default_rng(5)
    age = rng.uniform(4, 14, 250)
    failed = stats.weibull_min.rvs(3, scale=16, size=250, random_state=rng) <= age
    fit = fit_weibull(data_from_inspections(age, failed))
    shape, scale = np.meshgrid(np.linspace(0.5, 7, 220), np.geomspace(8, 80, 300), indexing="ij")
    likelihood = sum(
        (stats.weibull_min.logcdf if f else stats.weibull_min.logsf)(a, shape, scale=scale)
        for a, f in zip(age, failed, strict=True)
    )
    kept = likelihood >= likelihood.max() - stats.chi2.ppf(0.95, 1) / 2
    for at in (6.0, 12.0, 18.0):
        inside = stats.weibull_min.cdf(at, shape, scale=scale)[kept]
        found = proportion_failed(fit, at)
        assert (found.lower, found.upper) == pytest.approx((inside.min(), inside.max()), abs=0.012)
    ages = stats.weibull_min.ppf(0.05, shape, scale=scale)[kept]
    found = age_at_proportion(fit, 0.05)
    assert (found.lower_years, found.upper_years) == pytest.approx((ages.min(), ages.max()), abs=0.15)


def test_interval_covers_the_truth_as_often_as_it_says():
    truth, hits, lots = float(stats.weibull_min.cdf(10, 3, scale=18)), 0, 120
    rng = np.random.default_rng(11)
    for _ in range(lots):
        age = rng.uniform(4, 14, 150)
        failed = stats.weibull_min.rvs(3, scale=18, size=150, random_state=rng) <= age
        found = proportion_failed(fit_weibull(data_from_inspections(age, failed)), 10.0, confidence=0.9)
        hits += found.lower <= truth <= found.upper
    assert stats.binomtest(hits, lots, 0.9).pvalue > 0.001


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10))
def test_unit_of_time_does_not_matter_and_intervals_are_ordered(seed, factor):
    lower, upper = _lot(seed, 60)
    one, other = fit_weibull(lifetime_data(lower, upper)), fit_weibull(lifetime_data(lower * factor, upper * factor))
    assert other.shape == pytest.approx(one.shape, rel=1e-4)
    assert other.scale_years == pytest.approx(one.scale_years * factor, rel=1e-4)
    previous = 0.0
    for age in (2.0, 8.0, 20.0):
        found = proportion_failed(one, age)
        assert 0 <= found.lower <= found.estimate <= found.upper <= 1
        assert found.estimate >= previous
        previous = found.estimate


def test_age_and_proportion_are_inverse():
    fit = fit_weibull(lifetime_data(*_lot(1)))
    age = age_at_proportion(fit, 0.05)
    assert proportion_failed(fit, age.estimate_years).estimate == pytest.approx(0.05)
    assert proportion_failed(fit, age.upper_years).lower == pytest.approx(0.05, rel=1e-3)
    assert proportion_failed(fit, age.lower_years).upper == pytest.approx(0.05, rel=1e-3)


def test_no_failure_bounds_the_proportion_by_the_assumed_shape():
    bound = zero_failure_bound(np.full(59, 8.0), 3.0, 8.0)
    assert bound.upper == pytest.approx(1 - 0.05 ** (1 / 59))  # at the tested age any shape gives the binomial bound
    later = zero_failure_bound(np.full(59, 8.0), 3.0, 12.0)
    assert (1 - later.upper) ** (59 * (8 / 12) ** 3) == pytest.approx(0.05)
    assert later.upper > bound.upper


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_weibull(lifetime_data([5, 6], [np.inf, np.inf])), "no unit failed"),
        (lambda: fit_weibull(lifetime_data([0, 0], [5, 6])), "known to have conformed"),
        (lambda: fit_weibull(data_from_inspections([3, 4, 5, 6], [0, 0, 1, 1])), "don't determine"),
        (lambda: lifetime_data([3, 5], [4, 4]), "row 1"),
        (lambda: lifetime_data([], []), "the table"),
        (lambda: lifetime_data([1], [math.nan]), "row 0"),
        (lambda: lifetime_data([1], [2], [0]), "count"),
        (lambda: zero_failure_bound([], 2, 5), "above 0"),
        (lambda: zero_failure_bound([5.0], -1, 5), "above 0"),
    ],
)
def test_data_that_determine_nothing_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_questions_without_an_answer_are_refused():
    fit = fit_weibull(lifetime_data(*_lot(1)))
    for call in (
        lambda: proportion_failed(fit, 0),
        lambda: proportion_failed(fit, 5, confidence=95),
        lambda: age_at_proportion(fit, 0),
    ):
        with pytest.raises(InvalidInputError):
            call()
