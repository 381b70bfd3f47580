"""Which installed meters are to be replaced by rule: past their validity, or found faulty and confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from store.query import Conditions, Row, fetch_rows

# One row a meter: its earliest reason, whether it expired, and its confirmed alerts. A meter without an installation
# at that moment has been exchanged (or was never in use) and is left out.
_DUE = sql.SQL("""
    with confirmed as (
        select a.meter_id, min(e.at) as since,
               jsonb_agg(jsonb_build_object('alert_id', a.alert_id, 'kind', a.kind, 'severity', a.severity,
                                            'since', e.at, 'actor', e.actor, 'reason', e.reason)
                         order by e.at, a.alert_id) as alerts
        from alert a
        join lateral (
            select at, actor, reason from alert_event
            where alert_id = a.alert_id and action = 'confirmed' order by alert_event_id desc limit 1
        ) e on e.at < %(moment)s
        where a.state = 'confirmed' and a.kind = any(%(kinds)s) and a.meter_id is not null
        group by a.meter_id
    ), due as (
        select m.meter_id, case when m.validity_until <= %(as_of)s then m.validity_until end as expired_on,
               c.since as confirmed_since, c.alerts,
               least(case when m.validity_until <= %(as_of)s then m.validity_until::timestamp at time zone 'UTC' end,
                     c.since) as since
        from meter m left join confirmed c on c.meter_id = m.meter_id
        where m.validity_until <= %(as_of)s or c.meter_id is not null
    )
    select due.meter_id, u.code as utility, m.serial, m.medium, m.accuracy_class, m.manufacturer, m.model, m.lot,
           m.validity_until, sp.code as service_point, z.code as zone, i.role, lower(i.during) as installed_at,
           due.expired_on, due.confirmed_since, due.alerts, due.since
    from due
    join meter m on m.meter_id = due.meter_id
    join utility u on u.utility_id = m.utility_id
    join installation i on i.meter_id = m.meter_id
        and coalesce(lower(i.during) < %(moment)s, true) and coalesce(upper(i.during) >= %(moment)s, true)
    join service_point sp on sp.service_point_id = i.service_point_id
    left join lateral (
        select code from zone_membership zm join zone on zone.zone_id = zm.zone_id
        where zm.service_point_id = i.service_point_id and zm.medium = i.medium
            and coalesce(lower(zm.during) < %(moment)s, true) and coalesce(upper(zm.during) >= %(moment)s, true)
        limit 1
    ) z on true
    {} order by due.since, due.meter_id limit %(limit)s
""")


_WITHOUT_VALIDITY = sql.SQL("""
    select count(*) as meters from (
        select from meter m
        join utility u on u.utility_id = m.utility_id
        {} and exists (
            select from installation i where i.meter_id = m.meter_id
                and coalesce(lower(i.during) < %(moment)s, true) and coalesce(upper(i.during) >= %(moment)s, true))
        limit %(limit)s
    ) counted
""")


@dataclass(frozen=True, slots=True)
class ReplacementRule:
    """When a meter is due: validity that ended on or before `as_of`, or an alert of `kinds` confirmed before `moment`.

    `moment` is the end of the day `as_of` where the authority keeps its calendar.
    """

    as_of: date
    moment: datetime
    kinds: Sequence[str]


def list_replacements(
    conn: psycopg.Connection[Any],
    rule: ReplacementRule,
    *,
    utility: str | None,
    medium: str | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[Row]:
    """Meters due for replacement, the longest due first; `after` is (since, meter_id) of the last row seen.

    `alerts` of a row is a list of {alert_id, kind, severity, since, actor, reason}, or None.
    """
    where = Conditions()
    where.add("u.code = %(utility)s", utility=utility)
    where.add("m.medium = %(medium)s", medium=medium)
    if after:
        where.add("(due.since, due.meter_id) > (%(after_since)s, %(after_id)s)",
                  after_since=after[0], after_id=after[1])  # fmt: skip
    params = {"as_of": rule.as_of, "moment": rule.moment, "kinds": list(rule.kinds), "limit": limit}
    return fetch_rows(conn, _DUE.format(where.where()), {**where.params, **params})


def count_without_validity(
    conn: psycopg.Connection[Any], rule: ReplacementRule, *, utility: str | None, medium: str | None, at_most: int
) -> int:
    """Meters installed at the rule's moment without a date of validity on record; the count stops at `at_most`."""
    where = Conditions()
    where.add("m.validity_until is null")
    where.add("u.code = %(utility)s", utility=utility)
    where.add("m.medium = %(medium)s", medium=medium)
    query = _WITHOUT_VALIDITY.format(where.where())
    rows = fetch_rows(conn, query, {**where.params, "moment": rule.moment, "limit": at_most})
    return int(rows[0]["meters"])
