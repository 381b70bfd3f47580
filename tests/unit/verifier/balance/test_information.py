"""Sums of information against dense generalised least squares, and the evidence against the marginal density."""

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal

from verifier.balance.information import DayBlock, Posterior, Prior, Sums, day_sums, solve, sums_of, whiten
from verifier.balance.types import Floats

Raw = list[tuple[Floats, Floats, Floats]]
SIZE, METERS = 5, 3


def make_raw(seed: int, noise: float) -> Raw:
    """Design, target and covariance of four days of different lengths; the noise is `noise` times as wide as told."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 0.5, SIZE)
    raw = []
    for rows in (7, 12, 9, 11):
        design = rng.normal(1, 1, (rows, SIZE))
        root = rng.normal(size=(rows, rows)) / np.sqrt(rows) + np.eye(rows)
        covariance = root @ root.T
        raw.append((design, design @ true + noise * root @ rng.normal(size=rows), covariance))
    return raw


def stack(raw: Raw) -> tuple[Floats, Floats, Floats]:
    designs, targets, covariances = zip(*raw, strict=True)
    return np.vstack(designs), np.concatenate(targets), scipy.linalg.block_diag(*covariances)


def blocks_of(raw: Raw) -> list[DayBlock]:
    return [whiten(day, *parts, lambda inverse: np.zeros(SIZE)) for day, parts in enumerate(raw)]


def prior_covariance(prior: Prior) -> Floats:
    """Written out: variances on the diagonal, and what the meters share."""
    out = np.diag(prior.sd**2)
    out[: prior.meters, : prior.meters] += prior.common_sd**2
    return out


PRIOR = Prior(np.array([0.1, -0.2, 0.3, 0.0, 0.2]), np.array([0.4, 0.5, 0.3, 1.0, 2.0]), 0.7, METERS)


def solved(raw: Raw, prior: Prior, least_scale: float) -> Posterior:
    return solve(sums_of(blocks_of(raw), SIZE), prior, least_scale)


@pytest.mark.parametrize("common_sd", [0.0, 0.7])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_the_posterior_is_that_of_dense_generalised_least_squares(common_sd: float, noise: float) -> None:
    raw = make_raw(1, noise)
    prior = Prior(PRIOR.mean, PRIOR.sd, common_sd, METERS)
    posterior = solved(raw, prior, 1.0)
    a, y, v = stack(raw)
    weight, inverse = np.linalg.inv(v * posterior.scale), np.linalg.inv(prior_covariance(prior))
    covariance = np.linalg.inv(a.T @ weight @ a + inverse)
    mean = covariance @ (a.T @ weight @ y + inverse @ prior.mean)
    np.testing.assert_allclose(posterior.covariance, covariance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-9)


def test_the_scale_is_that_of_the_residuals_over_the_rows_left() -> None:
    """With noise three times as wide as told, variances nine times; and the fixed point holds that defines it."""
    raw = [part for seed in range(30) for part in make_raw(1, 0)]
    rng = np.random.default_rng(2)
    raw = [(a, y + 3 * np.linalg.cholesky(v) @ rng.normal(size=y.size), v) for a, y, v in raw]
    posterior = solved(raw, PRIOR, 0.8)
    assert posterior.scale == pytest.approx(9, rel=0.15)
    a, y, v = stack(raw)
    r = y - a @ posterior.mean
    weight = np.linalg.inv(v)
    used = np.trace(posterior.covariance @ a.T @ weight @ a) / posterior.scale
    assert posterior.used == pytest.approx(used, rel=1e-6)
    assert posterior.scale == pytest.approx(r @ weight @ r / (y.size - used), rel=2e-3)


def test_noise_calmer_than_told_narrows_nothing_beyond_the_least_scale() -> None:
    assert solved(make_raw(3, 0.01), PRIOR, 0.8).scale == 0.8


@pytest.mark.parametrize("common_sd", [0.0, 0.7])
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_the_evidence_is_the_density_of_the_data(common_sd: float, scale: float) -> None:
    """y ~ N(A·μ, A·P·Aᵀ + s·V), with nothing but the constant ½·n·ln 2π left out."""
    raw = make_raw(4, 0.3)  # calm enough for the least scale to hold
    a, y, v = stack(raw)
    prior = Prior(PRIOR.mean, PRIOR.sd, common_sd, METERS)
    posterior = solved(raw, prior, scale)
    assert posterior.scale == scale
    density = multivariate_normal(a @ prior.mean, a @ prior_covariance(prior) @ a.T + scale * v).logpdf(y)
    assert posterior.log_evidence - 0.5 * y.size * np.log(2 * np.pi) == pytest.approx(density, rel=1e-9)


def test_precision_and_determinant_of_the_prior_are_those_of_its_covariance() -> None:
    covariance = prior_covariance(PRIOR)
    np.testing.assert_allclose(PRIOR.precision @ covariance, np.eye(SIZE), atol=1e-10)
    assert PRIOR.log_det == pytest.approx(np.linalg.slogdet(covariance)[1], rel=1e-10)
    longer = PRIOR.extended([0.5])
    np.testing.assert_allclose(longer.precision @ scipy.linalg.block_diag(covariance, 0.25), np.eye(6), atol=1e-10)


def test_days_added_one_by_one_in_any_order_are_the_batch() -> None:
    raw = make_raw(5, 1.0)
    a, y, v = stack(raw)
    blocks = blocks_of(raw)
    total = day_sums(blocks[2]) + day_sums(blocks[0]) + day_sums(blocks[3]) + day_sums(blocks[1])
    weight = np.linalg.inv(v)
    np.testing.assert_allclose(total.gram, a.T @ weight @ a, rtol=1e-9)
    np.testing.assert_allclose(total.moment, a.T @ weight @ y, rtol=1e-9)
    assert total.square == pytest.approx(y @ weight @ y, rel=1e-9)
    assert (total.rows, total.log_det) == (y.size, pytest.approx(np.linalg.slogdet(v)[1], rel=1e-9))


def test_a_bias_of_the_moments_is_added_once_a_day() -> None:
    raw = make_raw(6, 1.0)
    plain = sums_of(blocks_of(raw), SIZE)
    biased = sums_of(
        [whiten(day, *parts, lambda inverse: np.full(SIZE, np.trace(inverse))) for day, parts in enumerate(raw)], SIZE
    )
    traces = sum(float(np.trace(np.linalg.inv(v))) for _, _, v in raw)
    np.testing.assert_allclose(biased.moment - plain.moment, traces, rtol=1e-9)


def test_without_any_row_the_posterior_is_the_prior() -> None:
    posterior = solve(Sums(np.zeros((SIZE, SIZE)), np.zeros(SIZE), 0.0, 0, 0.0), PRIOR)
    np.testing.assert_allclose(posterior.mean, PRIOR.mean, atol=1e-12)
    np.testing.assert_allclose(posterior.covariance, prior_covariance(PRIOR), rtol=1e-9, atol=1e-12)
