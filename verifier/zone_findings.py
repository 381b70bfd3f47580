"""Findings that rest on a zone's assessments, and findings on register steps that spoil a balance."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import psycopg

from store.assessments import DayOutcome
from store.findings import FindingDraft, findings_in_force
from store.times import to_micros
from verifier.arrays import FOREVER_US
from verifier.balance.types import DAY_US
from verifier.kinds import FindingKind, Severity, severity_of
from verifier.persistence import persistent_runs
from verifier.zone_members import ZoneMeters

Connection = psycopg.Connection[Any]

# Reasons of a withheld verdict that say: quantity goes in or out of this zone that no meter shows.
IMBALANCE_REASONS: Final = ("zone_refused", "zone_not_understood", "unmetered_load", "reference_changed")
# Reasons by a meter's own evidence, told without waiting: every day that passes is quantity lost.
AT_ONCE: Final = ("stopped", "reversed_running")
# After these a meter's quantity is not what its register shows, and the balance would put it on its neighbours.
SPOILING: Final = (
    FindingKind.STOPPED,
    FindingKind.REVERSED_RUNNING,
    FindingKind.RESET,
    FindingKind.IMPLAUSIBLE_RATE,
    FindingKind.BACKWARD_STEP,
)


def error_findings(days: Sequence[DayOutcome], persistence_days: int) -> list[FindingDraft]:
    """One finding for each run of nonconforming days that persisted or can't wait; `days` by meter and day. Pure."""
    drafts = []
    for meter_id, group in groupby(days, key=attrgetter("meter_id")):
        of_meter = list(group)
        ends = [day.window_end for day in of_meter]
        for run in persistent_runs(ends, of_meter, persistence_days, lambda day: day.reason in AT_ONCE):
            last = run[-1]
            detail = {
                "error_pct": last.error_pct,
                "std_pct": last.std_pct,
                "mpe_pct": last.mpe_pct,
                "p_nonconforming": last.p_nonconforming,
                "window_start": last.window_start.isoformat(),
                "window_end": last.window_end.isoformat(),
                "reason": last.reason,
                "days": [
                    {"window_end": day.window_end.isoformat(), "error_pct": day.error_pct, "std_pct": day.std_pct}
                    for day in run
                ],
            }
            severity = severity_of(FindingKind.ERROR_BEYOND_MPE)
            span = to_micros(run[0].window_end), to_micros(last.window_end)
            drafts.append(
                FindingDraft(FindingKind.ERROR_BEYOND_MPE.value, severity.value, meter_id, None, *span, detail, [])
            )
    return drafts


def imbalance_findings(
    zone_id: int,
    days: Sequence[tuple[datetime, datetime, Any]],
    spoiling: Sequence[FindingDraft],
    persistence_days: int,
) -> list[FindingDraft]:
    """One finding for each run of days without balance; `days`: window's start and end, reasons. Pure.

    Days on which a member is known to be at fault are explained by it; `spoiling` are the findings that say so.
    """
    drafts = []
    days = [
        day
        for day in days
        if not any(reason["code"] == "member_at_fault" for reason in day[2])
        and not faults_at(spoiling, to_micros(day[1]))
    ]
    for run in persistent_runs([end for _, end, _ in days], days, persistence_days):
        start, end, reasons = run[-1]
        told = [reason for reason in reasons if reason["code"] in IMBALANCE_REASONS]
        detail = {"window_start": start.isoformat(), "window_end": end.isoformat(), "reasons": told}
        severity = severity_of(FindingKind.ZONE_IMBALANCE)
        span = to_micros(run[0][1]), to_micros(end)
        drafts.append(FindingDraft(FindingKind.ZONE_IMBALANCE.value, severity.value, None, zone_id, *span, detail, []))
    return drafts


def is_spoiling(draft: FindingDraft) -> bool:
    """Whether the finding says that a meter's quantity is not what its register shows."""
    noted = draft.kind in (FindingKind.BACKWARD_STEP, FindingKind.RESET) and draft.severity == Severity.INFO
    return draft.kind in SPOILING and not noted


def spoiling_findings(connection: Connection, zone: ZoneMeters) -> list[FindingDraft]:
    """The findings in force on the zone's meters that spoil a balance."""
    found = findings_in_force(connection, SPOILING, dict.fromkeys(sorted(zone.meters), 0))
    return [one.draft for one in found if is_spoiling(one.draft)]


def faults_at(spoiling: Sequence[FindingDraft], end_us: int) -> dict[int, tuple[str, ...]]:
    """The faults that block a balance at a day's end, by meter. Pure.

    A fault blocks the days that it touches, also those on which it was not known yet; what is ongoing blocks all
    days from its start.
    """
    faults: dict[int, tuple[str, ...]] = {}
    for draft in spoiling:
        if draft.meter_id is None or draft.starts_us >= end_us:
            continue
        if draft.detail.get("ongoing") or draft.ends_us > end_us - DAY_US:
            faults[draft.meter_id] = (*faults.get(draft.meter_id, ()), draft.kind)
    return faults


def spoiled_spans(spoiling: Sequence[FindingDraft], meter_id: int, is_reference: bool) -> tuple[tuple[int, int], ...]:
    """When a meter's quantities are not to be believed, [start, end) in us since 1970. Pure.

    A customer's meter that stands still or runs backward is accounted for by the balance itself; a reference is not.
    """
    modelled = () if is_reference else (FindingKind.STOPPED, FindingKind.REVERSED_RUNNING)
    return tuple(
        (draft.starts_us, FOREVER_US if draft.detail.get("ongoing") else max(draft.ends_us, draft.starts_us + 1))
        for draft in spoiling
        if draft.meter_id == meter_id and draft.kind not in modelled
    )
