"""From true use to indicated registers: one medium's meters, a day at a time.

The register's running value is kept at every midnight, so a day is always worked out from the same figures in the
same order: however a span of time is cut, its readings are the same to the bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO
from simulators.demand import Households, losses, make_households, true_use
from simulators.fleet import DAY_US, Fault, Fleet, errors_pct

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

_REFERENCE_EXTRA_DIGITS = 2  # a zone's register is larger than a dwelling's


@dataclass(frozen=True, slots=True)
class TrueDay:
    """What truly flowed in a day's intervals [kWh or m3]: of customers and into zones (each with its losses)."""

    customers: Floats  # (intervals, customers)
    inflow: Floats  # (intervals, zones): the sum of the zone's customers and its losses
    losses: Floats  # (intervals, zones)


@dataclass(frozen=True, slots=True)
class RegisterDay:
    """Registers at the ends of intervals: times (intervals,) [µs UTC], registers (intervals, devices) [micro]."""

    time_us: Int64s
    register_micro: Int64s


class Registers:
    """The registers of one medium's fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        seed = fleet.scenario.seed
        self.homes: Households = make_households(fleet.medium, seed, len(fleet.zone_of_customer))
        self.first_day = round(fleet.scenario.start.timestamp()) // 86_400
        devices = fleet.devices
        self.source = np.array([d.source for d in devices])
        self.reset = np.array([d.fault in (Fault.RESET, Fault.SWAPPED) for d in devices])
        self.begins_us = np.array([d.begins_us for d in devices], dtype=np.int64)
        self.active_from_us = np.array([d.active_from_us for d in devices], dtype=np.int64)
        self.clock_share = np.array([d.clock_ahead_s for d in devices]) / fleet.plan.interval_s
        # A swapped meter's successor starts small, but not at zero.
        self.after_reset = np.array([7.3 if d.fault is Fault.SWAPPED else 0.0 for d in devices])
        digits = np.full(len(devices), fleet.plan.register_digits)
        digits[[d.fault is Fault.REFERENCE for d in devices]] += _REFERENCE_EXTRA_DIGITS
        self.resolution_micro = round(fleet.plan.resolution * MICRO)
        self.modulus_micro = 10**digits * MICRO
        self._clock_set: list[tuple[int, float, int]] = []
        self._midnights: list[Floats] = [np.array([d.start_register for d in devices])]

    def start(self) -> RegisterDay:
        """The registers at the scenario's start, as a day of one interval."""
        return RegisterDay(
            np.array([self.first_day * DAY_US], dtype=np.int64), self._indicate(self._midnights[0])[None, :]
        )

    def true_day(self, day: int) -> TrueDay:
        """What truly flowed on a day, counted from 1970 UTC."""
        fleet = self.fleet
        offset_h = fleet.scenario.utc_offset_h
        use = true_use(self.homes, day, fleet.plan.interval_s, offset_h)
        middle_h = (np.arange(len(use)) + 0.5) * fleet.plan.interval_s / 3600.0
        hours = np.asarray(middle_h + offset_h, dtype=np.float64)
        lost, inflow = np.zeros((len(use), fleet.plan.zones)), np.zeros((len(use), fleet.plan.zones))
        for zone in range(fleet.plan.zones):
            mine = fleet.zone_of_customer == zone
            sum_of_customers = use[:, mine].sum(axis=1)
            level = float(self.homes.level[mine].sum())
            zone_seed = fleet.scenario.seed + zone
            lost[:, zone] = losses(fleet.medium, zone_seed, sum_of_customers, level, hours)
            inflow[:, zone] = sum_of_customers + lost[:, zone]
        return TrueDay(use, inflow, lost)

    def day(self, day: int) -> RegisterDay:
        """The registers at the ends of a day's intervals; earlier days are worked out first where they are not yet."""
        number = day - self.first_day
        while len(self._midnights) <= number:
            self._advance(self.first_day + len(self._midnights) - 1)
        time_us, running, increments = self._run(day, self._midnights[number])
        if len(self._midnights) == number + 1:
            self._midnights.append(running[-1])
        return RegisterDay(time_us, self._indicate(running - self._clock_shares(time_us) * increments))

    def set_clock(self, device: int, ahead_s: float, from_us: int) -> None:
        """From a time on [µs UTC], a device's clock runs ahead by this [s], up to an interval."""
        self._clock_set.append((device, ahead_s / self.fleet.plan.interval_s, from_us))

    def _clock_shares(self, time_us: Int64s) -> Floats:
        """How far each device's clock is ahead [intervals], shape (times, devices) or (devices,)."""
        if not self._clock_set:
            return self.clock_share
        shares = np.tile(self.clock_share, (len(time_us), 1))
        for device, share, from_us in self._clock_set:
            shares[time_us >= from_us, device] = share
        return shares

    def _advance(self, day: int) -> None:
        self._midnights.append(self._run(day, self._midnights[-1])[1][-1])

    def _run(self, day: int, at_midnight: Floats) -> tuple[Int64s, Floats, Floats]:
        """Times, running registers and increments at the ends of a day's intervals."""
        step_us = self.fleet.plan.interval_s * MICRO
        time_us = day * DAY_US + step_us * np.arange(1, DAY_US // step_us + 1, dtype=np.int64)
        true = self.true_day(day)
        through = np.concatenate([true.customers, true.inflow], axis=1)[:, self.source]
        factor = 1.0 + errors_pct(self.fleet, time_us) / 100.0
        increments = np.where(time_us[:, None] > self.active_from_us, through * factor, 0.0)
        running = at_midnight + np.cumsum(increments, axis=0)
        for device in np.flatnonzero(self.reset & (self.begins_us // DAY_US == (day * DAY_US) // DAY_US)):
            after = time_us > self.begins_us[device]
            before = running[~after, device][-1] if (~after).any() else at_midnight[device]
            running[after, device] -= before - self.after_reset[device]
        return time_us, running, increments

    def _indicate(self, running: Floats) -> Int64s:
        """Register [micro]: rounded down to the resolution as a counter does, within its digits."""
        # The margin keeps a register that stands on a step from falling below it by rounding.
        steps = np.floor(running * (MICRO / self.resolution_micro) + 1e-6).astype(np.int64)
        register: Int64s = steps * self.resolution_micro % self.modulus_micro
        return register
