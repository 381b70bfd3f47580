"""Why a meter's balance gives what it gives: the terms of its estimate, the budget of its uncertainty, what would help.

Pure. With the posterior covariance C, the information I = AᵀWA/σ² and the prior's precision P⁻¹, C = (I + P⁻¹)⁻¹:

- the estimate is a sum over time, m = Σ_t C A_tᵀ w_t y_t / σ², here by day;
- the variance is C = C I C + C P⁻¹ C: what the noise of the readings leaves, and for each unknown j the share
  C_ij²/P_jj that not knowing it beforehand leaves. These add up exactly, and make a budget (GUM, 5.1.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from metrology.nonconformity import probability_nonconforming
from verifier.balance import Posterior, balance_posterior
from verifier.balance_settings import BalanceSettings
from verifier.zone_window import DAY_US, MemberSeries, MeterAssessment, ZoneFacts, window_balance

Floats = NDArray[np.float64]
_TEST_STD_PCT = 0.2  # of a test on site with a good standard
_BETTER_REFERENCE = 1 / 3  # of the uncertainty that is stated


@dataclass(frozen=True)
class Component:
    """A part of the standard uncertainty [%]; the squares of all add up to the square of the whole."""

    name: str
    std_pct: float


@dataclass(frozen=True)
class Remedy:
    """What would make the estimate surer: the standard uncertainty then [%], and ln(before/after), the gain [nat]."""

    text: str
    std_pct: float
    gain_nat: float
    decidable: bool


@dataclass(frozen=True)
class Explanation:
    """What a meter's estimate in a window rests on.

    `terms_pct` are the parts of d = 1/(1 + e) − 1 by the day that they come from [us since 1970, %]; `d_pct` is their
    sum, `error_pct` = 100·(1/(1 + d) − 1). `readings` counts the meter's own, from `first_us` to `last_us`. `collected`
    gives by meter_id the share of instants at which it is known. `noise` [base unit] is that of one interval,
    `quantisation` the part of it that the registers' resolution makes.
    """

    readings: int
    first_us: int
    last_us: int
    collected: dict[int, float]
    intervals: int
    noise: float
    quantisation: float
    autocorrelation: float
    prior_sd_pct: float
    widened_sd_pct: float
    terms_pct: tuple[tuple[int, float], ...]
    d_pct: float
    error_pct: float
    std_pct: float
    budget: tuple[Component, ...]
    remedies: tuple[Remedy, ...]


def explain_window(
    zone: ZoneFacts, members: Sequence[MemberSeries], one: MeterAssessment, settings: BalanceSettings
) -> Explanation | None:
    """The explanation of an assessment, from the same members; None where the window gives no estimate."""
    customers = [member for member in members if not member.is_reference]
    i = next((k for k, member in enumerate(customers) if member.meter_id == one.meter_id), None)
    if i is None or len(customers) == len(members):
        return None
    given, collected = window_balance(zone, members, one.start_us, one.end_us, settings)
    try:
        solved = balance_posterior(given)
    except ValueError:
        return None
    ratio = max(1.0 + float(solved.mean[i]), 0.05)
    slope_pct = 100 / ratio**2  # |∂e/∂d|, in %
    quantisation = float((np.sum(given.resolution**2) + given.reference_resolution**2) / 6)
    budget = _budget(solved, i, slope_pct, quantisation, settings)
    member = customers[i]
    low, high = np.searchsorted(member.observed_us, [one.start_us, one.end_us])
    high += int(high < member.observed_us.size and member.observed_us[high] == one.end_us)
    times = member.observed_us[low:high]
    return Explanation(
        readings=int(times.size),
        first_us=int(times[0]) if times.size else one.start_us,
        last_us=int(times[-1]) if times.size else one.end_us,
        collected=collected,
        intervals=int(solved.y.size),
        noise=float(np.sqrt(solved.noise_variance)),
        quantisation=float(np.sqrt(quantisation)),
        autocorrelation=solved.autocorrelation,
        prior_sd_pct=member.prior_sd_pct,
        widened_sd_pct=100 * float(solved.prior_sd[i]),
        terms_pct=_terms(solved, given.intervals.end_us, i),
        d_pct=100 * float(solved.mean[i]),
        error_pct=100 * (1 / ratio - 1),
        std_pct=float(np.sqrt(sum(part.std_pct**2 for part in budget))),
        budget=budget,
        remedies=_remedies(solved, i, slope_pct, quantisation, one.mpe_pct, settings),
    )


def _terms(solved: Posterior, end_us: NDArray[np.int64], i: int) -> tuple[tuple[int, float], ...]:
    parts = solved.design @ solved.covariance[i] * solved.weight * solved.y / solved.noise_variance
    days, of_row = np.unique((end_us - 1) // DAY_US, return_inverse=True)
    sums = np.bincount(of_row, weights=parts)
    return tuple((int(day) * DAY_US, 100 * float(part)) for day, part in zip(days, sums, strict=True))


def _budget(
    solved: Posterior, i: int, slope_pct: float, quantisation: float, settings: BalanceSettings
) -> tuple[Component, ...]:
    row = solved.covariance[i]
    noise = float(row @ (_information(solved) @ row))
    registers = min(quantisation / solved.noise_variance, 1.0) * noise
    by_prior = (row / solved.prior_sd) ** 2
    n = solved.clock_variance.size
    others = float(np.sum(by_prior[:n]) - by_prior[i])
    variances = {
        "noise of the intervals": noise - registers,
        "resolution of the registers": registers,
        "this meter's prior: what the readings do not tell": float(by_prior[i]),
        "errors of the other meters": others,
    }
    for term, value in zip(solved.terms[n:], by_prior[n:], strict=True):
        variances[term] = variances.get(term, 0.0) + float(value)
    parts = [Component(name, slope_pct * float(np.sqrt(max(value, 0.0)))) for name, value in variances.items()]
    parts.append(Component("clocks", 100 * float(np.sqrt(solved.clock_variance[i]))))
    parts.append(Component("floor for what the model leaves out", settings.std_floor_pct))
    return tuple(sorted(parts, key=lambda part: -part.std_pct))


def _remedies(
    solved: Posterior, i: int, slope_pct: float, quantisation: float, mpe_pct: float | None, settings: BalanceSettings
) -> tuple[Remedy, ...]:
    """Each remedy's effect by solving for the covariance anew; those that gain less than 1 % are left out."""
    information, prior = _information(solved), solved.prior_sd
    n = solved.clock_variance.size
    fine = max(1 - quantisation / solved.noise_variance, 0.05)
    is_gain = np.array([term == "gain of the reference" for term in solved.terms])
    is_loss = np.array([term == "losses" for term in solved.terms])
    test = np.zeros(prior.size)
    test[i] = (slope_pct / _TEST_STD_PCT) ** 2
    clocks = float(solved.clock_variance[i])
    cases = [
        (f"a test on site of this meter with u = {_TEST_STD_PCT:g} %", information + np.diag(test), prior, clocks),
        ("twice as many days", 2 * information, prior, clocks),
        ("a reference three times as sure", information, np.where(is_gain, _BETTER_REFERENCE * prior, prior), clocks),
        ("losses known from the network's plan", information, np.where(is_loss, 0.1 * prior, prior), clocks),
        ("registers of ten times finer resolution", information / fine, prior, clocks),
        ("clocks that are right", information, prior, 0.0),
        ("all other meters tested", information, _tested(prior, i, n, slope_pct), clocks),
    ]
    before = _std_pct(information, prior, clocks, i, slope_pct, settings)
    found = []
    for text, data, sd, clock_variance in cases:
        after = _std_pct(data, sd, clock_variance, i, slope_pct, settings)
        if after < 0.99 * before:
            decidable = mpe_pct is not None and bool(
                probability_nonconforming(0.0, after, mpe_pct) < settings.clear_probability
            )
            found.append(Remedy(text, after, float(np.log(before / after)), decidable))
    return tuple(sorted(found, key=lambda one: -one.gain_nat))


def _tested(prior_sd: Floats, i: int, n: int, slope_pct: float) -> Floats:
    others = prior_sd.copy()
    others[:n] = np.minimum(others[:n], _TEST_STD_PCT / slope_pct)
    others[i] = prior_sd[i]
    return others


def _information(solved: Posterior) -> Floats:
    information: Floats = solved.design.T @ (solved.weight[:, None] * solved.design) / solved.noise_variance
    return information


def _std_pct(
    information: Floats, prior_sd: Floats, clock_variance: float, i: int, slope_pct: float, settings: BalanceSettings
) -> float:
    unit = np.zeros(prior_sd.size)
    unit[i] = 1.0
    variance = float(scipy.linalg.solve(information + np.diag(prior_sd**-2.0), unit, assume_a="pos")[i])
    return float(np.sqrt(slope_pct**2 * variance + settings.std_floor_pct**2 + 1e4 * clock_variance))
