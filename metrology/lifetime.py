"""Time to nonconformity of a lot by the Weibull distribution, from censored data, with likelihood intervals.

Meters are tested now and then: one found conforming at an age is right-censored there, one found nonconforming
failed some time before (interval or left-censored). Maximum likelihood by scipy.optimize; intervals are those of the
profile likelihood (Meeker and Escobar, Statistical Methods for Reliability Data, chapters 7 and 8), which stay within
(0, 1) and need no symmetry. Ages in years.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from metrology.arrays import check_probability, finite, finite_scalar, floats, same_shape
from metrology.errors import InvalidInputError
from metrology.proportions import ProportionInterval

_SHAPE_RANGE: Final = (0.05, 60.0)  # beyond, the data don't determine the shape
_LONGEST_YEARS: Final = 1000.0  # a longer life is a mistake of units
_MOST_UNITS: Final = 1e12
_PENALTY: Final = 1e300


@dataclass(frozen=True, slots=True)
class AgeInterval:
    """An age [years] with its two-sided interval at `confidence` [1]; the upper end may be infinite."""

    estimate_years: float
    lower_years: float
    upper_years: float
    confidence: float


@dataclass(frozen=True, slots=True)
class LifetimeData:
    """When units became nonconforming: after `lower_years`, not after `upper_years` [years], and how many each.

    Equal bounds: exactly then. Upper bound inf: still conforming at the lower one. Lower bound 0: at some time before
    the upper one.
    """

    lower_years: NDArray[np.float64]
    upper_years: NDArray[np.float64]
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WeibullFit:
    """F(t) = 1 - exp(-(t / scale)^shape), fitted to `data` by maximum likelihood."""

    shape: float
    scale_years: float
    log_likelihood: float
    units: int
    failures: int
    data: LifetimeData


def lifetime_data(lower_years: ArrayLike, upper_years: ArrayLike, count: ArrayLike = 1) -> LifetimeData:
    """Check and condense censored lifetimes: arrays of equal length, 0 <= lower <= upper, upper > 0."""
    lower, upper, number = same_shape(
        lower_years=floats("lower_years", lower_years),
        upper_years=floats("upper_years", upper_years),
        count=floats("count", count),
    )
    lower, upper, number = lower.ravel(), upper.ravel(), number.ravel()
    whole_number = (number >= 1) & (number <= _MOST_UNITS) & (number == np.floor(number))
    known = (lower <= _LONGEST_YEARS) & ((upper <= _LONGEST_YEARS) | np.isposinf(upper))
    bad = ~((lower >= 0) & (lower <= upper) & (upper > 0) & known & whole_number)
    if lower.size == 0:
        raise InvalidInputError("lifetimes: the table is empty; give at least one unit")
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidInputError(
            f"lifetimes: row {row} ({lower[row]:g} to {upper[row]:g} years, count {number[row]}) "
            f"must hold 0 <= lower <= upper <= {_LONGEST_YEARS:g} (or inf), upper above 0, a whole count above 0"
        )
    pairs, group = np.unique(np.column_stack((lower, upper)), axis=0, return_inverse=True)
    totals = np.bincount(group.ravel(), weights=number).astype(np.int64)
    return LifetimeData(pairs[:, 0], pairs[:, 1], totals)


def data_from_inspections(age_years: ArrayLike, nonconforming: ArrayLike) -> LifetimeData:
    """Each unit tested once, at an age [years], and found nonconforming or not (current-status data)."""
    found = np.asarray(nonconforming)
    if found.dtype != np.bool_ and not (found.dtype.kind in "iu" and np.isin(found, (0, 1)).all()):
        raise InvalidInputError(f"nonconforming must hold True or False (1 or 0) for each unit; it holds {found.dtype}")
    age, failed = same_shape(age_years=floats("age_years", age_years), nonconforming=found.astype(np.bool_))
    return lifetime_data(np.where(failed, 0.0, age), np.where(failed, age, np.inf))


def fit_weibull(data: LifetimeData) -> WeibullFit:
    """Fit shape and scale by maximum likelihood.

    Raises InvalidInputError where the data can't determine them: no failure at all (see `zero_failure_bound`), nothing
    but failures before their first test, or failures and survivors so apart that any steep shape fits.
    """
    failures = int(data.count[np.isfinite(data.upper_years)].sum())
    if not np.any(data.lower_years > 0):
        raise InvalidInputError(
            "lifetimes: no unit is known to have conformed at any age, so nothing bounds the failures"
        )
    if failures == 0:
        raise InvalidInputError("lifetimes: no unit failed, so no shape can be fitted; assume one (zero_failure_bound)")

    def negative(x: NDArray[np.float64]) -> float:
        return -_log_likelihood(data, float(x[0]), float(x[1]))

    found = optimize.minimize(negative, _best_of_grid(data), method="Nelder-Mead", tol=1e-9)
    mu, shape = float(found.x[0]), math.exp(float(found.x[1]))
    if not found.success or not _SHAPE_RANGE[0] * 1.01 < shape < _SHAPE_RANGE[1] / 1.01 or abs(mu) > 50:
        raise InvalidInputError(
            f"lifetimes: {failures} failures among {int(data.count.sum())} units don't determine shape and scale "
            f"(shape {shape:.3g}); test units of other ages, or assume a shape"
        )
    return WeibullFit(shape, math.exp(mu), -float(found.fun), int(data.count.sum()), failures, data)


def proportion_failed(fit: WeibullFit, age_years: float, confidence: float = 0.95) -> ProportionInterval:
    """F(age): the proportion of the lot nonconforming at an age [years], with its profile-likelihood interval.

    Through w = ln(-ln(1 - F)) = shape (ln age - ln scale), which runs over all real numbers.
    """
    check_probability("confidence", confidence)
    finite_scalar("age", age_years, "years", above=0.0)
    if not 1 / _LONGEST_YEARS <= age_years <= _LONGEST_YEARS:
        raise InvalidInputError(f"age {age_years:g} years must be from {1 / _LONGEST_YEARS:g} to {_LONGEST_YEARS:g}")
    log_age = math.log(age_years)
    best = fit.shape * (log_age - math.log(fit.scale_years))
    low, high = _profile_interval(fit, best, lambda w, shape: log_age - w / shape, confidence, reach=60.0)
    return ProportionInterval(_cloglog(best), _cloglog(low), _cloglog(high), confidence, "Weibull, profile likelihood")


def age_at_proportion(fit: WeibullFit, proportion: float, confidence: float = 0.95) -> AgeInterval:
    """The age [years] at which a proportion [1] of the lot is nonconforming, with its profile-likelihood interval."""
    check_probability("confidence", confidence)
    check_probability("proportion", proportion)
    offset = math.log(-math.log1p(-proportion))
    best = math.log(fit.scale_years) + offset / fit.shape
    low, high = _profile_interval(fit, best, lambda x, shape: x - offset / shape, confidence, reach=20.0)
    return AgeInterval(math.exp(best), math.exp(low), math.exp(high) if math.isfinite(high) else math.inf, confidence)


def zero_failure_bound(
    age_years: ArrayLike, shape: float, at_age_years: float, confidence: float = 0.95
) -> ProportionInterval:
    """No unit failed: the largest proportion failed by `at_age_years` that this allows, the shape being assumed.

    Units still conforming at ages t_i [years] leave scale^shape >= sum t_i^shape / -ln(1 - confidence) (Meeker and
    Escobar, 7.7). The bound is one-sided; the estimate and the lower end are 0. It is as good as the assumed shape.
    """
    check_probability("confidence", confidence)
    ages = finite("age", age_years, "years", above=0.0)
    finite_scalar("at_age_years", at_age_years, "years", above=0.0)
    finite_scalar("shape", shape, above=0.0)
    if ages.size == 0 or not ages.max() <= _LONGEST_YEARS or not _SHAPE_RANGE[0] <= shape <= _SHAPE_RANGE[1]:
        raise InvalidInputError(
            f"zero_failure_bound needs ages above 0, at most {_LONGEST_YEARS:g} years, and a shape from"
            f" {_SHAPE_RANGE[0]:g} to {_SHAPE_RANGE[1]:g}; it got {ages.size} ages and shape {shape:g}"
        )
    with np.errstate(over="ignore"):  # an infinite exposure leaves a bound of 0, a vanishing one of 1
        exposure = max(float(np.sum((ages / at_age_years) ** shape)), 1e-300)
    upper = -math.expm1(math.log1p(-confidence) / exposure)
    return ProportionInterval(0.0, 0.0, upper, confidence, f"no failure, assumed Weibull shape {shape:g}, one-sided")


def _log_likelihood(data: LifetimeData, mu: float, log_shape: float) -> float:
    """ln L at mu = ln scale and ln shape; cumulative hazards H = (t / scale)^shape at either bound."""
    if not math.log(_SHAPE_RANGE[0]) <= log_shape <= math.log(_SHAPE_RANGE[1]):
        return -_PENALTY
    shape = math.exp(log_shape)
    exact = data.lower_years == data.upper_years
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (_hazard(bound, mu, shape) for bound in (data.lower_years, data.upper_years))
        density = log_shape - np.log(data.upper_years) + np.log(high) - high
        between = -low + np.log(-np.expm1(low - high))
    value = float(np.sum(data.count * np.where(exact, density, between)))
    return value if math.isfinite(value) else -_PENALTY


def _hazard(age: NDArray[np.float64], mu: float, shape: float) -> NDArray[np.float64]:
    """The cumulative hazard (t / scale)^shape: 0 at age 0, inf at inf, else finite."""
    with np.errstate(divide="ignore"):
        exponent = shape * (np.log(age) - mu)
    result: NDArray[np.float64] = np.where(np.isinf(age), np.inf, np.exp(np.minimum(exponent, 700.0)))
    return result


def _best_of_grid(data: LifetimeData) -> list[float]:
    """A start for the search: the best of a coarse grid, since censored likelihoods are flat far from their top."""
    known = np.concatenate((data.lower_years[data.lower_years > 0], data.upper_years[np.isfinite(data.upper_years)]))
    mus = np.log(np.geomspace(known.min() / 2, known.max() * 50, 30))
    log_shapes = np.log([0.3, 0.7, 1.2, 2.0, 3.5, 6.0, 12.0, 25.0])
    grid = [(_log_likelihood(data, mu, log_shape), mu, log_shape) for mu in mus for log_shape in log_shapes]
    return list(max(grid)[1:])


def _profile_interval(
    fit: WeibullFit, best: float, mu_of: Callable[[float, float], float], confidence: float, reach: float
) -> tuple[float, float]:
    """Where the profile likelihood of a quantity has fallen by half the chi-squared quantile, either side of `best`.

    `mu_of(value, shape)` gives ln scale. An end that lies beyond `reach` is infinite: the data don't bound it.
    """
    drop = stats.chi2.ppf(confidence, 1) / 2.0
    log_best = math.log(fit.shape)
    bounds = (max(math.log(_SHAPE_RANGE[0]), log_best - 4.0), min(math.log(_SHAPE_RANGE[1]), log_best + 4.0))

    def excess(value: float) -> float:
        profile = optimize.minimize_scalar(
            lambda s: -_log_likelihood(fit.data, mu_of(value, math.exp(s)), s), bounds=bounds, method="bounded"
        )
        return min(float(fit.log_likelihood + profile.fun), _PENALTY) - drop

    def end(direction: float) -> float:
        inside, outside = best, best + direction * 0.05
        while excess(outside) < 0:
            inside, outside = outside, best + 2.0 * (outside - best)
            if abs(outside - best) > reach:
                return direction * math.inf
        return float(optimize.brentq(excess, inside, outside, xtol=1e-9))

    return end(-1.0), end(1.0)


def _cloglog(w: float) -> float:
    """F from w = ln(-ln(1 - F)); the ends of the line give 0 and 1."""
    if math.isinf(w):
        return 0.0 if w < 0 else 1.0
    return -math.expm1(-math.exp(min(w, 700.0)))
