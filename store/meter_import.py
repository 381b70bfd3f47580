"""Imports of meters: all rows of a file or none, each change in the audit log.

Call within a transaction and roll back on any error. Importing an equal file again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from metrology.quantities import BASE_UNIT, format_micro
from store.cells import Problems, read_zone
from store.import_summary import ImportSummary, audit_detail, check_utility
from store.meter_rows import ATTRIBUTES, MeterRow, parse_meter_rows
from store.pending import release_pending
from store.registry import lock_registry, registry_version
from store.registry_state import (
    RegistryState,
    audit,
    copy_rows,
    ensure_utility,
    load_state,
    raise_version,
    write_placements,
)
from store.tables import Table
from store.timelines import Stay, TimelineError

Connection = psycopg.Connection[Any]

_MANY: Final = 1_000
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class MetersPlan:
    """The changes that a meters file asks for; those of places and zones are in the state's timelines."""

    new_meters: dict[str, MeterRow]
    changed_meters: dict[str, dict[str, Any]]  # the changed attributes by serial
    new_zones: dict[str, str]  # media by code


def import_meters(connection: Connection, table: Table, *, utility: str, time_zone: str, actor: str) -> ImportSummary:
    """Registers the meters of a file, with their places and zones, and releases their pending readings.

    Dates without offset are local to `time_zone`. A utility, service point or zone that is new is created. A row
    without `installed_on` says that the meter is at the place since before any other row's date; another meter at the
    same place with a later date is a meter exchange. Raises ImportRefusedError with the file's faults,
    InvalidInputError for a wrong argument or header.
    """
    check_utility(utility)
    problems = Problems(table.source)
    rows, ignored = parse_meter_rows(table, read_zone(time_zone), problems)
    lock_registry(connection)
    state = load_state(connection, utility)
    plan = plan_meters(rows, state, problems)
    problems.refuse_if_any()

    utility_id = ensure_utility(connection, state, utility)
    before = _former_values(state, plan, utility)
    changed = _changed_serials(state, plan)
    _write_meters(connection, utility_id, plan)
    copy_rows(
        connection, "zone", ("utility_id", "code", "medium"), [(utility_id, *zone) for zone in plan.new_zones.items()]
    )
    write_placements(connection, state, utility_id)
    if len(plan.new_meters) >= _MANY:
        # The planner knows nothing yet of tables that were just filled; its guesses cost seconds a zone.
        connection.execute("analyze meter, service_point, installation, zone, zone_membership")
    released = release_pending(connection, utility_id)
    has_changes = bool(plan.new_meters or changed or plan.new_zones or before or released)
    summary = ImportSummary(
        added=len(plan.new_meters),
        changed=len(changed),
        unchanged=len({row.serial for row in rows} - plan.new_meters.keys() - changed),
        released=released,
        registry_version=raise_version(connection) if has_changes else registry_version(connection),
        zones_created=tuple(plan.new_zones),
        ignored_columns=tuple(ignored),
    )
    audit(connection, actor, [("import_meters", utility, audit_detail(table, summary)), *before])
    return summary


def _refuse_disagreement(rows: Sequence[MeterRow], problems: Problems) -> None:
    """A meter may stand in several rows for its places over time, but be described in one way only."""
    first: dict[str, MeterRow] = {}
    places: dict[tuple[Any, ...], int] = {}
    for row in rows:
        other = first.setdefault(row.serial, row)
        if other.medium != row.medium:
            problems.add(
                row.line, "medium", row.medium.value, f"{other.medium}, as in line {other.line} for this meter"
            )
        for column, name in ATTRIBUTES.items():
            if other.attributes.get(name) != row.attributes.get(name):
                problems.add(row.line, column, row.attributes[name], f"the same as in line {other.line} for this meter")
        where = row.placement
        stay = (row.serial, where and (where.service_point, where.role, where.direction, where.phase, where.start))
        if stay in places:
            problems.add(row.line, "meter", row.serial, f"each meter and place once; it stands in line {places[stay]}")
        places.setdefault(stay, row.line)


def plan_meters(rows: Sequence[MeterRow], state: RegistryState, problems: Problems) -> MetersPlan:
    """What the rows change of the registry; the state's timelines are brought up to date. Pure.

    Rows that contradict each other or the state are noted in `problems`.
    """
    _refuse_disagreement(rows, problems)
    plan = MetersPlan({}, {}, {})
    for row in rows:
        known = state.meters.get(row.serial)
        if known is None:
            plan.new_meters.setdefault(row.serial, row)
        elif known["medium"] != row.medium:
            problems.add(row.line, "medium", row.medium.value, f"{known['medium']}, as this meter is registered")
        else:
            differing = {name: value for name, value in row.attributes.items() if known[name] != value}
            if differing:
                plan.changed_meters[row.serial] = differing
    # In the order of installation, so that each exchange finds the meter that it replaces.
    for row in sorted(rows, key=lambda row: (row.placement and row.placement.start) or _FIRST):
        if row.placement is not None:
            _place(row, state, plan, problems)
    return plan


def _place(row: MeterRow, state: RegistryState, plan: MetersPlan, problems: Problems) -> None:
    placement = row.placement
    assert placement is not None
    try:
        stay = state.installations.place_meter(row.serial, placement)
        _check_registers(row, stay, state, plan, problems)
        if placement.zone:
            medium = state.zones[placement.zone]["medium"] if placement.zone in state.zones else None
            medium = medium or plan.new_zones.setdefault(placement.zone, row.medium.value)
            if medium != row.medium:
                problems.add(row.line, "zone", placement.zone, f"a zone of {row.medium}; this one is of {medium}")
            state.memberships.place((placement.service_point, placement.medium), placement.zone, placement.zone_since)
    except TimelineError as error:
        value = placement.zone_since if error.column == "zone_since" else placement.start
        problems.add(row.line, error.column, "" if value is None else value.isoformat(), str(error))


def _check_registers(row: MeterRow, stay: Stay, state: RegistryState, plan: MetersPlan, problems: Problems) -> None:
    """A register lies below the value at which its meter begins anew: this one's, or the one's before it."""
    placement = row.placement
    assert placement is not None
    registers = {"start_register": (placement.start_register_micro, row.serial)}
    if placement.previous_end_register_micro is not None:
        before = state.installations.before(stay)
        assert before is not None  # the register was just put there
        registers["previous_end_register"] = (placement.previous_end_register_micro, before.serial)
    for column, (register_micro, serial) in registers.items():
        modulus_micro = _modulus(serial, state, plan)
        if register_micro is not None and modulus_micro is not None and register_micro >= modulus_micro:
            problems.add(
                row.line,
                column,
                f"{format_micro(register_micro)} {BASE_UNIT[row.medium]}",
                f"less than {format_micro(modulus_micro)} {BASE_UNIT[row.medium]}, where meter {serial} begins anew",
            )


def _modulus(serial: str, state: RegistryState, plan: MetersPlan) -> int | None:
    name = "register_modulus_micro"
    new, known = plan.new_meters.get(serial), state.meters.get(serial, {})
    attributes = new.attributes if new is not None else {**known, **plan.changed_meters.get(serial, {})}
    value: int | None = attributes.get(name)
    return value


def _changed_serials(state: RegistryState, plan: MetersPlan) -> set[str]:
    """Registered meters of which anything changed: attributes, place, or their place's zone."""
    moved = {(membership.service_point, membership.medium) for membership in state.memberships.touched()}
    serials = {stay.serial for stay in state.installations.touched()} | plan.changed_meters.keys()
    for place, stays in state.installations.by_place.items():
        if (place.service_point, place.medium) in moved:
            serials |= {stay.serial for stay in stays if stay.end is None}
    return serials - plan.new_meters.keys()


def _former_values(state: RegistryState, plan: MetersPlan, utility: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Entries of the audit log for what was changed: its former and its new values."""
    entries: list[tuple[str, str, dict[str, Any]]] = []
    for serial, after in plan.changed_meters.items():
        before = {name: state.meters[serial][name] for name in after}
        entries.append(("change_meter", f"{utility}/{serial}", {"before": before, "after": after}))
    for stay in state.installations.touched():
        if stay.row_id is not None:
            detail = {
                "place": str(stay.place),
                "before": stay.before,
                "after": {n: getattr(stay, n) for n in stay.before},
            }
            entries.append(("change_installation", f"{utility}/{stay.serial}", detail))
    for member in state.memberships.touched():
        if member.row_id is not None:
            detail = {
                "zone": member.zone,
                "before": member.before,
                "after": {n: getattr(member, n) for n in member.before},
            }
            entries.append(("change_zone_membership", f"{utility}/{member.service_point}", detail))
    return entries


def _write_meters(connection: Connection, utility_id: int, plan: MetersPlan) -> None:
    new = list(plan.new_meters.values())
    if new:
        names = tuple(new[0].attributes)
        copy_rows(
            connection,
            "meter",
            ("utility_id", "serial", "medium", *names),
            ((utility_id, row.serial, row.medium.value, *(row.attributes[name] for name in names)) for row in new),
        )
    with connection.cursor() as cursor:
        for names in {tuple(sorted(values)) for values in plan.changed_meters.values()}:
            assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)
            cursor.executemany(
                sql.SQL("update meter set {} where utility_id = %s and serial = %s").format(assignments),
                [
                    (*(values[name] for name in names), utility_id, serial)
                    for serial, values in plan.changed_meters.items()
                    if tuple(sorted(values)) == names
                ],
            )
