"""What customers truly use, day by day: each with its own rhythm and strong chance, so that loads are not collinear.

Figures are of ordinary dwellings: electricity 3 to 15 kWh, water 0.1 to 0.5 m3, gas 0.2 to 6 m3 a day.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import Medium
from simulators.seeds import stream

Floats = NDArray[np.float64]

TYPICAL_DAILY_USE = {Medium.ELECTRICITY: 7.0, Medium.WATER: 0.25, Medium.GAS: 1.2}  # medians [kWh or m3]
_SPREAD = {Medium.ELECTRICITY: 0.45, Medium.WATER: 0.45, Medium.GAS: 0.6}  # of the level's logarithm
_BUMPS = 4  # a day's activities: morning, noon, evening, any time


@dataclass(frozen=True, slots=True)
class Households:
    """Constant habits of n customers: daily level [kWh or m3], bumps of activity (each (n, 4)), standby share."""

    medium: Medium
    seed: int
    level: Floats
    centre_h: Floats
    width_h: Floats
    weight: Floats
    weekend_shift_h: Floats
    standby: Floats


def make_households(medium: Medium, seed: int, customers: int) -> Households:
    """Draws the habits of `customers` households."""
    rng = stream(seed, medium, "habits")
    centre = np.array([7.0, 12.5, 19.5, 0.0]) + rng.normal(0.0, [1.0, 1.2, 1.4, 1.0], (customers, _BUMPS))
    centre[:, 3] = rng.uniform(0.0, 24.0, customers)
    return Households(
        medium=medium,
        seed=seed,
        level=TYPICAL_DAILY_USE[medium] * np.exp(rng.normal(0.0, _SPREAD[medium], customers)),
        centre_h=centre,
        width_h=rng.uniform(0.8, 2.5, (customers, _BUMPS)),
        weight=rng.dirichlet([2.0, 1.2, 2.5, 1.0], customers),
        weekend_shift_h=rng.uniform(0.0, 2.5, customers),
        standby=rng.uniform(0.05, 0.25, customers),
    )


def true_use(homes: Households, day: int, interval_s: int, utc_offset_h: float) -> Floats:
    """True consumption of a day's intervals, shape (intervals, customers) [kWh or m3]; `day` counts from 1970 UTC."""
    rng = stream(homes.seed, homes.medium, "use", day=day)
    hours = np.asarray((np.arange(0, 86_400, interval_s) + interval_s / 2) / 3600.0 + utc_offset_h, dtype=np.float64)
    activity = _activity(homes, hours, day)
    expected = homes.level * np.exp(rng.normal(0.0, 0.3, len(homes.level)))
    makers: dict[Medium, Callable[..., Floats]] = {
        Medium.ELECTRICITY: _electricity,
        Medium.WATER: _water,
        Medium.GAS: _gas,
    }
    return makers[homes.medium](rng, homes, activity, expected, day, hours)


def _activity(homes: Households, hours: Floats, day: int) -> Floats:
    """Share of the day's activity in each interval, shape (intervals, customers); columns sum to about 1."""
    # 1970-01-01 was a Thursday; the local day changes within the UTC day.
    weekday = (day + np.floor(hours / 24.0).astype(np.int64) + 3) % 7
    later = np.where(weekday[:, None] >= 5, homes.weekend_shift_h, 0.0)
    distance = hours[:, None, None] - later[:, :, None] - homes.centre_h
    distance = (distance + 12.0) % 24.0 - 12.0
    bumps = np.exp(-0.5 * (distance / homes.width_h) ** 2) * homes.weight / homes.width_h
    density: Floats = bumps.sum(axis=2)
    share: Floats = density / density.sum(axis=0)
    return share


def _electricity(
    rng: np.random.Generator, homes: Households, activity: Floats, expected: Floats, _day: int, _hours: Floats
) -> Floats:
    """Standby, a load that follows activity with much noise, and single appliances of 0.5 to 3 kW."""
    shape = activity.shape
    standby = expected * homes.standby / shape[0] * rng.uniform(0.8, 1.2, shape)
    following = expected * (1 - homes.standby) * 0.5 * activity * np.exp(rng.normal(-0.125, 0.5, shape))
    runs = rng.poisson(expected * (1 - homes.standby) * 0.5 * activity / 0.4)
    return np.asarray(standby + following + rng.gamma(4.0 * np.maximum(runs, 1e-9), 0.1), dtype=np.float64)


def _water(
    rng: np.random.Generator, homes: Households, activity: Floats, expected: Floats, _day: int, _hours: Floats
) -> Floats:
    """Draws of some litres to a bath; many intervals with none. No leakage behind the customers' meters."""
    del homes
    draws = rng.poisson(expected * activity / 0.018)
    return np.asarray(rng.gamma(1.5 * np.maximum(draws, 1e-9), 0.012) * (draws > 0), dtype=np.float64)


def _gas(
    rng: np.random.Generator, homes: Households, activity: Floats, expected: Floats, day: int, hours: Floats
) -> Floats:
    """Cooking and hot water by activity, and heating by the air's temperature with a boiler that cycles.

    Volumes are at base conditions throughout: the meters' temperature and pressure are taken as ideal.
    """
    cooking = rng.poisson(0.4 * expected * activity / 0.03)
    season = -np.cos(2 * np.pi * (day - 15) / 365.25)
    air_degc = 13.0 + 11.0 * season + 3.0 * np.sin(day / 1.9) - 4.0 * np.cos(2 * np.pi * (hours - 3.0) / 24.0)
    need = np.maximum(0.0, 17.0 - air_degc)[:, None] / 17.0 * homes.level * 2.5 / len(hours)
    firing = rng.poisson(need / 0.08)
    cooked = rng.gamma(3.0 * np.maximum(cooking, 1e-9), 0.01) * (cooking > 0)
    heated = rng.gamma(2.0 * np.maximum(firing, 1e-9), 0.04) * (firing > 0)
    return np.asarray(cooked + heated, dtype=np.float64)


def losses(medium: Medium, zone_seed: int, inflow: Floats, level: float, hours: Floats) -> Floats:
    """What a zone's reference measures beyond the customers' use, per interval (intervals,) [kWh or m3].

    `inflow` is the customers' sum per interval, `level` their mean daily sum. Electricity: a fixed part (transformer,
    1 % of the mean) and one that grows with the square of the load, P = R I² (lines, 2 % at the mean load).
    Water: background leakage of 2 to 6 % of the mean, higher at night as pressure is. Gas: none.
    """
    intervals = len(hours)
    mean = level / intervals
    if medium is Medium.ELECTRICITY:
        return np.asarray(0.01 * mean + 0.02 * inflow**2 / mean)
    if medium is Medium.WATER:
        share = stream(zone_seed, "leakage").uniform(0.02, 0.06)
        pressure = 1.0 + 0.15 * np.cos(2 * np.pi * (hours - 3.0) / 24.0)
        # Leakage grows with pressure to the power 1.0 to 1.5 (FAVAD concept, May 1994).
        return np.asarray(share * mean * pressure**1.2)
    return np.zeros(intervals)
