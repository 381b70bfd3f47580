"""Marked values of a meter (i_b, q3, q_max, ...) and the bounds of load zones as multiples of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from metrology.arrays import FloatArray, Floats, finite_scalar, floats, same_shape
from metrology.errors import InvalidInputError
from metrology.quantities import Medium

# The marks of each medium in ascending order (OIML R 46, 2; OIML R 49-1, 4.1; OIML R 137, 3); i_b and i_n are the basic
# and the rated current of IEC 62053, which stand in the place of i_tr.
MARKS: dict[Medium, tuple[str, ...]] = {
    Medium.ELECTRICITY: ("i_st", "i_min", "i_tr", "i_b", "i_n", "i_max"),
    Medium.WATER: ("q1", "q2", "q3", "q4"),
    Medium.GAS: ("q_min", "q_t", "q_max"),
}
LOAD_UNIT: dict[Medium, str] = {Medium.ELECTRICITY: "A", Medium.WATER: "m3/h", Medium.GAS: "m3/h"}
_LARGEST_MARK = 1e15  # no plate states more; products with it stay finite
_BOUND = re.compile(r"(?:(\d+(?:\.\d+)?) )?([a-z][a-z0-9_]*)")


@dataclass(frozen=True)
class Bound:
    """A load as a multiple of a mark."""

    factor: Fraction
    mark: str

    def value(self, marks: Mapping[str, Floats]) -> Floats:
        """The load [unit of the marks]. Multiplied before it is divided, so that 0.1 of 3 A is exactly 0.3 A."""
        return marks[self.mark] * self.factor.numerator / self.factor.denominator

    def __str__(self) -> str:
        return self.mark if self.factor == 1 else f"{float(self.factor):g} {self.mark}"


def parse_bound(text: str, marks: tuple[str, ...]) -> Bound:
    """The bound written as "q3" or "0.05 i_b". Raises InvalidInputError with the valid marks."""
    match = _BOUND.fullmatch(text)
    if match is None or match[2] not in marks:
        raise InvalidInputError(
            f"load {text!r} is not understood; write a mark or a multiple of it: {', '.join(marks)}"
        )
    return Bound(Fraction(match[1] or 1), match[2])


def check_marks(marks: Mapping[str, Floats], needed: set[str], medium: Medium) -> dict[str, FloatArray]:
    """The marks as float64 arrays. Refuses those that are unknown, missing, not positive or not in ascending order."""
    known = MARKS[medium]
    for name in marks:
        if name not in known:
            raise InvalidInputError(f"mark {name!r} is unknown for {medium}; use {', '.join(known)}")
    missing = [name for name in known if name in needed and name not in marks]
    if missing:
        raise InvalidInputError(
            f"the limits are stated in multiples of {', '.join(missing)}, which the meter's marks lack; add them"
        )
    checked = {name: floats(f"mark {name}", value) for name, value in marks.items()}
    for name, array in checked.items():
        if not np.all((array > 0) & (array <= _LARGEST_MARK)):
            raise InvalidInputError(
                f"mark {name} must be a positive number [{LOAD_UNIT[medium]}]; it holds {marks[name]}"
            )
    for low, high in pairwise(name for name in known if name in marks):
        first, second = same_shape(**{low: checked[low], high: checked[high]})
        if np.any(first > second):
            raise InvalidInputError(
                f"mark {low} = {marks[low]} exceeds {high} = {marks[high]}; check the meter's plate"
            )
    return checked


def water_marks(q3_m3ph: float, ratio_r: float, q2_over_q1: float, q4_over_q3: float) -> dict[str, Floats]:
    """q1 to q4 [m3/h] of a water meter from its plate, which states Q3 and R = Q3/Q1 (OIML R 49-1, 4.1).

    The two ratios are figures of the regulation: rule_value(regulation, "q2_over_q1") and "q4_over_q3". Computed in
    exact decimals and rounded once, so that a flow of 0.04 m3/h is Q2 of a meter with Q3 2.5 m3/h and R 100.
    Raises InvalidInputError for values that are not finite, a Q3 not above 0 and ratios not above 1.
    """
    finite_scalar("q3_m3ph", q3_m3ph, "m3/h", above=0.0)
    for name, ratio in (("ratio_r", ratio_r), ("q2_over_q1", q2_over_q1), ("q4_over_q3", q4_over_q3)):
        finite_scalar(name, ratio, above=1.0)
    q3, q1_of_q3, q2_of_q1, q4_of_q3 = (Fraction(repr(float(x))) for x in (q3_m3ph, ratio_r, q2_over_q1, q4_over_q3))
    q1 = q3 / q1_of_q3
    return {"q1": float(q1), "q2": float(q1 * q2_of_q1), "q3": float(q3), "q4": float(q3 * q4_of_q3)}
