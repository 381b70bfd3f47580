"""Propagation of distributions by Monte Carlo, and the check of a GUM budget by it (JCGM 101:2008)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from metrology.arrays import FloatArray, finite_scalar, whole
from metrology.errors import InvalidInputError
from metrology.uncertainty import COVERAGE_95, Budget, Component, Correlation, Distribution

DEFAULT_DRAWS: Final = 1_000_000  # JCGM 101, 7.2.3: 10⁶ often gives a 95 % interval to one or two digits
MAX_DRAWS: Final = 20_000_000  # 160 MB of results, the only array that grows with the draws
_CHUNK: Final = 50_000


@dataclass(frozen=True, slots=True)
class MonteCarloResult:
    """Mean, standard deviation and coverage interval [`low`, `high`] of the measurand, in its unit."""

    mean: float
    std_uncertainty: float
    low: float
    high: float
    probability: float
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class GumCheck:
    """Whether the GUM interval agrees with the Monte Carlo one (JCGM 101, 8.1).

    `low_difference` and `high_difference` are the distances of the two intervals' ends, `tolerance` is δ; all in the
    measurand's unit.
    """

    valid: bool
    tolerance: float
    low_difference: float
    high_difference: float


def propagate(
    model: Callable[..., Any],
    inputs: Sequence[Component],
    correlations: Sequence[Correlation] = (),
    *,
    seed: int,
    draws: int = DEFAULT_DRAWS,
    probability: float = COVERAGE_95,
    shortest: bool = False,
) -> MonteCarloResult:
    """The distribution of y = model(x1, x2, ...) for inputs drawn from their distributions (JCGM 101, clause 7).

    `model` is called with one array of shape (m,) per input and gives an array of that shape. The interval is
    probabilistically symmetric, or the shortest of that probability (5.3.3-5.3.4, 7.7). The same seed gives the same
    result. A t component is drawn as x + u·t_ν (6.4.9.2), so its spread exceeds u. Correlations are allowed between
    normal components only (6.4.8). Raises InvalidInputError for other correlations, for draws out of range and for a
    model that gives no finite number.
    """
    whole("seed", seed, least=0)
    whole("draws", draws, least=10_000, most=MAX_DRAWS)
    # Beyond, the interval would rest on a few draws.
    if not 0 < probability <= 1 - 100 / draws:
        raise InvalidInputError(
            f"coverage probability {probability:g}; give one above 0 and at most 1 - 100/draws = {1 - 100 / draws:g}"
        )
    factor = _correlation_factor(inputs, correlations)
    generator = np.random.default_rng(seed)
    results = np.empty(draws)
    for start in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - start)
        results[start : start + count] = _evaluated(model, _draw(generator, inputs, factor, count))
    if not np.isfinite(results).all():
        raise InvalidInputError("the model gives no finite number for some draws; look at the inputs' distributions")
    mean, std = float(results.mean()), float(results.std(ddof=1))
    results.sort()
    low, high = _interval(results, probability, shortest)
    return MonteCarloResult(mean, std, low, high, probability, draws, seed)


def _evaluated(model: Callable[..., Any], columns: Sequence[FloatArray]) -> FloatArray:
    with np.errstate(all="ignore"):  # the results are checked as a whole
        values = np.asarray(model(*columns))
    if values.dtype.kind not in "fiu" or values.shape not in ((), columns[0].shape):
        raise InvalidInputError(
            f"the model gives {values.dtype} of shape {values.shape} for inputs of shape {columns[0].shape};"
            " it must give one number for each draw"
        )
    return values


def propagate_budget(
    budget: Budget, *, seed: int, draws: int = DEFAULT_DRAWS, probability: float = COVERAGE_95
) -> MonteCarloResult:
    """Monte Carlo over a budget's own linear model y = value + Σ c_i (x_i - value_i)."""

    def linear(*columns: FloatArray) -> FloatArray:
        total = np.full(columns[0].shape, budget.value)
        for line, column in zip(budget.components, columns, strict=True):
            total += line.sensitivity * (column - line.value)
        return total

    return propagate(linear, budget.components, budget.correlations, seed=seed, draws=draws, probability=probability)


def check_gum(budget: Budget, result: MonteCarloResult, *, digits: int = 2) -> GumCheck:
    """Compares the budget's interval y ± U with the Monte Carlo interval (JCGM 101, 8.1).

    The GUM is valid here if both ends agree within δ, half of the last of `digits` significant digits of u_c (7.9.2).
    """
    if digits not in (1, 2):
        raise InvalidInputError(f"digits = {digits}; JCGM 101, 7.9.2 uses 1 or 2 significant digits")
    expanded = budget.expanded_uncertainty(result.probability)
    tolerance = numerical_tolerance(budget.combined_std_uncertainty, digits)
    low = abs(budget.value - expanded - result.low)
    high = abs(budget.value + expanded - result.high)
    return GumCheck(low <= tolerance and high <= tolerance, tolerance, low, high)


def numerical_tolerance(std_uncertainty: float, digits: int) -> float:
    """δ = ½·10^l where u = c·10^l and c has `digits` digits (JCGM 101, 7.9.2); 0 for u = 0, in u's unit."""
    finite_scalar("std_uncertainty", std_uncertainty, least=0.0)
    if std_uncertainty == 0:
        return 0.0
    exponent = math.floor(math.log10(std_uncertainty)) - digits + 1
    # Rounding may carry into the next digit: 0.0996 with two digits is 0.10, that is 10·10⁻².
    if round(std_uncertainty / 10.0**exponent) >= 10**digits:
        exponent += 1
    return 0.5 * 10.0**exponent


def _correlation_factor(inputs: Sequence[Component], correlations: Sequence[Correlation]) -> FloatArray | None:
    """A matrix square root of the correlation matrix, or None where nothing is correlated."""
    if not inputs:
        raise InvalidInputError("no inputs were given; name at least one component")
    if not any(pair.coefficient for pair in correlations):
        return None
    shape = {c.name: c.distribution for c in inputs}
    for pair in correlations:
        for name in (pair.first, pair.second):
            if shape.get(name, Distribution.NORMAL) is not Distribution.NORMAL:
                raise InvalidInputError(
                    f"component {name!r} is {shape[name]} and correlated; only normal components may be correlated"
                )
    matrix = Budget("inputs", "", 0.0, tuple(inputs), tuple(correlations)).correlation_matrix()
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))


def _draw(
    generator: np.random.Generator, inputs: Sequence[Component], factor: FloatArray | None, count: int
) -> list[FloatArray]:
    joint = None if factor is None else factor @ generator.standard_normal((len(inputs), count))
    columns = []
    for i, line in enumerate(inputs):
        if joint is not None and line.distribution is Distribution.NORMAL:
            unit = joint[i]
        else:
            unit = _standardised(generator, line, count)
        columns.append(line.value + line.std_uncertainty * unit)
    return columns


def _standardised(generator: np.random.Generator, line: Component, count: int) -> FloatArray:
    """Draws of mean 0 and standard deviation 1 (t: scale 1), shape (count,) (JCGM 101, 6.4)."""
    match line.distribution:
        case Distribution.NORMAL:
            return generator.standard_normal(count)
        case Distribution.RECTANGULAR:
            return math.sqrt(3.0) * (2.0 * generator.random(count) - 1.0)
        case Distribution.TRIANGULAR:
            return math.sqrt(6.0) * (generator.random(count) + generator.random(count) - 1.0)
        case Distribution.U_SHAPED:
            return math.sqrt(2.0) * np.cos(math.pi * generator.random(count))
        case Distribution.STUDENT_T:
            return generator.standard_t(line.degrees_of_freedom, count)


def _interval(ordered: FloatArray, probability: float, shortest: bool) -> tuple[float, float]:
    """The coverage interval of sorted results (JCGM 101, 7.7)."""
    count = ordered.size
    inside = round(probability * count)
    start = (count - inside) // 2
    if shortest:
        start = int(np.argmin(ordered[inside:] - ordered[: count - inside]))
    return float(ordered[start]), float(ordered[min(start + inside, count - 1)])
