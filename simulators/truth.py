"""The truth about a simulated city: what is wrong with which meter since when, and which alerts are called for.

Kept apart from the readings, as a JSON file; nothing that verifies may see it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from metrology.errors import InvalidInputError
from metrology.quantities import MICRO
from simulators.defects import DefectPlan
from simulators.fleet import NEVER_US, Fault, Fleet, errors_pct
from simulators.scenario import Scenario

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT: Final = 1

# Kinds of alerts that tell a fault rightly.
ALERT_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "drifting": ("error_beyond_mpe",),
    "stepped": ("error_beyond_mpe",),
    "stopped": ("stopped", "error_beyond_mpe"),
    "reversed": ("reversed_running", "backward_step", "error_beyond_mpe"),
    "reset": ("reset", "meter_exchange", "backward_step"),
    "swapped": ("reset", "meter_exchange", "backward_step"),
    "exchanged": ("meter_exchange",),
    "rollover": ("rollover",),
    "gap": ("gap",),
    "glitch": ("transient_glitch",),
    "repeat": ("duplicate",),
    "conflict": ("conflicting_values",),
}
_CALLED_FOR: Final = frozenset({"stopped", "reversed", "reset", "swapped"})


@dataclass(frozen=True, slots=True)
class TruthItem:
    """One fault or defect.

    `alert_expected`: an inspector ought to hear of it; if False, an alert of `alert_kinds` is right but not missed.
    `error_pct` is the meter's true error at the ledger's moment [%], `magnitude_pct` a drift's or step's size [%].
    """

    kind: str
    medium: str
    meter: str
    zone: str
    begins_at: datetime
    ends_at: datetime | None
    magnitude_pct: float
    error_pct: float
    mpe_pct: float
    alert_expected: bool
    alert_kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TruthLedger:
    """All faults and defects of a city that have begun by `as_of`, and every meter's true error then [%]."""

    scenario: str
    utility: str
    seed: int
    as_of: datetime
    items: tuple[TruthItem, ...]
    errors_pct: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As in the file: times in RFC 3339."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_time_text))
        return {"format": _FORMAT} | plain

    def write(self, path: Path) -> None:
        """Writes the ledger as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")


def read_ledger(path: Path) -> TruthLedger:
    """Reads a ledger. Raises InvalidInputError naming the file and the fault."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise InvalidInputError(f"truth {path}: format {content['format']!r}; expected {_FORMAT}: simulate it anew")
        return TruthLedger(
            scenario=content["scenario"],
            utility=content["utility"],
            seed=content["seed"],
            as_of=datetime.fromisoformat(content["as_of"]),
            items=tuple(_item(entry) for entry in content["items"]),
            errors_pct=content["errors_pct"],
        )
    except OSError as error:
        raise InvalidInputError(f"truth {path}: {error.strerror}; give the ledger that the simulation wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"truth {path} is no truth ledger: {error!r}; simulate it anew") from None


def _item(entry: dict[str, Any]) -> TruthItem:
    ends_at = entry["ends_at"]
    times = {
        "begins_at": datetime.fromisoformat(entry["begins_at"]),
        "ends_at": None if ends_at is None else datetime.fromisoformat(ends_at),
    }
    return TruthItem(**{**entry, **times, "alert_kinds": tuple(entry["alert_kinds"])})


def make_ledger(
    scenario: Scenario, fleets: Sequence[Fleet], defects: Sequence[DefectPlan], as_of: datetime
) -> TruthLedger:
    """The ledger of a city at a moment."""
    items: list[TruthItem] = []
    errors: dict[str, float] = {}
    for fleet, plan in zip(fleets, defects, strict=True):
        at_us = np.array([round(as_of.timestamp() * MICRO)], dtype=np.int64)
        now = dict(zip((d.serial for d in fleet.devices), errors_pct(fleet, at_us)[0].tolist(), strict=True))
        errors |= now
        items += _fault_items(fleet, now, int(at_us[0]))
        items += _defect_items(fleet, plan, now, int(at_us[0]))
    items.sort(key=lambda item: (item.begins_at, item.meter, item.kind))
    return TruthLedger(scenario.name, scenario.utility, scenario.seed, as_of.astimezone(UTC), tuple(items), errors)


def _fault_items(fleet: Fleet, errors: dict[str, float], as_of_us: int) -> list[TruthItem]:
    items = []
    start_us = round(fleet.scenario.start.timestamp()) * MICRO
    for device in fleet.devices:
        # When a register rolls over shows itself only in the data: any time is right.
        begins_us = start_us if device.fault is Fault.ROLLOVER else device.begins_us
        if device.fault in (Fault.HEALTHY, Fault.REFERENCE) or begins_us >= as_of_us:
            continue
        kind, error = str(device.fault), errors[device.serial]
        items.append(
            TruthItem(
                kind=kind,
                medium=str(fleet.medium),
                meter=device.serial,
                zone=fleet.zone_codes[device.zone],
                begins_at=_moment(begins_us),
                ends_at=None,
                magnitude_pct=device.magnitude_pct,
                error_pct=error,
                mpe_pct=fleet.plan.mpe_pct,
                alert_expected=kind in _CALLED_FOR or _beyond(device.fault, error, fleet.plan.mpe_pct),
                alert_kinds=ALERT_KINDS[kind],
            )
        )
    return items


def _beyond(fault: Fault, error_pct: float, mpe_pct: float) -> bool:
    return fault in (Fault.DRIFTING, Fault.STEPPED) and abs(error_pct) > mpe_pct


def _defect_items(fleet: Fleet, plan: DefectPlan, errors: dict[str, float], as_of_us: int) -> list[TruthItem]:
    return [
        TruthItem(
            kind=defect.kind,
            medium=str(fleet.medium),
            meter=fleet.devices[defect.device].serial,
            zone=fleet.zone_codes[fleet.devices[defect.device].zone],
            begins_at=_moment(defect.begins_us),
            ends_at=_moment(defect.ends_us),
            magnitude_pct=0.0,
            error_pct=errors[fleet.devices[defect.device].serial],
            mpe_pct=fleet.plan.mpe_pct,
            alert_expected=False,
            alert_kinds=ALERT_KINDS[defect.kind],
        )
        for defect in plan.defects
        if defect.begins_us < as_of_us
    ]


def _moment(time_us: int) -> datetime:
    assert time_us != NEVER_US
    return _EPOCH + timedelta(microseconds=time_us)


def _time_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{value!r} has no JSON form")
