"""Comparisons between laboratories: reference value, consistency and scores (ISO 13528:2022, ISO/IEC 17043, Cox 2002).

Results x_i of the same measurand with standard uncertainties u_i, assumed independent of each other.
"""

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from metrology.arrays import (
    BoolArray,
    FloatArray,
    Floats,
    check_probability,
    drop_0d,
    finite,
    finite_scalar,
    floats,
    same_shape,
    whole,
)
from metrology.errors import InvalidInputError

EN_LIMIT: Final = 1.0  # |E_n| <= 1 is satisfactory (ISO 13528, 9.7; ISO/IEC 17043, B.4.1.1)
ZETA_WARNING: Final = 2.0  # |zeta| <= 2 satisfactory, >= 3 unsatisfactory (ISO 13528, 9.4 and 9.6)
ZETA_ACTION: Final = 3.0
CONSISTENCY_LEVEL: Final = 0.05  # Cox, Metrologia 39 (2002) 589, 4.1
_LIMIT_TOLERANCE: Final = 1e-9  # keeps an E_n of 1 in decimal arithmetic satisfactory in binary arithmetic
_LARGEST: Final = 1e100  # of results and uncertainties, and the inverse of the smallest: squares stay finite
_MAX_ENUMERATED: Final = 20  # laboratories; the subsets of half of them number 184,756
_BATCH: Final = 20_000
_ITERATIONS: Final = 1000


class ReferenceMethod(StrEnum):
    """How a reference value was made of the results."""

    WEIGHTED_MEAN = "weighted-mean"
    CONSISTENT_SUBSET = "largest-consistent-subset"
    ALGORITHM_A = "algorithm-a"
    ASSIGNED = "assigned"


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A comparison's reference value and standard uncertainty; `members` marks the laboratories that made it.

    `robust_std` is the robust standard deviation s* of algorithm A, NaN for the other methods.
    """

    value: float
    std_uncertainty: float
    method: ReferenceMethod
    members: tuple[bool, ...]
    robust_std: float = float("nan")


@dataclass(frozen=True, slots=True)
class ConsistencyTest:
    """The chi-squared test of the hypothesis that all results and uncertainties describe one value."""

    chi_squared: float
    degrees_of_freedom: int
    p_value: float
    consistent: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A whole comparison: scores in the laboratories' order, and whether the reference's members are consistent."""

    reference: ReferenceValue
    consistency: ConsistencyTest
    difference: FloatArray
    expanded_uncertainty: FloatArray
    en: FloatArray
    satisfactory: BoolArray


def en_score(result: Floats, expanded_result: Floats, reference: Floats, expanded_reference: Floats) -> Floats:
    """E_n = (x - x_ref) / √(U² + U_ref²), U expanded with one coverage factor, usually 2 (ISO 13528, 9.7).

    For independent results in one unit; arguments broadcast. Raises InvalidInputError for values that are not finite,
    negative uncertainties, and where both are 0.
    """
    return _score(result, expanded_result, reference, expanded_reference, "expanded uncertainty")


def zeta_score(result: Floats, std_result: Floats, reference: Floats, std_reference: Floats) -> Floats:
    """ζ = (x - x_ref) / √(u² + u_ref²), u standard uncertainties (ISO 13528, 9.6); errors as for `en_score`."""
    return _score(result, std_result, reference, std_reference, "standard uncertainty")


def zeta_signal(zeta: Floats) -> NDArray[np.int8]:
    """0 satisfactory (|ζ| <= 2), 1 a warning (between), 2 a call for action (|ζ| >= 3), the shape of `zeta`.

    ISO 13528, 9.4 and 9.6. Raises InvalidInputError for scores that are not finite.
    """
    size = np.abs(finite("zeta", zeta))
    warning, action = size > ZETA_WARNING + _LIMIT_TOLERANCE, size >= ZETA_ACTION - _LIMIT_TOLERANCE
    return warning.astype(np.int8) + action.astype(np.int8)


def weighted_mean(results: ArrayLike, std_uncertainties: ArrayLike) -> ReferenceValue:
    """x_ref = Σ(x_i/u_i²) / Σ(1/u_i²), u_ref = (Σ 1/u_i²)^-½ (Cox 2002, procedure A, 5.2)."""
    x, u = _checked(results, std_uncertainties)
    value, std, _ = _weighted(x, u)
    return ReferenceValue(value, std, ReferenceMethod.WEIGHTED_MEAN, (True,) * x.size)


def consistency_test(
    results: ArrayLike, std_uncertainties: ArrayLike, *, level: float = CONSISTENCY_LEVEL
) -> ConsistencyTest:
    """χ² = Σ(x_i - x_ref)²/u_i²; consistent if P(χ²(N - 1) > χ²) is at least `level` (Cox 2002, 5.3)."""
    check_probability("level", level)
    x, u = _checked(results, std_uncertainties)
    _, _, chi2 = _weighted(x, u)
    p = float(special.chdtrc(x.size - 1, chi2))
    return ConsistencyTest(chi2, x.size - 1, p, p >= level)


def largest_consistent_subset(
    results: ArrayLike, std_uncertainties: ArrayLike, *, level: float = CONSISTENCY_LEVEL
) -> ReferenceValue:
    """The weighted mean of the largest subset of laboratories that passes the consistency test (Cox 2007).

    M. G. Cox, Metrologia 44 (2007) 187: of several subsets of that size the one of smallest χ². All subsets are
    looked at, up to half of the laboratories left out. Raises InvalidInputError for more than 20 laboratories and where
    no subset of more than half of them is consistent: then no majority agrees and there is no reference value.
    """
    check_probability("level", level)
    x, u = _checked(results, std_uncertainties)
    if x.size > _MAX_ENUMERATED:
        raise InvalidInputError(f"{x.size} laboratories are too many to search; use algorithm A for more than 20")
    for kept in range(x.size, x.size // 2, -1):
        if kept == 1:
            break
        best, members = _best_subset(x, u, kept)
        if special.chdtrc(kept - 1, best) >= level:
            value, std, _ = _weighted(x[members], u[members])
            mask = np.isin(np.arange(x.size), members)
            return ReferenceValue(value, std, ReferenceMethod.CONSISTENT_SUBSET, tuple(mask.tolist()))
    raise InvalidInputError(
        f"no majority of the {x.size} laboratories agrees within the stated uncertainties;"
        " review the uncertainties, or take a reference value from outside the comparison"
    )


def algorithm_a(results: ArrayLike) -> ReferenceValue:
    """Robust mean x* and standard deviation s*; u_ref = 1.25·s*/√N (ISO 13528:2022, C.3.1 and 7.7.3).

    Results beyond x* ± 1.5·s* are drawn in to there, until nothing changes. Raises InvalidInputError for less than two
    results, or NaN.
    """
    x = floats("results", results)
    if x.ndim != 1 or x.size < 2 or not (np.abs(x) <= _LARGEST).all():
        raise InvalidInputError(f"algorithm A needs at least two finite results in one row, not {x.size}")
    centre = float(np.median(x))
    spread = 1.483 * float(np.median(np.abs(x - centre)))
    plain = float(x.std(ddof=1))
    if spread < 1e-6 * plain:
        # More than half are (nearly) equal; the plain standard deviation starts the iteration (C.3.1, note).
        spread = plain
    for _ in range(_ITERATIONS):
        drawn_in = np.clip(x, centre - 1.5 * spread, centre + 1.5 * spread)
        before, centre, spread = (centre, spread), float(drawn_in.mean()), 1.134 * float(drawn_in.std(ddof=1))
        if abs(centre - before[0]) + abs(spread - before[1]) <= 1e-12 * spread:
            break
    u = 1.25 * spread / float(np.sqrt(x.size))
    return ReferenceValue(centre, u, ReferenceMethod.ALGORITHM_A, (True,) * x.size, spread)


def assigned_value(value: float, std_uncertainty: float, laboratories: int) -> ReferenceValue:
    """A reference value from outside the comparison (a national institute, a certified item).

    Raises InvalidInputError for a value that is not finite, a negative uncertainty, or no laboratory.
    """
    finite_scalar("value", value)
    finite_scalar("std_uncertainty", std_uncertainty, least=0.0)
    whole("laboratories", laboratories, least=1)
    return ReferenceValue(value, std_uncertainty, ReferenceMethod.ASSIGNED, (False,) * laboratories)


def compare(
    results: ArrayLike,
    std_uncertainties: ArrayLike,
    reference: ReferenceValue,
    *,
    coverage_factor: float = 2.0,
    level: float = CONSISTENCY_LEVEL,
) -> Comparison:
    """Degrees of equivalence d_i = x_i - x_ref with U(d_i) = k·u(d_i), and E_n = d_i / U(d_i) (Cox 2002, 5.4-5.5).

    u²(d_i) = u_i² - u_ref² where laboratory i is a member of a weighted mean (its result is correlated with it), else
    u_i² + u_ref². For algorithm A the sum is used throughout (ISO 13528, 9.6, note): for few laboratories it makes
    E_n somewhat small. The consistency test is that of the members, or of all where there is none. Raises
    InvalidInputError for a coverage factor not above 0, and where a laboratory dominates the weighted mean so much that
    its difference from it has no uncertainty left.
    """
    finite_scalar("coverage_factor", coverage_factor, above=0.0)
    x, u = _checked(results, std_uncertainties)
    if len(reference.members) != x.size:
        raise InvalidInputError(
            f"the reference value knows {len(reference.members)} laboratories, the results {x.size}"
        )
    members = np.array(reference.members)
    weighted = reference.method in (ReferenceMethod.WEIGHTED_MEAN, ReferenceMethod.CONSISTENT_SUBSET)
    sign = np.where(members & weighted, -1.0, 1.0)
    variance = u**2 + sign * reference.std_uncertainty**2
    # A rest of rounding is no variance: u_ref² of a dominating member is its own u² to the last digits.
    if np.any(alone := variance <= 1e-12 * u**2):
        i = int(np.flatnonzero(alone)[0])
        raise InvalidInputError(
            f"laboratory {i} (u = {u[i]:g}) dominates the weighted mean: it can't be compared with it; leave it out of"
            " the reference value or take its result as an assigned value"
        )
    difference = x - reference.value
    expanded = coverage_factor * np.sqrt(variance)
    en = difference / expanded
    tested = members if members.sum() > 1 else np.ones(x.size, dtype=np.bool_)
    consistency = consistency_test(x[tested], u[tested], level=level)
    return Comparison(reference, consistency, difference, expanded, en, is_satisfactory(en))


def is_satisfactory(en: Floats) -> BoolArray:
    """Where |E_n| <= 1 (ISO 13528, 9.7); NaN is not."""
    return np.asarray(np.abs(floats("en", en)) <= EN_LIMIT + _LIMIT_TOLERANCE)


def _score(result: Floats, spread: Floats, reference: Floats, spread_reference: Floats, what: str) -> Floats:
    x, u, ref, u_ref = same_shape(
        result=finite("result", result),
        uncertainty=finite(what, spread, least=0.0),
        reference=finite("reference", reference),
        reference_uncertainty=finite(f"{what} of the reference", spread_reference, least=0.0),
    )
    both = np.hypot(u, u_ref)
    if (both == 0).any():
        raise InvalidInputError(f"both values of the {what} are 0; a score needs one above 0")
    with np.errstate(over="ignore"):  # a quotient too large for a float is refused below
        score = (x - ref) / both
    if not np.isfinite(score).all():
        raise InvalidInputError("a score is too large for a number; check the units of results and uncertainties")
    return drop_0d(score)


def _checked(results: ArrayLike, std_uncertainties: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, u = floats("results", results), floats("std_uncertainties", std_uncertainties)
    if x.ndim != 1 or x.shape != u.shape or x.size < 2:
        raise InvalidInputError(
            f"give at least two results and one uncertainty each, not shapes {x.shape} and {u.shape}"
        )
    bad = ~((np.abs(x) <= _LARGEST) & (u >= 1 / _LARGEST) & (u <= _LARGEST))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise InvalidInputError(f"laboratory {i}: result {x[i]:g} ± {u[i]:g}; give a finite result and u above 0")
    return x, u


def _weighted(x: FloatArray, u: FloatArray) -> tuple[float, float, float]:
    """Weighted mean, its standard uncertainty and χ²; about the first result, so that large values lose no digits."""
    weight = 1.0 / u**2
    shift = float(np.sum(weight * (x - x[0])) / np.sum(weight))
    return float(x[0]) + shift, float(np.sum(weight) ** -0.5), float(np.sum(weight * (x - x[0] - shift) ** 2))


def _best_subset(x: FloatArray, u: FloatArray, kept: int) -> tuple[float, NDArray[np.int64]]:
    """Smallest χ² over all subsets of `kept` laboratories, and that subset's indices."""
    weight, y = 1.0 / u**2, x - np.median(x)
    best, members = np.inf, np.arange(kept)
    subsets = itertools.combinations(range(x.size), kept)
    while batch := list(itertools.islice(subsets, _BATCH)):
        index = np.array(batch)
        w, v = weight[index], y[index]
        mean = (w * v).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
        chi2 = (w * (v - mean) ** 2).sum(axis=1)
        if chi2.min() < best:
            best, members = float(chi2.min()), index[int(chi2.argmin())]
    return best, members
