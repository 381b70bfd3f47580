"""Priors of meters that were learned from their like: recorded for days from a time on, never overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from metrology.errors import StateConflictError
from store.findings import Provenance
from store.registry import lock_registry
from store.registry_state import audit, copy_rows
from store.times import to_micros

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class PriorRow:
    """A meter's prior [%] for histories that end after `from_us`; `common_pct` is what its like may err together."""

    meter_id: int
    from_us: int
    mean_pct: float
    sd_pct: float
    common_pct: float
    source: str


def load_meter_priors(connection: Connection, meter_ids: Sequence[int]) -> list[PriorRow]:
    """The meters' priors, by meter and ascending by when they come into force."""
    rows = connection.execute(
        "select meter_id, (extract(epoch from from_at) * 1000000)::bigint, mean_pct, sd_pct, common_pct, source"
        " from meter_prior where meter_id = any(%s) order by meter_id, from_at",
        ([int(meter_id) for meter_id in meter_ids],),
    ).fetchall()
    return [PriorRow(*row) for row in rows]


def apply_priors(
    connection: Connection, rows: Sequence[PriorRow], from_at: datetime, actor: str, provenance: Provenance
) -> int:
    """Records the priors from a time on and has the meters' zones assessed again from it; returns how many zones.

    Each row's `from_us` is that time. Raises StateConflictError where priors of that time or a later one are recorded.
    """
    lock_registry(connection)
    latest = connection.execute("select max(from_at) from meter_prior").fetchone()
    if latest is not None and latest[0] is not None and latest[0] >= from_at:
        raise StateConflictError(
            f"priors are in force from {latest[0].isoformat()} on, and what rests on them has to stay explained;"
            " apply new ones from a later day on"
        )
    if any(row.from_us != to_micros(from_at) for row in rows):
        raise ValueError("a prior is of another time than that of its application")
    names = ("meter_id", "from_at", "mean_pct", "sd_pct", "common_pct", "source",
             "applied_by", "commit_seq", "software_version", "settings_digest")  # fmt: skip
    made_by = (actor, provenance.commit_seq, provenance.software_version, provenance.settings_digest)
    given = [(r.meter_id, from_at, r.mean_pct, r.sd_pct, r.common_pct, r.source, *made_by) for r in rows]
    copy_rows(connection, "meter_prior", names, given)
    zones = connection.execute(
        "insert into zone_recheck (zone_id, from_at) select distinct m.zone_id, %(at)s::timestamptz"
        " from installation i join zone_membership m using (service_point_id, medium)"
        " where i.meter_id = any(%(ids)s) and i.during && m.during returning zone_id",
        {"at": from_at, "ids": [row.meter_id for row in rows]},
    ).fetchall()
    detail = {"from_at": from_at, "meters": len(rows), "zones": len(zones), "commit_seq": provenance.commit_seq}
    audit(connection, actor, [("change_priors", "meter_prior", detail)])
    return len(zones)


def last_reports(connection: Connection) -> dict[int, datetime]:
    """By zone_id the end of its last day that was assessed."""
    return dict(connection.execute("select zone_id, max(window_end) from zone_report group by zone_id").fetchall())
