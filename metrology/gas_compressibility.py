"""Compression factor of natural gas by AGA8 DETAIL (ISO 12213-2) and GERG-2008 (ISO 20765-2), in stated ranges."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final, overload

import numpy as np
import pyaga8

from metrology.arrays import FloatArray, Floats, floats, same_shape
from metrology.errors import InvalidInputError
from metrology.gas_composition import COMPONENTS, Composition


class Equation(StrEnum):
    """The equation of state."""

    AGA8_DETAIL = "aga8-detail"
    GERG_2008 = "gerg-2008"


@dataclass(frozen=True, slots=True)
class EquationRange:
    """Where an equation may be used, and the expanded relative uncertainty (k = 2) of its Z there."""

    temperature_k: tuple[float, float]
    pressure_kpa: tuple[float, float]
    limits: tuple[tuple[tuple[str, ...], float, float], ...]
    uncertainty_rel: float
    source: str
    confidence: str


_TOLERANCE: Final = 1e-9  # mole fractions on a limit are inside


@cache
def equation_range(equation: Equation) -> EquationRange:
    """The validity range of an equation, from the package's data file. Refuses an unknown one with the choices."""
    if equation not in tuple(Equation):
        raise InvalidInputError(f"equation {equation!r} is unknown; use one of {', '.join(Equation)}")
    text = resources.files("metrology").joinpath("gas_data", "equation_ranges.toml").read_text("utf-8")
    raw = tomllib.loads(text)[str(equation)]
    limits = tuple((tuple(part["components"]), *part["fraction"]) for part in raw["limit"])
    low_k, high_k = raw["temperature_k"]
    low_kpa, high_kpa = raw["pressure_kpa"]
    return EquationRange(
        (low_k, high_k), (low_kpa, high_kpa), limits, raw["uncertainty_rel"], raw["source"], raw["confidence"]
    )


@overload
def compressibility(
    composition: Composition, temperature_k: float, pressure_kpa: float, *, equation: Equation = ...
) -> float: ...


@overload
def compressibility(
    composition: Composition, temperature_k: Floats, pressure_kpa: Floats, *, equation: Equation = ...
) -> Floats: ...


def compressibility(
    composition: Composition,
    temperature_k: Floats,
    pressure_kpa: Floats,
    *,
    equation: Equation = Equation.AGA8_DETAIL,
) -> Floats:
    """Z at absolute pressure(s) [kPa] and temperature(s) [K]; broadcast shape, a float for floats.

    Raises InvalidInputError where the composition or a state lies outside `equation_range(equation)`, naming the
    quantity, its value and the limits.
    """
    temperature, pressure = same_shape(
        temperature_k=floats("temperature", temperature_k), pressure_kpa=floats("absolute pressure", pressure_kpa)
    )
    check_range(composition, temperature, pressure, equation)
    state = _State(composition, equation)
    z = np.empty(temperature.size)
    for i, (t, p) in enumerate(zip(temperature.ravel().tolist(), pressure.ravel().tolist(), strict=True)):
        z[i] = state.compression_factor(t, p)
    return float(z[0]) if temperature.ndim == 0 else z.reshape(temperature.shape)


def check_range(
    composition: Composition, temperature_k: FloatArray, pressure_kpa: FloatArray, equation: Equation
) -> None:
    """Raises InvalidInputError unless the composition and all states lie within the equation's range."""
    valid = equation_range(equation)
    for names, low, high in valid.limits:
        x = composition.fraction(*names)
        if not low - _TOLERANCE <= x <= high + _TOLERANCE:
            raise InvalidInputError(
                f"mole fraction of {' + '.join(names)} = {x:.6g} is outside {low:g} to {high:g},"
                f" the range of {equation} ({valid.source}); use another equation or a measured Z"
            )
    for name, values, (low, high), unit in (
        ("temperature", temperature_k, valid.temperature_k, "K"),
        ("absolute pressure", pressure_kpa, valid.pressure_kpa, "kPa"),
    ):
        inside = (values >= low) & (values <= high) & (values > 0)
        if not inside.all():
            raise InvalidInputError(
                f"{name} = {float(values[~inside].flat[0]):g} {unit} is outside {low:g} to {high:g} {unit},"
                f" the range of {equation} ({valid.source}); check the sensor, its unit, and gauge against absolute"
            )


class _State:
    """One gas in one of the two equations; the library's two classes differ in the arguments of one method."""

    def __init__(self, composition: Composition, equation: Equation) -> None:
        gas = pyaga8.Composition()
        for name, x in zip(COMPONENTS, composition.fractions, strict=True):
            setattr(gas, name, x)
        self._detail = equation == Equation.AGA8_DETAIL
        self._solver: Any = pyaga8.Detail() if self._detail else pyaga8.Gerg2008()
        self._solver.set_composition(gas)

    def compression_factor(self, temperature_k: float, pressure_kpa: float) -> float:
        solver = self._solver
        solver.temperature, solver.pressure = temperature_k, pressure_kpa
        try:
            # GERG's flag 0: search the density from the gas side only.
            solver.calc_density() if self._detail else solver.calc_density(0)
        except (RuntimeError, ValueError) as error:
            raise InvalidInputError(f"no density at {temperature_k:g} K and {pressure_kpa:g} kPa: {error}") from None
        return float(solver.z)
