"""What the rules for running errors decide: sufficiency of data, refusal of a zone, faults of a meter, rounding.

Each function reads its limits from a regulation; a figure that the regulation does not state refuses nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.regulation import find_rule, has_rule, rule_value
from metrology.regulation_schema import Regulation, Rule

Floats = NDArray[np.float64]
HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class Shortfall:
    """A requirement that is not met: the figure of the regulation and the value that was found."""

    rule: Rule
    limit: float
    found: float


def data_shortfalls(regulation: Regulation, collection_success_pct: float, data_groups: int) -> tuple[Shortfall, ...]:
    """The requirements on the data of a meter's zone that are not met; empty where all are. Limits are included."""
    found = {"collection_success_pct_min": collection_success_pct, "data_groups_min": float(data_groups)}
    return _shortfalls(regulation, found, {})


def zone_refusals(
    regulation: Regulation, collection_success_pct: float, data_groups: int, monthly_loss_pct: float
) -> tuple[Shortfall, ...]:
    """Why a zone has to be left out; empty where it may be evaluated. Limits are included; NaN never suffices."""
    at_least = {
        "zone_collection_success_pct_min": collection_success_pct,
        "zone_data_groups_min": float(data_groups),
        "zone_monthly_loss_pct_min": monthly_loss_pct,
    }
    return _shortfalls(regulation, at_least, {"zone_monthly_loss_pct_max": monthly_loss_pct})


def _shortfalls(regulation: Regulation, at_least: dict[str, float], at_most: dict[str, float]) -> tuple[Shortfall, ...]:
    out = []
    for name, found in (at_least | at_most).items():
        if not has_rule(regulation, name):
            continue
        limit = rule_value(regulation, name)
        met = found >= limit if name in at_least else found <= limit
        if not met:
            out.append(Shortfall(find_rule(regulation, name), limit, found))
    return tuple(out)


@dataclass(frozen=True)
class Faults:
    """Masks of days on which a meter shows a fault, shape of the daily energies."""

    fly: NDArray[np.bool_]
    reverse: NDArray[np.bool_]
    stopped: NDArray[np.bool_]


def meter_faults(
    regulation: Regulation,
    daily_energy_kwh: float | Floats,
    daily_mean_current_a: float | Floats,
    i_max_a: float | Floats,
    voltage_v: float | Floats,
    phases: int = 1,
) -> Faults:
    """Days on which a meter flies, runs in reverse or stands still (JJF(冀)174-2020, table A.1); NaN shows no fault.

    daily_energy_kwh, after multipliers; i_max_a and voltage_v of a phase; the largest possible daily energy is
    phases * I_max * U_n * 24 h. Raises NotFoundError when the regulation states no such faults.
    """
    if phases not in (1, 3):
        raise InvalidInputError(f"phases {phases} must be 1 or 3")
    energy = np.asarray(daily_energy_kwh, dtype=np.float64)
    largest_kwh = np.asarray(i_max_a) * np.asarray(voltage_v) * phases * HOURS_PER_DAY / 1000
    if not np.all(largest_kwh > 0):
        raise InvalidInputError("i_max_a and voltage_v must be above 0; take them from the meter's plate")
    current = np.asarray(daily_mean_current_a, dtype=np.float64)
    return Faults(
        fly=np.asarray(energy / largest_kwh > rule_value(regulation, "fly_ratio_max")),
        reverse=np.asarray(energy < rule_value(regulation, "reverse_daily_energy_kwh")),
        stopped=np.asarray((energy == 0) & (np.abs(current) > rule_value(regulation, "stopped_current_a"))),
    )


def is_monitorable(regulation: Regulation, daily_mean_current_a: Floats, i_b_a: float) -> bool:
    """Whether a run of consecutive days, shape (days,), carries enough current to monitor the meter; NaN ends a run."""
    needed = int(rule_value(regulation, "consecutive_days_min"))
    enough = np.asarray(daily_mean_current_a) >= rule_value(regulation, "daily_mean_current_ratio_min") * i_b_a
    if enough.size < needed:
        return False
    in_window = np.convolve(enough.astype(np.int64), np.ones(needed, dtype=np.int64), mode="valid")
    return bool((in_window == needed).any())


def round_error_pct(regulation: Regulation, error_pct: float | Floats, accuracy_class: str) -> float | Floats:
    """Errors [%] rounded to the class's interval, halves to the even multiple (the rule of GB/T 8170 for intervals)."""
    interval = rule_value(regulation, "rounding_interval_pct", accuracy_class)
    # One division less noise: 0.35 / 0.1 is 3.4999..., a half in the decimals that the error is stated in.
    multiples = np.rint(np.round(np.asarray(error_pct, dtype=np.float64) / interval, 9))
    per_pct = round(1 / interval)
    rounded = multiples / per_pct if np.isclose(per_pct * interval, 1) else multiples * interval
    return float(rounded) if rounded.ndim == 0 else rounded
