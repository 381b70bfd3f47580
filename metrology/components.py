"""What an uncertainty budget is made of: components with distributions, and correlations (JCGM 100, 4 and 5.2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np

from metrology.arrays import FloatArray, floats
from metrology.errors import InvalidInputError

_LARGEST: Final = 1e150  # of a contribution: its square stays finite


class Distribution(StrEnum):
    """The distribution that a component's knowledge is expressed by (GUM 4.3, JCGM 101 6.4)."""

    NORMAL = "normal"
    RECTANGULAR = "rectangular"
    TRIANGULAR = "triangular"
    U_SHAPED = "u-shaped"
    STUDENT_T = "t"


# Half-width divided by standard uncertainty: GUM 4.3.7 (rectangular), 4.3.9 (triangular), JCGM 101 6.4.6 (arc sine).
HALF_WIDTH_DIVISOR: Final[Mapping[Distribution, float]] = {
    Distribution.RECTANGULAR: math.sqrt(3.0),
    Distribution.TRIANGULAR: math.sqrt(6.0),
    Distribution.U_SHAPED: math.sqrt(2.0),
}


@dataclass(frozen=True, slots=True)
class Component:
    """One line of a budget.

    `std_uncertainty` is in the component's `unit`; `sensitivity` = dy/dx in the measurand's unit per component's unit;
    `degrees_of_freedom` of the standard uncertainty, infinite where it is taken as known; `source` says where it is
    from.
    """

    name: str
    value: float
    std_uncertainty: float
    sensitivity: float = 1.0
    unit: str = ""
    distribution: Distribution = Distribution.NORMAL
    degrees_of_freedom: float = math.inf
    source: str = ""

    def __post_init__(self) -> None:
        where = f"component {self.name!r}"
        for field in ("value", "std_uncertainty", "sensitivity", "degrees_of_freedom"):
            floats(f"{where}: {field}", getattr(self, field))
        if not (math.isfinite(self.std_uncertainty) and self.std_uncertainty >= 0):
            raise InvalidInputError(f"{where}: std_uncertainty = {self.std_uncertainty:g}; give a finite value >= 0")
        if not (math.isfinite(self.value) and math.isfinite(self.sensitivity)):
            raise InvalidInputError(
                f"{where}: value = {self.value:g}, sensitivity = {self.sensitivity:g}; give numbers"
            )
        if not self.contribution <= _LARGEST:
            raise InvalidInputError(f"{where}: |sensitivity|·u = {self.contribution:g} is too large; check the units")
        if not self.degrees_of_freedom >= 1:
            raise InvalidInputError(f"{where}: degrees_of_freedom = {self.degrees_of_freedom:g}; give at least 1")
        if self.distribution is Distribution.STUDENT_T and math.isinf(self.degrees_of_freedom):
            raise InvalidInputError(f"{where}: a t distribution needs finite degrees_of_freedom, or use 'normal'")

    @classmethod
    def from_half_width(
        cls, name: str, value: float, half_width: float, distribution: Distribution | str, **rest: Any
    ) -> Self:
        """A quantity known to lie within value ± half_width (GUM 4.3.7-4.3.9)."""
        shape = parse_distribution(distribution)
        if shape not in HALF_WIDTH_DIVISOR:
            raise InvalidInputError(
                f"component {name!r}: {shape} has no half-width; use one of {', '.join(HALF_WIDTH_DIVISOR)}"
            )
        return cls(name, value, half_width / HALF_WIDTH_DIVISOR[shape], distribution=shape, **rest)

    @classmethod
    def from_expanded(
        cls, name: str, value: float, expanded_uncertainty: float, coverage_factor: float = 2.0, **rest: Any
    ) -> Self:
        """A quantity with the expanded uncertainty of a certificate, u = U / k (GUM 4.3.3)."""
        floats(f"component {name!r}: coverage_factor", coverage_factor)
        if not 0 < coverage_factor < math.inf:
            raise InvalidInputError(f"component {name!r}: coverage_factor = {coverage_factor:g}; give one above 0")
        return cls(name, value, expanded_uncertainty / coverage_factor, **rest)

    @classmethod
    def from_readings(cls, name: str, readings: Sequence[float] | FloatArray, **rest: Any) -> Self:
        """The mean of n >= 2 repeated readings, u = s/√n with n - 1 degrees of freedom (Type A, GUM 4.2)."""
        values = floats(f"component {name!r}: readings", readings)
        if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
            raise InvalidInputError(f"component {name!r}: give at least two finite readings, not {values.size}")
        u = float(values.std(ddof=1)) / math.sqrt(values.size)
        fields: dict[str, Any] = {"distribution": Distribution.STUDENT_T, "degrees_of_freedom": values.size - 1.0}
        return cls(name, float(values.mean()), u, **(fields | rest))

    @property
    def contribution(self) -> float:
        """|c|·u, in the measurand's unit."""
        return abs(self.sensitivity) * self.std_uncertainty


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation coefficient of two components' estimates (GUM 5.2.2)."""

    first: str
    second: str
    coefficient: float


def parse_distribution(text: Distribution | str) -> Distribution:
    """The distribution of that name. Raises InvalidInputError with the valid names."""
    try:
        return Distribution(text)
    except ValueError:
        raise InvalidInputError(f"distribution {text!r} is unknown; use one of {', '.join(Distribution)}") from None
