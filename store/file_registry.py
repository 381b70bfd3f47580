"""A registry read from files alone, without a database: the same rules as the imports, with defaults for a quick start.

Needed are `meter, zone, role, medium`. What else a meters file may leave out: `unit` (then the medium's base unit, kWh
or m3), `resolution` (then to be told from the readings), `service_point` (then the meter's own), `accuracy_class` and
`mpe_pct` (then the class that most dwellings' meters have), and everything that the imports leave out as well. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from metrology.errors import InvalidInputError
from metrology.quantities import BASE_UNIT, Medium
from store.cells import Problems, check_columns, read_zone
from store.meter_facts import InstallationFacts, MeterRecord
from store.meter_import import plan_meters
from store.meter_rows import KNOWN, MeterRow, parse_meter_rows
from store.registry import Installation, Meter, Zone, ZoneMember
from store.registry_state import RegistryState
from store.tables import Table, TableRow
from store.timelines import Stay
from store.times import to_micros
from store.zone_import import KNOWN as ZONES_KNOWN
from store.zone_import import REQUIRED as ZONES_REQUIRED
from store.zone_import import ZoneRow, parse_zone_rows

REQUIRED: Final = ("meter", "zone", "role", "medium")
_FILLED: Final = ("unit", "resolution", "service_point")
# The usual classes of dwellings' meters: IEC 62053-21 class 2, OIML R 49 class 2, OIML R 137 class 1.5.
USUAL_CLASS: Final = {Medium.ELECTRICITY: "2", Medium.WATER: "2", Medium.GAS: "1.5"}
REFUSED: Final = "nothing was assessed"
_UTILITY: Final = "file"


@dataclass(frozen=True)
class FileRegistry:
    """Meters with their records (ascending by meter_id, from 0) and zones with their members.

    `no_resolution`, `no_interval` and `no_class` are the ids of meters and zones for which the files state none (in
    case of the class, no limit either); `ignored_columns` are columns that mean nothing here.
    """

    meters: tuple[Meter, ...]
    records: tuple[MeterRecord, ...]
    zones: tuple[Zone, ...]
    no_resolution: frozenset[int]
    no_interval: frozenset[int]
    no_class: frozenset[int] = frozenset()
    ignored_columns: tuple[str, ...] = ()

    def completed(self, resolution_micro: Mapping[int, int], interval_s: Mapping[int, int]) -> "FileRegistry":
        """The same with resolutions by meter and intervals by zone put in."""
        meters = tuple(replace(m, resolution_micro=resolution_micro.get(m.meter_id, m.resolution_micro))
                       for m in self.meters)  # fmt: skip
        records = tuple(
            replace(record, resolution_micro=meter.resolution_micro)
            for record, meter in zip(self.records, meters, strict=True)
        )
        zones = tuple(replace(zone, interval_s=interval_s.get(zone.zone_id, zone.interval_s)) for zone in self.zones)
        return replace(self, meters=meters, records=records, zones=zones)


def read_registry(
    meters: Table,
    zones: Table | None,
    *,
    time_zone: str,
    reference_uncertainty_pct: float,
    interval_s: int = 3600,
    refused: str = REFUSED,
) -> FileRegistry:
    """The registry of a meters file and, where there is one, a zones file.

    `reference_uncertainty_pct` and `interval_s` are those of zones that state none; `refused` says what faults lead
    to. Raises ImportRefusedError with the faults of a file, InvalidInputError for a wrong header.
    """
    state = RegistryState(None)
    zone_rows, ignored = _zone_rows(zones, state, refused)
    problems = Problems(meters.source, refused)
    check_columns(meters, REQUIRED, KNOWN)
    filled, no_resolution = _filled(meters)
    rows, more_ignored = parse_meter_rows(filled, read_zone(time_zone), problems)
    plan = plan_meters(rows, state, problems)
    problems.refuse_if_any()
    if not rows:
        raise InvalidInputError(f"{meters.source}: no meter stands in it; give a row for each meter")
    ids = {serial: i for i, serial in enumerate(plan.new_meters)}
    media = {code: zone["medium"] for code, zone in state.zones.items()} | plan.new_zones
    found = tuple(_meter(ids[serial], row) for serial, row in plan.new_meters.items())
    records = tuple(_record(meter, state) for meter in found)
    return FileRegistry(
        meters=found,
        records=records,
        zones=_zones(media, zone_rows, state, ids, reference_uncertainty_pct, interval_s),
        no_resolution=frozenset(ids[serial] for serial in no_resolution),
        no_interval=frozenset(
            i for i, code in enumerate(media) if code not in zone_rows or zone_rows[code].interval_s is None
        ),
        no_class=frozenset(ids[serial] for serial, row in plan.new_meters.items() if _has_no_limit(row)),
        ignored_columns=(*ignored, *more_ignored),
    )


def _zone_rows(table: Table | None, state: RegistryState, refused: str) -> tuple[dict[str, ZoneRow], list[str]]:
    if table is None:
        return {}, []
    problems = Problems(table.source, refused)
    ignored = check_columns(table, ZONES_REQUIRED, ZONES_KNOWN)
    rows = parse_zone_rows(table, state, problems)
    problems.refuse_if_any()
    state.zones.update({row.code: {"medium": row.medium} for row in rows})
    return {row.code: row for row in rows}, ignored


def _filled(table: Table) -> tuple[Table, set[str]]:
    """The table with the cells that may be empty here filled in, and the meters whose resolution is not stated."""
    columns = (*table.columns, *(name for name in _FILLED if name not in table.columns))
    at = {name: i for i, name in enumerate(columns)}
    rows, without = [], set()
    for line, given in table.rows:
        cells = [*given, *[""] * (len(columns) - len(given))]
        serial, medium = cells[at["meter"]], cells[at["medium"]]
        if not cells[at["unit"]] and medium in set(Medium):
            cells[at["unit"]] = BASE_UNIT[Medium(medium)]
        if not cells[at["resolution"]]:
            cells[at["resolution"]] = "1"
            without.add(serial)
        cells[at["service_point"]] = cells[at["service_point"]] or serial
        rows.append(TableRow(line, tuple(cells)))
    return Table(table.source, columns, tuple(rows)), without


def _has_no_limit(row: MeterRow) -> bool:
    return not row.attributes.get("accuracy_class") and row.attributes.get("mpe_pct") is None


def _meter(meter_id: int, row: MeterRow) -> Meter:
    given: Mapping[str, Any] = row.attributes
    return Meter(
        meter_id=meter_id,
        utility_id=0,
        utility=_UTILITY,
        serial=row.serial,
        medium=row.medium.value,
        unit=given["unit"],
        resolution_micro=given["resolution_micro"],
        register_modulus_micro=given.get("register_modulus_micro"),
        accuracy_class=given.get("accuracy_class") or USUAL_CLASS[row.medium],
        manufacturer=given.get("manufacturer", ""),
        model=given.get("model", ""),
        lot=given.get("lot", ""),
        validity_until=given.get("validity_until"),
        mpe_pct=given.get("mpe_pct"),
        prior_sd_pct=given.get("prior_sd_pct"),
        registered_at=datetime(1970, 1, 1, tzinfo=UTC),
    )


def _record(meter: Meter, state: RegistryState) -> MeterRecord:
    stays = sorted(state.installations.by_meter[meter.serial], key=lambda stay: _us(stay.start) or -(2**62))
    places = []
    for stay in stays:
        before = state.installations.before(stay) if stay.start is not None else None
        places.append(
            InstallationFacts(
                service_point=stay.place.service_point,
                role=stay.place.role,
                multiplier=float(stay.multiplier),
                start_us=_us(stay.start),
                end_us=_us(stay.end),
                start_register_micro=stay.start_register_micro,
                end_register_micro=stay.end_register_micro,
                predecessor_serial=before.serial if before else None,
                predecessor_end_register_micro=before.end_register_micro if before else None,
            )
        )
    return MeterRecord(
        meter_id=meter.meter_id,
        utility=meter.utility,
        serial=meter.serial,
        medium=meter.medium,
        model=meter.model,
        resolution_micro=meter.resolution_micro,
        register_modulus_micro=meter.register_modulus_micro,
        installations=tuple(places),
    )


def _zones(
    media: Mapping[str, str],
    rows: Mapping[str, ZoneRow],
    state: RegistryState,
    ids: Mapping[str, int],
    reference_uncertainty_pct: float,
    interval_s: int,
) -> tuple[Zone, ...]:
    number = {code: i for i, code in enumerate(media)}
    parents = {code: rows[code].parent or None for code in media if code in rows}
    inside: dict[str, list[str]] = {code: [] for code in media}
    for code in media:
        at: str | None = code
        while at is not None:  # parse_zone_rows has refused circles
            inside[at].append(code)
            at = parents.get(at)
    members = _members_by_zone(state, number, ids)
    out = []
    for code, medium in media.items():
        row = rows.get(code)
        parent = parents.get(code)
        uncertainty = None if row is None else row.reference_uncertainty_pct
        out.append(
            Zone(
                zone_id=number[code],
                utility_id=0,
                utility=_UTILITY,
                code=code,
                medium=medium,
                parent_zone_id=None if parent is None else number[parent],
                interval_s=(row and row.interval_s) or interval_s,
                reference_uncertainty_pct=reference_uncertainty_pct if uncertainty is None else uncertainty,
                members=tuple(sorted((m for one in inside[code] for m in members[one]), key=_by_meter_and_start)),
            )
        )
    return tuple(out)


def _members_by_zone(
    state: RegistryState, number: Mapping[str, int], ids: Mapping[str, int]
) -> dict[str, list[ZoneMember]]:
    """What is installed in each zone itself: the stays at its service points while these lie in it."""
    stays_at: dict[tuple[str, str], list[Stay]] = {}
    for place, stays in state.installations.by_place.items():
        stays_at.setdefault((place.service_point, place.medium), []).extend(stays)
    out: dict[str, list[ZoneMember]] = {code: [] for code in number}
    for point, memberships in state.memberships.by_point.items():
        for membership in memberships:
            for stay in stays_at.get(point, ()):
                start = max((t for t in (_us(membership.start), _us(stay.start)) if t is not None), default=None)
                end = min((t for t in (_us(membership.end), _us(stay.end)) if t is not None), default=None)
                if start is None or end is None or start < end:
                    member = ZoneMember(number[membership.zone], start, end, _installation(stay, ids))
                    out[membership.zone].append(member)
    return out


def _installation(stay: Stay, ids: Mapping[str, int]) -> Installation:
    place = stay.place
    return Installation(
        installation_id=0,
        meter_id=ids[stay.serial],
        service_point_id=0,
        service_point=place.service_point,
        role=place.role,
        direction=place.direction,
        phase=place.phase,
        multiplier=stay.multiplier,
        start_us=_us(stay.start),
        end_us=_us(stay.end),
        start_register_micro=stay.start_register_micro,
        end_register_micro=stay.end_register_micro,
    )


def _by_meter_and_start(member: ZoneMember) -> tuple[int, int]:
    return member.installation.meter_id, -(2**62) if member.start_us is None else member.start_us


def _us(time: datetime | None) -> int | None:
    return None if time is None else to_micros(time)
