"""The covariance of a day against simulated registers, gaps and disturbances, and shapes found again from residuals."""

import numpy as np
import pytest
import scipy.linalg

from verifier.balance.noise import DayRows, NoiseShape, day_covariance, first_shape, fit_shape, scaled, tail_inflation
from verifier.balance.timeline import Gap
from verifier.balance.types import Floats

NOTHING = NoiseShape(0.0, 0.0, 0.0, 0.5, 0.0)
DRAWS = 100_000


def rows(size: int, registers: Floats | float = 0.0, gaps: tuple[Gap, ...] = ()) -> DayRows:
    load = np.linspace(0.5, 1.5, size)
    return DayRows(np.ones(size, dtype=np.bool_), load, np.broadcast_to(registers, size + 1), gaps)


def is_covariance_of(found: Floats, draws: Floats) -> None:
    """Within five standard errors of the draws' own covariance, (draws, U)."""
    sampled = np.cov(draws.T)
    variance = np.diag(found)
    error = np.sqrt((np.outer(variance, variance) + found**2) / len(draws))
    assert np.all(np.abs(sampled - found) < 5 * error + 1e-12)


def test_registers_end_one_interval_and_begin_the_next() -> None:
    rng = np.random.default_rng(1)
    variance = np.array([0.5, 1.0, 2.0, 1.0, 0.2, 0.7])
    deviations = rng.normal(0, np.sqrt(variance), (DRAWS, 6))
    is_covariance_of(day_covariance(NOTHING, rows(5, variance)), np.diff(deviations, axis=1))


def test_white_red_and_daily_parts() -> None:
    rng = np.random.default_rng(2)
    shape = NoiseShape(0.4, 0.6, 1.5, 0.8, 0.9)
    day = rows(6)
    red = np.empty((DRAWS, 6))
    red[:, 0] = rng.normal(0, np.sqrt(1.5), DRAWS)
    for t in range(1, 6):
        red[:, t] = 0.8 * red[:, t - 1] + rng.normal(0, np.sqrt(1.5 * (1 - 0.8**2)), DRAWS)
    white = rng.normal(0, np.sqrt(0.4), (DRAWS, 6)) + rng.normal(0, np.sqrt(0.6), (DRAWS, 6)) * day.relative_load
    is_covariance_of(day_covariance(shape, day), white + red + rng.normal(0, np.sqrt(0.9), (DRAWS, 1)))


def test_a_gap_deviates_about_its_known_total() -> None:
    rng = np.random.default_rng(3)
    deviations = np.zeros((DRAWS, 7))
    inside = rng.normal(0, np.sqrt(2.5), (DRAWS, 4))
    deviations[:, 2:6] = inside - inside.mean(axis=1, keepdims=True)
    covariance = day_covariance(NOTHING, rows(7, gaps=(Gap(0, 2, 6, 2.5),)))
    is_covariance_of(covariance, deviations)
    np.testing.assert_allclose(covariance.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(("first", "last"), [(-3, 2), (5, 9)])
def test_of_a_gap_across_midnight_the_part_of_the_day_counts(first: int, last: int) -> None:
    rng = np.random.default_rng(4)
    inside = rng.normal(0, 1, (DRAWS, last - first))
    deviations = np.zeros((DRAWS, 7))
    part = slice(max(first, 0), min(last, 7))
    deviations[:, part] = (inside - inside.mean(axis=1, keepdims=True))[:, part.start - first : part.stop - first]
    is_covariance_of(day_covariance(NOTHING, rows(7, gaps=(Gap(0, first, last, 1.0),))), deviations)


def test_unused_rows_are_left_out_and_tails_widen_the_white_part_alone() -> None:
    day = rows(5, 0.3)
    used = np.array([True, False, True, True, True])
    whole = day_covariance(NoiseShape(1.0, 0.5, 2.0, 0.6, 0.1), day)
    part = DayRows(used, day.relative_load, day.instant_variance, ())
    inflation = np.array([1.0, 1.0, 4.0, 1.0, 1.0])
    found = day_covariance(NoiseShape(1.0, 0.5, 2.0, 0.6, 0.1), part, inflation)
    expected = whole[np.ix_(used, used)]
    expected[1, 1] += 3 * (1.0 + 0.5 * day.relative_load[2] ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_tails() -> None:
    z = 0.8 * np.random.default_rng(5).normal(size=48).clip(-3, 3)
    z[7] = -10.0
    inflation = tail_inflation(2 * z, np.full(48, 2.0))
    assert inflation[7] == pytest.approx((5 + 100) / 6)  # Student t with 5 degrees of freedom
    assert np.all(np.delete(inflation, 7) == 1)
    # A whole day that is wide is no outlier: something has changed.
    assert np.all(tail_inflation(20 * z.clip(-2, 2), np.full(48, 2.0)) == 1)


def test_scaled_multiplies_every_variance() -> None:
    shape, day = NoiseShape(1.0, 0.5, 2.0, 0.6, 0.1), rows(4)
    np.testing.assert_allclose(day_covariance(scaled(shape, 3.0), day), 3 * day_covariance(shape, day))
    assert first_shape(200.0).white == pytest.approx(4.0)


@pytest.mark.parametrize(
    "true",
    [NoiseShape(4.0, 0.0, 0.0, 0.6, 0.0), NoiseShape(1.0, 0.0, 3.0, 0.93, 0.0), NoiseShape(1.0, 6.0, 0.0, 0.6, 0.0)],
    ids=["white", "red", "by-load"],
)
def test_a_shape_is_found_again_from_residuals(true: NoiseShape) -> None:
    """Each part that there is within a factor of two, the whole variance within a quarter, of twelve days of 48."""
    rng = np.random.default_rng(6)
    load = 100.0
    days = [
        DayRows(np.ones(48, dtype=np.bool_), rng.uniform(0.2, 2.0, 48), np.full(49, 0.2), (Gap(0, 10, 16, 1.0),))
        for _ in range(12)
    ]
    residuals = [scipy.linalg.cholesky(day_covariance(true, day), lower=True) @ rng.normal(size=48) for day in days]
    found = fit_shape(residuals, days, load, 1.0)
    for part in ("white", "by_load", "red"):
        if getattr(true, part) > 0:
            assert getattr(true, part) / 2 < getattr(found, part) < 2 * getattr(true, part)
    total = sum(np.trace(day_covariance(found, day)) for day in days)
    assert total == pytest.approx(sum(np.trace(day_covariance(true, day)) for day in days), rel=0.25)
    if true.red > 0:
        assert found.persistence == 0.93


def test_residuals_that_a_fit_has_used_up_are_made_good() -> None:
    rng = np.random.default_rng(7)
    days = [rows(48) for _ in range(12)]
    residuals = [rng.normal(0, 1.0, 48) for _ in days]
    whole, half = fit_shape(residuals, days, 100.0, 1.0), fit_shape(residuals, days, 100.0, 0.5)
    variances = [np.trace(day_covariance(shape, days[0])) for shape in (whole, half)]
    assert variances[1] == pytest.approx(2 * variances[0], rel=0.1)


def test_no_noise_is_smaller_than_what_the_model_leaves_out() -> None:
    found = fit_shape([np.zeros(48)] * 3, [rows(48)] * 3, 100.0, 1.0)
    assert found.white >= (3e-4 * 100) ** 2 * 0.999
