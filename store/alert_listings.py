"""Alerts for the inbox, and everything that belongs to one alert: its findings, decisions and assessments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from store.query import Conditions, Row, fetch_rows

# The place is the one where the meter was when it was last concerned, even if it has been exchanged since.
_ALERT_COLUMNS = sql.SQL("""
    a.alert_id, a.kind, a.severity, a.state, u.code as utility, a.meter_id, m.serial, m.unit,
    coalesce(m.medium, z.medium) as medium, coalesce(z.code, place.zone) as zone, place.service_point,
    a.opened_at, a.starts_at, a.last_at, a.findings, a.latest_finding_id
""")
_ALERT_TABLES = sql.SQL("""
    join utility u on u.utility_id = a.utility_id
    left join meter m on m.meter_id = a.meter_id
    left join zone z on z.zone_id = a.zone_id
""")
# Looked up for the rows of one page only.
_PLACE = sql.SQL("""
    left join lateral (
        select sp.code as service_point, pz.code as zone
        from installation i
        join service_point sp on sp.service_point_id = i.service_point_id
        left join zone_membership zm on zm.service_point_id = i.service_point_id and zm.medium = i.medium
            and zm.during @> a.last_at
        left join zone pz on pz.zone_id = zm.zone_id
        where i.meter_id = a.meter_id and i.during @> a.last_at
        limit 1
    ) place on true
""")


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to list; None is no restriction."""

    states: tuple[str, ...] | None = None
    kind: str | None = None
    severity: str | None = None
    medium: str | None = None
    utility: str | None = None
    serial: str | None = None
    zone: str | None = None


_IN_ZONE: Final = """
    a.alert_id in (
        select of_zone.alert_id from zone pz join alert of_zone on of_zone.zone_id = pz.zone_id where pz.code = %(zone)s
        union all
        select of_meter.alert_id
        from zone pz
        join zone_membership zm on zm.zone_id = pz.zone_id
        join installation i on i.service_point_id = zm.service_point_id and i.medium = zm.medium
        join alert of_meter on of_meter.meter_id = i.meter_id
        where pz.code = %(zone)s and zm.during @> of_meter.last_at and i.during @> of_meter.last_at)"""


def _conditions(wanted: AlertFilter) -> Conditions:
    where = Conditions()
    where.add("a.state = any(%(states)s)", states=list(wanted.states) if wanted.states else None)
    where.add("a.kind = %(kind)s", kind=wanted.kind)
    where.add("a.severity = %(severity)s", severity=wanted.severity)
    where.add("coalesce(m.medium, z.medium) = %(medium)s", medium=wanted.medium)
    where.add("u.code = %(utility)s", utility=wanted.utility)
    where.add("m.serial = %(serial)s", serial=wanted.serial)
    where.add(_IN_ZONE, zone=wanted.zone)
    return where


class AlertKey(NamedTuple):
    """The place of an alert in the list. When it was raised never changes, so that pages neither skip nor repeat."""

    severity: str
    opened_at: datetime
    alert_id: int


def list_alerts(conn: psycopg.Connection[Any], wanted: AlertFilter, after: AlertKey | None, limit: int) -> list[Row]:
    """Alerts, alarms before warnings, the latest raised first; `after` is the key of the last row seen."""
    where = _conditions(wanted)
    if after:
        # 'alarm' sorts before 'warning'.
        where.add("(a.severity > %(after_severity)s or a.severity = %(after_severity)s"
                  " and (a.opened_at, a.alert_id) < (%(after_opened)s, %(after_id)s))",
                  after_severity=after.severity, after_opened=after.opened_at, after_id=after.alert_id)  # fmt: skip
    query = sql.SQL("""
        with page as (select a.* from alert a {tables} {where} {order} limit %(limit)s)
        select {columns} from page a {tables} {place} {order}
    """).format(order=_ORDER, columns=_ALERT_COLUMNS, tables=_ALERT_TABLES, place=_PLACE, where=where.where())
    return fetch_rows(conn, query, {**where.params, "limit": limit})


_ORDER = sql.SQL("order by a.severity, a.opened_at desc, a.alert_id desc")


def checked_until(conn: psycopg.Connection[Any], meter_id: int) -> datetime | None:
    """The latest reading of a meter that the verifier has checked; readings from the future are not among them."""
    row = conn.execute("select last_at from meter_state where meter_id = %s", (meter_id,)).fetchone()
    return None if row is None else row[0]


def find_alert(conn: psycopg.Connection[Any], alert_id: int) -> Row | None:
    """One alert, or None."""
    query = sql.SQL("select {} from alert a {} {} where a.alert_id = %(alert_id)s").format(
        _ALERT_COLUMNS, _ALERT_TABLES, _PLACE
    )
    return next(iter(fetch_rows(conn, query, {"alert_id": alert_id})), None)


def count_alerts(conn: psycopg.Connection[Any], wanted: AlertFilter) -> list[Row]:
    """How many alerts there are by state, kind and severity, under the filter."""
    where = _conditions(wanted)
    query = sql.SQL(
        "select a.state, a.kind, a.severity, count(*) as alerts from alert a {} {} group by 1, 2, 3"
    ).format(_ALERT_TABLES, where.where())
    return fetch_rows(conn, query, where.params)


def list_utilities(conn: psycopg.Connection[Any], limit: int) -> list[str]:
    """Codes of the utilities."""
    query = sql.SQL("select code from utility order by code limit %(limit)s")
    return [row["code"] for row in fetch_rows(conn, query, {"limit": limit})]


def list_alert_events(conn: psycopg.Connection[Any], alert_id: int, limit: int) -> list[Row]:
    """What became of an alert, in order."""
    query = sql.SQL("""
        select alert_event_id, at, actor, action, reason from alert_event
        where alert_id = %(alert_id)s order by alert_event_id limit %(limit)s
    """)
    return fetch_rows(conn, query, {"alert_id": alert_id, "limit": limit})


def list_alert_findings(conn: psycopg.Connection[Any], alert_id: int, limit: int) -> list[Row]:
    """The findings that an alert holds, the latest first, with those superseded since.

    They are of the alert's kind and meter (or zone), ask for attention and start within its span.
    """
    query = sql.SQL("""
        select f.finding_id, f.kind, f.severity, f.starts_at, f.ends_at, f.detail, f.evidence, f.assessed_at,
               f.commit_seq, f.software_version, f.settings_digest, f.superseded_at
        from alert a
        join finding f on f.kind = a.kind and f.meter_id is not distinct from a.meter_id
            and (a.meter_id is not null or f.zone_id = a.zone_id)
            and f.starts_at between a.starts_at and a.last_at and f.severity in ('warning', 'alarm')
        where a.alert_id = %(alert_id)s
        order by (f.superseded_at is null) desc, f.starts_at desc, f.finding_id desc limit %(limit)s
    """)
    return fetch_rows(conn, query, {"alert_id": alert_id, "limit": limit})


def list_zone_assessments(conn: psycopg.Connection[Any], zone: tuple[str, str], limit: int) -> list[Row]:
    """The assessments of the last window of a zone (utility, code), the largest probability first."""
    query = sql.SQL("""
        select m.serial, s.window_start, s.window_end, s.error_pct, s.std_pct, s.mpe_pct, s.p_nonconforming, s.outcome,
               s.reasons
        from zone z
        join utility u on u.utility_id = z.utility_id
        join assessment s on s.zone_id = z.zone_id
        join meter m on m.meter_id = s.meter_id
        where u.code = %(utility)s and z.code = %(zone)s
            and s.window_end = (select max(window_end) from assessment where zone_id = z.zone_id)
        order by s.p_nonconforming desc nulls last, abs(s.error_pct) desc nulls last, m.serial limit %(limit)s
    """)
    return fetch_rows(conn, query, {"utility": zone[0], "zone": zone[1], "limit": limit})


def list_assessments(conn: psycopg.Connection[Any], meter_id: int, limit: int) -> list[Row]:
    """The latest assessments of a meter's error against a zone's reference, in order of time.

    Of nested zones the one that estimated the error last counts; of two on one day, the one that did it better.
    """
    query = sql.SQL("""
        select * from (
            select z.code as zone, s.window_start, s.window_end, s.error_pct, s.std_pct, s.mpe_pct, s.p_nonconforming,
                   s.outcome, s.reasons, s.assessed_at, s.software_version
            from assessment s join zone z on z.zone_id = s.zone_id
            where s.meter_id = %(meter_id)s and s.zone_id = (
                select zone_id from assessment where meter_id = %(meter_id)s
                order by (error_pct is null), window_end desc, std_pct limit 1
            )
            order by s.window_end desc limit %(limit)s
        ) latest order by window_end
    """)
    return fetch_rows(conn, query, {"meter_id": meter_id, "limit": limit})
