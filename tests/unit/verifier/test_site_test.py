"""A test on site weighted by the loads of the meter, and comparisons taken into a posterior."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from metrology.quantities import Medium
from verifier.comparison_budget import CumulativeSeries, Standard
from verifier.comparison_settings import ComparisonSettings
from verifier.site_test import LoadProfile, SiteTest, TestPoint, evaluate_site_test, load_profile

HOUR_US = 3_600_000_000
TESTED = round(datetime(2026, 2, 1, 9, tzinfo=UTC).timestamp()) * 1_000_000
STANDARD = Standard("C-1", 0.2, 2.0, date(2026, 2, 1), date(2027, 1, 31))
SETTINGS = ComparisonSettings(drift_pct_per_year=0)


def site_test(*points, standard=STANDARD):
    return SiteTest(3, TESTED, standard, tuple(TestPoint(*point) for point in points))


def profile(rates, shares):
    return LoadProfile(np.array(rates, float), np.array(shares, float))


def test_points_are_weighted_by_the_loads_by_hand():
    """Half flows at the first point's load, half in the middle (in log) of both: 0.5·(−1) + 0.5·(−1 + 3)/2 = 0."""
    test = site_test((0.01, -1.0, 0.4, 2.0), (1.0, 3.0, 0.4, 2.0))
    found = evaluate_site_test(test, Medium.WATER, 4.0, profile([0.01, 0.1], [0.5, 0.5]), SETTINGS)
    assert found.comparison.error_pct == pytest.approx(0.0, abs=1e-12)
    # Points 0.2 % fully correlated; between them 0.5 of the quantity within ±2 %, uniform.
    assert found.comparison.std_pct == pytest.approx(np.hypot(0.2, 0.5 * 2 / np.sqrt(3)))
    assert (found.comparison.start_us, found.comparison.end_us, found.comparison.kind) == (TESTED, TESTED, "site_test")


def test_what_the_points_do_not_cover_is_added_as_uncertainty():
    test = site_test((0.1, -1.0, 0.4, 2.0), (1.0, -1.0, 0.4, 2.0))
    inside = evaluate_site_test(test, Medium.WATER, 4.0, profile([0.2, 0.5], [0.5, 0.5]), SETTINGS)
    partly = evaluate_site_test(test, Medium.WATER, 4.0, profile([0.02, 0.5, 2.0], [0.3, 0.6, 0.1]), SETTINGS)
    assert inside.uncovered_share == 0
    assert partly.uncovered_share == pytest.approx(0.4)
    assert partly.comparison.error_pct == pytest.approx(-1.0)
    assert partly.comparison.std_pct == pytest.approx(np.sqrt(0.2**2 + (0.3 * 3.0) ** 2 + (0.1 * 3.0) ** 2))
    assert inside.comparison.std_pct == pytest.approx(0.2)


def test_monte_carlo_coverage_of_the_weighted_error():
    """Error curves of water meters drawn at random, tested at three flows: 95 % intervals hold the running error."""
    rng = np.random.default_rng(8)
    rates = np.geomspace(0.005, 2.0, 60)
    covered, runs = 0, 400
    for _ in range(runs):
        shares = rng.dirichlet(np.ones(60))
        low, knee = rng.normal(-3, 3), rng.uniform(0.02, 0.06)
        curve = rng.normal(0, 1) + low * np.exp(-rates / knee)
        common, loads = rng.normal(0, 0.1), np.array([0.03, 0.3, 1.5])
        errors = np.interp(np.log(loads), np.log(rates), curve) + common + rng.normal(0, 0.1, 3)
        points = zip(loads.tolist(), errors.tolist(), [2 * np.hypot(0.1, 0.1)] * 3, [2.0] * 3, strict=True)
        found = evaluate_site_test(site_test(*points), Medium.WATER, 4.0, profile(rates, shares), SETTINGS).comparison
        covered += abs(found.error_pct - float(shares @ curve)) <= 1.96 * found.std_pct
    assert covered / runs >= 0.93


@pytest.mark.parametrize(
    ("standard", "shape", "code"),
    [
        (Standard("C", 0.2, 2.0, date(2024, 1, 1), date(2025, 1, 1)), ([1.0], [1.0]), "standard_expired"),
        (Standard("C", 1.5, 2.0, date(2026, 1, 1), date(2027, 1, 1)), ([1.0], [1.0]), "standard_unfit"),
        (STANDARD, None, "no_load_profile"),
    ],
)
def test_what_is_no_measurement_says_why(standard, shape, code):
    given = None if shape is None else profile(*shape)
    found = evaluate_site_test(site_test((1.0, 0.5, 0.4, 2.0), standard=standard), Medium.WATER, 4.0, given, SETTINGS)
    assert found.comparison is None
    assert [reason.code for reason in found.reasons] == [code]


@pytest.mark.parametrize("resolution", [1e-4, 1e-2])
def test_the_profile_of_a_coarse_register_is_that_of_a_fine_one(resolution):
    """A steady 5 L/h, and 300 L/h in the morning: on a register of 10 L the small flow still shows as small."""
    hours = np.arange(24 * 28)
    flow = np.where(hours % 24 == 7, 0.3, 0.005)
    total = np.floor(np.concatenate([[0], np.cumsum(flow)]) / resolution + 1e-9) * resolution
    series = CumulativeSeries(np.arange(24 * 28 + 1) * HOUR_US, total, resolution)
    found = load_profile(series, 0, 24 * 28 * HOUR_US)
    small = float(found.share[found.rate < 0.02].sum())
    assert small == pytest.approx(23 * 0.005 / (23 * 0.005 + 0.3), abs=0.03)


def test_a_profile_needs_an_increment():
    series = CumulativeSeries(np.arange(5) * HOUR_US, np.full(5, 3.0), 0.01)
    assert load_profile(series, 0, 5 * HOUR_US) is None
    assert load_profile(CumulativeSeries(np.empty(0, np.int64), np.empty(0), 0.01), 0, HOUR_US) is None
