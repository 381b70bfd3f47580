"""The city's meters as drawn from the seed: where each hangs, how wrong it is, what befalls it and when."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO, Medium
from simulators.demand import TYPICAL_DAILY_USE
from simulators.scenario import MediumScenario, Scenario
from simulators.seeds import stream

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

NEVER_US = np.iinfo(np.int64).max
DAY_US = 86_400 * MICRO


class Fault(StrEnum):
    """What is the matter with a meter; the last three are no faults of measurement."""

    HEALTHY = "healthy"
    DRIFTING = "drifting"
    STEPPED = "stepped"
    STOPPED = "stopped"
    REVERSED = "reversed"
    RESET = "reset"
    SWAPPED = "swapped"
    EXCHANGED = "exchanged"
    ROLLOVER = "rollover"
    REFERENCE = "reference"


_LOSES_THE_LOAD = frozenset({Fault.STOPPED, Fault.REVERSED})


@dataclass(slots=True)
class Device:
    """One meter. Errors are constant parts [%]; times [µs UTC] lie on the reading grid.

    `source` is the column of true use: customers first, then the zones' inflows. `magnitude_pct` is what a drift
    reaches at the end of the planned history, or a step adds.
    """

    serial: str
    zone: int
    service_point: str
    role: str
    source: int
    error_pct: float
    start_register: float
    clock_ahead_s: float = 0.0
    fault: Fault = Fault.HEALTHY
    begins_us: int = NEVER_US
    magnitude_pct: float = 0.0
    active_from_us: int = 0
    active_until_us: int = NEVER_US


@dataclass(slots=True)
class Fleet:
    """One medium's zones and meters."""

    medium: Medium
    plan: MediumScenario
    scenario: Scenario
    zone_of_customer: NDArray[np.int64]
    devices: list[Device] = field(default_factory=list)

    @property
    def zone_codes(self) -> list[str]:
        """The zones' codes."""
        return [f"{self.medium.upper()[0]}Z{number + 1:03d}" for number in range(self.plan.zones)]

    @property
    def end_us(self) -> int:
        """End of the planned history [µs UTC]."""
        return round(self.scenario.end.timestamp()) * MICRO


def make_fleet(scenario: Scenario, medium: Medium, plan: MediumScenario) -> Fleet:
    """Draws a medium's fleet; the same scenario always gives the same."""
    rng = stream(scenario.seed, medium, "fleet")
    low, high = plan.customers_per_zone
    sizes = rng.integers(low, high + 1, plan.zones)
    fleet = Fleet(medium, plan, scenario, np.repeat(np.arange(plan.zones), sizes))
    letter, customers = medium.upper()[0], int(sizes.sum())
    errors = rng.normal(plan.healthy_mean_pct, plan.healthy_sd_pct, customers)
    # A healthy meter is one within its limits: the tails that the normal law would give belong to the faults.
    errors = np.clip(errors, -0.8 * plan.mpe_pct, 0.8 * plan.mpe_pct)
    starts = rng.uniform(0.01, 0.6, customers) * 10.0**plan.register_digits * 0.1
    clocks = plan.clock_ahead_s * stream(scenario.seed, medium, "clocks").uniform(0.0, 1.0, customers)
    for i in range(customers):
        fleet.devices.append(
            Device(
                serial=f"{letter}-{i + 1:05d}",
                zone=int(fleet.zone_of_customer[i]),
                service_point=f"{letter}P-{i + 1:05d}",
                role="customer",
                source=i,
                error_pct=float(errors[i]),
                start_register=float(starts[i]),
                clock_ahead_s=float(clocks[i]),
            )
        )
    _give_faults(fleet, stream(scenario.seed, medium, "faults"))
    reference_errors = stream(scenario.seed, medium, "references").normal(0.0, plan.reference_sd_pct, plan.zones)
    for zone, error in enumerate(reference_errors):
        fleet.devices.append(
            Device(
                serial=f"{letter}R-{zone + 1:03d}",
                zone=zone,
                service_point=f"{letter}RP-{zone + 1:03d}",
                role="reference",
                source=customers + zone,
                error_pct=float(error),
                start_register=0.0,
                fault=Fault.REFERENCE,
            )
        )
    return fleet


def _give_faults(fleet: Fleet, rng: np.random.Generator) -> None:
    """Faults go to customers drawn from all zones in turn; they begin between 30 and 60 % of the planned history.

    What takes a load out of its zone's balance altogether (stopped, reversed) goes to the last zone first: so there are
    zones with errors alone, which a balance can decide, and one where much can't be known. It also begins earlier, at
    15 to 35 %: a register must stand still for long before that says anything.
    """
    plan, scenario = fleet.plan, fleet.scenario
    wanted = [Fault(name) for name, count in plan.faults.model_dump().items() for _ in range(count)]
    in_turn = _from_zones_in_turn(fleet, rng).tolist()
    from_last = sorted(in_turn, key=lambda customer: -int(fleet.zone_of_customer[customer]))  # stable: still drawn
    chosen: list[int] = []
    for fault in wanted:
        order = from_last if fault in _LOSES_THE_LOAD else in_turn
        chosen.append(next(customer for customer in order if customer not in chosen))
    start_us = round(scenario.start.timestamp()) * MICRO
    for fault, index in zip(wanted, chosen, strict=True):
        device = fleet.devices[index]
        device.fault = fault
        earliest, latest = (0.15, 0.35) if fault in _LOSES_THE_LOAD else (0.3, 0.6)
        steps = round(rng.uniform(earliest, latest) * scenario.days * 86_400 / plan.interval_s)
        device.begins_us = start_us + steps * plan.interval_s * MICRO
        sign = float(rng.choice([-1.0, 1.0]))
        size = sign * float(rng.uniform(*plan.fault_pct))
        if fault in (Fault.DRIFTING, Fault.STEPPED):
            device.magnitude_pct = size
        elif fault is Fault.ROLLOVER:
            device.begins_us = NEVER_US  # known when it happens
            days_before = float(rng.uniform(0.2, 0.4)) * scenario.days
            device.start_register = 10.0**plan.register_digits - days_before * TYPICAL_DAILY_USE[fleet.medium]
        elif fault is Fault.EXCHANGED:
            _exchange(fleet, device, device.begins_us // DAY_US * DAY_US, float(rng.uniform(0.0, 0.5)))


def _from_zones_in_turn(fleet: Fleet, rng: np.random.Generator) -> Int64s:
    """All customers' positions: one of each zone, then a second of each zone, ..., drawn within the zone."""
    order = rng.permutation(len(fleet.devices))
    zone = fleet.zone_of_customer[order]
    turn = np.empty(len(order), dtype=np.int64)
    for number in range(fleet.plan.zones):
        mine = np.flatnonzero(zone == number)
        turn[mine] = np.arange(len(mine))
    chosen: Int64s = order[np.lexsort((zone, turn))]
    return chosen


def _exchange(fleet: Fleet, old: Device, at_us: int, start_register: float) -> None:
    """A new meter, healthy, at the same place from `at_us` (midnight UTC) on."""
    old.begins_us = old.active_until_us = at_us
    fleet.devices.append(
        Device(
            serial=f"{old.serial}N",
            zone=old.zone,
            service_point=old.service_point,
            role="customer",
            source=old.source,
            error_pct=-old.error_pct,
            start_register=start_register,
            clock_ahead_s=old.clock_ahead_s,
            active_from_us=at_us,
        )
    )


def errors_pct(fleet: Fleet, time_us: Int64s) -> Floats:
    """Every device's error of indication at the times, shape (times, devices) [%].

    A stopped register errs by -100 %, a reversed one by about -200 %. A drift goes on at its rate, up to twice its
    planned size.
    """
    columns = fleet.devices
    after = time_us[:, None] > np.array([d.begins_us for d in columns])
    begins = np.array([min(d.begins_us, fleet.end_us - 1) for d in columns], dtype=np.int64)
    grown = np.clip((time_us[:, None] - begins) / (fleet.end_us - begins), 0.0, 2.0)
    magnitude = np.array([d.magnitude_pct for d in columns])
    error = np.array([d.error_pct for d in columns]) + np.zeros(after.shape)

    def having(fault: Fault) -> NDArray[np.bool_]:
        return np.array([d.fault is fault for d in columns]) & after

    error = np.where(having(Fault.DRIFTING), error + magnitude * grown, error)
    error = np.where(having(Fault.STEPPED), error + magnitude, error)
    error = np.where(having(Fault.STOPPED), -100.0, error)
    return np.where(having(Fault.REVERSED), -200.0 - error, error)
