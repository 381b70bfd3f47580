"""What every public function does with its arguments first: one dtype, one shape, and a refusal that names the value.

Scalars, lists, integers and float32 arrays become float64. Text, truth values, complex numbers and None are refused
rather than converted: they are mistakes of the caller, and a silent conversion would hide them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrology.errors import InvalidInputError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Floats = float | FloatArray

_LARGEST = 1e100  # of a measured quantity in any unit: products and squares stay finite


def floats(name: str, value: ArrayLike) -> FloatArray:
    """`value` as a float64 array of its own shape. Raises InvalidInputError for anything but real numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInputError(f"{name} has rows of different lengths; give one shape") from None
    if array.dtype.kind not in "fiu" and array.size:
        raise InvalidInputError(f"{name} must hold real numbers; it holds {_shortened(value)} ({array.dtype})")
    return array.astype(np.float64, copy=False)


def same_shape(**arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The arrays in their common broadcast shape. Raises InvalidInputError naming the shapes that don't fit."""
    try:
        return np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InvalidInputError(f"the shapes do not fit each other: {shapes}; give one shape or scalars") from None


def refuse_where(bad: BoolArray, values: NDArray[Any], name: str, what: str) -> None:
    """Raises InvalidInputError naming the first bad value, where there is one."""
    if bad.any():
        value = float(np.broadcast_to(values, bad.shape)[bad].flat[0])
        raise InvalidInputError(f"{name} = {value:g} {what}")


def finite(
    name: str, value: ArrayLike, unit: str = "", *, above: float = -math.inf, least: float = -math.inf
) -> FloatArray:
    """`value` as a float64 array of numbers above `above` and at least `least`; else raises InvalidInputError.

    NaN, infinities, numbers beyond 1e100 and, above 0, those below 1e-100 are refused too; `unit` is for the message.
    """
    array = floats(name, value)
    wanted = "finite" if above == least else f"above {above:g}" if above > least else f"at least {least:g}"
    smallest = max(least, 1 / _LARGEST) if above == 0 else least
    bad = ~((np.abs(array) <= _LARGEST) & (array > above) & (array >= smallest))
    refuse_where(bad, array, name, f"must be a number, {wanted}{' ' + unit if unit else ''}")
    return array


def finite_scalar(
    name: str, value: float, unit: str = "", *, above: float = -math.inf, least: float = -math.inf
) -> float:
    """As `finite`, for a single number."""
    array = finite(name, value, unit, above=above, least=least)
    if array.ndim:
        raise InvalidInputError(f"{name} must be a single number, not an array of shape {array.shape}")
    return float(array)


def whole(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """`value` as an int within [least, most]. Raises InvalidInputError for fractions, text, NaN and other sizes."""
    integral = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integral or value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise InvalidInputError(f"{name} {_shortened(value)} must be a whole number {wanted}")
    return int(value)


def check_probability(name: str, value: float) -> float:
    """`value` strictly between 0 and 1, as a float; else raises InvalidInputError."""
    array = floats(name, value)
    if array.ndim or not 0.0 < array < 1.0:
        raise InvalidInputError(f"{name} {_shortened(value)} must lie between 0 and 1 (0.95 for 95 %)")
    return float(array)


def drop_0d(array: NDArray[Any]) -> Floats:
    """A Python float for an array of shape (), else the array: scalars in, scalars out."""
    return float(array) if array.ndim == 0 else array


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
