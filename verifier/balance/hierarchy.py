"""A normal hierarchical model of meters' errors over many zones, by restricted maximum likelihood. Pure.

The errors of a zone's meters are θ = X·b + e with e_i ~ N(0, τ²) of the meter's type, and coefficients b ~ N(0, B): a
common mean without prior, the types' deviations N(0, κ²), linear trends with age, the lots' deviations N(0, ω²). The
data of a zone enter as their likelihood exp(−½ θᵀΛθ + hᵀθ). With T = diag(τ²) and K = Λ + T⁻¹, e integrated out,

    M = Σ Xᵀ(Λ − ΛK⁻¹Λ)X + B⁻¹,   r = Σ Xᵀ(h − ΛK⁻¹h),   b | data ~ N(M⁻¹r, M⁻¹)

the mixed model equations (Henderson, Biometrics 31 (1975) 423), Λ being allowed to be singular. The restricted
likelihood is that of the data with all coefficients integrated out (Patterson and Thompson, Biometrika 58 (1971) 545):

    2·ln L = Σ (hᵀK⁻¹h − ln |T| − ln |K|) + rᵀM⁻¹r − ln |M| − ln |B|

By Fisher's identity its derivative by ln τ² is ½·Σ_i (E(e_i² | data)/τ² − 1), likewise for κ² and ω². With one normal
level this is the restricted likelihood of a random-effects meta-analysis (DerSimonian and Laird, 1986).
Of few groups variances are hardly known and the maximum may lie at zero: ln κ and ln ω are given the density of a
half-normal of `scale` (Gelman, Bayesian Analysis 1 (2006) 515; Chung et al., Psychometrika 78 (2013) 685), and the
types' ln τ² are N(ln τ₀², 1): a type of few meters has the spread that the types have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from verifier.balance.types import Floats

Ints = NDArray[np.intp]
_REMOVED_PCT = 1_000.0  # spread of a meter that shall tell nothing of its like
_LOWEST, _HIGHEST = 2 * np.log(1e-3), 2 * np.log(100.0)  # of ln variances [%²]


@dataclass(frozen=True)
class ZoneData:
    """A zone's N meters: likelihood Λ (N, N), h (N,); `x` (N, c) of the coefficients `columns` (c,); `type_of` (N,).

    `removed` (N,): meters that are no example of their like; they are integrated out.
    """

    information: Floats
    moment: Floats
    columns: Ints
    x: Floats
    type_of: Ints
    removed: NDArray[np.bool_]


@dataclass(frozen=True)
class Coefficients:
    """What each coefficient is, (B,) in all: the common mean first, then types, then trends, then lots."""

    types: int
    trends: int
    lots: int
    trend_sd: float

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 + self.types + self.trends + self.lots

    def precision(self, logs: Floats) -> Floats:
        """Prior precisions, (B,); `logs`: ln κ², ln ω², ln τ₀², ln τ² of each type."""
        kappa, omega = np.exp(-logs[:2])
        values, counts = [0.0, kappa, self.trend_sd**-2, omega], [1, self.types, self.trends, self.lots]
        return np.repeat(np.array(values, dtype=np.float64), counts)

    @property
    def type_part(self) -> slice:
        """The types' deviations."""
        return slice(1, 1 + self.types)

    @property
    def lot_part(self) -> slice:
        """The lots' deviations."""
        return slice(1 + self.types + self.trends, self.count)


@dataclass(frozen=True)
class Solved:
    """The model given its variances (`logs`): information M (B, B) and r (B,) of all zones and of each one.

    `residual` and `variance` are, by zone, of E(e | data) and Var(e | data), (N,).
    """

    logs: Floats
    total: Floats
    moment: Floats
    by_zone: tuple[tuple[Floats, Floats], ...]
    residual: tuple[Floats, ...]
    variance: tuple[Floats, ...]
    log_likelihood: float

    def between_sd(self, kind: int) -> float:
        """τ of a type [%]."""
        return float(np.exp(self.logs[3 + kind] / 2))


def solve_given(zones: Sequence[ZoneData], coefficients: Coefficients, logs: Floats) -> Solved:
    """The coefficients given the variances, and the restricted likelihood of these without what is believed of them."""
    count = coefficients.count
    precision = coefficients.precision(logs)
    total, moment = np.diag(precision), np.zeros(count)
    with_prior = precision > 0
    twice = float(np.sum(np.log(precision[with_prior])))
    held, by_zone = [], []
    for zone in zones:
        spread = np.where(zone.removed, _REMOVED_PCT**2, np.exp(logs[3 + zone.type_of]))
        factor = scipy.linalg.cho_factor(zone.information + np.diag(1 / spread), lower=True, check_finite=False)
        columns = zone.information @ zone.x
        inner = scipy.linalg.cho_solve(factor, np.column_stack([columns, zone.moment, np.eye(spread.size)]))
        size = zone.x.shape[1]
        gram = zone.x.T @ columns - columns.T @ inner[:, :size]
        own = zone.x.T @ zone.moment - columns.T @ inner[:, size]
        total[np.ix_(zone.columns, zone.columns)] += gram
        moment[zone.columns] += own
        twice += float(zone.moment @ inner[:, size] - np.sum(np.log(spread)) - 2 * np.sum(np.log(np.diag(factor[0]))))
        by_zone.append((gram, own))
        held.append((inner[:, :size], inner[:, size], np.diag(inner[:, size + 1 :])))
    factor = scipy.linalg.cho_factor(total, lower=True, check_finite=False)
    found = scipy.linalg.cho_solve(factor, moment)
    inverse = scipy.linalg.cho_solve(factor, np.eye(count))
    twice += float(moment @ found) - 2 * float(np.sum(np.log(np.diag(factor[0]))))
    residual, variance = [], []
    for zone, (lever, mean, own_variance) in zip(zones, held, strict=True):
        part = inverse[np.ix_(zone.columns, zone.columns)]
        residual.append(mean - lever @ found[zone.columns])
        variance.append(own_variance + np.einsum("ij,jk,ik->i", lever, part, lever))
    return Solved(logs, total, moment, tuple(by_zone), tuple(residual), tuple(variance), twice / 2)


def restricted(
    zones: Sequence[ZoneData], coefficients: Coefficients, logs: Floats, scale: float
) -> tuple[float, Floats]:
    """Logarithm of the restricted likelihood times what is believed of the variances, and its derivatives, (3 + G,)."""
    solved = solve_given(zones, coefficients, logs)
    value, slope = solved.log_likelihood, np.zeros(logs.size)
    inverse = np.linalg.inv(solved.total)
    found, own = inverse @ solved.moment, np.diag(inverse)
    for place, part in ((0, coefficients.type_part), (1, coefficients.lot_part)):
        slope[place] = 0.5 * float(np.sum((found[part] ** 2 + own[part]) / np.exp(logs[place]) - 1))
    for zone, residual, variance in zip(zones, solved.residual, solved.variance, strict=True):
        term = 0.5 * ((residual**2 + variance) / np.exp(logs[3 + zone.type_of]) - 1)
        np.add.at(slope, 3 + zone.type_of[~zone.removed], term[~zone.removed])
    shares = np.exp(logs[:3]) / scale**2
    value += 0.5 * float(np.sum(logs[:3] - shares))
    slope[:3] += 0.5 * (1 - shares)
    away = logs[3:] - logs[2]
    value -= 0.5 * float(away @ away)
    slope[3:] -= away
    slope[2] += float(np.sum(away))
    return value, slope


def most_probable(zones: Sequence[ZoneData], coefficients: Coefficients, scale: float, start: Floats) -> Floats:
    """The logarithms of the variances at the maximum, (3 + G,): ln κ², ln ω², ln τ₀², ln τ² of each type."""

    def downhill(logs: Floats) -> tuple[float, Floats]:
        value, slope = restricted(zones, coefficients, logs, scale)
        return -value, -slope

    bounds = [(_LOWEST, _HIGHEST)] * start.size
    found = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)
