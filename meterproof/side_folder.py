"""A folder of what is known of zones beside their readings, as `assess --side` takes it, into the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from meterproof.offline.side_files import CONDITIONS, NETWORK, RESISTANCE, Faults, SideZone, read_side
from metrology.errors import InvalidInputError
from store.cells import read_zone, shown_value
from store.file_registry import read_registry
from store.import_summary import ImportSummary, check_utility
from store.side import QUANTITIES, ConditionRecords, Network
from store.side_import import SideDraft, UtilityZone, import_side, utility_zones
from store.tables import Table
from store.times import to_datetime, to_micros
from verifier.balance.types import SideInformation
from verifier.resistances import customers_in_order

Connection = psycopg.Connection[Any]
_REFUSED: Final = "nothing was imported"
_ANY_PCT: Final = 1.0  # uncertainty of the file's references, which does not matter here


def import_folder(
    connection: Connection,
    folder: Path,
    meters: Table | None,
    *,
    utility: str,
    time_zone: str,
    actor: str,
    now: datetime,
) -> ImportSummary:
    """Records what a folder holds of the utility's zones, a folder each: resistances with the neutral's, conditions.

    `meters` is the meters file in whose order the matrices are; only they need it. Times without an offset are local to
    `time_zone`. The caller commits. Raises ImportRefusedError with the faults of all files, InvalidInputError for a
    wrong argument; nothing has changed then.
    """
    check_utility(utility)
    read_zone(time_zone)
    zones = utility_zones(connection, utility)
    if not zones:
        raise InvalidInputError(f"utility {shown_value(utility)} has no zone; import its zones and meters first")
    order = None if meters is None else _customers(meters, time_zone)
    faults = Faults()
    _note_unknown(folder, zones, utility, faults)
    asked = [_side_zone(zone, order) for zone in zones]
    found = read_side(folder, asked, time_zone, faults)
    drafts = []
    for zone in zones:
        if zone.zone_id in found:
            serials = [] if order is None else order.get(zone.code, [])
            if found[zone.zone_id].resistance_ohm is not None and meters is not None:
                _note_strangers(zone, serials, meters, faults)
            _note_future(zone, found[zone.zone_id], folder, now, faults)
            drafts.append(_draft(zone, found[zone.zone_id], serials, folder))
    faults.refuse_if_any(str(folder), _REFUSED)
    return import_side(connection, drafts, utility=utility, source=str(folder), actor=actor)


def _customers(meters: Table, time_zone: str) -> dict[str, list[str]]:
    """The serials of each zone's customers' meters in the order in which `assess` takes a matrix's rows."""
    registry = read_registry(meters, None, time_zone=time_zone, reference_uncertainty_pct=_ANY_PCT, refused=_REFUSED)
    return {zone.code: [registry.meters[i].serial for i in customers_in_order(zone)] for zone in registry.zones}


def _side_zone(zone: UtilityZone, order: Mapping[str, Sequence[str]] | None) -> SideZone:
    customers = None if order is None else len(order.get(zone.code, ()))
    return SideZone(zone.zone_id, zone.code, zone.medium, customers)


def _note_unknown(folder: Path, zones: Sequence[UtilityZone], utility: str, faults: Faults) -> None:
    """Folders of zones that nobody knows: a misspelt name must not lose what stands in it."""
    known = {zone.code for zone in zones}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in known and any((path / name).is_file() for name in (RESISTANCE, NETWORK, CONDITIONS)):
            faults.add(
                f"{path}: {shown_value(path.name)} is no zone of utility {utility}; correct the folder's name, or"
                " import the zones first"
            )


def _note_strangers(zone: UtilityZone, serials: Sequence[str], meters: Table, faults: Faults) -> None:
    """Meters of the file that the registry does not have as customers' of the zone: their rows would go astray."""
    at = meters.columns.index("meter")
    lines = {row.cells[at]: row.line for row in reversed(meters.rows)}
    for serial in serials:
        if serial not in zone.customers:
            faults.add(
                f"{meters.source}, line {lines[serial]}, column meter: {shown_value(serial)}; expected a meter that is"
                f" registered as a customer's of zone {zone.code}; import the meters first"
            )


def _note_future(zone: UtilityZone, side: SideInformation, folder: Path, now: datetime, faults: Faults) -> None:
    """Conditions that nobody can have measured yet: a wrong year would stay for good."""
    times = side.conditions_us
    if times is not None and times.size and int(times[-1]) > to_micros(now):
        last = to_datetime(int(times[-1]))
        faults.add(
            f"{folder / zone.code / CONDITIONS}, column observed_at: {last:%Y-%m-%dT%H:%M:%SZ}; expected a time in the"
            " past: correct the year"
        )


def _draft(zone: UtilityZone, side: SideInformation, serials: Sequence[str], folder: Path) -> SideDraft:
    network = conditions = None
    if side.resistance_ohm is not None:
        ids = tuple(zone.customers.get(serial, 0) for serial in serials)  # strangers are refused before it is used
        network = Network(ids, side.resistance_ohm, side.neutral_ratio)
    if side.conditions_us is not None:
        columns = [getattr(side, name) for name in QUANTITIES]
        nothing = np.full(side.conditions_us.size, np.nan)
        values = np.stack([nothing if column is None else column for column in columns], axis=1)
        conditions = ConditionRecords(side.conditions_us, values)
    return SideDraft(zone.zone_id, zone.code, str(folder / zone.code), network, conditions)
