"""What happens to readings on the way: they are missing, silent for hours, zero for once, or sent twice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO
from simulators.fleet import DAY_US, Fault, Fleet
from simulators.seeds import stream

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect: its kind, the device it strikes (by position), and when [µs UTC], half-open."""

    kind: str  # gap | glitch | repeat | conflict
    device: int
    begins_us: int
    ends_us: int


@dataclass(frozen=True, slots=True)
class DefectPlan:
    """All defects of a medium; single missing readings are drawn day by day and not listed."""

    fleet: Fleet
    defects: tuple[Defect, ...]

    def apply(self, grid: NDArray[np.void], there: NDArray[np.bool_]) -> NDArray[np.void]:
        """A day's rows, shape (times, devices), to those that arrive, flat, by time; `there`: which devices exist."""
        time_us = grid["observed_us"][:, 0]
        arrives = there & ~self._missing(int(time_us[0]) // DAY_US, grid.shape)
        again: list[NDArray[np.void]] = []
        for defect in self._of_day(int(time_us[0]), int(time_us[-1])):
            struck = (time_us >= defect.begins_us) & (time_us < defect.ends_us)
            # What the truth lists did happen: its readings are not among the missing ones.
            arrives[struck, defect.device] = defect.kind != "gap"
            if defect.kind == "gap":
                continue
            if defect.kind == "glitch":
                grid["register_micro"][struck, defect.device] = 0
            else:
                rows = grid[struck, defect.device].copy()
                if defect.kind == "conflict":
                    rows["register_micro"] += round(self.fleet.plan.resolution * MICRO)
                again.append(rows)
        rows = np.concatenate([grid[arrives], *again])
        return rows[np.argsort(rows["observed_us"], kind="stable")]

    def _of_day(self, first_us: int, last_us: int) -> list[Defect]:
        return [defect for defect in self.defects if defect.begins_us <= last_us and defect.ends_us > first_us]

    def _missing(self, day: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        rng = stream(self.fleet.scenario.seed, self.fleet.medium, "missing", day=day)
        missing: NDArray[np.bool_] = rng.random(shape) < self.fleet.plan.defects.missing_share
        return missing


def plan_defects(fleet: Fleet) -> DefectPlan:
    """Draws a medium's defects: on healthy customers' meters, in 10 to 90 % of the history, apart from each other."""
    plan, scenario = fleet.plan, fleet.scenario
    rng = stream(scenario.seed, fleet.medium, "defects")
    step_us = plan.interval_s * MICRO
    start_us = round(scenario.start.timestamp()) * MICRO
    steps = scenario.days * DAY_US // step_us
    gap_steps = max(1, round(plan.defects.gap_hours * 3600 * MICRO / step_us))
    wanted = [
        *[("gap", gap_steps)] * plan.defects.gaps,
        *[("glitch", 1)] * plan.defects.glitches,
        *[("repeat", 1)] * plan.defects.repeats,
        *[("conflict", 1)] * plan.defects.conflicts,
    ]
    # Meters with a fault are left alone: each keeps one story, which an alert tells or not.
    healthy = [
        i for i, device in enumerate(fleet.devices) if device.fault is Fault.HEALTHY and not device.active_from_us
    ]
    taken: list[Defect] = []
    for kind, length in wanted if healthy else []:
        for _ in range(1000):
            device = int(rng.choice(healthy))
            begins_us = start_us + int(rng.integers(steps // 10, max(steps // 10 + 1, steps * 9 // 10))) * step_us
            defect = Defect(kind, device, begins_us, begins_us + length * step_us)
            if not any(_close(defect, other, step_us) for other in taken):
                taken.append(defect)
                break
    return DefectPlan(fleet, tuple(sorted(taken, key=lambda d: (d.begins_us, d.device))))


def _close(one: Defect, other: Defect, step_us: int) -> bool:
    """Same device and not at least a few readings between: a glitch must be seen to return."""
    margin = 4 * step_us
    overlap = one.begins_us - margin < other.ends_us and other.begins_us - margin < one.ends_us
    return one.device == other.device and overlap
