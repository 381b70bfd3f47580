"""Assessments of zones: how far each zone has come, what was concluded of its meters, and what that rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from store.binary_copy import copy_out
from store.findings import Provenance

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class AssessmentRow:
    """One meter's outcome in the window [window_start, window_end) of its zone's balance; None: no figure."""

    meter_id: int
    window_start: datetime
    window_end: datetime
    error_pct: float | None
    std_pct: float | None
    mpe_pct: float | None
    p_nonconforming: float | None
    outcome: str
    reasons: Sequence[Mapping[str, Any]]
    change_at: datetime | None = None
    decidable: bool = False
    contributions_pct: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ZoneReportRow:
    """How well a zone is understood at a day's end; shares are of its mean load [%].

    `unmetered` [base unit an interval] since `unmetered_since`; None where no such load is seen. `decidable` counts the
    meters of which a verdict can be had. `remedies` and `reasons` as the verifier has them.
    """

    zone_id: int
    window_end: datetime
    groups: int
    collected_pct: float
    loss_pct: float | None
    noise_share_pct: float | None
    unmetered: float | None
    unmetered_since: datetime | None
    decidable: int
    remedies: Sequence[Mapping[str, Any]]
    reasons: Sequence[Mapping[str, Any]]


class DayOutcome(NamedTuple):
    """A meter's nonconforming day and the code of its first reason; figures are None where there are none."""

    meter_id: int
    window_start: datetime
    window_end: datetime
    error_pct: float | None
    std_pct: float | None
    mpe_pct: float | None
    p_nonconforming: float | None
    reason: str = ""


def balanced_meters(connection: Connection) -> NDArray[np.void]:
    """All pairs (meter_id, zone_id) of meters that take part in a balance: a zone's customers and references, and
    the check meters that customers' meters are compared with.

    A zone's references also take part in the zone around it, as customers there. Zones that never had a reference of
    their own have no balance and are left out. Sorted.
    """
    with connection.cursor() as cursor:
        pairs = copy_out(cursor, _BALANCED_METERS, (), np.dtype([("meter_id", "<i4"), ("zone_id", "<i4")]))
    return np.sort(pairs)


def zone_progress(connection: Connection, zone_ids: Sequence[int]) -> dict[int, datetime]:
    """Up to when each zone was assessed, if ever. Call under the follower's lock: another verifier would change it."""
    return dict(
        connection.execute(
            "select zone_id, assessed_through from zone_state where zone_id = any(%s)", (list(zone_ids),)
        ).fetchall()
    )


def set_zone_progress(connection: Connection, zone_id: int, through: datetime) -> None:
    """Note up to when the zone was assessed."""
    connection.execute(
        "insert into zone_state (zone_id, assessed_through) values (%s, %s)"
        " on conflict (zone_id) do update set assessed_through = excluded.assessed_through",
        (zone_id, through),
    )


def first_reading(connection: Connection, meter_ids: Sequence[int]) -> datetime | None:
    """The earliest reading of any of the meters."""
    row = connection.execute(
        "select min(f.observed_at) from unnest(%s::int[]) m(id),"
        " lateral (select observed_at from reading where meter_id = m.id order by observed_at limit 1) f",
        ([int(meter_id) for meter_id in meter_ids],),
    ).fetchone()
    return row[0] if row else None


def child_zones(connection: Connection, zone_id: int) -> set[int]:
    """The zones directly inside a zone."""
    return {row[0] for row in connection.execute("select zone_id from zone where parent_zone_id = %s", (zone_id,))}


def expired_standards(connection: Connection, meter_ids: Sequence[int], on: date) -> dict[int, str]:
    """Those of the meters whose reference-standard certificates are known and none of them is valid on that day.

    The value names the certificate that was valid last.
    """
    rows = connection.execute(
        "select distinct on (meter_id) meter_id, certificate || ', valid until ' || valid_until"
        " from reference_standard r"
        " where meter_id = any(%(ids)s) and not exists (select from reference_standard v"
        "  where v.meter_id = r.meter_id and v.valid_from <= %(on)s and %(on)s <= v.valid_until)"
        " order by meter_id, valid_until desc",
        {"ids": [int(meter_id) for meter_id in meter_ids], "on": on},
    ).fetchall()
    return dict(rows)


def put_assessments(
    connection: Connection, zone_id: int, rows: Sequence[AssessmentRow], provenance: Provenance
) -> None:
    """Write all outcomes of a zone's days; what was concluded before for the same windows' ends is replaced."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into assessment (zone_id, meter_id, window_start, window_end, error_pct, std_pct, mpe_pct,"
            " p_nonconforming, outcome, reasons, change_at, decidable, contributions_pct, assessed_at, commit_seq,"
            " software_version, settings_digest)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (meter_id, zone_id, window_end) do update set window_start = excluded.window_start,"
            " error_pct = excluded.error_pct, std_pct = excluded.std_pct, mpe_pct = excluded.mpe_pct,"
            " p_nonconforming = excluded.p_nonconforming, outcome = excluded.outcome, reasons = excluded.reasons,"
            " change_at = excluded.change_at, decidable = excluded.decidable,"
            " contributions_pct = excluded.contributions_pct,"
            " assessed_at = excluded.assessed_at, commit_seq = excluded.commit_seq,"
            " software_version = excluded.software_version, settings_digest = excluded.settings_digest",
            [
                (zone_id, r.meter_id, r.window_start, r.window_end, r.error_pct, r.std_pct, r.mpe_pct,
                 r.p_nonconforming, r.outcome, Jsonb(list(r.reasons)), r.change_at, r.decidable,
                 Jsonb(dict(r.contributions_pct)), provenance.assessed_at, provenance.commit_seq,
                 provenance.software_version, provenance.settings_digest)
                for r in rows
            ],
        )  # fmt: skip
        # Who was assessed then and takes part no more (the registry was corrected) has no outcome.
        cursor.execute(
            "delete from assessment where zone_id = %s and window_end = any(%s) and commit_seq <> %s",
            (zone_id, list({r.window_end for r in rows}), provenance.commit_seq),
        )


def put_zone_report(connection: Connection, row: ZoneReportRow, provenance: Provenance) -> None:
    """Write the report of a zone's day in place of the one before."""
    connection.execute(
        "insert into zone_report (zone_id, window_end, groups, collected_pct, loss_pct, noise_share_pct, unmetered,"
        " unmetered_since, decidable, remedies, reasons, assessed_at, commit_seq, software_version, settings_digest)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (zone_id, window_end) do update set groups = excluded.groups,"
        " collected_pct = excluded.collected_pct, loss_pct = excluded.loss_pct,"
        " noise_share_pct = excluded.noise_share_pct, unmetered = excluded.unmetered,"
        " unmetered_since = excluded.unmetered_since, decidable = excluded.decidable, remedies = excluded.remedies,"
        " reasons = excluded.reasons, assessed_at = excluded.assessed_at, commit_seq = excluded.commit_seq,"
        " software_version = excluded.software_version, settings_digest = excluded.settings_digest",
        (row.zone_id, row.window_end, row.groups, row.collected_pct, row.loss_pct, row.noise_share_pct, row.unmetered,
         row.unmetered_since, row.decidable, Jsonb(list(row.remedies)), Jsonb(list(row.reasons)),
         provenance.assessed_at, provenance.commit_seq, provenance.software_version, provenance.settings_digest),
    )  # fmt: skip


def take_rechecks(connection: Connection) -> dict[int, datetime]:
    """The zones whose days are to be assessed again, each from a time on; they are noted no more.

    Call under the follower's lock.
    """
    rows = connection.execute(
        "with taken as (delete from zone_recheck returning zone_id, from_at)"
        " select zone_id, min(from_at) from taken group by zone_id order by zone_id"
    ).fetchall()
    return dict(rows)


def note_recheck(connection: Connection, zone_id: int, from_at: datetime) -> None:
    """The zone's days from a time on are to be assessed again."""
    connection.execute("insert into zone_recheck (zone_id, from_at) values (%s, %s)", (zone_id, from_at))


def nonconforming_days(connection: Connection, meter_ids: Sequence[int]) -> list[DayOutcome]:
    """Every nonconforming outcome of the meters, in whatever zone, by meter and day."""
    rows = connection.execute(
        "select meter_id, window_start, window_end, error_pct, std_pct, mpe_pct, p_nonconforming,"
        " coalesce(reasons -> 0 ->> 'code', '') from assessment"
        " where meter_id = any(%s) and outcome = 'nonconforming' order by meter_id, window_end",
        ([int(meter_id) for meter_id in meter_ids],),
    ).fetchall()
    return [DayOutcome(*row) for row in rows]


def refused_days(
    connection: Connection, zone_id: int, codes: Sequence[str], explained: Sequence[str]
) -> list[tuple[datetime, datetime, Any]]:
    """The days on which the zone's verdicts were withheld for one of the reasons: window's start, end, the reasons.

    Days on which a meter is told for one of the reasons `explained` are left out.
    """
    return connection.execute(
        "select distinct on (window_end) window_start, window_end, reasons from assessment a"
        " where zone_id = %s and outcome = 'withheld'"
        " and not exists (select from assessment o where o.zone_id = a.zone_id and o.window_end = a.window_end"
        "  and o.outcome = 'nonconforming' and o.reasons -> 0 ->> 'code' = any(%s))"
        " and exists (select from jsonb_array_elements(reasons) r where r ->> 'code' = any(%s))"
        " order by window_end, meter_id",
        (zone_id, list(explained), list(codes)),
    ).fetchall()


_BALANCED_METERS = """
    with own as (
        select i.meter_id, m.zone_id, i.role
        from installation i join zone_membership m using (service_point_id, medium)
        where i.during && m.during ),
    pairs as (
        select meter_id, zone_id from own
        union select o.meter_id, z.parent_zone_id from own o join zone z using (zone_id)
        where o.role = 'reference' and z.parent_zone_id is not null)
    select meter_id, zone_id from pairs
    where zone_id in (select zone_id from own where role = 'reference')"""
