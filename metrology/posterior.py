"""Probabilities that a quantity lies below or above an interval, for the distributions that decisions meet."""

from typing import NamedTuple

import numpy as np
from scipy import special

from metrology.arrays import FloatArray

_TAIL = 1e-18  # the mixing density is integrated up to where its remaining probability is this
_STEP = 0.25  # of the trapezoid, in standard deviations of the mixing density's logarithm
_CHUNK = 2048  # points handled at once; with a few hundred nodes each this is some megabytes


class Tails(NamedTuple):
    """P(X < lower) and P(X > upper), of the same shape."""

    below: FloatArray
    above: FloatArray


def normal_tails(
    centre: FloatArray, std: FloatArray, lower: FloatArray, upper: FloatArray, dof: FloatArray | None = None
) -> Tails:
    """Tails of X, normal (`dof` None) or scaled Student t about `centre`; broadcast shape.

    Both are computed as lower tails, so that small probabilities keep their relative precision. `std` = 0 gives 0 or 1,
    with the limits themselves inside; NaN in gives NaN.
    """
    # A quotient too large for a float is infinite, which is the right argument of the distribution.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below, above = (lower - centre) / std, (centre - upper) / std
    if (std == 0).any():
        certain = (std == 0) & ~(np.isnan(centre) | np.isnan(lower) | np.isnan(upper))
        below = np.where(certain, np.where(centre < lower, np.inf, -np.inf), below)
        above = np.where(certain, np.where(centre > upper, np.inf, -np.inf), above)
    if dof is None:
        return Tails(np.asarray(special.ndtr(below)), np.asarray(special.ndtr(above)))
    return Tails(np.asarray(special.stdtr(dof, below)), np.asarray(special.stdtr(dof, above)))


def student_normal_tails(
    centre: FloatArray,
    std: FloatArray,
    dof: FloatArray,
    *,
    prior_mean: FloatArray,
    prior_std: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> Tails:
    """Tails of X given data: likelihood Student t (`centre`, `std`, `dof`), prior N(prior_mean, prior_std²).

    A t distribution is a mixture of normals N(centre, std²/w) over w ~ Gamma(dof/2, rate dof/2). For a given w the
    normal prior is conjugate, so one integral over w is left. It is taken over ln w by the trapezoidal rule, which
    converges exponentially because the integrand and all its derivatives vanish at both ends. Infinite `dof` is the
    normal likelihood. Broadcast shape; memory is bounded by working in chunks.
    """
    fields = np.broadcast_arrays(centre, std, dof, prior_mean, prior_std, lower, upper)
    case = _Case(*(np.ravel(f) for f in fields))
    out = np.full((2, case.centre.size), np.nan)
    for freedom in np.unique(case.dof[~np.isnan(case.dof)]):
        index = np.flatnonzero(case.dof == freedom)
        for start in range(0, index.size, _CHUNK):
            part = index[start : start + _CHUNK]
            out[:, part] = _mix(_Case(*(f[part] for f in case)), float(freedom))
    return Tails(out[0].reshape(fields[0].shape), out[1].reshape(fields[0].shape))


class _Case(NamedTuple):
    """One-dimensional arrays of the same length."""

    centre: FloatArray
    std: FloatArray
    dof: FloatArray
    mean: FloatArray
    spread: FloatArray
    lower: FloatArray
    upper: FloatArray


def _mix(case: _Case, dof: float) -> FloatArray:
    """Both mixture integrals for one value of `dof`, shape (2, n)."""
    column = _Case(*(f[:, None] for f in case))
    surprise = column.centre - column.mean
    log_w, log_density = _mixing_nodes(case, dof)
    variance = column.std**2 * np.exp(-log_w)
    total = variance + column.spread**2
    # Weight of each node: its mixing density times how well it predicts the measurement.
    log_weight = log_density - 0.5 * np.log(total) - 0.5 * surprise**2 / total
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    gain = column.spread**2 / total
    posterior, posterior_std = column.mean + gain * surprise, np.sqrt(variance * gain)
    below, above = normal_tails(posterior, posterior_std, column.lower, column.upper)
    both = np.stack([(weight * below).sum(axis=1), (weight * above).sum(axis=1)])
    return np.asarray(both / weight.sum(axis=1))


def _mixing_nodes(case: _Case, dof: float) -> tuple[FloatArray, FloatArray]:
    """Equidistant nodes in ln w, shape (1, k), and the logarithm of their unnormalised density.

    A measurement far from its prior moves the weight towards small w, at most to dof / z², z² = ((e - m)/u)².
    """
    if np.isinf(dof):
        return np.zeros((1, 1)), np.zeros((1, 1))
    half = 0.5 * dof
    low = np.log(special.gammaincinv(half, _TAIL) / half)
    high = np.log(special.gammainccinv(half, _TAIL) / half)
    known = (case.std > 0) & np.isfinite(case.centre) & np.isfinite(case.mean)
    with np.errstate(over="ignore"):
        z2 = np.max(((case.centre[known] - case.mean[known]) / case.std[known]) ** 2, initial=0.0)
    low = max(low - np.log1p(z2 / (dof + 1)), -600.0)
    step = _STEP / np.sqrt(half + 1)
    log_w = np.linspace(low, high, int(np.ceil((high - low) / step)) + 1)[None, :]
    return log_w, half * (log_w - np.expm1(log_w) - 1)
