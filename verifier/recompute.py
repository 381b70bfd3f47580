"""A finding made again from what is stored, to be held against what was concluded then."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import numpy as np
import psycopg

from store.assessments import AssessmentRow, DayOutcome
from store.batches import readings_of_batches, repeats_of_batches
from store.explaining import FindingRecord, findings_then, zones_assessed
from store.findings import FindingDraft
from store.meter_facts import load_meter_records
from store.meter_states import batch_receipts
from store.readings import read_conflicts, read_meter_readings
from store.registry import load_zone, zones_of_meters
from store.times import to_micros
from verifier.accepted import step_results
from verifier.balance.types import DAY_US
from verifier.deliveries import duplicate_findings, future_findings
from verifier.kinds import STEP_KINDS, FindingKind
from verifier.resume import followed_and_placeable
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor, outcome_rows
from verifier.zone_findings import AT_ONCE, IMBALANCE_REASONS, SPOILING, error_findings, imbalance_findings, is_spoiling
from verifier.zone_members import ZoneMeters, load_zone_meters

Connection = psycopg.Connection[Any]
_ALL_TIMES_US: Final = (-(2**62), 2**62)


def recompute(connection: Connection, record: FindingRecord, settings: VerifierSettings) -> FindingDraft | None:
    """The finding as these settings make it from the batches up to its own; None where it is not made any more.

    Readings, findings beside it and the zone's meters are read by the same ways as when it was first made.
    """
    kind = FindingKind(record.draft.kind)
    if kind in STEP_KINDS:
        made = _of_steps(connection, record, settings)
    elif kind is FindingKind.ERROR_BEYOND_MPE:
        made = _of_errors(connection, record, settings)
    elif kind is FindingKind.ZONE_IMBALANCE:
        made = _of_imbalance(connection, record, settings)
    else:
        made = _of_deliveries(connection, record, settings)
    return next((draft for draft in made if draft.key == record.draft.key), None)


def differences(stored: FindingDraft, made: FindingDraft | None) -> dict[str, tuple[Any, Any]]:
    """Where the two differ: what was stored and what was made now, by place. Numbers must be equal to the last bit."""
    if made is None:
        return {"finding": ("made", "not made")}
    before, now = (dict(_flat("", json.loads(json.dumps(asdict(one))))) for one in (stored, made))
    places = [*before, *(place for place in now if place not in before)]
    return {place: (before.get(place), now.get(place)) for place in places if before.get(place) != now.get(place)}


def zone_then(connection: Connection, record: FindingRecord) -> ZoneMeters | None:
    """The zone whose balance made the finding; None for a finding of a meter's own readings."""
    draft = record.draft
    if draft.kind == FindingKind.ZONE_IMBALANCE and draft.zone_id is not None:
        return load_zone_meters(connection, load_zone(connection, draft.zone_id))
    if draft.kind != FindingKind.ERROR_BEYOND_MPE or draft.meter_id is None:
        return None
    ends = [datetime.fromisoformat(day["window_end"]) for day in draft.detail["days"]]
    ids = zones_assessed(connection, draft.meter_id, ends) or zones_of_meters(connection, [draft.meter_id])
    for zone_id in ids:
        zone = load_zone_meters(connection, load_zone(connection, zone_id))
        if any(m.installation.meter_id == draft.meter_id and m.zone_id == zone_id for m in zone.members):
            return zone
    return None


def spoiling_then(connection: Connection, zone: ZoneMeters, record: FindingRecord) -> list[FindingDraft]:
    """The findings on the zone's meters that spoiled its balance when the finding was made."""
    found = findings_then(connection, SPOILING, sorted(zone.meters), record.provenance)
    return [draft for draft in found if is_spoiling(draft)]


def _flat(place: str, value: Any) -> Iterable[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield place, value
        return
    for name, part in items:
        yield from _flat(f"{place}.{name}".lstrip("."), part)


def _of_steps(connection: Connection, record: FindingRecord, settings: VerifierSettings) -> Sequence[FindingDraft]:
    ids = [record.draft.meter_id or 0]
    held = [read(connection, ids, *_ALL_TIMES_US) for read in (read_meter_readings, read_conflicts)]
    last_seq = record.provenance.commit_seq
    rows = followed_and_placeable(connection, np.concatenate(held), last_seq, settings.steps)
    return step_results(rows, load_meter_records(connection, ids), settings).findings


def _of_errors(connection: Connection, record: FindingRecord, settings: VerifierSettings) -> Sequence[FindingDraft]:
    zone = zone_then(connection, record)
    if zone is None:
        return []
    ends = [to_micros(datetime.fromisoformat(day["window_end"])) for day in record.draft.detail["days"]]
    rows = _outcomes(connection, zone, ends, record, settings)
    days = [
        DayOutcome(
            r.meter_id,
            r.window_start,
            r.window_end,
            r.error_pct,
            r.std_pct,
            r.mpe_pct,
            r.p_nonconforming,
            r.reasons[0]["code"],
        )
        for r in rows
        if r.meter_id == record.draft.meter_id and r.outcome == "nonconforming"
    ]
    return error_findings(days, settings.balance.persistence_days)


def _of_imbalance(connection: Connection, record: FindingRecord, settings: VerifierSettings) -> Sequence[FindingDraft]:
    zone = zone_then(connection, record)
    if zone is None:
        return []
    ends = range(record.draft.starts_us, record.draft.ends_us + 1, DAY_US)
    days: dict[datetime, tuple[datetime, datetime, Any]] = {}
    rows = _outcomes(connection, zone, ends, record, settings)
    explained = {row.window_end for row in rows if row.outcome == "nonconforming" and row.reasons[0]["code"] in AT_ONCE}
    for row in sorted(rows, key=lambda row: (row.window_end, row.meter_id)):
        if row.window_end in explained:
            continue
        if row.outcome == "withheld" and any(reason["code"] in IMBALANCE_REASONS for reason in row.reasons):
            days.setdefault(row.window_end, (row.window_start, row.window_end, row.reasons))
    spoiling = spoiling_then(connection, zone, record)
    return imbalance_findings(zone.zone.zone_id, list(days.values()), spoiling, settings.balance.persistence_days)


def _outcomes(
    connection: Connection, zone: ZoneMeters, ends: Sequence[int], record: FindingRecord, settings: VerifierSettings
) -> list[AssessmentRow]:
    assessor, spoiling = ZoneAssessor(settings), spoiling_then(connection, zone, record)
    days = assessor.days(connection, zone, ends, spoiling, record.provenance.commit_seq)
    return [row for day in days for row in outcome_rows(day)]


def _of_deliveries(connection: Connection, record: FindingRecord, settings: VerifierSettings) -> Sequence[FindingDraft]:
    """Findings on how readings came rest on the batches that their evidence names."""
    batch_ids = sorted({int(part["batch_id"]) for part in record.draft.evidence})
    mine = record.draft.meter_id
    if record.draft.kind == FindingKind.DUPLICATE:
        repeats = repeats_of_batches(connection, batch_ids)
        return duplicate_findings(repeats[repeats["meter_id"] == mine], [])
    rows = readings_of_batches(connection, batch_ids)
    received = {batch_id: at for batch_id, (_, at) in batch_receipts(connection, batch_ids).items()}
    return future_findings(rows[rows["meter_id"] == mine], received, settings.steps)
