"""Risks of a conformity rule: how often it accepts bad meters and rejects good ones (JCGM 106:2012, clause 9).

The true error of a meter of the population is N(prior_mean, prior_std²), the measured error is the true one plus
N(0, std²). A meter is accepted if the measured error lies in the acceptance interval.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from metrology.arrays import FloatArray, Floats, check_probability, finite, refuse_where, same_shape
from metrology.conformity import NormalPrior, limits, probability_nonconforming
from metrology.errors import InvalidInputError
from metrology.posterior import normal_tails

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)  # of one piece between two breakpoints
_REACH: Final = 9.0  # standard deviations of the population, and of the measurement about its limits, that are resolved
_SMALLEST_PCT, _LARGEST_PCT = 1e-15, 1e15  # of standard deviations: densities and their squares stay finite
_CHUNK: Final = 1024  # cases integrated at once: 13 pieces of 40 nodes each, some megabytes


@dataclass(frozen=True, slots=True)
class Risks:
    """Global risks, probabilities in [0, 1] of the same shape.

    `consumer`: accepted and nonconforming; `producer`: rejected and conforming; `accepted`: accepted at all.
    """

    consumer: Floats
    producer: Floats
    accepted: Floats


def specific_consumer_risk(
    error_pct: Floats,
    std_pct: Floats,
    prior: NormalPrior,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
) -> Floats:
    """P(nonconforming | this measured error), for a meter that was accepted (JCGM 106, 9.3.2)."""
    return probability_nonconforming(error_pct, std_pct, lower_pct=lower_pct, upper_pct=upper_pct, prior=prior)


def specific_producer_risk(
    error_pct: Floats,
    std_pct: Floats,
    prior: NormalPrior,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
) -> Floats:
    """P(conforming | this measured error), for a meter that was rejected (JCGM 106, 9.3.3)."""
    return 1.0 - specific_consumer_risk(error_pct, std_pct, prior, lower_pct=lower_pct, upper_pct=upper_pct)


def global_risks(
    prior: NormalPrior,
    std_pct: Floats,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
    guard_band_pct: Floats = 0.0,
) -> Risks:
    """Global consumer's and producer's risk (JCGM 106, 9.5.2 and 9.5.3); all arguments [%].

    `lower_pct`, `upper_pct` are the tolerance limits, a missing one is none; the acceptance interval is narrower by
    `guard_band_pct` on each side (wider if negative). Arguments broadcast. R_C = ∫ outside T of g0(η)·P(accept | η) dη
    by Gauss-Legendre between breakpoints, so that small risks keep their relative precision. Raises InvalidInputError
    unless all values are finite, both standard deviations from 1e-15 to 1e15 %, there is a limit, the limits are in
    order, and the guard bands leave something to accept.
    """
    tolerance = limits(None, lower_pct, upper_pct)
    arrays = same_shape(
        mean=finite("prior.mean_pct", prior.mean_pct, "%"),
        spread=finite("prior.std_pct", prior.std_pct, "%", least=_SMALLEST_PCT),
        std_pct=finite("std_pct", std_pct, "%", least=_SMALLEST_PCT),
        lower_pct=tolerance[0],
        upper_pct=tolerance[1],
        guard_band_pct=finite("guard_band_pct", guard_band_pct, "%"),
    )
    for name, array in zip(("prior.mean_pct", "prior.std_pct", "std_pct"), arrays[:3], strict=True):
        refuse_where(np.abs(array) > _LARGEST_PCT, array, name, f"exceeds {_LARGEST_PCT:g} %; check the unit")
    mean, spread, u, low, high, guard = (np.ravel(a) for a in arrays)
    if not (low + guard <= high - guard).all():
        raise InvalidInputError("the guard bands leave nothing of the interval to accept, or a limit is NaN")
    consumer, producer = np.empty(mean.size), np.empty(mean.size)
    for start in range(0, mean.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        tolerated, accept = (low[part], high[part]), (low[part] + guard[part], high[part] - guard[part])
        consumer[part], producer[part] = _integrate(mean[part], spread[part], u[part], tolerated, accept)
    below, above = normal_tails(mean, np.hypot(spread, u), low + guard, high - guard)
    accepted = 1.0 - (below + above)
    shape = arrays[0].shape
    return Risks(_shaped(consumer, shape), _shaped(producer, shape), _shaped(accepted, shape))


def guard_band_for_consumer_risk(
    target: float,
    prior: NormalPrior,
    std_pct: float,
    *,
    lower_pct: float | None = None,
    upper_pct: float | None = None,
) -> float:
    """The smallest guard band [%] of at least 0 whose global consumer's risk does not exceed `target`.

    Single numbers only. Raises InvalidInputError as `global_risks`, for a target out of (0, 1), and where no guard band
    reaches the target.
    """
    check_probability("target", target)
    lower, upper = (float(limit) for limit in limits(None, lower_pct, upper_pct))

    def excess(guard: float) -> float:
        risks = global_risks(prior, std_pct, lower_pct=lower, upper_pct=upper, guard_band_pct=guard)
        return float(risks.consumer) - target

    if excess(0.0) <= 0:
        return 0.0
    widest = (upper - lower) / 2
    if np.isinf(widest):
        limit = upper if np.isinf(lower) else lower
        widest = abs(float(prior.mean_pct) - limit) + _REACH * (float(prior.std_pct) + std_pct)
    if excess(widest) > 0:
        raise InvalidInputError(f"no guard band brings the consumer's risk down to {target:g}; use a better reference")
    guard = float(optimize.brentq(excess, 0.0, widest, xtol=1e-10 * max(widest, 1.0)))
    step = 1e-9 * max(widest, 1.0)
    return guard if excess(guard) <= 0 else min(guard + step, widest)


def _integrate(
    mean: FloatArray,
    spread: FloatArray,
    u: FloatArray,
    tolerated: tuple[FloatArray, FloatArray],
    accept: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Both risks for cases of shape (n,): the true error is integrated piece by piece between breakpoints."""
    ends = mean - _REACH * spread, mean + _REACH * spread
    marks = [*ends, mean, *tolerated]
    for edge in accept:
        marks += [edge - _REACH * u, edge - u, edge, edge + u, edge + _REACH * u]
    edges = np.sort(np.clip(np.stack(marks, axis=-1), ends[0][:, None], ends[1][:, None]), axis=-1)
    half = (edges[:, 1:] - edges[:, :-1]) / 2
    centre = (edges[:, 1:] + edges[:, :-1]) / 2
    outside = (centre < tolerated[0][:, None]) | (centre > tolerated[1][:, None])
    true = centre[..., None] + half[..., None] * _NODES
    z = (true - mean[:, None, None]) / spread[:, None, None]
    density = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * spread[:, None, None])
    low, high = (
        (accept[0][:, None, None] - true) / u[:, None, None],
        (accept[1][:, None, None] - true) / u[:, None, None],
    )
    rejecting = special.ndtr(low) + special.ndtr(-high)
    # Of the two equal forms of Φ(high) - Φ(low) the one without cancellation: both ends on the lower side.
    flip = low + high > 0
    accepting = np.where(flip, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low))
    weight = density * half[..., None] * _WEIGHTS
    consumer = ((weight * accepting).sum(axis=-1) * outside).sum(axis=-1)
    producer = ((weight * rejecting).sum(axis=-1) * ~outside).sum(axis=-1)
    return consumer, producer


def _shaped(values: FloatArray, shape: tuple[int, ...]) -> Floats:
    return float(values[0]) if shape == () else values.reshape(shape)
