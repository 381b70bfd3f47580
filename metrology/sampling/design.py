"""Plans computed for stated risks: isolated lots by limiting quality, and two-point plans for small lots.

ISO 2859-2 (GB/T 2828.2) indexes plans for isolated lots by limiting quality; OIML G 20 asks for plans with a stated
producer's and consumer's risk. Both are computed here exactly: hypergeometric where the lot's size is given, binomial
where it is not. The smallest sample that keeps the risks is returned.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from metrology.arrays import check_probability, finite_scalar, whole
from metrology.errors import InvalidInputError
from metrology.sampling.characteristics import oc_binomial, oc_hypergeometric

LQ_SERIES_PCT: Final = (0.50, 0.80, 1.25, 2.00, 3.15, 5.00, 8.00, 12.5, 20.0, 31.5)  # ISO 2859-2, preferred values
LQ_CONSUMERS_RISK: Final = 0.10  # ISO 2859-2: at limiting quality about 10 % (never above here)
LQ_ACCEPTANCE_NUMBERS: Final = (0, 1, 3, 5)
_ROUNDING: Final = 1 + 1e-9  # a risk of exactly 1/10 must not fail for the last bit of a sum
MAX_SAMPLE_SIZE: Final = 100_000  # where the lot's size is not given


@dataclass(frozen=True, slots=True)
class RiskPlan:
    """A plan (n, Ac) with the risks that it really has [1].

    `producers_risk` is NaN where no good quality was given. `full_inspection`: the whole lot must be inspected.
    """

    sample_size: int
    acceptance_number: int
    producers_risk: float
    consumers_risk: float
    lot_size: int | None
    full_inspection: bool


def units_at_quality(lot_size: int, quality_pct: float, *, at_least: bool) -> int:
    """The nonconforming units of a lot at a quality [%]: the fewest at or above it, or the most at or below it.

    Exact: 31.5 % of 200 is 63 units and not 63 and a rounding error.
    """
    whole("lot size", lot_size, least=1)
    exact = Fraction(repr(finite_scalar("quality", quality_pct, "%", least=0.0))) * lot_size / 100
    return math.ceil(exact) if at_least else math.floor(exact)


def limiting_quality_plan(
    lot_size: int | None, lq_pct: float, acceptance_number: int, consumers_risk: float = LQ_CONSUMERS_RISK
) -> RiskPlan:
    """The smallest sample with P(accept) <= `consumers_risk` [1] for a lot at limiting quality `lq_pct` [%], Ac given.

    Raises InvalidInputError where Ac is so large that a lot at limiting quality would pass even if wholly inspected.
    """
    whole("acceptance number Ac", acceptance_number, least=0)
    _check_quality("limiting quality", lq_pct)
    check_probability("consumer's risk", consumers_risk)
    accept = _acceptance(lot_size, lq_pct, at_least=True)
    largest = lot_size or MAX_SAMPLE_SIZE
    if acceptance_number >= largest or accept(largest, acceptance_number) > consumers_risk * _ROUNDING:
        raise InvalidInputError(
            f"Ac {acceptance_number} accepts a lot of {largest} at {lq_pct:g} % even if wholly inspected; lower Ac"
        )
    size = _smallest_sample(accept, acceptance_number, largest, consumers_risk)
    return RiskPlan(size, acceptance_number, math.nan, accept(size, acceptance_number), lot_size, size == lot_size)


def limiting_quality_plans(
    lot_size: int, lq_pct: float, acceptance_numbers: Sequence[int] = LQ_ACCEPTANCE_NUMBERS
) -> tuple[RiskPlan, ...]:
    """The choice of plans for an isolated lot (ISO 2859-2, procedure A): one an acceptance number that the lot allows.

    A larger Ac costs a larger sample and spares good lots.
    """
    bad = units_at_quality(lot_size, lq_pct, at_least=True)
    return tuple(limiting_quality_plan(lot_size, lq_pct, number) for number in acceptance_numbers if number < bad)


def two_point_plan(
    lot_size: int | None,
    good_pct: float,
    producers_risk: float,
    bad_pct: float,
    consumers_risk: float,
) -> RiskPlan:
    """The smallest plan that accepts `good_pct` with at least 1 - alpha and `bad_pct` with at most beta (OIML G 20).

    `good_pct`, `bad_pct`: qualities [% nonconforming]; risks alpha and beta [1]; `lot_size` [units] or None for a long
    series. In a finite lot the good quality is the most units at or below it, the bad one the fewest at or above it,
    and inspecting the whole lot always tells them apart. Raises InvalidInputError where 100,000 units of a series
    don't.
    """
    _check_quality("good quality", good_pct, smallest=0.0)
    _check_quality("bad quality", bad_pct)
    check_probability("producer's risk", producers_risk)
    check_probability("consumer's risk", consumers_risk)
    if not good_pct < bad_pct:
        raise InvalidInputError(f"the good quality {good_pct:g} % must be below the bad one {bad_pct:g} %")
    good, bad = _acceptance(lot_size, good_pct, at_least=False), _acceptance(lot_size, bad_pct, at_least=True)
    largest = lot_size or MAX_SAMPLE_SIZE
    for number in range(largest):
        if bad(largest, number) > consumers_risk * _ROUNDING:
            break
        size = _smallest_sample(bad, number, largest, consumers_risk)
        if 1.0 - (accepted := good(size, number)) <= producers_risk * _ROUNDING:
            return RiskPlan(size, number, 1.0 - accepted, bad(size, number), lot_size, size == lot_size)
    raise InvalidInputError(
        f"no sample of at most {largest} tells {good_pct:g} % from {bad_pct:g} % nonconforming with these risks; "
        "set the qualities further apart or the risks higher"
    )


def _acceptance(lot_size: int | None, quality_pct: float, *, at_least: bool) -> Callable[[int, int], float]:
    """P(accept) as a function of (n, Ac) at a quality [%]."""
    if lot_size is None:
        return lambda n, c: float(oc_binomial(quality_pct / 100.0, n, c))
    units = units_at_quality(lot_size, quality_pct, at_least=at_least)
    return lambda n, c: float(oc_hypergeometric(units, lot_size, n, c))


def _smallest_sample(accept: Callable[[int, int], float], number: int, largest: int, risk: float) -> int:
    """The smallest n in Ac + 1 .. largest with P(accept) <= risk; P(accept) falls with n, so by bisection."""
    low, high = number + 1, largest
    while low < high:
        middle = (low + high) // 2
        if accept(middle, number) <= risk * _ROUNDING:
            high = middle
        else:
            low = middle + 1
    return low


def _check_quality(name: str, value_pct: float, smallest: float = 1e-6) -> None:
    finite_scalar(name, value_pct, "%")
    if not smallest <= value_pct <= 100.0:
        raise InvalidInputError(f"{name} {value_pct:g} % must be between {smallest:g} and 100 %")
