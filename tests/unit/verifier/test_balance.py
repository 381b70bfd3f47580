"""The zone balance against an independent solution and against zones with known errors."""

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

from metrology.quantities import Medium
from verifier.balance.window_model import BalanceInput, BalanceResult, solve_balance
from verifier.grid import ZoneIntervals

QUARTER_US = 900_000_000


def make_zone(
    seed: int,
    meters: int = 12,
    days: int = 14,
    first_error: float | None = None,
    first_from: float = 0.0,
    alike: float = 0.0,
) -> tuple[NDArray[np.float64], BalanceInput]:
    """A zone with fixed and quadratic losses, its reference's gain and 1 Wh registers: errors [%] and input."""
    rng = np.random.default_rng(seed)
    steps = np.arange(days * 96)
    shape = 1 + 0.5 * np.sin(2 * np.pi * (steps[:, None] / 96 + rng.random(meters)))
    x = rng.lognormal(-1.5, 0.5, meters) * (0.3 + np.exp(rng.normal(0, 0.9, (steps.size, meters)))) * shape
    x = (1 - alike) * x + alike * x.mean(axis=1, keepdims=True)
    error = np.tile(rng.normal(0, 0.005, meters), (steps.size, 1))
    if first_error is not None:
        error[int(first_from * steps.size) :, 0] = first_error
    total = x.sum(axis=1)
    loss = 0.01 * total.mean() + 0.015 * total**2 / total.mean()
    reference = (1 + rng.normal(0, 0.003)) * (total + loss) * (1 + rng.normal(0, 0.001, steps.size))
    edges = np.arange(steps.size + 1) * QUARTER_US
    intervals = ZoneIntervals(
        edges[:-1], edges[1:], _registered(x * (1 + error)), _registered(reference[:, None])[:, 0]
    )
    zone = BalanceInput(intervals, Medium.ELECTRICITY, np.full(meters, 0.5), np.full(meters, 0.001), 0.001, 0.3)
    return 100 * error[-1], zone


def _registered(quantity: NDArray[np.float64], resolution: float = 0.001) -> NDArray[np.float64]:
    start = np.zeros((1, quantity.shape[1]))
    cumulative = np.floor(np.cumsum(np.vstack([start, quantity]), axis=0) / resolution) * resolution
    return np.diff(cumulative, axis=0)


def test_equals_least_squares_with_the_prior_as_further_rows() -> None:
    """Oracle: the posterior mean is the least-squares solution of the data stacked on the prior."""
    _, zone = make_zone(5)
    result = solve_balance(zone, std_floor_pct=0.0)
    x = zone.intervals.customers
    total, load = x.sum(axis=1), x.sum(axis=1).mean()
    design = np.column_stack([x, total, np.full(total.size, load), total**2 / load])
    sd = np.array([*(result.prior_sd_pct / 100), 0.003, 0.02, 0.03])
    stacked = np.vstack([design / result.noise, np.diag(1 / sd)])
    target = np.concatenate([(zone.intervals.reference - total) / result.noise, np.zeros(sd.size)])
    solution = np.linalg.lstsq(stacked, target, rcond=None)[0][: x.shape[1]]
    covariance = np.linalg.inv(stacked.T @ stacked)
    np.testing.assert_allclose(result.error_pct, 100 * (1 / (1 + solution) - 1), atol=1e-4)
    std = np.sqrt(np.diag(covariance))[: x.shape[1]] / (1 + solution) ** 2
    np.testing.assert_allclose(result.std_pct, 100 * std, rtol=1e-3)
    # The t prior's own condition: each meter's variance is the mean of its inverse gamma, given its estimate.
    squares = (solution**2 + np.diag(covariance)[: x.shape[1]]) / (zone.prior_sd_pct / 100) ** 2
    np.testing.assert_allclose(result.prior_sd_pct, zone.prior_sd_pct * np.sqrt((4 + squares) / 5), rtol=3e-3)


def test_the_stated_uncertainty_holds() -> None:
    """Over zones never tuned on, 95 % intervals cover 93 to 99 % and healthy meters are known better than before."""
    pulls, errors, truths = [], [], []
    for seed in range(1000, 1040):
        truth, zone = make_zone(seed, days=7)
        result = solve_balance(zone, std_floor_pct=0.05)
        pulls.append((result.error_pct - truth) / result.std_pct)
        errors.append(result.error_pct - truth)
        truths.append(truth)
    coverage = np.mean(np.abs(pulls) < scipy.stats.norm.ppf(0.975))
    assert 0.93 <= coverage <= 0.99
    assert np.sqrt(np.mean(np.square(errors))) < 0.4 * np.sqrt(np.mean(np.square(truths)))


@pytest.mark.parametrize("error", [0.04, -0.05])
def test_a_meter_far_out_is_found_and_its_neighbours_are_not_blamed(error: float) -> None:
    truth, zone = make_zone(7, first_error=error)
    result = solve_balance(zone, std_floor_pct=0.05)
    assert abs(result.error_pct[0] - truth[0]) < 3.5 * result.std_pct[0]
    assert np.all(np.abs(result.error_pct[1:]) < 2.0)


def test_a_gross_fault_is_not_hidden_by_the_prior_when_the_loads_are_alike() -> None:
    """A normal prior would share out what a meter 25 spreads off does to the zone, and call all of them healthy."""
    truth, zone = make_zone(21, meters=10, first_error=-0.14, alike=0.7)
    result = solve_balance(zone, std_floor_pct=0.05)
    assert abs(result.error_pct[0] - truth[0]) < 4 * result.std_pct[0]
    assert result.error_pct[0] < -10
    assert np.all(np.abs(result.error_pct[1:] - truth[1:]) < 4 * result.std_pct[1:])


def test_an_error_that_changed_within_the_window_is_told_by_its_halves() -> None:
    steady = solve_balance(make_zone(11)[1], 0.05)
    changed = solve_balance(make_zone(11, first_error=0.05, first_from=0.5)[1], 0.05)
    assert steady.change_chi2.mean() < 4
    assert changed.change_chi2.argmax() == 0
    assert changed.change_chi2[0] > 50
    assert 3 < changed.change_pct[0] < 7


def test_residuals_that_hang_together_widen_the_uncertainty() -> None:
    _, zone = make_zone(3)
    rng = np.random.default_rng(0)
    red = scipy.signal.lfilter([1], [1, -0.9], rng.normal(0, 0.002, zone.intervals.reference.size))
    white = rng.permutation(red)

    def solved(noise: NDArray[np.float64]) -> BalanceResult:
        shifted = ZoneIntervals(
            zone.intervals.start_us,
            zone.intervals.end_us,
            zone.intervals.customers,
            zone.intervals.reference + 10 * noise,
        )
        return solve_balance(BalanceInput(shifted, zone.medium, zone.prior_sd_pct, zone.resolution, 0.001, 0.3), 0.0)

    assert solved(red).autocorrelation > 0.6
    assert solved(white).autocorrelation < 0.2
    assert np.all(solved(red).std_pct > solved(white).std_pct)


def test_without_consumption_or_intervals_nothing_is_claimed() -> None:
    edges = np.arange(4) * QUARTER_US
    idle = ZoneIntervals(edges[:-1], edges[1:], np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="nothing was consumed"):
        solve_balance(BalanceInput(idle, Medium.WATER, np.ones(2), np.ones(2), 1.0, 0.3), 0.0)
    short = ZoneIntervals(edges[:1], edges[1:2], np.ones((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match="two intervals"):
        solve_balance(BalanceInput(short, Medium.WATER, np.ones(2), np.ones(2), 1.0, 0.3), 0.0)


def test_losses_by_place_are_not_taken_for_errors() -> None:
    """Customers on one line: the far ones cause most of the losses, which without their columns look like errors."""
    rng = np.random.default_rng(4)
    _, zone = make_zone(31, meters=20)
    x = zone.intervals.customers
    place = rng.random(20)
    loss = np.einsum("ti,ti->t", x @ np.minimum(place[:, None], place), x)
    reference = x.sum(axis=1) + loss * (0.03 * x.sum() / loss.sum())
    intervals = ZoneIntervals(zone.intervals.start_us, zone.intervals.end_us, x, reference)

    def largest(spread: float) -> float:
        given = BalanceInput(intervals, zone.medium, zone.prior_sd_pct, zone.resolution, 0.001, 0.3, 0.0, spread)
        return float(np.max(np.abs(solve_balance(given, 0.0).error_pct)))

    assert largest(0.5) < 0.5 * largest(0.0)


def test_a_zone_inside_may_have_a_line_of_its_own() -> None:
    """Half the load goes to a zone inside without any losses on the way: it is not taken to err by the others'."""
    rng = np.random.default_rng(6)
    _, zone = make_zone(32, meters=8)
    own = zone.intervals.customers
    inner = own.mean() * 8 * (0.5 + rng.random(own.shape[0]))
    total = own.sum(axis=1)
    reference = total + inner + 0.03 * total**2 / total.mean()
    x = np.column_stack([own, inner])
    intervals = ZoneIntervals(zone.intervals.start_us, zone.intervals.end_us, x, reference)
    sd, resolution = np.full(9, 0.5), np.full(9, 0.001)
    passes_on = np.arange(9) == 8
    told = solve_balance(BalanceInput(intervals, zone.medium, sd, resolution, 0.001, 0.3, passes_on=passes_on), 0.1)
    untold = solve_balance(BalanceInput(intervals, zone.medium, sd, resolution, 0.001, 0.3), 0.1)
    assert np.max(np.abs(told.error_pct)) < 1.0
    assert np.max(np.abs(untold.error_pct)) > 2 * np.max(np.abs(told.error_pct))
