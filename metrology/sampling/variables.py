"""Single sampling by variables with unknown process spread: the s-method of ISO 3951-1 (GB/T 6378.1).

A sample of n measured errors is judged by its mean and standard deviation, which needs far fewer meters than counting
nonconforming ones, and holds for errors that are normally distributed. The tabulated (n, k) of ISO 3951-1 are not
reproduced: k and n are computed from the noncentral t distribution so that the plan's operating characteristic passes
through stated points, either given risks or those of the ISO 2859-1 plan that it stands for (the principle by which
the standard's own plans are matched). Such a plan may differ from the table by a unit of n and a few hundredths of k.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrology.arrays import Floats, check_probability, drop_0d, finite_scalar, floats, refuse_where, whole
from metrology.errors import InvalidInputError
from metrology.sampling.characteristics import quality_at_acceptance
from metrology.sampling.plans import SamplingPlan

MIN_SAMPLE_SIZE: Final = 3
MAX_SAMPLE_SIZE: Final = 5_000
_LARGEST: Final = 1e100  # of measured values in any unit: squares stay finite
_MATCH_GOOD: Final = 0.95  # a matched plan passes through the attributes plan's 95 % and 10 % points
_MATCH_BAD: Final = 0.10


@dataclass(frozen=True, slots=True)
class VariablesPlan:
    """Sample size n and acceptability constant k of the s-method, with the points [1] that it was computed for."""

    sample_size: int
    acceptability_constant: float
    good_fraction: float
    producers_risk: float
    bad_fraction: float
    consumers_risk: float
    basis: str
    confidence: str


@dataclass(frozen=True, slots=True)
class VariablesDecision:
    """The judgement of a sample: quality statistics Q = (limit - mean)/s, estimated and largest allowed fraction [1].

    `normality_p_value` is that of the Shapiro-Wilk test: where it is small (below 0.05, say) the method's premise fails
    and the lot is to be judged by attributes.
    """

    accepted: bool
    mean: float
    standard_deviation: float
    quality_lower: float
    quality_upper: float
    estimated_fraction: float
    allowed_fraction: float
    normality_p_value: float


def oc_s_method(fraction_nonconforming: ArrayLike, sample_size: int, acceptability_constant: float) -> Floats:
    """P(accept) of the s-method with one limit: P(T >= k sqrt(n)), T noncentral t, n - 1 degrees of freedom.

    Noncentrality sqrt(n) z_(1-p) (Schilling and Neubauer, chapter 10). Fractions p [1], scalar or array.
    """
    _check_size(sample_size)
    p = floats("fraction nonconforming", fraction_nonconforming)
    finite_scalar("acceptability constant", acceptability_constant)
    if not np.all((p >= 0) & (p <= 1)):
        raise InvalidInputError("fractions nonconforming lie between 0 and 1")
    inner = np.clip(p, 1e-12, 1 - 1e-12)  # noncentrality stays finite; the ends are certain
    root = math.sqrt(sample_size)
    accepted = stats.nct.sf(acceptability_constant * root, sample_size - 1, root * stats.norm.isf(inner))
    return drop_0d(np.where(p == 0, 1.0, np.where(p == 1, 0.0, accepted)))


def acceptability_constant(sample_size: int, fraction_nonconforming: float, acceptance_probability: float) -> float:
    """The k for which a sample of n accepts `fraction_nonconforming` [1] with `acceptance_probability` [1]."""
    _check_size(sample_size)
    check_probability("fraction nonconforming", fraction_nonconforming)
    check_probability("acceptance probability", acceptance_probability)
    root = math.sqrt(sample_size)
    noncentrality = root * float(stats.norm.isf(fraction_nonconforming))
    return float(stats.nct.isf(acceptance_probability, sample_size - 1, noncentrality)) / root


def s_method_plan(
    good_fraction: float, producers_risk: float, bad_fraction: float, consumers_risk: float, basis: str = "given risks"
) -> VariablesPlan:
    """The smallest sample whose plan keeps both risks [1]; its k keeps the producer's exactly, the consumer's amply.

    Raises InvalidInputError if the two qualities can't be told apart with 5,000 units.
    """
    if not good_fraction < bad_fraction:
        raise InvalidInputError(f"the good fraction {good_fraction:g} must be below the bad one {bad_fraction:g}")

    def keeps_both(n: int) -> bool:
        largest_k = acceptability_constant(n, good_fraction, 1.0 - producers_risk)
        return largest_k >= acceptability_constant(n, bad_fraction, consumers_risk)

    low, high = MIN_SAMPLE_SIZE, MAX_SAMPLE_SIZE
    if not keeps_both(high):
        raise InvalidInputError(
            f"{high} units don't tell {good_fraction:g} from {bad_fraction:g}; set them further apart"
        )
    while low < high:
        middle = (low + high) // 2
        if keeps_both(middle):
            high = middle
        else:
            low = middle + 1
    k = acceptability_constant(low, good_fraction, 1.0 - producers_risk)
    real_risk = float(oc_s_method(bad_fraction, low, k))
    return VariablesPlan(low, k, good_fraction, producers_risk, bad_fraction, real_risk, basis, "computed")


def matching_variables_plan(plan: SamplingPlan) -> VariablesPlan:
    """The s-method plan whose operating characteristic matches that of an attributes plan.

    Where the attributes plan accepts 95 % it accepts 95 %, and where that accepts 10 % it accepts at most 10 %.
    Computed, not taken from the tables of ISO 3951-1, and `confidence` says so.
    """
    good = float(quality_at_acceptance(_MATCH_GOOD, plan.sample_size, plan.acceptance_number))
    bad = float(quality_at_acceptance(_MATCH_BAD, plan.sample_size, plan.acceptance_number))
    basis = f"{plan.standard} {plan.severity} {plan.code_letter} AQL {plan.aql_pct:g}"
    found = s_method_plan(good, 1.0 - _MATCH_GOOD, bad, _MATCH_BAD, basis)
    return VariablesPlan(
        found.sample_size,
        found.acceptability_constant,
        found.good_fraction,
        found.producers_risk,
        found.bad_fraction,
        found.consumers_risk,
        basis,
        f"computed; attributes plan {plan.confidence}",
    )


def estimated_fraction_nonconforming(quality_statistic: ArrayLike, sample_size: int) -> Floats:
    """The minimum-variance unbiased estimate [1] of the fraction beyond one limit, from Q = (limit - mean)/s.

    I_x(n/2 - 1, n/2 - 1) with x = max(0, 1/2 - Q sqrt(n) / (2 (n - 1))): Lieberman and Resnikoff, J. Amer. Stat. Assoc.
    50 (1955); the form p* of ISO 3951-2.
    """
    _check_size(sample_size)
    q = floats("quality statistic Q", quality_statistic)
    refuse_where(np.isnan(q), q, "quality statistic Q", "is no number")
    x = np.clip(0.5 - q * math.sqrt(sample_size) / (2.0 * (sample_size - 1)), 0.0, 1.0)
    return drop_0d(np.asarray(stats.beta.cdf(x, sample_size / 2 - 1, sample_size / 2 - 1)))


def judge_sample(
    values: ArrayLike, plan: VariablesPlan, lower_limit: float = -math.inf, upper_limit: float = math.inf
) -> VariablesDecision:
    """Judge a sample of measured values against one limit or two (combined control: both tails together).

    With one limit this is Q >= k (ISO 3951-1, s-method); with two, the estimated fractions beyond either limit together
    may not exceed the one that k allows. Units of values and limits are the caller's.
    Raises InvalidInputError for a sample of another size than the plan's, values that are not finite, no limit, or a
    spread of zero (the resolution hides it: judge by attributes).
    """
    sample = _sample(values, plan.sample_size)
    if not lower_limit < upper_limit or (math.isinf(lower_limit) and math.isinf(upper_limit)):
        raise InvalidInputError(
            f"limits {lower_limit:g} to {upper_limit:g}: give one or two, the lower below the upper"
        )
    n, mean, spread = sample.size, float(sample.mean()), float(sample.std(ddof=1))
    q_lower, q_upper = (mean - lower_limit) / spread, (upper_limit - mean) / spread
    estimated = float(np.sum(estimated_fraction_nonconforming([q_lower, q_upper], n)))
    allowed = float(estimated_fraction_nonconforming(plan.acceptability_constant, n))
    # One limit is decided by Q itself: where both estimates are 0 the fractions can't tell the sides apart.
    one_sided = math.isinf(lower_limit) or math.isinf(upper_limit)
    accepted = min(q_lower, q_upper) >= plan.acceptability_constant if one_sided else estimated <= allowed
    p_value = float(stats.shapiro(sample).pvalue)
    return VariablesDecision(accepted, mean, spread, q_lower, q_upper, estimated, allowed, p_value)


def _sample(values: ArrayLike, size: int) -> NDArray[np.float64]:
    sample = floats("values", values)
    if sample.shape != (size,):
        raise InvalidInputError(f"the plan asks for {size} values in one row, given are {sample.shape}")
    usable = np.abs(sample) <= _LARGEST
    if not np.all(usable):
        raise InvalidInputError(f"value {int(np.argmin(usable))} of the sample is not a number; measure it again")
    if np.ptp(sample) <= 1e-12 * np.abs(sample).max():
        raise InvalidInputError(
            "all values of the sample are equal: their spread is hidden; judge the lot by attributes"
        )
    return sample


def _check_size(sample_size: int) -> None:
    whole("sample size of the s-method", sample_size, least=MIN_SAMPLE_SIZE, most=MAX_SAMPLE_SIZE)
