"""The covariance of a day's balance: white, register and red parts, and the exact structure of gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from verifier.balance.timeline import Gap
from verifier.balance.types import Floats

_Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
_TAIL_FREEDOM = 5.0  # of single rows: Student's t, Lange et al., JASA 84 (1989) 881
_OUTLYING = 3.5  # standard deviations from which a row is taken for one of the tail
_PERSISTENCES = (0.6, 0.93)  # of the red part that are tried
LEAST_SHARE = 3e-4  # of the load: nothing is balanced better in an interval (terms of second order, the reference)


@dataclass(frozen=True)
class NoiseShape:
    """Parts of an interval's variance [base unit²]: white, white by the square of the load, red, and a day's offset.

    The red part is a first-order autoregression with the correlation `persistence` from interval to interval.
    """

    white: float
    by_load: float
    red: float
    persistence: float
    daily: float


def first_shape(load: float, share: float = 0.01) -> NoiseShape:
    """What is assumed before any residual is known: white noise of a share of the mean load."""
    return NoiseShape((share * load) ** 2, 0.0, 0.0, 0.5, 0.0)


@dataclass(frozen=True)
class DayRows:
    """What a day's covariance depends on: T successive intervals, of which `used` (T,) take part.

    `relative_load` (T,): load against the zone's mean. `instant_variance` (T + 1,): of the sum of all registers.
    `gaps`: with places counted from the day's first interval. `unmetered`: loads of known spread that no meter shows,
    as intervals [first, last) with the variance of each, the correlation of successive ones, and that of the whole day.
    """

    used: NDArray[np.bool_]
    relative_load: Floats
    instant_variance: Floats
    gaps: Sequence[Gap]
    unmetered: Sequence[tuple[int, int, float, float, float]] = ()


def day_covariance(shape: NoiseShape, day: DayRows, inflation: Floats | None = None) -> Floats:
    """Covariance of the balances of a day's used rows, (U, U) [base unit²].

    A register's deviation at an instant ends one interval and begins the next with the opposite sign. A gap of m
    intervals with known total deviates by v·(I − 11ᵀ/m). `inflation` (T,) multiplies the white part of rows.
    """
    size = day.used.size
    white = shape.white + shape.by_load * day.relative_load**2
    if inflation is not None:
        white = white * inflation
    covariance = np.diag(white + day.instant_variance[:-1] + day.instant_variance[1:])
    inner = np.arange(size - 1)
    covariance[inner, inner + 1] = covariance[inner + 1, inner] = -day.instant_variance[1:-1]
    for gap in day.gaps:
        part = slice(max(gap.first, 0), min(gap.last, size))
        covariance[part, part] -= gap.variance / (gap.last - gap.first)
        np.einsum("ii->i", covariance)[part] += gap.variance
    for first, last, variance, persistence, daily in day.unmetered:
        course = scipy.linalg.toeplitz(variance * persistence ** np.arange(last - first))
        covariance[first:last, first:last] += course + daily
    if shape.red > 0:
        covariance += scipy.linalg.toeplitz(shape.red * shape.persistence ** np.arange(size))
    covariance += shape.daily
    return covariance[np.ix_(day.used, day.used)]


def tail_inflation(residual: Floats, sd: Floats) -> Floats:
    """By how much rows' white variances grow if their residuals lie in the tail; 1 for all others. All (U,).

    Held against the day's own spread where that is wider than expected: a change that is not yet known makes a whole
    day's residuals wide and is no outlier. A Student t with ν degrees of freedom is a normal with variance
    (ν + z²)/(ν + 1), given z (Lange et al., 1989); 1.4826 times the median of |z| estimates a normal's sd (Hampel).
    """
    z = residual / sd
    squares = (z / max(1.4826 * float(np.median(np.abs(z))), 1.0)) ** 2
    return np.where(squares > _OUTLYING**2, (_TAIL_FREEDOM + squares) / (_TAIL_FREEDOM + 1), 1.0)


def scaled(shape: NoiseShape, factor: float) -> NoiseShape:
    """A shape with all of its variances multiplied."""
    return NoiseShape(
        shape.white * factor, shape.by_load * factor, shape.red * factor, shape.persistence, shape.daily * factor
    )


def fit_shape(residuals: Sequence[Floats], days: Sequence[DayRows], load: float, freedom: float) -> NoiseShape:
    """The shape under which the residuals of some days, each of its used rows (U,), are most likely.

    `load` [base unit an interval]; `freedom`: share of the residuals not used up by the fit of the terms. Registers and
    gaps are known; the rest is searched on logarithms, down to white noise of `LEAST_SHARE` of the load.
    """
    bare = NoiseShape(0.0, 0.0, 0.0, 0.0, 0.0)
    known = [day_covariance(bare, day) for day in days]
    loads = [np.diag(day.relative_load[day.used] ** 2) for day in days]
    lags = [np.abs(np.subtract.outer(at, at)) for at in (np.flatnonzero(day.used) for day in days)]
    targets = [residual / np.sqrt(freedom) for residual in residuals]
    level = np.log(max(float(np.mean(np.concatenate(targets) ** 2)), (LEAST_SHARE * load) ** 2))
    least = 2 * np.log(LEAST_SHARE * load)

    start = np.array([level - 1, level - 2, level - 2, level - 4])
    bounds = [(least, max(level, least) + 3), *[(min(level, least) - 8, level + 3)] * 3]
    lows, highs = np.array(bounds).T
    start = np.minimum(np.maximum(start, lows), highs)
    found = []
    for persistence in _PERSISTENCES:
        powers = [persistence**lag for lag in lags]
        likeliest = _likeliest(known, loads, powers, targets, start, bounds)
        found.append((likeliest[1], persistence, likeliest[0]))
    _, persistence, best = min(found, key=lambda one: one[0])
    white, by_load, red, daily = (float(value) for value in np.exp(best))
    return NoiseShape(white, by_load, red, persistence, daily)


def _likeliest(
    known: Sequence[Floats],
    loads: Sequence[Floats],
    powers: Sequence[Floats],
    targets: Sequence[Floats],
    start: _Vector,
    bounds: Sequence[tuple[float, float]],
) -> tuple[Floats, float]:
    """Logarithms of the white, load's, red and daily variances that maximise the likelihood, and −2 ln of it."""

    def badness(parameters: _Vector) -> float:
        white, by_load, red, daily = np.exp(parameters)
        total = 0.0
        for base, square, power, target in zip(known, loads, powers, targets, strict=True):
            covariance = base + by_load * square + red * power + daily
            np.einsum("ii->i", covariance)[:] += white
            factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
            z = scipy.linalg.solve_triangular(factor, target, lower=True, check_finite=False)
            total += float(z @ z) + 2 * float(np.sum(np.log(np.diag(factor))))
        return total

    options: Any = {"maxiter": 25, "ftol": 1e-5}
    found = scipy.optimize.minimize(badness, start, method="L-BFGS-B", bounds=bounds, options=options)
    return found.x, float(found.fun)
