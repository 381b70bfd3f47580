"""The zone balance: what a zone's reference meter says about the errors of the meters behind it.

For each interval t, with the customers' quantities x_it, their errors e_i, the reference's own gain g and the losses:

    reference_t = (1 + g) · (Σ_i x_it / (1 + e_i) + loss_t) + noise_t

With d_i = 1/(1 + e_i) − 1 and S_t = Σ_i x_it this is linear to first order in small quantities:

    y_t = reference_t − S_t = Σ_i x_it · d_i + S_t · g + Σ_k l_kt · b_k + noise_t

with, for electricity, losses that are constant, that go with S_t², and, for each customer's place in the network, with
x_it · S_t; for water constant ones and a daily course; for gas constant ones.

Solved as a Bayesian linear model: given the prior's variances P the posterior is N(m, C) with
C = (Aᵀ W A/σ² + P⁻¹)⁻¹ and m = C Aᵀ W y/σ² (Gelman et al., Bayesian Data Analysis, 3rd ed., section 14.8; prior
means are zero). Gain and losses have normal priors. A meter's error has a Student t prior: most meters are healthy, but
a faulty one lies far outside of their spread, and a normal prior would hide it by pulling it back and blaming its
neighbours. The t is a normal whose variance is s²/λ with λ unknown; λ is estimated together with the noise by
expectation–maximisation, E[λ] = (ν + 1)/(ν + (m² + C_ii)/s²) (ibid., section 12.1).

The reference's gain is a parameter with its own prior, so that what can't be told from the mean of all errors stays in
their uncertainty. Losses are built from the customers' sum and time, never from the reference's reading: that contains
the noise which is to be explained.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from metrology.quantities import Medium
from verifier.grid import ZoneIntervals

Floats = NDArray[np.float64]
_DAY_US = 86_400_000_000
_T_FREEDOM = 4.0  # of the meters' prior: tails that hold a fault of twenty spreads, a middle close to a normal
_FREE_AT_FIRST, _FREE_ITERATIONS, _ITERATIONS = 20.0, 10, 80


@dataclass(frozen=True)
class LossPrior:
    """What is believed of a zone's losses before its data: standard deviations as a share of the mean load [%].

    `daily_sd_pct` is that of a sine and a cosine of the time of day.
    """

    constant_sd_pct: float
    quadratic_sd_pct: float
    daily_sd_pct: float


# Electricity: technical losses of low-voltage networks are some percent, partly fixed, partly with the square of the
# load. Water: background leakage of tens of percent is common; it follows the pressure, and that the time of day. Gas:
# tight networks; a constant takes up what base conditions leave.
LOSS_PRIORS: dict[Medium, LossPrior] = {
    Medium.ELECTRICITY: LossPrior(constant_sd_pct=2.0, quadratic_sd_pct=3.0, daily_sd_pct=0.0),
    Medium.WATER: LossPrior(constant_sd_pct=30.0, quadratic_sd_pct=0.0, daily_sd_pct=5.0),
    Medium.GAS: LossPrior(constant_sd_pct=1.0, quadratic_sd_pct=0.0, daily_sd_pct=0.0),
}


@dataclass(frozen=True)
class BalanceInput:
    """A zone's intervals and what is believed before: `prior_sd_pct` (N,), `resolution` (N,) [base unit].

    `clock_sd_s` is the standard deviation of the meters' clocks. `loss_spread` is that of the line losses a customer
    causes about the zone's mean, as a share of the prior's of the quadratic losses. `passes_on` (N,) tells the
    references of zones inside from customers (None: there are none): a line of their own may bring them their load.
    """

    intervals: ZoneIntervals
    medium: Medium
    prior_sd_pct: Floats
    resolution: Floats
    reference_resolution: float
    reference_uncertainty_pct: float
    clock_sd_s: float = 0.0
    loss_spread: float = 0.0
    passes_on: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class BalanceResult:
    """Estimates `error_pct`, `std_pct`, shape (N,), and how well the model fits.

    `noise` [base unit] is the standard deviation of an interval of mean length, `noise_share_pct` the same against the
    mean load; `autocorrelation` that of successive residuals. `halves_chi2` (N,) is the square of the standardised
    difference between the estimates of the window's halves (1 where the error is constant), `change_chi2` (N,) the
    larger of that and the same for the last days against those before, `change_pct` (N,) the difference, later less
    earlier.
    `last_day_share` (N,) is what the meter registered a day in the last day against the window. `loss_pct` is the
    estimated loss against the customers' sum, `groups` the number of intervals. `prior_sd_pct` (N,) is the prior's
    spread as widened by λ, `information` (N,) the share of its variance that the data took away, 0 where they said
    nothing of the meter.
    """

    error_pct: Floats
    std_pct: Floats
    noise: float
    noise_share_pct: float
    autocorrelation: float
    halves_chi2: Floats
    change_chi2: Floats
    change_pct: Floats
    last_day_share: Floats
    loss_pct: float
    groups: int
    information: Floats
    prior_sd_pct: Floats


def solve_balance(zone: BalanceInput, std_floor_pct: float, recent_us: int = 0) -> BalanceResult:
    """The errors of a zone's meters, shape (N,) [%], with their standard uncertainty.

    `std_floor_pct` is added in quadrature for what the model leaves out, as are clocks and the spread of losses.
    `recent_us`: the last such time is held against the time before, to tell errors that have just changed. Needs at
    least two intervals. Raises ValueError on fewer, or if nothing flowed in the window.
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
    n = intervals.customers.shape[1]
    fit = _fit(design, y, weight, prior_sd, n, _quantisation_variance(zone))
    d, variance = fit.mean[:n], np.diag(fit.covariance)[:n]
    ratio = np.maximum(1.0 + d, 0.05)  # true quantity over indicated; at 0 the meter's load would not exist
    error = 1.0 / ratio - 1.0
    slope = 1.0 / ratio**2  # |∂e/∂d|
    std = np.sqrt(variance * slope**2 + (std_floor_pct / 100) ** 2 + _clock_variance(zone))
    halves = _changes(design, y, weight, fit, n, {y.size // 2})
    change, chi2 = _changes(design, y, weight, fit, n, _splits(intervals, recent_us))
    loss = float(np.sum(design[:, n + 1 :] @ fit.mean[n + 1 :]) / np.sum(intervals.customers))
    return BalanceResult(
        error_pct=100 * error,
        std_pct=100 * std,
        noise=float(np.sqrt(fit.noise_variance)),
        noise_share_pct=float(100 * np.sqrt(fit.noise_variance) / load),
        autocorrelation=fit.autocorrelation,
        halves_chi2=halves[1],
        change_chi2=chi2,
        change_pct=-100 * change * slope,
        last_day_share=_last_day_share(intervals),
        loss_pct=100 * loss,
        groups=int(y.size),
        information=1.0 - variance / fit.prior_sd[:n] ** 2,
        prior_sd_pct=100 * fit.prior_sd[:n],
    )


@dataclass(frozen=True)
class Posterior:
    """The solution behind a BalanceResult, for those who want to see it: y = A·θ + noise, θ ~ N(0, P), P diagonal.

    `design` A (T, K), `y` (T,) [base unit], `weight` W (T,), `mean` (K,), `covariance` (K, K), `prior_sd` (K,) with λ
    in it, `noise_variance` σ² [base unit²]; `terms` (K,) names what each column stands for. `clock_variance` (N,) is
    what clocks add to the variances of the first N columns, the customers'.
    """

    design: Floats
    y: Floats
    weight: Floats
    mean: Floats
    covariance: Floats
    prior_sd: Floats
    noise_variance: float
    autocorrelation: float
    terms: tuple[str, ...]
    clock_variance: Floats


def balance_posterior(zone: BalanceInput) -> Posterior:
    """The same as `solve_balance`, with all of its parts; raises as it does."""
    intervals = zone.intervals
    n = intervals.customers.shape[1]
    load = float(np.mean(np.abs(intervals.customers.sum(axis=1)))) if intervals.reference.size >= 2 else 0.0
    if load <= 0:
        raise ValueError("a balance needs at least two intervals in which something was consumed")
    design, prior_sd = _design(zone, load)
    y, weight = intervals.reference - intervals.customers.sum(axis=1), _weights(intervals)
    fit = _fit(design, y, weight, prior_sd, n, _quantisation_variance(zone))
    losses = design.shape[1] - n - 1
    terms = (*["error of a meter"] * n, "gain of the reference", *["losses"] * losses)
    return Posterior(
        design, y, weight, fit.mean, fit.covariance, fit.prior_sd, fit.noise_variance, fit.autocorrelation, terms,
        _clock_variance(zone),
    )  # fmt: skip


@dataclass(frozen=True)
class _Fit:
    mean: Floats
    covariance: Floats
    prior_sd: Floats  # of the meters as widened by their λ
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
        if zone.passes_on is not None and zone.passes_on.any():
            own = x[:, ~zone.passes_on].sum(axis=1)
            columns.append((own**2 / length / load)[:, None])
            sd.append(prior.quadratic_sd_pct / 100)
    if prior.quadratic_sd_pct > 0 and zone.loss_spread > 0:
        # The losses that a customer causes go with its load times that of the line, by an unknown place on it.
        columns.append(x * (total / length / load)[:, None])
        sd += [zone.loss_spread * prior.quadratic_sd_pct / 100] * x.shape[1]
    if prior.daily_sd_pct > 0:
        middle = (zone.intervals.start_us + zone.intervals.end_us) / 2 % _DAY_US * (2 * np.pi / _DAY_US)
        columns += [(load * length * np.sin(middle))[:, None], (load * length * np.cos(middle))[:, None]]
        sd += [prior.daily_sd_pct / 100] * 2
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


def _fit(design: Floats, y: Floats, weight: Floats, scale: Floats, n: int, least_variance: float) -> _Fit:
    """Posterior, the noise's variance and the meters' λ, each given the others, until they agree.

    The noise is estimated from the residuals and inflated where they hang together in time. Begun with all errors
    free: begun with the narrow prior, a fault would be taken for noise, which then is a solution as well.
    """
    gram = design.T @ (weight[:, None] * design)
    moment = design.T @ (weight * y)
    variance = max(float(np.mean(weight * y**2)), least_variance)
    prior_sd = scale.copy()
    prior_sd[:n] *= _FREE_AT_FIRST
    autocorrelation = 0.0
    for i in range(_ITERATIONS):
        factor = scipy.linalg.cho_factor(gram / variance + np.diag(1.0 / prior_sd**2))
        mean = scipy.linalg.cho_solve(factor, moment / variance)
        covariance = scipy.linalg.cho_solve(factor, np.eye(scale.size))
        residual = np.sqrt(weight) * (y - design @ mean)
        # trace of the hat matrix: how many parameters the data, not the prior, determined
        used = float(np.sum(covariance * gram)) / variance
        free = max(y.size - used, 1.0)
        autocorrelation = _autocorrelation(residual)
        # T residuals that hang together are worth T·(1 − ρ)/(1 + ρ) independent ones (Bayley and Hammersley, 1946).
        inflation = (1 + autocorrelation) / (1 - autocorrelation)
        updated = max(float(residual @ residual) / free * inflation, least_variance, 1e-30)
        squares = (mean[:n] ** 2 + np.diag(covariance)[:n]) / scale[:n] ** 2
        widened = scale[:n] * np.sqrt((_T_FREEDOM + squares) / (_T_FREEDOM + 1))
        steady = abs(updated - variance) <= 1e-3 * variance
        if steady and np.allclose(widened, prior_sd[:n], rtol=1e-3):
            break
        variance = updated
        if steady or i >= _FREE_ITERATIONS:
            prior_sd[:n] = widened
    return _Fit(mean, covariance, prior_sd, variance, autocorrelation)


def _autocorrelation(residual: Floats) -> float:
    """Lag-one autocorrelation, from 0 to 0.95: a negative one is not taken as a gain."""
    power = float(residual @ residual)
    if power <= 0 or residual.size < 3:
        return 0.0
    return float(np.clip(residual[1:] @ residual[:-1] / power, 0.0, 0.95))


def _clock_variance(zone: BalanceInput) -> Floats:
    """Variance of the errors, shape (N,), by the meters' clocks, which the model does not hold.

    A meter that is read the share c of an interval too early shows x_t − c·(x_t − x_{t−1}). What is left over goes with
    x_t and is taken for an error of c·(1 − ρ), ρ being the correlation of successive quantities (errors in variables;
    Fuller, Measurement Error Models, 1987, section 1.1).
    """
    x = zone.intervals.customers
    centred = x - x.mean(axis=0)
    power = np.maximum(np.sum(centred**2, axis=0), 1e-30)
    rho = np.clip(np.sum(centred[1:] * centred[:-1], axis=0) / power, 0.0, 1.0)
    interval_s = float(np.median(zone.intervals.end_us - zone.intervals.start_us)) / 1e6
    variance: Floats = (zone.clock_sd_s / interval_s * (1 - rho)) ** 2
    return variance


def _last_day_share(intervals: ZoneIntervals) -> Floats:
    last = intervals.start_us >= intervals.end_us[-1] - _DAY_US
    length = (intervals.end_us - intervals.start_us).astype(np.float64)
    rate = np.sum(intervals.customers, axis=0) / length.sum()
    recent = np.sum(intervals.customers[last], axis=0) / max(length[last].sum(), 1.0)
    share: Floats = np.where(rate != 0, recent / np.where(rate != 0, rate, 1.0), 0.0)
    return share


def _splits(intervals: ZoneIntervals, recent_us: int) -> set[int]:
    """Where the window is parted to look for changes: in the middle, and `recent_us` before its end."""
    recent = int(np.searchsorted(intervals.start_us, intervals.end_us[-1] - recent_us)) if recent_us else 0
    return {intervals.reference.size // 2, recent}


def _changes(design: Floats, y: Floats, weight: Floats, fit: _Fit, n: int, splits: set[int]) -> tuple[Floats, Floats]:
    """Of the splits, for each meter, the difference of d (later less earlier) that stands out most, and its square
    standardised, both shape (n,).

    Each part is solved with the whole window's noise σ². A part's mean is m_h = K_h θ + C_h A_hᵀ W ε/σ² with
    K_h = I − C_h P⁻¹, so that m₂ − m₁ has the covariance Σ_h C_h I_h C_h + (K₁ − K₂) P (K₁ − K₂)ᵀ, I_h the information.
    """
    change, chi2 = np.zeros(n), np.zeros(n)
    splits = {split for split in splits if 2 <= split <= y.size - 2}
    precision = np.diag(1.0 / fit.prior_sd**2)
    for split in splits:
        means, spreads, shrinks = [], [], []
        for rows in (slice(0, split), slice(split, None)):
            a, w = design[rows], weight[rows]
            information = a.T @ (w[:, None] * a) / fit.noise_variance
            factor = scipy.linalg.cho_factor(information + precision)
            covariance = scipy.linalg.cho_solve(factor, np.eye(fit.prior_sd.size))
            means.append(covariance @ (a.T @ (w * y[rows])) / fit.noise_variance)
            spreads.append(covariance @ information @ covariance)
            shrinks.append(covariance @ precision)
        shrink = shrinks[0] - shrinks[1]
        spread = spreads[0] + spreads[1] + shrink @ np.diag(fit.prior_sd**2) @ shrink.T
        difference = (means[1] - means[0])[:n]
        squares = difference**2 / np.maximum(np.diag(spread)[:n], 1e-30)
        change, chi2 = np.where(squares > chi2, difference, change), np.maximum(squares, chi2)
    return change, chi2
