"""The probability that a true error lies outside its limits (JCGM 106:2012, 7), and what limits and priors may be."""

from dataclasses import dataclass
from typing import Final, overload

import numpy as np

from metrology.arrays import FloatArray, Floats, drop_0d, floats, refuse_where, same_shape
from metrology.errors import InvalidInputError
from metrology.posterior import Tails, normal_tails, student_normal_tails

_LARGEST_PCT: Final = 1e15  # an estimate beyond is none, an uncertainty beyond is ignorance; squares stay finite


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What is known of the true error before the measurement: N(mean_pct, std_pct²) [%], scalars or arrays."""

    mean_pct: Floats
    std_pct: Floats


@overload
def probability_nonconforming(  # type: ignore[overload-overlap]  # a float is a Floats as well; this one wins
    error_pct: float,
    std_pct: float,
    mpe_pct: float | None = ...,
    *,
    lower_pct: float | None = ...,
    upper_pct: float | None = ...,
    degrees_of_freedom: float | None = ...,
    prior: NormalPrior | None = ...,
) -> float: ...


@overload
def probability_nonconforming(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None = ...,
    *,
    lower_pct: Floats | None = ...,
    upper_pct: Floats | None = ...,
    degrees_of_freedom: Floats | None = ...,
    prior: NormalPrior | None = ...,
) -> FloatArray: ...


def probability_nonconforming(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None = None,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
    degrees_of_freedom: Floats | None = None,
    prior: NormalPrior | None = None,
) -> Floats:
    """P(true error outside its limits | data), in [0, 1], the broadcast shape of the arguments.

    `error_pct` and `std_pct` are the estimate and its standard uncertainty [%]. Give either `mpe_pct` (limits ±MPE) or
    `lower_pct` and/or `upper_pct` (a missing one is no limit) [%]. With `degrees_of_freedom` the true error is
    Student t about the estimate; without, normal. A `prior` is combined with the measurement by Bayes' rule.

    Normal: p = Φ((L - e)/u) + Φ((e - U)/u) (JCGM 106, 7.2-7.4); t: likewise with the t distribution (JCGM 101, 6.4.9);
    normal prior: conjugate update (JCGM 106, A.4.4). Where an estimate is NaN, infinite or beyond 1e15 %, or another
    argument NaN, the result is NaN, for which `decide` withholds. An uncertainty of 0 gives 0 or 1, an infinite one
    leaves ignorance or the prior. Raises InvalidInputError for negative uncertainties or limits, an infinite MPE or
    prior, limits in the wrong order, degrees of freedom below 1, no real numbers, shapes that don't fit.
    """
    below, above = tails(error_pct, std_pct, mpe_pct, lower_pct, upper_pct, degrees_of_freedom, prior)
    return drop_0d(below + above)


def tails(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None,
    lower_pct: Floats | None,
    upper_pct: Floats | None,
    degrees_of_freedom: Floats | None,
    prior: NormalPrior | None,
) -> Tails:
    """P(true error < lower limit) and P(> upper limit), in broadcast shape; errors as `probability_nonconforming`."""
    error, std = floats("error_pct", error_pct), floats("std_pct", std_pct)
    refuse_where(std < 0, std, "std_pct", "is negative; give a standard uncertainty of at least 0 %")
    std = np.minimum(std, _LARGEST_PCT)  # ignorance, however large
    usable = np.abs(error) <= _LARGEST_PCT
    if not usable.all():
        error = np.where(usable, error, np.nan)
    lower, upper = limits(mpe_pct, lower_pct, upper_pct)
    dof = None if degrees_of_freedom is None else floats("degrees_of_freedom", degrees_of_freedom)
    if dof is not None:
        refuse_where(dof < 1, dof, "degrees_of_freedom", "is below 1; take more readings or state a normal uncertainty")
    mean, spread = _prior(prior) if prior is not None else (np.asarray(0.0), np.asarray(1.0))
    same_shape(error=error, std=std, lower=lower, upper=upper, dof=np.asarray(dof), mean=mean, spread=spread)
    if prior is None:
        return normal_tails(error, std, lower, upper, dof)
    if dof is not None:
        return student_normal_tails(error, std, dof, prior_mean=mean, prior_std=spread, lower=lower, upper=upper)
    # This form divides by neither variance, of which one may be 0, and squares nothing large.
    together = np.hypot(std, spread)
    weight = (spread / together) ** 2  # of the measurement
    return normal_tails(mean + weight * (error - mean), spread * (std / together), lower, upper)


def _prior(prior: NormalPrior) -> tuple[FloatArray, FloatArray]:
    mean, spread = floats("prior.mean_pct", prior.mean_pct), floats("prior.std_pct", prior.std_pct)
    refuse_where(spread <= 0, spread, "prior.std_pct", "is not above 0; a certain prior leaves nothing to measure")
    for name, array in (("prior.mean_pct", mean), ("prior.std_pct", spread)):
        refuse_where(np.abs(array) > _LARGEST_PCT, array, name, "is too large; without knowledge give no prior")
    return mean, spread


def limits(mpe: Floats | None, lower: Floats | None, upper: Floats | None) -> tuple[FloatArray, FloatArray]:
    """Lower and upper limit [%] from ±MPE or from one or two limits; raises InvalidInputError for a contradiction."""
    if mpe is not None:
        if lower is not None or upper is not None:
            raise InvalidInputError("mpe_pct and lower_pct/upper_pct were both given; give one or the other")
        half = floats("mpe_pct", mpe)
        refuse_where(half < 0, half, "mpe_pct", "is negative; give the maximum permissible error without its sign")
        refuse_where(np.isinf(half), half, "mpe_pct", "is no limit; give the maximum permissible error of a regulation")
        return -half, half
    if lower is None and upper is None:
        raise InvalidInputError("no limit was given; give mpe_pct, lower_pct or upper_pct")
    low = floats("lower_pct", -np.inf if lower is None else lower)
    high = floats("upper_pct", np.inf if upper is None else upper)
    same_shape(lower_pct=low, upper_pct=high)
    refuse_where(low > high, low, "lower_pct", "lies above upper_pct; exchange the limits")
    refuse_where(low == np.inf, low, "lower_pct", "is no limit; a missing lower limit is -inf")
    refuse_where(high == -np.inf, high, "upper_pct", "is no limit; a missing upper limit is inf")
    refuse_where(np.isinf(low) & np.isinf(high), low, "lower_pct", "and no upper limit: give at least one of them")
    return low, high
