"""Complete intervals: those at whose two ends every meter was read. What the peers get, all the same."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from metrology.quantities import Medium
from zones.case import DAY_US, START_US, ZoneCase
from zones.course import Floats
from zones.gas import BASE_HPA, BASE_K, SUPPLY_HPA


@dataclass(frozen=True)
class Intervals:
    """Ends [us], shape (T,); what the customers registered, shape (T, N), and the reference, shape (T,) [base unit]."""

    end_us: Floats
    customers: Floats
    reference: Floats


def complete_intervals(case: ZoneCase, first_day: int = 0, last_day: int | None = None) -> Intervals:
    """Successive differences over days [first_day, last_day); gas is converted to base by the ambient conditions."""
    times = reduce(np.intersect1d, case.observed_us)
    end_us = START_US + (case.days if last_day is None else last_day) * DAY_US
    times = times[(times >= START_US + first_day * DAY_US) & (times <= end_us)]
    totals = [case.total(i)[np.searchsorted(case.observed_us[i], times)] for i in range(len(case.meters))]
    quantity = np.diff(np.array(totals), axis=1).T
    whole = np.diff(times) == case.interval_s * 1_000_000
    quantity, ends = quantity[whole], times[1:][whole]
    customers = quantity[:, list(case.customers)]
    if case.medium is Medium.GAS:
        customers = customers * _to_base(case, ends - case.interval_s * 500_000)[:, None]
    return Intervals(ends, customers, quantity[:, 0])


def _to_base(case: ZoneCase, middle_us: Floats) -> Floats:
    side = case.side
    if side.conditions_us is None or side.temperature_degc is None or side.atmospheric_hpa is None:
        raise ValueError(f"{case.name}: a gas zone needs temperature and pressure in its side information")
    kelvin = 273.15 + np.interp(middle_us, side.conditions_us, side.temperature_degc)
    hpa = np.interp(middle_us, side.conditions_us, side.atmospheric_hpa) + SUPPLY_HPA
    return hpa / BASE_HPA * BASE_K / kelvin
