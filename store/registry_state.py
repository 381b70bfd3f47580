"""One utility's registry in memory for an import: loaded under the registry's lock, written back in bulk."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg.types.range import TimestamptzRange

from store.timelines import Installations, Membership, Memberships, Place, Stay

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class RegistryState:
    """What is known of a utility before an import; `utility_id` is None for a new one."""

    utility_id: int | None
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)  # rows of `meter` by serial
    zones: dict[str, dict[str, Any]] = field(default_factory=dict)  # rows of `zone` by code
    installations: Installations = field(default_factory=Installations)
    memberships: Memberships = field(default_factory=Memberships)


def load_state(connection: Connection, utility: str) -> RegistryState:
    """The utility's meters, zones, installations and memberships."""
    found = connection.execute("select utility_id from utility where code = %s", (utility,)).fetchone()
    if found is None:
        return RegistryState(None)
    state = RegistryState(found[0])
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        for row in cursor.execute("select * from meter where utility_id = %s", found):
            state.meters[row["serial"]] = row
        for row in cursor.execute("select * from zone where utility_id = %s", found):
            state.zones[row["code"]] = row
    _load_stays(connection, found[0], state.installations)
    _load_memberships(connection, found[0], state.memberships)
    return state


def _load_stays(connection: Connection, utility_id: int, installations: Installations) -> None:
    rows = connection.execute(
        "select i.installation_id, m.serial, p.code, i.medium, i.role, i.direction, i.phase, lower(i.during),"
        " upper(i.during), i.multiplier, i.start_register_micro, i.end_register_micro"
        " from installation i join meter m using (meter_id) join service_point p using (service_point_id)"
        " where m.utility_id = %s order by lower(i.during) nulls first",
        (utility_id,),
    )
    for row_id, serial, code, medium, role, direction, phase, start, end, multiplier, start_micro, end_micro in rows:
        installations.add(
            Stay(
                row_id=row_id,
                serial=serial,
                place=Place(code, medium, role, direction, phase),
                start=start,
                end=end,
                multiplier=multiplier,
                start_register_micro=start_micro,
                end_register_micro=end_micro,
            )
        )


def _load_memberships(connection: Connection, utility_id: int, memberships: Memberships) -> None:
    rows = connection.execute(
        "select m.zone_membership_id, p.code, m.medium, z.code, lower(m.during), upper(m.during)"
        " from zone_membership m join zone z using (zone_id) join service_point p using (service_point_id)"
        " where z.utility_id = %s order by lower(m.during) nulls first",
        (utility_id,),
    )
    for row_id, service_point, medium, zone, start, end in rows:
        memberships.add(
            Membership(row_id=row_id, service_point=service_point, medium=medium, zone=zone, start=start, end=end)
        )


def ensure_utility(connection: Connection, state: RegistryState, utility: str) -> int:
    """The utility's id; it is created if new."""
    if state.utility_id is None:
        row = connection.execute("insert into utility (code) values (%s) returning utility_id", (utility,)).fetchone()
        assert row is not None
        state.utility_id = row[0]
    return int(state.utility_id)


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Appends rows to a table."""
    target = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(target) as copy:
        for row in rows:
            copy.write_row(row)


def write_placements(connection: Connection, state: RegistryState, utility_id: int) -> None:
    """Writes the touched stays and memberships; meters and zones must be written already."""
    stays, memberships = state.installations.touched(), state.memberships.touched()
    meters = _ids(connection, "select serial, meter_id from meter where utility_id = %s", utility_id)
    zones = _ids(connection, "select code, zone_id from zone where utility_id = %s", utility_id)
    points = _service_points(
        connection, utility_id, {*(s.place.service_point for s in stays), *(m.service_point for m in memberships)}
    )
    stay_rows = [
        (
            s.row_id,
            meters[s.serial],
            points[s.place.service_point],
            *s.place[1:],
            s.multiplier,
            TimestamptzRange(s.start, s.end),
            s.start_register_micro,
            s.end_register_micro,
        )
        for s in stays
    ]
    columns = (
        "meter_id",
        "service_point_id",
        "medium",
        "role",
        "direction",
        "phase",
        "multiplier",
        "during",
        "start_register_micro",
        "end_register_micro",
    )
    _replace(connection, "installation", "installation_id", columns, stay_rows)
    member_rows = [
        (m.row_id, zones[m.zone], points[m.service_point], m.medium, TimestamptzRange(m.start, m.end))
        for m in memberships
    ]
    member_columns = ("zone_id", "service_point_id", "medium", "during")
    _replace(connection, "zone_membership", "zone_membership_id", member_columns, member_rows)


def _replace(
    connection: Connection, table: str, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Writes rows whose first value is their id, None if new; changed rows are deleted first and keep their ids.

    Updating them one after the other would let intervals overlap in between.
    """
    known, new = [row for row in rows if row[0] is not None], [row[1:] for row in rows if row[0] is None]
    connection.execute(
        sql.SQL("delete from {} where {} = any(%s)").format(sql.Identifier(table), sql.Identifier(key)),
        ([row[0] for row in known],),
    )
    copy_rows(connection, table, (key, *columns), known)
    copy_rows(connection, table, columns, new)


def _service_points(connection: Connection, utility_id: int, codes: set[str]) -> dict[str, int]:
    query = "select code, service_point_id from service_point where utility_id = %s"
    known = _ids(connection, query, utility_id)
    new = sorted(codes - known.keys())
    copy_rows(connection, "service_point", ("utility_id", "code"), [(utility_id, code) for code in new])
    return _ids(connection, query, utility_id) if new else known


def _ids(connection: Connection, query: Any, utility_id: int) -> dict[str, int]:
    return dict(connection.execute(query, (utility_id,)).fetchall())


def raise_version(connection: Connection) -> int:
    """Counts a change of the registry; returns its new version."""
    row = connection.execute("update registry_version set version = version + 1 returning version").fetchone()
    assert row is not None
    return int(row[0])


def audit(connection: Connection, actor: str, entries: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Adds (action, subject, detail) to the audit log."""
    dumps = partial(json.dumps, default=str, ensure_ascii=False)
    rows = [(actor, action, subject, Jsonb(detail, dumps)) for action, subject, detail in entries]
    copy_rows(connection, "audit_log", ("actor", "action", "subject", "detail"), rows)
