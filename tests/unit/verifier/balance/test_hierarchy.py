"""The hierarchical model against the dense normal density of the same data, and its slope against differences."""

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose

from verifier.balance.hierarchy import Coefficients, ZoneData, most_probable, restricted, solve_given
from verifier.balance.types import Floats

SCALE = 0.6
FORM = Coefficients(types=2, trends=1, lots=3, trend_sd=0.2)


def some_zones(seed: int, count: int = 4, meters: int = 6) -> tuple[list[ZoneData], list[tuple[Floats, Floats]]]:
    """Zones, and each one's measurements y (N,) with their covariance V (N, N)."""
    rng = np.random.default_rng(seed)
    zones, measured = [], []
    for _ in range(count):
        types, lots = rng.integers(0, 2, meters), rng.integers(0, 3, meters)
        x = np.zeros((meters, FORM.count))
        x[:, 0] = 1.0
        x[np.arange(meters), 1 + types] = 1.0
        x[:, 3] = rng.normal(0, 3, meters) * (types == 0)
        x[np.arange(meters), 4 + lots] = 1.0
        root = rng.normal(size=(meters, meters)) * 0.2
        covariance = root @ root.T + 0.05 * np.eye(meters) + 0.1
        y = rng.normal(0.5 * types, 0.4) + rng.multivariate_normal(np.zeros(meters), covariance)
        information = np.linalg.inv(covariance)
        columns = np.flatnonzero(np.any(x != 0, axis=0))
        kept = np.zeros(meters, dtype=np.bool_)
        zones.append(ZoneData(information, information @ y, columns, x[:, columns], types.astype(np.intp), kept))
        measured.append((y, covariance))
    return zones, measured


def dense(zones: list[ZoneData], measured: list[tuple[Floats, Floats]], logs: Floats) -> float:
    """The restricted likelihood written out: y ~ N(1·μ, V + T + Z·B·Zᵀ), the common mean μ without prior."""
    x = np.zeros((sum(y.size for y, _ in measured), FORM.count))
    covariance, at = np.zeros((x.shape[0], x.shape[0])), 0
    for zone, (y, own) in zip(zones, measured, strict=True):
        part = slice(at, at + y.size)
        x[part, zone.columns] = zone.x
        covariance[part, part] = own + np.diag(np.exp(logs[3 + zone.type_of]))
        at += y.size
    of_prior = FORM.precision(logs)
    covariance += (x[:, 1:] / of_prior[1:]) @ x[:, 1:].T
    inverse, ones = np.linalg.inv(covariance), x[:, 0]
    y = np.concatenate([one for one, _ in measured])
    mean = (ones @ inverse @ y) / (ones @ inverse @ ones)
    square = (y - mean) @ inverse @ (y - mean)
    return float(-0.5 * (np.linalg.slogdet(covariance)[1] + np.log(ones @ inverse @ ones) + square))


def believed(logs: Floats) -> float:
    """What is believed of the variances: half-normals of their roots, and the types' about a common one."""
    halves = np.sum(logs[:3] / 2 - np.exp(logs[:3]) / (2 * SCALE**2))
    return float(halves - 0.5 * np.sum((logs[3:] - logs[2]) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_is_that_of_the_dense_normal_density(seed: int) -> None:
    zones, measured = some_zones(seed)
    rng = np.random.default_rng(100 + seed)
    one, other = rng.normal(-2, 1, 5), rng.normal(-2, 1, 5)
    made = restricted(zones, FORM, one, SCALE)[0] - restricted(zones, FORM, other, SCALE)[0]
    wanted = dense(zones, measured, one) + believed(one) - dense(zones, measured, other) - believed(other)
    assert made == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_slope_is_that_of_the_value(seed: int) -> None:
    zones, _ = some_zones(seed)
    logs = np.random.default_rng(seed).normal(-2, 1, 5)
    slope = restricted(zones, FORM, logs, SCALE)[1]
    for place in range(5):
        step = np.zeros(5)
        step[place] = 1e-5
        rise = restricted(zones, FORM, logs + step, SCALE)[0] - restricted(zones, FORM, logs - step, SCALE)[0]
        assert slope[place] == pytest.approx(rise / 2e-5, abs=1e-5)


def test_maximum_is_that_of_a_search_over_the_dense_density() -> None:
    zones, measured = some_zones(7, count=8)
    found = most_probable(zones, FORM, SCALE, np.full(5, -2.0))
    searched = scipy.optimize.minimize(
        lambda logs: -dense(zones, measured, logs) - believed(logs),
        np.full(5, -2.0),
        method="Nelder-Mead",
        options={"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-7, "fatol": 1e-12},
    )
    assert_allclose(found, searched.x, atol=2e-3)


def test_coefficients_are_the_generalised_least_squares_with_their_prior() -> None:
    zones, measured = some_zones(3)
    logs = np.array([-1.0, -2.0, -1.5, -2.0, -1.0])
    gram, moment = np.diag(FORM.precision(logs)), np.zeros(FORM.count)
    for zone, (y, covariance) in zip(zones, measured, strict=True):
        x = np.zeros((y.size, FORM.count))
        x[:, zone.columns] = zone.x
        weight = np.linalg.inv(covariance + np.diag(np.exp(logs[3 + zone.type_of])))
        gram += x.T @ weight @ x
        moment += x.T @ weight @ y
    solved = solve_given(zones, FORM, logs)
    assert_allclose(solved.total, gram, rtol=1e-8, atol=1e-8)
    assert_allclose(solved.moment, moment, rtol=1e-8, atol=1e-8)


def test_one_level_of_known_variances_is_the_random_effects_meta_analysis() -> None:
    """DerSimonian and Laird's problem: y_i ~ N(θ_i, v_i), θ_i ~ N(μ, τ²); the weights are 1/(v_i + τ²)."""
    y, v, tau2 = np.array([0.1, 0.9, -0.4, 0.6]), np.array([0.04, 0.09, 0.01, 0.25]), 0.16
    information = np.diag(1 / v)
    zone = ZoneData(information, y / v, np.array([0, 1]), np.ones((4, 2)), np.zeros(4, np.intp), np.zeros(4, np.bool_))
    solved = solve_given([zone], Coefficients(1, 0, 0, 1.0), np.log([1e-6, 1e-6, tau2, tau2]))
    mean = np.linalg.solve(solved.total, solved.moment)
    assert mean[0] == pytest.approx(np.sum(y / (v + tau2)) / np.sum(1 / (v + tau2)))
