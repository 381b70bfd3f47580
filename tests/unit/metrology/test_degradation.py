"""Degradation paths. Oracles: scipy.optimize.curve_fit and numpy.polyfit per meter, root search on the confidence band,
the normal distribution of simulated lots, and coverage over many of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from metrology.degradation import fit_paths, lot_path, proportion_beyond, snapshot, time_to_limit
from metrology.errors import InvalidInputError

AGES = np.arange(0.0, 8.0)


def _lot(rng, meters=150, scatter=0.2):
    intercept, slope = rng.normal(-0.1, 0.3, meters), rng.normal(0.08, 0.05, meters)
    meter, age = np.repeat(np.arange(meters), AGES.size), np.tile(AGES, meters)
    error = intercept[meter] + slope[meter] * age + rng.normal(0, scatter, meter.size)
    return meter, age, error


def _beyond(age, limit):
    spread = stats.norm(-0.1 + 0.08 * age, math.hypot(0.3, 0.05 * age))
    return float(spread.sf(limit) + spread.cdf(-limit))


def test_paths_agree_with_scipy_meter_by_meter():
    rng = np.random.default_rng(1)
    meter, age = np.repeat([7, 3, 12], [5, 2, 4]), rng.uniform(2, 9, 11)
    error, std = rng.normal(0, 0.1, 11), rng.uniform(0.2, 0.5, 11)  # little scatter: no enlargement
    order = rng.permutation(11)
    paths = fit_paths(meter[order], age[order], error[order], std[order])
    assert paths.meter.tolist() == [3, 7, 12]
    assert paths.birge_ratio == 1.0
    for row, name in enumerate(paths.meter):
        own = meter == name
        values, covariance = optimize.curve_fit(
            lambda t, a, b: a + b * t, age[own], error[own], sigma=std[own], absolute_sigma=True
        )
        assert [paths.intercept_pct[row], paths.slope_pct_per_year[row]] == pytest.approx(values, abs=1e-6)
        assert paths.covariance[row] == pytest.approx(covariance, rel=1e-4)


def test_scatter_beyond_the_stated_uncertainty_enlarges_it():
    meter, age, error = _lot(np.random.default_rng(2), scatter=0.4)
    honest, bold = fit_paths(meter, age, error, 0.4), fit_paths(meter, age, error, 0.1)
    assert honest.birge_ratio == pytest.approx(1.0, abs=0.06)
    assert bold.birge_ratio == pytest.approx(4.0, rel=0.06)
    assert bold.covariance == pytest.approx(honest.covariance, rel=0.15)


def test_meters_measured_at_one_age_have_no_path():
    paths = fit_paths([1, 1, 2, 2, 3], [1, 2, 5, 5, 4], [0.1, 0.2, 0.1, 0.3, 0.2], 0.1)
    assert paths.meter.tolist() == [1]
    assert paths.dropped.tolist() == [2, 3]


def test_lot_moments_without_the_scatter_of_measurement():
    paths = fit_paths(*_lot(np.random.default_rng(3), meters=4000), 0.2)
    mean, between = lot_path(paths)
    assert mean == pytest.approx([-0.1, 0.08], abs=0.02)
    assert np.sqrt(np.diag(between)) == pytest.approx([0.3, 0.05], rel=0.06)
    assert np.var(paths.intercept_pct) > 1.1 * between[0, 0]  # what was measured scatters more than what is


def test_lot_moments_of_exact_errors_are_the_unbiased_ones():
    errors = np.random.default_rng(12).normal(0.3, 0.5, 12)
    mean, between = lot_path(snapshot(errors, 0.0))
    assert mean == pytest.approx([errors.mean(), 0.0])
    assert between == pytest.approx(np.array([[np.var(errors, ddof=1), 0.0], [0.0, 0.0]]))


def test_proportion_beyond_the_limit_of_a_large_lot():
    paths = fit_paths(*_lot(np.random.default_rng(4), meters=4000), 0.2)
    for age in (0.0, 8.0, 14.0):
        found = proportion_beyond(paths, age, -2.0, 2.0, seed=1, resamples=400)
        assert found.lower <= _beyond(age, 2.0) + 1e-9
        assert found.upper >= _beyond(age, 2.0)
        assert found.estimate == pytest.approx(_beyond(age, 2.0), abs=0.015)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng, hits, lots = np.random.default_rng(5), 0, 150
    for lot in range(lots):
        paths = fit_paths(*_lot(rng), 0.2)
        found = proportion_beyond(paths, 14.0, -2.0, 2.0, seed=lot, confidence=0.9, resamples=300)
        hits += found.lower <= _beyond(14.0, 2.0) <= found.upper
    assert stats.binomtest(hits, lots, 0.9).pvalue > 0.001


def test_large_lots_resample_to_the_same_interval_by_their_normal_limit():
    """The same lot just below and above the size at which the averages are drawn from their normal limit."""
    meter, age, error = _lot(np.random.default_rng(10), meters=2001)
    kept = meter < 2000
    limit = proportion_beyond(fit_paths(meter, age, error, 0.2), 14.0, -2.0, 2.0, seed=1)
    whole = proportion_beyond(fit_paths(meter[kept], age[kept], error[kept], 0.2), 14.0, -2.0, 2.0, seed=1)
    assert limit.estimate == pytest.approx(whole.estimate, abs=1e-3)
    assert (limit.lower, limit.upper) == pytest.approx((whole.lower, whole.upper), abs=0.002)


def test_same_seed_same_interval():
    paths = fit_paths(*_lot(np.random.default_rng(6), meters=40), 0.2)
    first, again, other = (proportion_beyond(paths, 10, -2, 2, seed=s) for s in (1, 1, 2))
    assert first == again
    assert (first.estimate, first.method) != (other.estimate, other.method)
    assert first.lower != other.lower


@settings(max_examples=60, deadline=None)
@given(intercept=st.floats(-1.5, 1.5), slope=st.floats(-0.4, 0.4), std=st.floats(0.02, 0.5), start=st.floats(0, 12))
def test_time_to_limit_against_a_walk_along_the_band(intercept, slope, std, start):
    error = intercept + slope * AGES
    paths = fit_paths(np.ones(8), AGES, error, std)
    found = time_to_limit(paths, -2.0, 2.0, start, confidence=0.9)
    horizon = np.concatenate((np.linspace(start, start + 60, 60_001), np.geomspace(start + 60, 1e5, 20_000)))
    a, b, v = paths.intercept_pct[0], paths.slope_pct_per_year[0], paths.covariance[0]
    mean = a + b * horizon
    deviation = stats.norm.ppf(0.95) * np.sqrt(v[0, 0] + 2 * horizon * v[0, 1] + horizon**2 * v[1, 1])
    outside = {
        "estimate": (mean >= 2) | (mean <= -2),
        "earliest": (mean + deviation >= 2) | (mean - deviation <= -2),
        "latest": (mean - deviation >= 2) | (mean + deviation <= -2),
    }
    for name, crossed in outside.items():
        walked = horizon[np.argmax(crossed)] if crossed.any() else math.inf
        exact = float(getattr(found, f"{name}_years")[0])
        if math.isinf(walked):
            assert exact > 9e4
        else:
            assert exact == pytest.approx(walked, rel=1e-3, abs=2e-3)


def test_time_to_limit_of_meters_together_equals_each_alone():
    meter, age, error = _lot(np.random.default_rng(8), meters=6)
    together = time_to_limit(fit_paths(meter, age, error, 0.2), -2, 2, np.arange(6) + 5.0)
    for name in range(6):
        own = meter == name
        paths = fit_paths(meter[own], age[own], error[own], 0.2)
        ratio = fit_paths(meter, age, error, 0.2).birge_ratio
        alone = time_to_limit(
            fit_paths(meter[own], age[own], error[own], 0.2 * ratio / paths.birge_ratio), -2, 2, name + 5.0
        )
        assert alone.estimate_years[0] == pytest.approx(together.estimate_years[name])


def test_snapshot_of_a_lot_measured_once():
    rng = np.random.default_rng(9)
    true = rng.normal(0.5, 0.6, 3000)
    found = proportion_beyond(snapshot(true + rng.normal(0, 0.8, 3000), 0.8), 10.0, -2, 2, seed=0, resamples=300)
    truth = float(stats.norm.sf(2, 0.5, 0.6) + stats.norm.cdf(-2, 0.5, 0.6))
    assert found.lower <= truth <= found.upper
    naive = float(np.mean(np.abs(true + rng.normal(0, 0.8, 3000)) > 2))
    assert naive > 5 * found.upper  # counting measured errors would condemn the lot for the scatter of measurement


def test_lot_without_spread_is_decided_by_its_mean():
    paths = snapshot(np.full(20, 1.9), 0.3)
    assert proportion_beyond(paths, 1.0, -2, 2, seed=0).upper == 0.0
    assert proportion_beyond(snapshot(np.full(20, 2.1), 0.3), 1.0, -2, 2, seed=0).lower == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_paths([1, 2], [1.0, 2.0], [0.1, 0.2], 0.1), "two ages"),
        (lambda: fit_paths([1, 1], [1.0, 2.0], [0.1, math.nan], 0.1), "row 1"),
        (lambda: fit_paths([1, 1], [1.0, 2.0], [0.1, 0.2], 0.0), "row 0"),
        (lambda: fit_paths([1], [1.0, 2.0], [0.1, 0.2], 0.1), "equal length"),
        (lambda: proportion_beyond(snapshot([0.1] * 9, 0.1), 1, -2, 2, seed=0), "at least 10"),
        (lambda: proportion_beyond(snapshot([0.1] * 10, 0.1), 1, 2, -2, seed=0), "below the upper"),
        (lambda: snapshot([math.inf], 0.1), "finite"),
    ],
)
def test_data_that_determine_nothing_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
