"""Risks of a conformity rule: how often it accepts bad meters and rejects good ones (JCGM 106:2012, clause 9).

The true error of a meter of the population is N(prior_mean, prior_std²), the measured error is the true one plus
N(0, std²). A meter is accepted if the measured error lies in the acceptance interval.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from metrology.conformity import NormalPrior, probability_nonconforming
from metrology.errors import InvalidInputError
from metrology.posterior import normal_tails

FloatArray = NDArray[np.float64]
Floats = float | FloatArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)  # of one piece between two breakpoints
_REACH: Final = 9.0  # standard deviations of the population, and of the measurement about its limits, that are resolved
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
    error: Floats, std: Floats, prior: NormalPrior, *, lower: Floats | None = None, upper: Floats | None = None
) -> Floats:
    """P(nonconforming | this measured error), for a meter that was accepted (JCGM 106, 9.3.2)."""
    return probability_nonconforming(error, std, lower_pct=lower, upper_pct=upper, prior=prior)


def specific_producer_risk(
    error: Floats, std: Floats, prior: NormalPrior, *, lower: Floats | None = None, upper: Floats | None = None
) -> Floats:
    """P(conforming | this measured error), for a meter that was rejected (JCGM 106, 9.3.3)."""
    return 1.0 - specific_consumer_risk(error, std, prior, lower=lower, upper=upper)


def global_risks(
    prior: NormalPrior,
    std: Floats,
    *,
    lower: Floats = -np.inf,
    upper: Floats = np.inf,
    guard_band: Floats = 0.0,
) -> Risks:
    """Global consumer's and producer's risk (JCGM 106, 9.5.2 and 9.5.3); all arguments in one unit, such as [%].

    `lower`, `upper` are the tolerance limits; the acceptance interval is narrower by `guard_band` on each side (wider
    if negative). Arguments broadcast. R_C = ∫ outside T of g0(η)·P(accept | η) dη by Gauss-Legendre between
    breakpoints, so that small risks keep their relative precision. Raises InvalidInputError unless both standard
    deviations are above 0 and the limits are in order.
    """
    given = (prior.mean_pct, prior.std_pct, std, lower, upper, guard_band)
    arrays = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in given))
    mean, spread, u, low, high, guard = (np.ravel(a) for a in arrays)
    if not ((spread > 0) & (u > 0)).all():
        raise InvalidInputError("prior.std_pct and std must be above 0; without spread there is no risk to integrate")
    if not ((low <= high) & (low + guard <= high - guard)).all():
        raise InvalidInputError("the limits are in the wrong order or the guard bands leave nothing to accept")
    consumer, producer = np.empty(mean.size), np.empty(mean.size)
    for start in range(0, mean.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        limits, accept = (low[part], high[part]), (low[part] + guard[part], high[part] - guard[part])
        consumer[part], producer[part] = _integrate(mean[part], spread[part], u[part], limits, accept)
    below, above = normal_tails(mean, np.hypot(spread, u), low + guard, high - guard)
    accepted = 1.0 - (below + above)
    shape = arrays[0].shape
    return Risks(_shaped(consumer, shape), _shaped(producer, shape), _shaped(accepted, shape))


def guard_band_for_consumer_risk(
    target: float,
    prior: NormalPrior,
    std: float,
    *,
    lower: float = -np.inf,
    upper: float = np.inf,
) -> float:
    """The smallest guard band of at least 0 whose global consumer's risk does not exceed `target`.

    Raises InvalidInputError for a target out of (0, 1), without a limit, and where no guard band reaches the target.
    """
    if not 0 < target < 1:
        raise InvalidInputError(f"target = {target:g}; give a probability between 0 and 1")
    if np.isinf(lower) and np.isinf(upper):
        raise InvalidInputError("no limit was given; give lower or upper")

    def excess(guard: float) -> float:
        return float(global_risks(prior, std, lower=lower, upper=upper, guard_band=guard).consumer) - target

    if excess(0.0) <= 0:
        return 0.0
    widest = (upper - lower) / 2
    if np.isinf(widest):
        limit = upper if np.isinf(lower) else lower
        widest = abs(float(prior.mean_pct) - limit) + _REACH * (float(prior.std_pct) + std)
    if excess(widest) > 0:
        raise InvalidInputError(f"no guard band brings the consumer's risk down to {target:g}; use a better reference")
    guard = float(optimize.brentq(excess, 0.0, widest, xtol=1e-10 * max(widest, 1.0)))
    step = 1e-9 * max(widest, 1.0)
    return guard if excess(guard) <= 0 else min(guard + step, widest)


def _integrate(
    mean: FloatArray,
    spread: FloatArray,
    u: FloatArray,
    limits: tuple[FloatArray, FloatArray],
    accept: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Both risks for cases of shape (n,): the true error is integrated piece by piece between breakpoints."""
    ends = mean - _REACH * spread, mean + _REACH * spread
    marks = [*ends, mean, *limits]
    for edge in accept:
        marks += [edge - _REACH * u, edge - u, edge, edge + u, edge + _REACH * u]
    edges = np.sort(np.clip(np.stack(marks, axis=-1), ends[0][:, None], ends[1][:, None]), axis=-1)
    half = (edges[:, 1:] - edges[:, :-1]) / 2
    centre = (edges[:, 1:] + edges[:, :-1]) / 2
    outside = (centre < limits[0][:, None]) | (centre > limits[1][:, None])
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
