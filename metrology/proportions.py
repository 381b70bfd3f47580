"""How many meters of a lot don't conform: intervals for a proportion, and what follows for the lot at its expiry.

A lot of meters may stay in service if enough of it conforms. The evidence is a sample, a lifetime model or a
degradation model; each gives an interval for the proportion nonconforming, and the interval decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from scipy import stats

from metrology.arrays import check_probability, whole
from metrology.conformity import Outcome, Reason
from metrology.errors import InvalidInputError
from metrology.quantities import Medium

_LONGEST_YEARS: Final = 1000.0  # a plan for longer is a mistake of units


@dataclass(frozen=True, slots=True)
class ProportionInterval:
    """A proportion nonconforming [1] with its two-sided interval at `confidence` [1], and how it was found."""

    estimate: float
    lower: float
    upper: float
    confidence: float
    method: str


@dataclass(frozen=True, slots=True)
class LotRule:
    """What a regulation asks of a lot at its expiry, and what it grants."""

    name: str
    clause: str
    required_conforming: float
    extension_years: Mapping[Medium, int]
    source_confidence: str


# Germany: a lot of which a sample shows that at least 95 % conforms is extended, again and again.
MESSEV_35: Final = LotRule(
    name="MessEV",
    clause="§ 35 with § 34",
    required_conforming=0.95,
    extension_years={Medium.ELECTRICITY: 5, Medium.GAS: 4, Medium.WATER: 3},
    source_confidence="B",
)


@dataclass(frozen=True, slots=True)
class LotEvaluation:
    """A lot at its expiry: conforming (may be extended), nonconforming (replace), inconclusive (sample more)."""

    outcome: Outcome
    interval: ProportionInterval
    required_conforming: float
    reasons: tuple[Reason, ...]


def sample_proportion(
    sample_size: int, nonconforming: int, lot_size: int | None = None, confidence: float = 0.95
) -> ProportionInterval:
    """The exact interval for the proportion nonconforming of a lot from a random sample.

    Clopper-Pearson for a large lot, the hypergeometric tails inverted for a lot of known size: both keep at least their
    confidence. Raises InvalidInputError for counts that can't be.
    """
    check_probability("confidence", confidence)
    whole("sample size", sample_size, least=1)
    whole("nonconforming", nonconforming, least=0, most=sample_size)
    estimate = nonconforming / sample_size
    if lot_size is None:
        exact = stats.binomtest(nonconforming, sample_size).proportion_ci(confidence, method="exact")
        return ProportionInterval(estimate, float(exact.low), float(exact.high), confidence, "Clopper-Pearson")
    whole("lot size", lot_size, least=sample_size)
    lower, upper = _hypergeometric_bounds(sample_size, nonconforming, lot_size, (1.0 - confidence) / 2.0)
    return ProportionInterval(estimate, lower / lot_size, upper / lot_size, confidence, "hypergeometric")


def evaluate_lot(interval: ProportionInterval, required_conforming: float = 0.95) -> LotEvaluation:
    """Does the lot conform? Yes if even the interval's upper end leaves enough, no if its lower end doesn't.

    `required_conforming` [1] is the proportion that must conform (MessEV § 35: 0.95).
    """
    check_probability("required_conforming", required_conforming)
    if not 0.0 <= interval.lower <= interval.upper <= 1.0:
        raise InvalidInputError(f"the interval {interval.lower:g} to {interval.upper:g} is none of a proportion")
    allowed = 1.0 - required_conforming
    tolerance = 1e-12  # 1 - 0.95 is not 0.05 in floating point
    if interval.upper <= allowed + tolerance:
        outcome, code, text = Outcome.CONFORMING, "enough_conform", "enough of the lot conforms"
    elif interval.lower > allowed + tolerance:
        outcome, code, text = Outcome.NONCONFORMING, "too_many_nonconforming", "too much of the lot does not conform"
    else:
        outcome, code, text = (
            Outcome.INCONCLUSIVE,
            "interval_straddles_limit",
            "the evidence does not decide: sample more",
        )
    figures = {"lower": interval.lower, "upper": interval.upper, "allowed": allowed, "confidence": interval.confidence}
    return LotEvaluation(outcome, interval, required_conforming, (Reason(code, text, figures),))


def latest_conforming_age(
    proportion_at: Callable[[float], ProportionInterval],
    from_age_years: float,
    to_age_years: float,
    required_conforming: float = 0.95,
    step_years: float = 0.25,
) -> float | None:
    """The last age [years], in steps, until which the lot conforms without a break; None if it doesn't at the start."""
    if not (step_years > 0 and 0 <= from_age_years <= to_age_years <= _LONGEST_YEARS):
        raise InvalidInputError(
            f"ages {from_age_years:g} to {to_age_years:g} in steps of {step_years:g} years hold none"
        )
    steps = int((to_age_years - from_age_years) / step_years + 1e-9)
    latest = None
    for age in (from_age_years + step * step_years for step in range(steps + 1)):
        if evaluate_lot(proportion_at(age), required_conforming).outcome is not Outcome.CONFORMING:
            break
        latest = age
    return latest


def _hypergeometric_bounds(n: int, d: int, lot_size: int, tail: float) -> tuple[int, int]:
    """The fewest and the most nonconforming units of the lot that don't contradict d among n, by bisection."""

    def at_most(units: int) -> float:
        return float(stats.hypergeom.cdf(d, lot_size, units, n))

    def at_least(units: int) -> float:
        return float(stats.hypergeom.sf(d - 1, lot_size, units, n))

    # Units in the lot can be no fewer than those found, and no more than leave room for the conforming ones found.
    fewest, most = d, lot_size - (n - d)
    lower = fewest + _first(lambda k: at_least(fewest + k) > tail, most - fewest)
    upper = most - _first(lambda k: at_most(most - k) > tail, most - fewest)
    return lower, upper


def _first(holds: Callable[[int], bool], last: int) -> int:
    """The first of 0 .. last for which a monotone condition holds (it does for `last`)."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
