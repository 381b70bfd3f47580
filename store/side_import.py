"""Imports of what is known of zones beside their readings, all zones or none.

Call within a transaction and roll back on any error. Importing the same again changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import psycopg

from store.assessments import note_recheck
from store.import_summary import ImportSummary
from store.registry import lock_registry, registry_version
from store.registry_state import audit
from store.side import (
    ConditionRecords,
    Instants,
    Network,
    load_conditions,
    load_network,
    note_import,
    put_conditions,
    put_network,
)
from store.times import EPOCH, to_datetime

Connection = psycopg.Connection[Any]


class UtilityZone(NamedTuple):
    """A zone as an import names it; `customers` are the meter_ids of its own customers' meters, by serial."""

    zone_id: int
    code: str
    medium: str
    customers: dict[str, int]


@dataclass(frozen=True)
class SideDraft:
    """What a folder tells of a zone; None: nothing. `source` names its folder."""

    zone_id: int
    code: str
    source: str
    network: Network | None = None
    conditions: ConditionRecords | None = None


class ConditionsPlan(NamedTuple):
    """Records to be taken out of force, and those to be added; both empty where nothing has changed."""

    withdrawn_us: Instants
    fresh: ConditionRecords

    @property
    def first_us(self) -> int | None:
        """The first instant that changes."""
        changed = [*self.withdrawn_us[:1].tolist(), *self.fresh.observed_us[:1].tolist()]
        return min(changed, default=None)


def utility_zones(connection: Connection, utility: str) -> list[UtilityZone]:
    """The utility's zones, by code, with the meters that ever were customers' in them."""
    rows = connection.execute(
        "select z.zone_id, z.code, z.medium, t.serial, t.meter_id from zone z join utility u using (utility_id)"
        " left join zone_membership m using (zone_id)"
        " left join installation i on i.service_point_id = m.service_point_id and i.medium = m.medium"
        "  and i.during && m.during and i.role = 'customer'"
        " left join meter t on t.meter_id = i.meter_id where u.code = %s order by z.code",
        (utility,),
    ).fetchall()
    zones: dict[int, UtilityZone] = {}
    for zone_id, code, medium, serial, meter_id in rows:
        zone = zones.setdefault(zone_id, UtilityZone(zone_id, code, medium, {}))
        if serial is not None:
            zone.customers[serial] = meter_id
    return list(zones.values())


def import_side(
    connection: Connection, drafts: Sequence[SideDraft], *, utility: str, source: str, actor: str
) -> ImportSummary:
    """Records what the drafts tell of their zones, and has those that change assessed again.

    A network takes the place of the zone's former one: all of the zone's days are due. Conditions take the place of
    what was recorded from their first time to their last one; days are due from the first instant that changes.
    """
    lock_registry(connection)
    became: Counter[str] = Counter()
    for draft in drafts:
        if draft.network is not None:
            became[_import_network(connection, draft, draft.network, utility, actor)] += 1
        if draft.conditions is not None:
            became[_import_conditions(connection, draft, draft.conditions, utility, actor)] += 1
    summary = ImportSummary(
        added=became["added"],
        changed=became["changed"],
        unchanged=became["unchanged"],
        released=0,
        registry_version=registry_version(connection),
    )
    detail = {"file": source, "added": summary.added, "changed": summary.changed, "unchanged": summary.unchanged}
    audit(connection, actor, [("import_side", utility, detail)])
    return summary


def plan_conditions(known: ConditionRecords, given: ConditionRecords) -> ConditionsPlan:
    """What brings the records in force to those given, from the first to the last of them; others stay. Pure."""
    first_us, last_us = given.observed_us[0], given.observed_us[-1]
    inside = (known.observed_us >= first_us) & (known.observed_us <= last_us)
    times, values = known.observed_us[inside], known.values[inside]
    _, old, new = np.intersect1d(times, given.observed_us, assume_unique=True, return_indices=True)
    same = np.all((values[old] == given.values[new]) | (np.isnan(values[old]) & np.isnan(given.values[new])), axis=1)
    stays, is_known = np.zeros(times.size, np.bool_), np.zeros(given.observed_us.size, np.bool_)
    stays[old[same]], is_known[new[same]] = True, True
    return ConditionsPlan(times[~stays], ConditionRecords(given.observed_us[~is_known], given.values[~is_known]))


def _import_network(connection: Connection, draft: SideDraft, network: Network, utility: str, actor: str) -> str:
    known = load_network(connection, draft.zone_id)
    if known is not None and known.equals(network):
        return "unchanged"
    side_import_id = note_import(connection, draft.zone_id, "resistances", draft.source, actor)
    put_network(connection, draft.zone_id, network, side_import_id)
    note_recheck(connection, draft.zone_id, EPOCH)
    detail = {
        "side_import_id": side_import_id,
        "file": draft.source,
        "meters": len(network.meter_ids),
        "meters_before": None if known is None else len(known.meter_ids),
    }
    audit(connection, actor, [("change_zone_resistances", f"{utility}/{draft.code}", detail)])
    return "added" if known is None else "changed"


def _import_conditions(
    connection: Connection, draft: SideDraft, given: ConditionRecords, utility: str, actor: str
) -> str:
    first_us, last_us = int(given.observed_us[0]), int(given.observed_us[-1])
    plan = plan_conditions(load_conditions(connection, draft.zone_id, first_us, last_us), given)
    if plan.first_us is None:
        return "unchanged"
    side_import_id = note_import(connection, draft.zone_id, "conditions", draft.source, actor)
    put_conditions(connection, draft.zone_id, plan.withdrawn_us.tolist(), plan.fresh, side_import_id)
    changed_from: datetime = to_datetime(plan.first_us)
    note_recheck(connection, draft.zone_id, changed_from)
    detail = {
        "side_import_id": side_import_id,
        "file": draft.source,
        "from": to_datetime(first_us),
        "to": to_datetime(last_us),
        "withdrawn": plan.withdrawn_us.size,
        "added": plan.fresh.observed_us.size,
        "changed_from": changed_from,
    }
    audit(connection, actor, [("change_zone_conditions", f"{utility}/{draft.code}", detail)])
    return "changed" if plan.withdrawn_us.size else "added"
