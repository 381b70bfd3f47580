"""Register arithmetic in integer millionths: differences over a rollover, multipliers, pulses, resolution.

Everything that counts energy or volume here is an int64 in millionths of a kWh or of a m3 and stays exact.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import overload

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import refuse_where, same_shape, whole
from metrology.errors import InvalidInputError
from metrology.quantities import MAX_REGISTER_MICRO, MICRO

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class RegisterStep:
    """A step of a register and what can be known of it.

    difference_micro: the smallest non-negative step; rolled_over: the register fell, so it passed its end, was reset or
    was exchanged; plausible: the step is within the largest possible one; ambiguous: so is a step with one more turn of
    the register, hence the difference is not known. Not plausible after a fall means a reset or an exchange.
    """

    difference_micro: Integers
    rolled_over: NDArray[np.bool_]
    plausible: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]


def modulus_of_digits_micro(integer_digits: int) -> int:
    """Where a register of so many digits before the point starts again [millionths]: 5 digits at 100 000 units.

    Raises InvalidInputError for other than 1 to 12 digits; more don't fit into MAX_REGISTER_MICRO.
    """
    return modulus_of_counter_micro(10 ** whole("integer_digits", integer_digits, least=1, most=12), MICRO)


def modulus_of_counter_micro(states: int, resolution_micro: int) -> int:
    """Where a counter of so many states starts again [millionths], such as 2**23 states of 0.1 Wh (100 millionths)."""
    modulus = whole("states", states, least=0) * whole("resolution_micro", resolution_micro, least=0)
    if states < 2 or resolution_micro < 1 or modulus > MAX_REGISTER_MICRO:
        raise InvalidInputError(
            f"a register of {states} states of {resolution_micro} millionths can't be; the product must be "
            f"above {resolution_micro} and at most {MAX_REGISTER_MICRO}"
        )
    return modulus


@overload
def register_difference_micro(start: int, end: int, modulus_micro: int) -> int: ...
@overload
def register_difference_micro(start: Integers, end: Integers, modulus_micro: int | Integers) -> Integers: ...
def register_difference_micro(
    start: int | Integers, end: int | Integers, modulus_micro: int | Integers
) -> int | Integers:
    """end - start [millionths], modulo the register: in [0, modulus). One turn at most is assumed; see register_step.

    Raises InvalidInputError for a register outside [0, modulus) or a modulus outside (1, MAX_REGISTER_MICRO].
    """
    first, last, modulus = (_int64(name, v) for name, v in (("start", start), ("end", end), ("modulus", modulus_micro)))
    first, last, modulus = same_shape(start=first, end=last, modulus_micro=modulus)
    if np.any((modulus < 2) | (modulus > MAX_REGISTER_MICRO)):
        raise InvalidInputError(f"modulus_micro must be from 2 to {MAX_REGISTER_MICRO}; it is {modulus_micro}")
    for name, value in (("start", first), ("end", last)):
        outside = (value < 0) | (value >= modulus)
        if np.any(outside):
            found = np.broadcast_to(value, outside.shape)[outside][0]
            raise InvalidInputError(
                f"{name} register {found} is not in [0, {np.max(modulus)}) millionths; check the register's digits"
            )
    step = last - first  # within +-2**62, no overflow
    result = np.where(step < 0, step + modulus, step)
    return int(result) if result.ndim == 0 else result


def register_step(
    start: int | Integers, end: int | Integers, modulus_micro: int | Integers, largest_step_micro: int | Integers
) -> RegisterStep:
    """The step with its doubts, given the largest that the meter could have made in the time [millionths].

    It is I_max * U_n * time for electricity, Q4 * time for water and q_max * time for gas. Raises InvalidInputError as
    register_difference_micro, and for a largest step below 0.
    """
    first, last = _int64("start", start), _int64("end", end)
    modulus, largest = _int64("modulus", modulus_micro), _int64("largest_step_micro", largest_step_micro)
    first, last, modulus, largest = same_shape(start=first, end=last, modulus_micro=modulus, largest_step_micro=largest)
    refuse_where(largest < 0, largest, "largest_step_micro", "is below 0; give the largest possible step")
    difference = np.asarray(register_difference_micro(first, last, modulus))
    return RegisterStep(
        difference_micro=difference,
        rolled_over=np.asarray(last < first),
        plausible=np.asarray(difference <= largest),
        ambiguous=np.asarray(difference <= largest - modulus),
    )


def transformer_multiplier(
    ct_primary_a: int | Fraction,
    ct_secondary_a: int | Fraction,
    pt_primary_v: int | Fraction = 1,
    pt_secondary_v: int | Fraction = 1,
) -> Fraction:
    """CT * PT: by how much a meter behind instrument transformers indicates too little [1], exact."""
    names = ("ct_primary_a", "ct_secondary_a", "pt_primary_v", "pt_secondary_v")
    ratings = (ct_primary_a, ct_secondary_a, pt_primary_v, pt_secondary_v)
    ct_1, ct_2, pt_1, pt_2 = (_rating(name, value) for name, value in zip(names, ratings, strict=True))
    return ct_1 / ct_2 * pt_1 / pt_2


def pulse_weight_micro(pulses_per_unit: int | Fraction) -> Fraction:
    """Millionths of a kWh or m3 for one pulse of a meter of so many pulses a kWh or m3, exact."""
    return MICRO / _rating("pulses_per_unit", pulses_per_unit)


@overload
def multiply_micro(value: int, multiplier: Fraction | int) -> int: ...
@overload
def multiply_micro(value: Integers, multiplier: Fraction | int) -> Integers: ...
def multiply_micro(value: int | Integers, multiplier: Fraction | int) -> int | Integers:
    """Registers, differences or pulses times a multiplier [millionths], rounded once, half to even, without overflow.

    Raises InvalidInputError when a product leaves +-MAX_REGISTER_MICRO, and for a multiplier that is not exact.
    """
    factor = _exact("multiplier", multiplier)
    values = _int64("value", value)
    largest = max((abs(int(v)) for v in (values.min(), values.max())), default=0) if values.size else 0
    if largest * abs(factor) > MAX_REGISTER_MICRO:
        raise InvalidInputError(
            f"{largest} times {factor} exceeds {MAX_REGISTER_MICRO} millionths; check the multiplier"
        )
    num, den = factor.numerator, factor.denominator
    if max(den - 1, 1) * abs(num) > MAX_REGISTER_MICRO or den > MAX_REGISTER_MICRO // 2:
        exact = np.array([round(int(v) * factor) for v in values.reshape(-1)], dtype=np.int64)  # rare: huge fractions
        result = exact.reshape(values.shape)
    else:
        whole, rest = np.divmod(values, den)  # value = whole * den + rest, 0 <= rest < den
        quotient, remainder = np.divmod(rest * num, den)
        result = np.asarray(whole * num + quotient)
        up = (2 * remainder > den) | ((2 * remainder == den) & (result % 2 == 1))
        result = result + up
    return int(result) if result.ndim == 0 else result


def resolution_standard_uncertainty(resolution: float) -> float:
    """Standard uncertainty of one indication from its resolution, in its unit: resolution / sqrt(12) (GUM, F.2.2.1).

    Holds for a register that rounds; one that cuts off indicates in the mean half a resolution too little besides.
    """
    return _resolution(resolution) / math.sqrt(12)


def difference_standard_uncertainty(resolution: float) -> float:
    """Standard uncertainty of a difference of two indications from their resolution: resolution / sqrt(6).

    Two independent rectangular distributions make a triangular one (GUM, 4.3.9); the offset of a register that cuts off
    cancels. Not for steps of few resolutions under a steady load, where the two ends are no longer independent.
    """
    return _resolution(resolution) / math.sqrt(6)


def _resolution(resolution: float) -> float:
    if not (resolution > 0 and math.isfinite(resolution)):
        raise InvalidInputError(f"resolution {resolution} must be a number above 0")
    return resolution


def _exact(name: str, value: int | Fraction) -> Fraction:
    if not isinstance(value, int | Fraction | np.integer) or isinstance(value, bool):
        raise InvalidInputError(f"{name} {value!r} must be an int or a Fraction: a float 0.1 is not exactly 1/10")
    return Fraction(value)


def _rating(name: str, value: int | Fraction) -> Fraction:
    exact = _exact(name, value)
    if exact <= 0:
        raise InvalidInputError(f"{name} {value} must be above 0; take it from the plate")
    return exact


def _int64(name: str, value: int | Integers) -> Integers:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or (array.dtype.kind == "u" and np.any(array > MAX_REGISTER_MICRO)):
        raise InvalidInputError(f"{name} must be integers in millionths; it holds {array.dtype} up to {value}")
    return array.astype(np.int64, copy=False)
