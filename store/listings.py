"""Lists of meters, zones and findings for people and programs, page by page.

Pages follow a key, not an offset: a page costs the same wherever it lies, and rows that arrive meanwhile shift nothing.
Every list takes `after`, the key of the last row seen, and returns at most `limit` rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from store.query import Conditions, Row, fetch_rows

_METER_COLUMNS = sql.SQL("""
    m.meter_id, m.utility_id, u.code as utility, m.serial, m.medium, m.unit, m.resolution_micro,
    m.register_modulus_micro, m.accuracy_class, m.manufacturer, m.model, m.lot, m.validity_until,
    m.mpe_pct, m.prior_sd_pct, m.registered_at, place.service_point, place.role, place.zone
""")
_METER_TABLES = sql.SQL("""
    from meter m
    join utility u on u.utility_id = m.utility_id
    left join lateral (
        select sp.code as service_point, i.role, z.code as zone
        from installation i
        join service_point sp on sp.service_point_id = i.service_point_id
        left join zone_membership zm on zm.service_point_id = i.service_point_id and zm.medium = i.medium
            and zm.during @> now()
        left join zone z on z.zone_id = zm.zone_id
        where i.meter_id = m.meter_id and i.during @> now()
        limit 1
    ) place on true
""")


@dataclass(frozen=True, slots=True)
class MeterFilter:
    """Which meters to list; None is no restriction. `zone` is the code of the zone a meter's place lies in now."""

    utility: str | None = None
    medium: str | None = None
    lot: str | None = None
    zone: str | None = None


_IN_ZONE: Final = """
    m.meter_id in (
        select i.meter_id
        from zone z
        join zone_membership zm on zm.zone_id = z.zone_id and zm.during @> now()
        join installation i on i.service_point_id = zm.service_point_id and i.medium = zm.medium and i.during @> now()
        where z.code = %(zone)s)"""


def list_meters(
    conn: psycopg.Connection[Any], wanted: MeterFilter, after: tuple[int, str] | None, limit: int
) -> list[Row]:
    """Meters with their present place, by utility and serial; `after` is (utility_id, serial)."""
    where = Conditions()
    where.add("u.code = %(utility)s", utility=wanted.utility)
    where.add("m.medium = %(medium)s", medium=wanted.medium)
    where.add("m.lot = %(lot)s", lot=wanted.lot)
    where.add(_IN_ZONE, zone=wanted.zone)
    if after:
        where.add("(m.utility_id, m.serial) > (%(after_utility)s, %(after_serial)s)",
                  after_utility=after[0], after_serial=after[1])  # fmt: skip
    query = sql.SQL("select {} {} {} order by m.utility_id, m.serial limit %(limit)s").format(
        _METER_COLUMNS, _METER_TABLES, where.where()
    )
    return fetch_rows(conn, query, {**where.params, "limit": limit})


def find_meter(conn: psycopg.Connection[Any], utility: str, serial: str) -> Row | None:
    """One meter by its identity, or None."""
    query = sql.SQL("select {} {} where u.code = %(utility)s and m.serial = %(serial)s").format(
        _METER_COLUMNS, _METER_TABLES
    )
    return next(iter(fetch_rows(conn, query, {"utility": utility, "serial": serial})), None)


def list_installations(conn: psycopg.Connection[Any], meter_id: int, limit: int) -> list[Row]:
    """Where a meter was installed, the latest first."""
    query = sql.SQL("""
        select sp.code as service_point, i.role, i.direction, i.phase, i.multiplier::text as multiplier,
               lower(i.during) as installed_at, upper(i.during) as removed_at,
               i.start_register_micro, i.end_register_micro
        from installation i join service_point sp on sp.service_point_id = i.service_point_id
        where i.meter_id = %(meter_id)s order by lower(i.during) desc nulls last limit %(limit)s
    """)
    return fetch_rows(conn, query, {"meter_id": meter_id, "limit": limit})


_ZONE_COLUMNS = sql.SQL("""
    z.zone_id, z.utility_id, u.code as utility, z.code as zone, z.medium, parent.code as parent, z.interval_s,
    z.reference_uncertainty_pct, s.assessed_through,
    (select count(*) from zone_membership zm where zm.zone_id = z.zone_id and zm.during @> now()) as service_points
""")
_ZONE_TABLES = sql.SQL("""
    from zone z
    join utility u on u.utility_id = z.utility_id
    left join zone parent on parent.zone_id = z.parent_zone_id
    left join zone_state s on s.zone_id = z.zone_id
""")


def list_zones(
    conn: psycopg.Connection[Any],
    utility: str | None,
    medium: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Row]:
    """Zones by utility and code; `after` is (utility_id, code)."""
    where = Conditions()
    where.add("u.code = %(utility)s", utility=utility)
    where.add("z.medium = %(medium)s", medium=medium)
    if after:
        where.add("(z.utility_id, z.code) > (%(after_utility)s, %(after_code)s)",
                  after_utility=after[0], after_code=after[1])  # fmt: skip
    query = sql.SQL("select {} {} {} order by z.utility_id, z.code limit %(limit)s").format(
        _ZONE_COLUMNS, _ZONE_TABLES, where.where()
    )
    return fetch_rows(conn, query, {**where.params, "limit": limit})


def find_zone(conn: psycopg.Connection[Any], utility: str, zone: str) -> Row | None:
    """One zone by its identity, or None."""
    query = sql.SQL("select {} {} where u.code = %(utility)s and z.code = %(zone)s").format(_ZONE_COLUMNS, _ZONE_TABLES)
    return next(iter(fetch_rows(conn, query, {"utility": utility, "zone": zone})), None)


def last_zone_report(conn: psycopg.Connection[Any], utility: str, zone: str) -> Row | None:
    """How well a zone was understood at the last day's end that was assessed, or None."""
    query = sql.SQL(
        "select r.* from zone_report r join zone z using (zone_id) join utility u on u.utility_id = z.utility_id"
        " where u.code = %(utility)s and z.code = %(zone)s order by r.window_end desc limit 1"
    )
    return next(iter(fetch_rows(conn, query, {"utility": utility, "zone": zone})), None)


_FINDING_COLUMNS = sql.SQL("""
    f.finding_id, f.kind, f.severity, u.code as utility, m.serial, z.code as zone,
    coalesce(m.medium, z.medium) as medium, m.unit, f.starts_at, f.ends_at,
    f.detail, f.evidence, f.assessed_at, f.commit_seq, f.software_version,
    f.settings_digest, f.superseded_at
""")
_FINDING_TABLES = sql.SQL("""
    from finding f
    join utility u on u.utility_id = f.utility_id
    left join meter m on m.meter_id = f.meter_id
    left join zone z on z.zone_id = f.zone_id
""")


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings to list; None is no restriction. `start` and `end` bound the time of the finding, half-open."""

    kind: str | None = None
    severity: str | None = None
    utility: str | None = None
    medium: str | None = None
    serial: str | None = None
    zone: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    in_force: bool | None = None


def list_findings(conn: psycopg.Connection[Any], wanted: FindingFilter, after: int | None, limit: int) -> list[Row]:
    """Findings, the newest first; `after` is the finding_id of the last row seen."""
    where = Conditions()
    where.add("f.kind = %(kind)s", kind=wanted.kind)
    where.add("f.severity = %(severity)s", severity=wanted.severity)
    where.add("u.code = %(utility)s", utility=wanted.utility)
    where.add("coalesce(m.medium, z.medium) = %(medium)s", medium=wanted.medium)
    where.add("m.serial = %(serial)s", serial=wanted.serial)
    where.add("z.code = %(zone)s", zone=wanted.zone)
    where.add("f.ends_at >= %(start)s", start=wanted.start)
    where.add("f.starts_at < %(end)s", end=wanted.end)
    where.add("(f.superseded_at is null) = %(in_force)s", in_force=wanted.in_force)
    where.add("f.finding_id < %(after)s", after=after)
    query = sql.SQL("select {} {} {} order by f.finding_id desc limit %(limit)s").format(
        _FINDING_COLUMNS, _FINDING_TABLES, where.where()
    )
    return fetch_rows(conn, query, {**where.params, "limit": limit})


def find_finding(conn: psycopg.Connection[Any], finding_id: int) -> Row | None:
    """One finding with the settings that it was made with, or None."""
    query = sql.SQL("""
        select {}, s.body as settings {} left join settings_snapshot s on s.digest = f.settings_digest
        where f.finding_id = %(finding_id)s
    """).format(_FINDING_COLUMNS, _FINDING_TABLES)
    return next(iter(fetch_rows(conn, query, {"finding_id": finding_id})), None)
