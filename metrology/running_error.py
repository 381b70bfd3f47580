"""What the rules for running errors decide: sufficiency of data, refusal of a zone, faults of a meter, rounding.

Each function reads its limits from a regulation; a figure that the regulation does not state refuses nothing.
"""

from dataclasses import dataclass

import numpy as np

from metrology.arrays import (
    BoolArray,
    FloatArray,
    Floats,
    drop_0d,
    finite,
    finite_scalar,
    floats,
    refuse_where,
    same_shape,
)
from metrology.errors import InvalidInputError
from metrology.regulation import find_rule, has_rule, rule_value
from metrology.regulation_schema import Regulation, Rule

HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class Shortfall:
    """A requirement that is not met: the figure of the regulation and the value that was found."""

    rule: Rule
    limit: float
    found: float


def data_shortfalls(regulation: Regulation, collection_success_pct: float, data_groups: int) -> tuple[Shortfall, ...]:
    """The requirements on the data of a meter's zone that are not met; empty where all are. Limits are included.

    Share of readings collected [%] and number of groups. Raises InvalidInputError for a share outside 0 to 100 % or a
    negative number; NaN, not known, never suffices.
    """
    found = {"collection_success_pct_min": collection_success_pct, "data_groups_min": float(data_groups)}
    return _shortfalls(regulation, found, {})


def zone_refusals(
    regulation: Regulation, collection_success_pct: float, data_groups: int, monthly_loss_pct: float
) -> tuple[Shortfall, ...]:
    """Why a zone has to be left out; empty where it may be evaluated. Limits are included; NaN never suffices.

    Share of readings collected [%], number of groups, monthly loss [%]; errors as `data_shortfalls`.
    """
    at_least = {
        "zone_collection_success_pct_min": collection_success_pct,
        "zone_data_groups_min": float(data_groups),
        "zone_monthly_loss_pct_min": monthly_loss_pct,
    }
    return _shortfalls(regulation, at_least, {"zone_monthly_loss_pct_max": monthly_loss_pct})


def _shortfalls(regulation: Regulation, at_least: dict[str, float], at_most: dict[str, float]) -> tuple[Shortfall, ...]:
    out = []
    for name, found in (at_least | at_most).items():
        most = 100.0 if "collection_success_pct" in name else 1e9
        if not name.startswith("zone_monthly_loss") and not (np.isnan(found) or 0 <= found <= most * (1 + 1e-9)):
            raise InvalidInputError(f"{name.removesuffix('_min')} = {found:g} must be from 0 to {most:g}")
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

    fly: BoolArray
    reverse: BoolArray
    stopped: BoolArray


def meter_faults(
    regulation: Regulation,
    daily_energy_kwh: Floats,
    daily_mean_current_a: Floats,
    i_max_a: Floats,
    voltage_v: Floats,
    phases: int = 1,
) -> Faults:
    """Days on which a meter flies, runs in reverse or stands still (JJF(冀)174-2020, table A.1); NaN shows no fault.

    daily_energy_kwh, after multipliers; i_max_a and voltage_v of a phase; the largest possible daily energy is
    phases * I_max * U_n * 24 h. Raises NotFoundError when the regulation states no such faults, InvalidInputError for
    ratings that are not finite and above 0, other numbers of phases, and shapes that don't fit.
    """
    if phases not in (1, 3):
        raise InvalidInputError(f"phases {phases} must be 1 or 3")
    energy, current, i_max, voltage = same_shape(
        daily_energy_kwh=floats("daily_energy_kwh", daily_energy_kwh),
        daily_mean_current_a=floats("daily_mean_current_a", daily_mean_current_a),
        i_max_a=finite("i_max_a", i_max_a, "A; take it from the meter's plate", above=0.0),
        voltage_v=finite("voltage_v", voltage_v, "V; take it from the meter's plate", above=0.0),
    )
    refuse_where(np.isinf(energy), energy, "daily_energy_kwh", "is no energy; leave a missing day NaN")
    largest_kwh = i_max * voltage * phases * HOURS_PER_DAY / 1000
    return Faults(
        fly=np.asarray(energy / largest_kwh > rule_value(regulation, "fly_ratio_max")),
        reverse=np.asarray(energy < rule_value(regulation, "reverse_daily_energy_kwh")),
        stopped=np.asarray((energy == 0) & (np.abs(current) > rule_value(regulation, "stopped_current_a"))),
    )


def is_monitorable(regulation: Regulation, daily_mean_current_a: FloatArray, i_b_a: float) -> bool:
    """Whether a run of consecutive days, shape (days,), carries enough current [A] to monitor the meter.

    NaN ends a run; `i_b_a` is the meter's basic current [A]. Raises InvalidInputError unless it is above 0 and the days
    are one row.
    """
    finite_scalar("i_b_a", i_b_a, "A; take it from the meter's plate", above=0.0)
    current = floats("daily_mean_current_a", daily_mean_current_a)
    if current.ndim != 1:
        raise InvalidInputError(f"daily_mean_current_a must be one row of days, not of shape {current.shape}")
    needed = int(rule_value(regulation, "consecutive_days_min"))
    enough = current >= rule_value(regulation, "daily_mean_current_ratio_min") * i_b_a
    if enough.size < needed:
        return False
    in_window = np.convolve(enough.astype(np.int64), np.ones(needed, dtype=np.int64), mode="valid")
    return bool((in_window == needed).any())


def round_error_pct(regulation: Regulation, error_pct: Floats, accuracy_class: str) -> Floats:
    """Errors [%] rounded to the class's interval, halves to the even multiple (the rule of GB/T 8170 for intervals).

    NaN, no error, stays NaN. Raises InvalidInputError for an unknown class and errors beyond 1e6 %.
    """
    interval = rule_value(regulation, "rounding_interval_pct", accuracy_class)
    # One division less noise: 0.35 / 0.1 is 3.4999..., a half in the decimals that the error is stated in.
    error = floats("error_pct", error_pct)
    refuse_where(np.abs(error) > 1e6, error, "error_pct", "is no running error; check the reference value")
    multiples = np.rint(np.round(error / interval, 9))
    per_pct = round(1 / interval)
    rounded = multiples / per_pct if np.isclose(per_pct * interval, 1) else multiples * interval
    return drop_0d(rounded + 0.0)  # -0.0 + 0.0 is 0.0: no error is written -0
