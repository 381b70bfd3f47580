"""Alerts kept in step with the findings: raised, joined by further findings, withdrawn when their ground is gone.

An alert stands for the findings of one kind at one meter (or zone) that are in force, ask for attention (`warning`,
`alarm`) and start later than the end of the last dismissed alert of that kind there. So what stands depends on the
findings and the inspectors' decisions only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from store.findings import FindingDraft

Connection = psycopg.Connection[Any]

VERIFIER = "verifier"  # the actor of what the machine does
_ATTENTION = ("warning", "alarm")


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """How many alerts were raised, joined (figures changed) and withdrawn."""

    raised: int
    joined: int
    withdrawn: int


def sync_alerts(connection: Connection, touched: Iterable[FindingDraft], at: datetime) -> AlertChanges:
    """Brings the alerts about these findings, which came into or went out of force, in line with all in force."""
    subjects = {
        (f.kind, f.meter_id, None if f.meter_id is not None else f.zone_id) for f in touched if f.severity in _ATTENTION
    }
    if not subjects:
        return AlertChanges(0, 0, 0)
    ordered = sorted(subjects, key=lambda s: (s[0], s[1] or 0, s[2] or 0))
    params = {
        "kinds": [kind for kind, _, _ in ordered],
        "meters": [meter_id for _, meter_id, _ in ordered],
        "zones": [zone_id for _, _, zone_id in ordered],
        "at": at,
        "actor": VERIFIER,
    }
    # Lock first, in one order: an inspector's act and this one follow each other.
    connection.execute(_LOCK, params)
    joined = connection.execute(_JOIN, params).rowcount
    raised = connection.execute(_RAISE, params).rowcount
    withdrawn = connection.execute(_WITHDRAW, params).rowcount
    return AlertChanges(raised, joined, withdrawn)


_SUBJECTS = sql.SQL("""
    subject as (
        select kind, meter_id, zone_id
        from unnest(%(kinds)s::text[], %(meters)s::integer[], %(zones)s::integer[]) s (kind, meter_id, zone_id)
    )""")

_LOCK = sql.SQL("""
    with {}
    select a.alert_id from subject s
    join alert a on a.kind = s.kind and a.meter_id is not distinct from s.meter_id
        and a.zone_id is not distinct from s.zone_id
    order by a.alert_id for update of a""").format(_SUBJECTS)

# For each subject: the standing alert, and the figures of the findings that it stands for.
_GROUND = sql.SQL("""
    {},
    decided as (
        select s.*, standing.alert_id, standing.state,
               (select max(d.last_at) from alert d
                where d.kind = s.kind and d.state = 'dismissed'
                  and d.meter_id is not distinct from s.meter_id and d.zone_id is not distinct from s.zone_id
               ) as dismissed_to
        from subject s
        left join lateral (
            select a.alert_id, a.state from alert a
            where a.kind = s.kind and a.state in ('open', 'acknowledged', 'confirmed')
              and a.meter_id is not distinct from s.meter_id and a.zone_id is not distinct from s.zone_id
            order by a.alert_id desc limit 1) standing on true
    ),
    ground as (
        select d.*, f.*
        from decided d
        cross join lateral (
            select count(*)::integer as findings, min(f.starts_at) as starts_at, max(f.ends_at) as last_at,
                   max(f.finding_id) as latest_finding_id, min(f.utility_id) as utility_id,
                   case when bool_or(f.severity = 'alarm') then 'alarm' else 'warning' end as severity
            from finding f
            where f.kind = d.kind and f.superseded_at is null and f.severity in ('warning', 'alarm')
              and (f.meter_id = d.meter_id or (d.meter_id is null and f.meter_id is null and f.zone_id = d.zone_id))
              and (d.dismissed_to is null or f.starts_at > d.dismissed_to)) f
    )""").format(_SUBJECTS)

_JOIN = sql.SQL("""
    with {}
    update alert a
    set findings = g.findings, starts_at = g.starts_at, last_at = g.last_at,
        latest_finding_id = g.latest_finding_id, severity = g.severity
    from ground g
    where a.alert_id = g.alert_id and g.findings > 0
      and (a.findings, a.starts_at, a.last_at, a.latest_finding_id, a.severity)
          is distinct from (g.findings, g.starts_at, g.last_at, g.latest_finding_id, g.severity)""").format(_GROUND)

_RAISE = sql.SQL("""
    with {},
    raised as (
        insert into alert (kind, severity, utility_id, meter_id, zone_id, opened_at, starts_at, last_at, findings,
                           latest_finding_id)
        select kind, severity, utility_id, meter_id, zone_id, %(at)s, starts_at, last_at, findings, latest_finding_id
        from ground where alert_id is null and findings > 0
        order by kind, meter_id, zone_id
        returning alert_id
    )
    insert into alert_event (alert_id, at, actor, action)
    select alert_id, %(at)s, %(actor)s, 'raised' from raised""").format(_GROUND)

_WITHDRAW = sql.SQL("""
    with {},
    withdrawn as (
        update alert a set state = 'withdrawn'
        from ground g
        where a.alert_id = g.alert_id and g.findings = 0 and g.state in ('open', 'acknowledged')
        returning a.alert_id
    )
    insert into alert_event (alert_id, at, actor, action, reason)
    select alert_id, %(at)s, %(actor)s, 'withdrawn', 'later readings removed its ground' from withdrawn""").format(
    _GROUND
)
