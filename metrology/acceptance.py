"""Decisions on a bench: guard bands, fitness of the reference, measurement capability (JCGM 106:2012, 7.6 and 8).

A measured error is accepted within an interval that is narrower than its limits by w = r·U on each side. Limits are
closed, and a value on one in decimal arithmetic stays on its stated side in binary arithmetic.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import Floats, drop_0d, finite, finite_scalar, floats, refuse_where, same_shape
from metrology.conformity import CODE, Outcome, Reason, limits
from metrology.errors import InvalidInputError

FITNESS_RATIO: Final = 3.0  # a bench's U (k = 2) is at most a third of the MPE, the usual rule of legal verification
_LIMIT_TOLERANCE: Final = 1e-9  # relative: keeps 0.3 - 0.1 and 0.3 / 3 on their stated side in binary arithmetic


@dataclass(frozen=True, slots=True)
class AcceptanceInterval:
    """Limits of the measured error [%] between which a bench accepts; `guard_band_pct` = w (JCGM 106, 3.3.9-3.3.11)."""

    lower_pct: float
    upper_pct: float
    guard_band_pct: float


def acceptance_interval(
    expanded_uncertainty_pct: float,
    mpe_pct: float | None = None,
    *,
    lower_pct: float | None = None,
    upper_pct: float | None = None,
    guard_factor: float = 1.0,
) -> AcceptanceInterval:
    """The tolerance interval narrowed on each side by w = r·U (JCGM 106, 8.3.2.1: guarded acceptance), U at k = 2.

    `guard_factor` r: 1 guards fully, 0 is simple acceptance (8.2.1), a negative one is guarded rejection (8.3.3).
    Raises InvalidInputError for a negative or infinite uncertainty, a factor that is no number, NaN limits, and where
    the guard bands leave nothing to accept.
    """
    low_array, high_array = limits(mpe_pct, lower_pct, upper_pct)
    if low_array.ndim or high_array.ndim or np.isnan(low_array) or np.isnan(high_array):
        raise InvalidInputError(f"limits {low_array} to {high_array}: give single numbers [%]")
    low, high = float(low_array), float(high_array)
    expanded = finite_scalar("expanded_uncertainty_pct", expanded_uncertainty_pct, "%", least=0.0)
    guard = finite_scalar("guard_factor", guard_factor) * expanded
    if low + guard > high - guard:
        raise InvalidInputError(
            f"guard bands of {guard:g} % leave nothing of the interval {low:g} to {high:g} %;"
            " use a reference with a smaller uncertainty or a smaller guard factor"
        )
    return AcceptanceInterval(low + guard, high - guard, guard)


def decide_on_bench(
    error_pct: Floats,
    expanded_uncertainty_pct: Floats,
    mpe_pct: Floats,
    *,
    guard_factor: float = 1.0,
) -> NDArray[np.int8]:
    """Outcome codes for measured errors [%] on a bench, limits ±MPE, guard band w = r·U on both sides of each limit.

    Within MPE - w conforming, beyond MPE + w nonconforming, between inconclusive (repeat, or use a better reference),
    NaN and infinite errors withheld (JCGM 106, 8.3.2 and 8.3.3 together). With r = 0 the measured error alone decides.
    Arguments broadcast. Raises InvalidInputError for uncertainties, limits or factors that are negative or not finite,
    and where a guard band leaves nothing to accept (r·U above the MPE).
    """
    error = floats("error_pct", error_pct)
    mpe = finite("mpe_pct", mpe_pct, "%", least=0.0)
    expanded = finite("expanded_uncertainty_pct", expanded_uncertainty_pct, "%", least=0.0)
    guard = finite_scalar("guard_factor", guard_factor, least=0.0) * expanded
    size, limit, guard = same_shape(error_pct=np.abs(error), mpe_pct=mpe, expanded_uncertainty_pct=guard)
    refuse_where(guard > limit, guard, "the guard band", "% leaves nothing to accept; use a better reference")
    slack = _LIMIT_TOLERANCE * limit
    codes = np.full(size.shape, CODE[Outcome.INCONCLUSIVE], dtype=np.int8)
    codes[size <= limit - guard + slack] = CODE[Outcome.CONFORMING]
    codes[size > limit + guard + slack] = CODE[Outcome.NONCONFORMING]
    codes[~np.isfinite(size)] = CODE[Outcome.WITHHELD]
    return codes


def measurement_capability_index(std_pct: Floats, lower_pct: Floats, upper_pct: Floats) -> Floats:
    """C_m = (T_U - T_L) / (4·u_m), dimensionless (JCGM 106, 7.6.3); broadcast shape.

    Raises InvalidInputError unless u_m is above 0 and both limits are finite: with one limit there is no index.
    """
    std = finite("std_pct", std_pct, "%", above=0.0)
    low, high = limits(None, lower_pct, upper_pct)
    for name, limit in (("lower_pct", low), ("upper_pct", high)):
        refuse_where(~np.isfinite(limit), limit, name, "is no finite limit; the index needs both")
    std, low, high = same_shape(std_pct=std, lower_pct=low, upper_pct=high)
    return drop_0d((high - low) / (4.0 * std))


def fit_for_verification(expanded_uncertainty_pct: Floats, mpe_pct: Floats, *, ratio: float = FITNESS_RATIO) -> Any:
    """True where U (k = 2) [%] of a bench or reference is at most MPE / ratio; equality is fit, NaN is not.

    Broadcast shape. Raises InvalidInputError for a ratio not above 0 and an MPE that is negative or infinite.
    """
    expanded, mpe = same_shape(
        expanded_uncertainty_pct=floats("expanded_uncertainty_pct", expanded_uncertainty_pct),
        mpe_pct=limits(mpe_pct, None, None)[1],
    )
    limit = mpe / finite_scalar("ratio", ratio, above=0.0)
    fit = (expanded >= 0) & (expanded <= limit * (1 + _LIMIT_TOLERANCE))
    return bool(fit) if fit.ndim == 0 else fit


def unfitness_reason(expanded_uncertainty_pct: float, mpe_pct: float, *, ratio: float = FITNESS_RATIO) -> Reason | None:
    """Why a bench or reference may not be used for a verification at this MPE, or None if it is fit."""
    if fit_for_verification(expanded_uncertainty_pct, mpe_pct, ratio=ratio):
        return None
    return Reason(
        "reference_unfit",
        f"expanded uncertainty {expanded_uncertainty_pct:g} % (k = 2) exceeds 1/{ratio:g} of the MPE of {mpe_pct:g} %",
        {"expanded_uncertainty_pct": expanded_uncertainty_pct, "mpe_pct": mpe_pct, "ratio": ratio},
    )
