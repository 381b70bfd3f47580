"""A simulated city: zones, meters, their readings with all faults and defects, and the truth about each.

History and live readings come from the same generator: `readings(start, end)` of any spans joined together are the
readings of the whole, and the same scenario always gives the same.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.quantities import BASE_UNIT, MICRO, Medium
from simulators.defects import DefectPlan, plan_defects
from simulators.fleet import DAY_US, Device, Fault, Fleet, make_fleet
from simulators.payload import DEFAULT_ROWS, Encoding, Message, Sender, encode_messages
from simulators.registers import Registers
from simulators.scenario import Scenario
from simulators.truth import TruthLedger, make_ledger

READING: Final = np.dtype([("observed_us", "<i8"), ("register_micro", "<i8"), ("meter", "<i4")])
_MODELS: Final = {Medium.ELECTRICITY: "SE-1", Medium.WATER: "SW-1", Medium.GAS: "SG-1"}


class City:
    """All media of a scenario. Meters are numbered through all media, in the order of `serials`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.fleets: list[Fleet] = [make_fleet(scenario, medium, plan) for medium, plan in scenario.media.items()]
        self.registers = [Registers(fleet) for fleet in self.fleets]
        self.defects: list[DefectPlan] = [plan_defects(fleet) for fleet in self.fleets]
        sizes = [len(fleet.devices) for fleet in self.fleets]
        self.first_meter = [sum(sizes[:i]) for i in range(len(sizes))]
        self._latest: dict[int, tuple[int, NDArray[np.void]]] = {}  # of each medium, for ticks within a day

    @property
    def serials(self) -> list[str]:
        """The meters' serials; readings carry their position."""
        return [device.serial for fleet in self.fleets for device in fleet.devices]

    def zones_rows(self) -> list[dict[str, Any]]:
        """Rows of a zones file."""
        return [
            {
                "zone": code,
                "medium": str(fleet.medium),
                "parent": "",
                "interval_s": fleet.plan.interval_s,
                "reference_uncertainty_pct": fleet.plan.reference_sd_pct,
            }
            for fleet in self.fleets
            for code in fleet.zone_codes
        ]

    def meters_rows(self) -> list[dict[str, Any]]:
        """Rows of a meters file, in the order of installation: a place's second meter is its exchange."""
        rows = [_meter_row(fleet, device) for fleet in self.fleets for device in fleet.devices]
        return sorted(rows, key=lambda row: str(row["installed_on"]))

    def readings(self, start: datetime, end: datetime) -> NDArray[np.void]:
        """Readings of [start, end) of all media, by time within a medium and day, dtype READING."""
        parts = [part for _, part in self._parts(start, end)]
        return np.concatenate([np.zeros(0, dtype=READING), *parts])

    def days(self, start: datetime, end: datetime) -> Iterator[tuple[Medium, NDArray[np.void]]]:
        """The same readings by medium and day, made one by one: the memory of a day, however long the span."""
        for number, part in self._parts(start, end):
            yield self.fleets[number].medium, part

    def messages(
        self, start: datetime, end: datetime, rows: int = DEFAULT_ROWS, encoding: Encoding = "json"
    ) -> Iterator[Message]:
        """The readings of [start, end) as messages of at most `rows` readings of one medium; always the same bytes."""
        serials = self.serials
        for number, part in self._parts(start, end):
            medium = self.fleets[number].medium
            sender = Sender(self.scenario.utility, f"sim-{medium}", medium, encoding)
            plain, again = _apart_from_repeats(part)
            for group in (plain, again):
                yield from encode_messages(
                    sender, serials, group["meter"], group["observed_us"], group["register_micro"], rows=rows
                )

    def profile(self, start: datetime, end: datetime) -> NDArray[np.void]:
        """What the meters themselves recorded in [start, end), whatever befell it on the way, dtype READING."""
        start_us, end_us = _micro(start), _micro(end)
        parts = [np.zeros(0, dtype=READING)]
        for day in range(self._first_day(start_us), (end_us - 1) // DAY_US + 1):
            for number in range(len(self.fleets)):
                grid, there = self._grid(number, day)
                part = grid[there]
                parts.append(part[(part["observed_us"] >= start_us) & (part["observed_us"] < end_us)])
        return np.concatenate(parts)

    def set_clock(self, meter: int, ahead_s: float, from_us: int) -> None:
        """From a time on [µs UTC], a meter's clock runs ahead by this [s]; its registers are those of its own times."""
        number = next(n for n in reversed(range(len(self.fleets))) if self.first_meter[n] <= meter)
        self.registers[number].set_clock(meter - self.first_meter[number], ahead_s, from_us)
        self._latest.pop(number, None)

    def truth(self, as_of: datetime | None = None) -> TruthLedger:
        """The truth at a moment (the end of the planned history if none is given)."""
        moment = as_of or self.scenario.end
        return make_ledger(self.scenario, self.fleets, self.defects, moment)

    def _parts(self, start: datetime, end: datetime) -> Iterator[tuple[int, NDArray[np.void]]]:
        if start.tzinfo is None or end.tzinfo is None:
            raise InvalidInputError(f"readings from {start} to {end}: give times with their offset from UTC")
        start_us, end_us = _micro(start), _micro(end)
        for day in range(self._first_day(start_us), (end_us - 1) // DAY_US + 1):
            for number in range(len(self.fleets)):
                if self._latest.get(number, (None,))[0] != day:
                    self._latest[number] = (day, self._day(number, day))
                part = self._latest[number][1]
                inside = (part["observed_us"] >= start_us) & (part["observed_us"] < end_us)
                if inside.any():
                    yield number, part[inside]

    def _first_day(self, start_us: int) -> int:
        return max(start_us // DAY_US, _micro(self.scenario.start) // DAY_US)

    def _day(self, number: int, day: int) -> NDArray[np.void]:
        """A medium's readings with times in [day, day + 1), defects included."""
        grid, there = self._grid(number, day)
        return self.defects[number].apply(grid, there)

    def _grid(self, number: int, day: int) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """A medium's registers of a day, READING of shape (times, devices), and which devices there were."""
        registers, devices = self.registers[number], self.fleets[number].devices
        # A day's registers stand at the ends of its intervals: its own midnight belongs to the day before.
        before = registers.start() if day == registers.first_day else registers.day(day - 1)
        today = registers.day(day)
        time_us = np.concatenate([before.time_us[-1:], today.time_us[:-1]])
        grid = np.zeros((len(time_us), len(devices)), dtype=READING)
        grid["observed_us"] = time_us[:, None]
        grid["register_micro"] = np.concatenate([before.register_micro[-1:], today.register_micro[:-1]])
        grid["meter"] = self.first_meter[number] + np.arange(len(devices))
        installed = np.array([d.active_from_us for d in devices])
        removed = np.array([d.active_until_us for d in devices])
        return grid, (time_us[:, None] >= installed) & (time_us[:, None] < removed)


def _micro(moment: datetime) -> int:
    return round(moment.timestamp() * MICRO)


def _apart_from_repeats(part: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """First and further rows of the same meter and time: what is sent again goes in a message of its own."""
    key = np.lexsort((np.arange(len(part)), part["observed_us"], part["meter"]))
    ordered = part[key]
    further = np.append(False, (np.diff(ordered["meter"]) == 0) & (np.diff(ordered["observed_us"]) == 0))
    again = np.zeros(len(part), dtype=np.bool_)
    again[key[further]] = True
    return part[~again], part[again]


def _meter_row(fleet: Fleet, device: Device) -> dict[str, Any]:
    plan, scenario = fleet.plan, fleet.scenario
    # A meter from an exchange is installed then, the others some years before.
    installed = (
        np.datetime64(device.active_from_us, "us").astype("datetime64[D]")
        if device.active_from_us
        else np.datetime64(scenario.start.date()) - np.timedelta64(1000, "D")
    )
    reference = device.fault is Fault.REFERENCE
    return {
        "meter": device.serial,
        "service_point": device.service_point,
        "zone": fleet.zone_codes[device.zone],
        "role": device.role,
        "medium": str(fleet.medium),
        "unit": BASE_UNIT[fleet.medium],
        "resolution": str(plan.resolution),
        "multiplier": "1",
        "register_digits": plan.register_digits + (2 if reference else 0),
        "accuracy_class": "reference" if reference else plan.accuracy_class,
        "manufacturer": "Simulated",
        "model": _MODELS[fleet.medium],
        "lot": f"{fleet.medium.upper()[0]}-LOT-1",
        "installed_on": f"{installed}T00:00:00Z" if device.active_from_us else str(installed),
        "validity_until": str(np.datetime64(scenario.end.date()) + np.timedelta64(400, "D")),
        "direction": "import",
        "phase": "123",
        "mpe_pct": plan.mpe_pct if not reference else 0.5,
        "prior_sd_pct": plan.healthy_sd_pct if not reference else plan.reference_sd_pct,
    }
