"""The zone balance: what a zone's reference meter says about the errors of the meters behind it.

For each interval t, with the customers' quantities x_it, their errors e_i, the reference's own gain g and the losses:

    reference_t = (1 + g) · (Σ_i x_it / (1 + e_i) + loss_t) + noise_t

With d_i = 1/(1 + e_i) − 1 and S_t = Σ_i x_it this is linear to first order in small quantities:

    y_t = reference_t − S_t = Σ_i x_it · d_i + S_t · g + Σ_k l_kt · b_k + noise_t

Solved as a Bayesian linear model with normal priors for d, g and b: the posterior is N(m, C) with
C = (Aᵀ W A/σ² + P⁻¹)⁻¹ and m = C Aᵀ W y/σ² (Gelman et al., Bayesian Data Analysis, 3rd ed., section 14.8; prior
means are zero). The reference's gain is a parameter with its own prior, so that what can't be told from the mean of
all errors stays in their uncertainty. Losses are built from the customers' sum and time, never from the reference's
reading: that contains the noise which is to be explained.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from metrology.quantities import Medium
from verifier.grid import ZoneIntervals

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossPrior:
    """What is believed of a zone's losses before its data: standard deviations as a share of the mean load [%]."""

    constant_sd_pct: float
    quadratic_sd_pct: float


# Electricity: technical losses of low-voltage networks are some percent, partly fixed, partly with the square of the
# load. Water: background leakage of tens of percent is common, constant to first order. Gas: tight networks; a
# constant takes up what base conditions leave.
LOSS_PRIORS: dict[Medium, LossPrior] = {
    Medium.ELECTRICITY: LossPrior(constant_sd_pct=2.0, quadratic_sd_pct=3.0),
    Medium.WATER: LossPrior(constant_sd_pct=30.0, quadratic_sd_pct=0.0),
    Medium.GAS: LossPrior(constant_sd_pct=1.0, quadratic_sd_pct=0.0),
}


@dataclass(frozen=True)
class BalanceInput:
    """A zone's intervals and what is believed before: `prior_sd_pct` (N,), `resolution` (N,) [base unit]."""

    intervals: ZoneIntervals
    medium: Medium
    prior_sd_pct: Floats
    resolution: Floats
    reference_resolution: float
    reference_uncertainty_pct: float


@dataclass(frozen=True)
class BalanceResult:
    """Estimates `error_pct`, `std_pct`, shape (N,), and how well the model fits.

    `noise` [base unit] is the standard deviation of an interval of mean length, `noise_share_pct` the same against the
    mean load; `autocorrelation` that of successive residuals; `half_difference_chi2` the mean square of the
    standardised differences between the estimates of the window's halves (1 where the errors are constant); `loss_pct`
    the estimated loss against the customers' sum; `groups` the number of intervals.
    """

    error_pct: Floats
    std_pct: Floats
    noise: float
    noise_share_pct: float
    autocorrelation: float
    half_difference_chi2: float
    loss_pct: float
    groups: int


def solve_balance(zone: BalanceInput, std_floor_pct: float) -> BalanceResult:
    """The errors of a zone's meters, shape (N,) [%], with their standard uncertainty.

    `std_floor_pct` is added in quadrature for what the model leaves out (clock offsets, change within the window).
    Needs at least two intervals. Raises ValueError on fewer, or if nothing flowed in the window.
    """
    intervals = zone.intervals
    if intervals.reference.size < 2:
        raise ValueError("a balance needs at least two intervals")
    load = float(np.mean(np.abs(intervals.customers.sum(axis=1))))
    if load <= 0:
        raise ValueError("nothing was consumed in the window: a balance tells nothing")
    design, prior_sd = _design(zone, load)
    y = intervals.reference - intervals.customers.sum(axis=1)
    weight = _weights(intervals)
    fit = _fit(design, y, weight, prior_sd, _quantisation_variance(zone))
    n = intervals.customers.shape[1]
    d, variance = fit.mean[:n], np.diag(fit.covariance)[:n]
    ratio = np.maximum(1.0 + d, 0.05)  # true quantity over indicated; at 0 the meter's load would not exist
    error = 1.0 / ratio - 1.0
    slope = 1.0 / ratio**2  # |∂e/∂d|
    std = np.sqrt(variance * slope**2 + (std_floor_pct / 100) ** 2)
    loss = float(np.sum(design[:, n + 1 :] @ fit.mean[n + 1 :]) / np.sum(intervals.customers))
    return BalanceResult(
        error_pct=100 * error,
        std_pct=100 * std,
        noise=float(np.sqrt(fit.noise_variance)),
        noise_share_pct=float(100 * np.sqrt(fit.noise_variance) / load),
        autocorrelation=fit.autocorrelation,
        half_difference_chi2=_half_difference(design, y, weight, prior_sd, fit, n),
        loss_pct=100 * loss,
        groups=int(y.size),
    )


@dataclass(frozen=True)
class _Fit:
    mean: Floats
    covariance: Floats
    noise_variance: float
    autocorrelation: float


def _design(zone: BalanceInput, load: float) -> tuple[Floats, Floats]:
    """Columns: customers, the reference's gain, then the losses; and the prior's standard deviation of each."""
    x = zone.intervals.customers
    total = x.sum(axis=1)
    length = (zone.intervals.end_us - zone.intervals.start_us).astype(np.float64)
    length /= length.mean()
    columns = [x, total[:, None], load * length[:, None]]
    prior = LOSS_PRIORS[zone.medium]
    sd = [*(zone.prior_sd_pct / 100), zone.reference_uncertainty_pct / 100, prior.constant_sd_pct / 100]
    if prior.quadratic_sd_pct > 0:
        columns.append((total**2 / length / load)[:, None])
        sd.append(prior.quadratic_sd_pct / 100)
    # A standard deviation of zero (a reference said to be perfect) would divide by zero; 1e-7 is as good.
    return np.hstack(columns), np.maximum(np.array(sd), 1e-7)


def _weights(intervals: ZoneIntervals) -> Floats:
    """Inverse variance of each interval relative to one of mean length: noise accumulates with time."""
    length = (intervals.end_us - intervals.start_us).astype(np.float64)
    weights: Floats = length.mean() / length
    return weights


def _quantisation_variance(zone: BalanceInput) -> float:
    """Variance of an interval's balance by the resolution: two readings of Δ²/12 each a meter (GUM 4.3.7)."""
    return float((np.sum(zone.resolution**2) + zone.reference_resolution**2) / 6)


def _fit(design: Floats, y: Floats, weight: Floats, prior_sd: Floats, least_variance: float) -> _Fit:
    """Posterior with the noise's variance estimated from the residuals, inflated where they hang together in time."""
    precision = np.diag(1.0 / prior_sd**2)
    gram = design.T @ (weight[:, None] * design)
    moment = design.T @ (weight * y)
    variance = max(float(np.mean(weight * y**2)), least_variance)
    autocorrelation = 0.0
    for _ in range(20):
        factor = scipy.linalg.cho_factor(gram / variance + precision)
        mean = scipy.linalg.cho_solve(factor, moment / variance)
        covariance = scipy.linalg.cho_solve(factor, np.eye(prior_sd.size))
        residual = np.sqrt(weight) * (y - design @ mean)
        # trace of the hat matrix: how many parameters the data, not the prior, determined
        used = float(np.sum(covariance * gram)) / variance
        free = max(y.size - used, 1.0)
        autocorrelation = _autocorrelation(residual)
        # T residuals that hang together are worth T·(1 − ρ)/(1 + ρ) independent ones (Bayley and Hammersley, 1946).
        inflation = (1 + autocorrelation) / (1 - autocorrelation)
        updated = max(float(residual @ residual) / free * inflation, least_variance, 1e-30)
        converged = abs(updated - variance) <= 1e-6 * variance
        variance = updated
        if converged:
            break
    return _Fit(mean, covariance, variance, autocorrelation)


def _autocorrelation(residual: Floats) -> float:
    """Lag-one autocorrelation, from 0 to 0.95: a negative one is not taken as a gain."""
    power = float(residual @ residual)
    if power <= 0 or residual.size < 3:
        return 0.0
    return float(np.clip(residual[1:] @ residual[:-1] / power, 0.0, 0.95))


def _half_difference(design: Floats, y: Floats, weight: Floats, prior_sd: Floats, fit: _Fit, n: int) -> float:
    """Mean square of the standardised difference between the two halves' estimates of d.

    Each half is solved with the whole window's noise σ². A half's mean is m_h = K_h θ + C_h A_hᵀ W ε/σ² with
    K_h = I − C_h P⁻¹, so that m₁ − m₂ has the covariance Σ_h C_h I_h C_h + (K₁ − K₂) P (K₁ − K₂)ᵀ, I_h the information.
    """
    half = y.size // 2
    if half < 2:
        return 1.0
    precision = np.diag(1.0 / prior_sd**2)
    means, spreads, shrinks = [], [], []
    for rows in (slice(0, half), slice(half, None)):
        a, w = design[rows], weight[rows]
        information = a.T @ (w[:, None] * a) / fit.noise_variance
        covariance = scipy.linalg.inv(information + precision)
        means.append(covariance @ (a.T @ (w * y[rows])) / fit.noise_variance)
        spreads.append(covariance @ information @ covariance)
        shrinks.append(covariance @ precision)
    shrink = shrinks[0] - shrinks[1]
    spread = spreads[0] + spreads[1] + shrink @ np.diag(prior_sd**2) @ shrink.T
    difference = (means[0] - means[1])[:n]
    return float(np.mean(difference**2 / np.maximum(np.diag(spread)[:n], 1e-30)))
