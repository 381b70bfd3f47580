"""Drift of errors over age: when a meter's error reaches its limit, and how much of a lot is beyond it at a date.

Each meter's errors [%] at ages [years], with their standard uncertainties [%], give a straight path by weighted least
squares. A lot's paths are normally distributed among meters: the mean path and the spread between meters, freed of the
measurements' own scatter, give the proportion beyond the limits at any age (two-stage method: Lu and Meeker,
Technometrics 35, 1993; Meeker and Escobar, chapter 13). Straight lines and a normal spread are premises: a projection
further ahead than the record is long deserves distrust.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from metrology.arrays import FloatArray, check_probability, finite, finite_scalar, floats, same_shape, whole
from metrology.errors import InvalidInputError
from metrology.proportions import ProportionInterval

MIN_METERS: Final = 10
_LONGEST_YEARS: Final = 1000.0  # a longer life is a mistake of units
_LARGEST_PCT: Final = 1e9  # of errors and uncertainties, and the inverse of the smallest: squares stay finite
_LARGE_LOT: Final = 2_000  # meters; beyond, resampling each would cost seconds and change nothing


@dataclass(frozen=True, slots=True)
class Paths:
    """Straight error paths, one a meter: error = intercept [%] + slope [%/year] x age.

    `meter` holds the meters' numbers, `covariance` (meters, 2, 2) that of (intercept, slope). `birge_ratio` is the
    pooled scatter about the lines against the stated uncertainties; where above 1 the covariances are enlarged by its
    square. `dropped` lists meters with fewer than two ages: they have no path.
    """

    meter: NDArray[np.int64]
    intercept_pct: FloatArray
    slope_pct_per_year: FloatArray
    covariance: FloatArray
    birge_ratio: float
    dropped: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TimeToLimit:
    """Ages [years], arrays by meter, at which the error reaches a limit: estimated, and the ends of the interval.

    Infinite where it isn't going to; `earliest_years` is what a cautious replacement plan goes by.
    """

    estimate_years: FloatArray
    earliest_years: FloatArray
    latest_years: FloatArray


def fit_paths(meter: ArrayLike, age_years: ArrayLike, error_pct: ArrayLike, std_pct: ArrayLike) -> Paths:
    """Fit each meter's path by weighted least squares; arrays of equal length, one row a measurement, any order.

    `std_pct`: standard uncertainty of each error [%], above 0, independent from measurement to measurement.
    """
    given = floats("meter", meter)
    if not np.all((np.abs(given) < 2**53) & (given == np.floor(given))):
        raise InvalidInputError("paths: meter must hold whole numbers below 2**53, one a meter")
    number = given.astype(np.int64)
    age, error, std = same_shape(
        age_years=floats("age_years", age_years),
        error_pct=floats("error_pct", error_pct),
        std_pct=floats("std_pct", std_pct),
    )
    if not (number.ndim == 1 and number.shape == age.shape and number.size):
        raise InvalidInputError(
            f"paths: meter {number.shape} and measurements {age.shape} must be columns of equal length"
        )
    usable_row = (age >= 0) & (age <= _LONGEST_YEARS) & (np.abs(error) <= _LARGEST_PCT)
    usable_row &= (std >= 1 / _LARGEST_PCT) & (std <= _LARGEST_PCT)
    if bad := np.flatnonzero(~usable_row).tolist():
        row = bad[0]
        raise InvalidInputError(
            f"paths: row {row} (meter {number[row]}: {age[row]:g} years, {error[row]:g} ± {std[row]:g} %) lacks an age,"
            " an error or its uncertainty above 0"
        )
    meters, index = np.unique(number, return_inverse=True)
    weight = 1.0 / std**2

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(index, weights=values, minlength=meters.size).astype(np.float64)

    weights = total(weight)
    mean_age = total(weight * age) / weights
    mean_error = total(weight * error) / weights
    centred = age - mean_age[index]
    spread = total(weight * centred**2)
    usable = spread > 1e-9 * weights  # two ages at least some hours apart
    if not usable.any():
        raise InvalidInputError(
            "paths: no meter was measured at two ages; a single measurement shows no drift (see snapshot)"
        )
    slope = np.divide(total(weight * centred * error), spread, out=np.zeros_like(spread), where=usable)
    residual = error - mean_error[index] - slope[index] * centred
    ratio = _birge_ratio(total(weight * residual**2)[usable], (np.bincount(index) - 2)[usable])
    slope, spread, mean_age = slope[usable], spread[usable] / ratio**2, mean_age[usable]
    variance = np.empty((slope.size, 2, 2))
    variance[:, 0, 0] = ratio**2 / weights[usable] + mean_age**2 / spread
    variance[:, 0, 1] = variance[:, 1, 0] = -mean_age / spread
    variance[:, 1, 1] = 1.0 / spread
    return Paths(meters[usable], mean_error[usable] - slope * mean_age, slope, variance, ratio, meters[~usable])


def snapshot(error_pct: ArrayLike, std_pct: ArrayLike) -> Paths:
    """A lot measured once: paths without drift, which hold for the age at which they were measured and for no other."""
    error, std = same_shape(error_pct=floats("error_pct", error_pct), std_pct=floats("std_pct", std_pct))
    error, std = error.ravel(), std.ravel()
    if not np.all((np.abs(error) <= _LARGEST_PCT) & (std >= 0) & (std <= _LARGEST_PCT)):
        raise InvalidInputError("snapshot: errors must be finite and their uncertainties 0 or more")
    variance = np.zeros((error.size, 2, 2))
    variance[:, 0, 0] = std**2
    return Paths(np.arange(error.size), error, np.zeros_like(error), variance, 1.0, np.array([], dtype=np.int64))


def time_to_limit(
    paths: Paths, lower_pct: float, upper_pct: float, from_age_years: ArrayLike, confidence: float = 0.95
) -> TimeToLimit:
    """When each meter's error leaves [lower_pct, upper_pct], from its present age [years] on (scalar or by meter).

    The ends are where the path's confidence band meets the limit: a quadratic equation (Fieller). A meter that is
    already outside has its present age.
    """
    check_probability("confidence", confidence)
    _check_limits(lower_pct, upper_pct)
    z = float(special.ndtri((1.0 + confidence) / 2.0))
    start, _ = same_shape(
        from_age_years=finite("from_age_years", from_age_years, "years", least=0.0), meter=paths.meter
    )
    a, b, v = paths.intercept_pct, paths.slope_pct_per_year, paths.covariance
    up, down = _crossing(a, b, v, upper_pct, start, z), _crossing(-a, -b, v, -lower_pct, start, z)
    return TimeToLimit(*(np.minimum(one, other) for one, other in zip(up, down, strict=True)))


def lot_path(paths: Paths) -> tuple[FloatArray, FloatArray]:
    """Mean (intercept [%], slope [%/year]) of a lot and the covariance (2, 2) between its true paths."""
    if paths.meter.size < MIN_METERS:
        raise InvalidInputError(f"a lot can't be judged by {paths.meter.size} meters; measure at least {MIN_METERS}")
    centre, features = _features(paths)
    mean, between = _moments(features.mean(axis=0)[None], paths.meter.size, centre)
    return mean[0], between[0]


def proportion_beyond(
    paths: Paths,
    age_years: float,
    lower_pct: float,
    upper_pct: float,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> ProportionInterval:
    """The proportion of a lot whose true error is outside [lower_pct, upper_pct] [%] at an age [years].

    The meters given are a random sample of the lot. Interval: percentiles of `resamples` bootstrap lots (meters drawn
    with replacement, Efron), the same for the same seed. Raises InvalidInputError below 10 meters.
    """
    check_probability("confidence", confidence)
    _check_limits(lower_pct, upper_pct)
    finite_scalar("age_years", age_years, "years", least=0.0)
    whole("seed", seed, least=0)
    whole("resamples", resamples, least=100, most=1_000_000)
    size = paths.meter.size
    if size < MIN_METERS:
        raise InvalidInputError(f"a lot can't be judged by {size} meters; measure at least {MIN_METERS}")
    centre, features = _features(paths)
    rng = np.random.default_rng(seed)

    def beyond(means: FloatArray) -> FloatArray:
        return _beyond(*_moments(means, size, centre), age_years, lower_pct, upper_pct)

    estimate = float(beyond(features.mean(axis=0)[None])[0])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(beyond(_resampled_means(features, resamples, rng)), [tail, 1.0 - tail])
    return ProportionInterval(
        estimate, float(low), float(high), confidence, f"degradation paths, bootstrap seed {seed}"
    )


def _features(paths: Paths) -> tuple[FloatArray, FloatArray]:
    """A centre, and by meter what a lot's moments are averages of: a, b, a², ab, b² about it, the own variances."""
    centre = np.array([paths.intercept_pct.mean(), paths.slope_pct_per_year.mean()])  # keeps the squares small
    a, b, v = paths.intercept_pct - centre[0], paths.slope_pct_per_year - centre[1], paths.covariance
    return centre, np.column_stack((a, b, a * a, a * b, b * b, v[:, 0, 0], v[:, 0, 1], v[:, 1, 1]))


def _resampled_means(features: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Averages (resamples, 8) of lots drawn with replacement; of a large lot by their normal limit, as good there."""
    size = len(features)
    if size <= _LARGE_LOT:
        return rng.multinomial(size, np.full(size, 1.0 / size), resamples) @ features / size
    spread = np.cov(features, rowvar=False) / size
    return rng.multivariate_normal(features.mean(axis=0), spread, resamples, method="eigh", check_valid="ignore")


def _moments(means: FloatArray, size: int, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean (lots, 2) and covariance (lots, 2, 2) of true paths from the averages (lots, 8) of `_features`."""
    observed = (means[:, [2, 3, 4]] - means[:, [0, 0, 1]] * means[:, [0, 1, 1]]) * size / (size - 1)
    excess = observed - means[:, [5, 6, 7]]
    between = excess[:, [0, 1, 1, 2]].reshape(-1, 2, 2)
    values, vectors = np.linalg.eigh(between)  # scatter alone can exceed what was observed: no negative spread
    clipped = np.maximum(values, 0.0)
    return centre + means[:, :2], np.einsum("lij,lj,lkj->lik", vectors, clipped, vectors)


def _beyond(mean: FloatArray, between: FloatArray, age: float, lower: float, upper: float) -> FloatArray:
    """P(error outside the limits) at an age for each lot; without any spread the mean path decides."""
    at = np.array([1.0, age])
    centre = mean @ at
    spread = np.sqrt(np.maximum(np.einsum("lij,i,j->l", between, at, at), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        outside = special.ndtr((lower - centre) / spread) + special.ndtr((centre - upper) / spread)
    certain = ((centre < lower) | (centre > upper)).astype(np.float64)
    result: FloatArray = np.where(spread > 0, outside, certain)
    return result


def _crossing(
    a: FloatArray, b: FloatArray, v: FloatArray, limit: float, start: FloatArray, z: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimate, earliest, latest age from `start` on at which a + b t and its band of z deviations reach a limit."""

    def band(age: FloatArray, side: float) -> FloatArray:
        variance = v[:, 0, 0] + 2 * age * v[:, 0, 1] + age**2 * v[:, 1, 1]
        result: FloatArray = a + b * age + side * z * np.sqrt(np.maximum(variance, 0.0)) - limit
        return result

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        estimate = np.where(band(start, 0) >= 0, start, np.where(b > 0, (limit - a) / b, np.inf))
        # (a + b t - limit)^2 = z^2 var(t): the mean path is below the limit at the upper band's root, else above.
        q2 = b**2 - z**2 * v[:, 1, 1]
        q1 = 2 * (b * (a - limit) - z**2 * v[:, 0, 1])
        q0 = (a - limit) ** 2 - z**2 * v[:, 0, 0]
        root = np.sqrt(q1**2 - 4 * q2 * q0)
        helper = -0.5 * (q1 + np.copysign(root, q1))
        roots = np.stack((helper / q2, q0 / helper))
    later = np.isfinite(roots) & (roots > start)
    below = a + b * np.where(later, roots, 0.0) <= limit
    first = np.where(later & below, roots, np.inf).min(axis=0)
    last = np.where(later & ~below, roots, np.inf).min(axis=0)
    return estimate, np.where(band(start, 1) >= 0, start, first), np.where(band(start, -1) >= 0, start, last)


def _birge_ratio(chi_squared: FloatArray, degrees_of_freedom: NDArray[np.int64]) -> float:
    """sqrt(chi² / degrees of freedom) pooled over the meters, at least 1: scatter beyond the stated uncertainties."""
    freedom = int(degrees_of_freedom.clip(min=0).sum())
    return max(1.0, math.sqrt(float(chi_squared.sum()) / freedom)) if freedom else 1.0


def _check_limits(lower_pct: float, upper_pct: float) -> None:
    if not lower_pct < upper_pct:
        raise InvalidInputError(f"limits {lower_pct:g} % to {upper_pct:g} %: the lower must be below the upper")
