"""The prior taken out of a posterior gives back the data's own likelihood."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from verifier.balance.likelihood import doubted, of_errors, without_prior


@given(seed=st.integers(0, 10_000), meters=st.integers(1, 8))
def test_likelihood_comes_back_whatever_the_prior(seed: int, meters: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(meters, meters))
    information, moment = root @ root.T + 0.5 * np.eye(meters), rng.normal(size=meters)
    own = rng.uniform(0.3, 2.0, meters)
    prior = np.diag(own**2) + rng.uniform(0, 1)
    prior_mean = rng.normal(size=meters)
    covariance = np.linalg.inv(information + np.linalg.inv(prior))
    mean = covariance @ (moment + np.linalg.solve(prior, prior_mean))
    found, of_found = without_prior(mean, covariance, prior_mean, prior)
    assert_allclose(found, information, rtol=1e-6, atol=1e-6)
    assert_allclose(of_found, moment, rtol=1e-6, atol=1e-5)


def test_a_meter_of_which_nothing_was_told_has_no_information() -> None:
    prior = np.diag([0.36, 0.36])
    covariance = np.diag([0.36, 0.04])
    information, moment = without_prior(np.array([0.1, 0.5]), covariance, np.array([0.1, 0.0]), prior)
    assert_allclose(information, np.diag([0.0, 25 - 1 / 0.36]), atol=1e-9)
    assert_allclose(moment, [0.0, 12.5], atol=1e-9)


def test_a_zone_whose_reference_may_err_tells_differences_better_than_levels() -> None:
    """Of N meters with y = θ + c·1 + noise the level has σ_c² + σ²/N, found through a posterior whose prior hid it."""
    n, gain, noise = 50, 0.3, 0.05
    covariance = gain**2 + noise**2 * np.eye(n)
    information = np.linalg.inv(covariance)
    prior = 0.6**2 * np.eye(n)
    posterior = np.linalg.inv(information + np.linalg.inv(prior))
    assert np.sqrt(posterior[0, 0]) < 0.1  # others' prior stands for what the reference does not tell
    found, _ = without_prior(np.zeros(n), posterior, np.zeros(n), prior)
    assert 1 / np.sum(found) == pytest.approx(gain**2 + noise**2 / n, rel=1e-6)


def test_coefficients_become_errors_to_first_order() -> None:
    """A coefficient d known to within ±s about d₀ is an error e = 1/(1 + d) − 1 known to within s/(1 + d₀)²."""
    d, s = -0.05, 0.002
    information, moment = of_errors(np.array([[s**-2]]), np.array([d / s**2]), np.array([1 + d]))
    assert 1 / np.sqrt(information[0, 0]) == pytest.approx(100 * s / (1 + d) ** 2)
    assert moment[0] / information[0, 0] == pytest.approx(100 * (1 / (1 + d) - 1))


def test_doubt_adds_to_the_variance_of_what_was_measured() -> None:
    rng = np.random.default_rng(5)
    root = rng.normal(size=(4, 4))
    covariance, y, doubt = root @ root.T + np.eye(4), rng.normal(size=4), np.array([0.1, 0.5, 1.0, 2.0])
    information = np.linalg.inv(covariance)
    found, moment = doubted(information, information @ y, doubt)
    assert_allclose(np.linalg.inv(found), covariance + np.diag(doubt**2), rtol=1e-9)
    assert_allclose(np.linalg.solve(found, moment), y, rtol=1e-9)
