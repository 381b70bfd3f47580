"""Assesses the zones whose days are complete, in the transaction of the batches that completed them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import psycopg

from metrology.quantities import Medium
from store.assessments import (
    AssessmentRow,
    put_assessments,
    reading_spans,
    set_zone_progress,
    zone_progress,
)
from store.registry import load_zone, zones_of_meters
from store.times import to_datetime, to_micros
from verifier.settings import VerifierSettings
from verifier.zone_members import ZoneMeters, load_series, load_zone_meters, member_series, reference_faults
from verifier.zone_window import DAY_US, MeterAssessment, ZoneFacts, assess_window

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class DueDays:
    """The ends of the days to assess, [first_end_us, last_end_us] in steps of a day; none if first > last."""

    first_end_us: int
    last_end_us: int


def due_days(
    spans_us: Sequence[tuple[int, int]], members: int, through_us: int | None, touched_us: int, settings: VerifierSettings
) -> DueDays:
    """Which days of a zone are to be assessed now. Pure.

    `spans_us`: first and last reading of each meter that has any, of `members` in all; `through_us`: the end of the last day assessed;
    `touched_us`: the earliest reading that is new. A day is complete when every member has read past it, or `late_member_s` of readings
    after it. A new reading before `through_us` sets the zone back to its day, as far as the longest window reaches.
    """
    if not spans_us:
        return DueDays(0, -1)
    latest = max(last for _, last in spans_us)
    complete = latest - int(settings.balance.late_member_s * 1e6)
    if len(spans_us) == members:
        complete = max(complete, min(last for _, last in spans_us))
    last_end = complete // DAY_US * DAY_US
    shortest = settings.balance.windows_days[-1] * DAY_US
    first_end = -(-min(first for first, _ in spans_us) // DAY_US) * DAY_US + shortest
    if through_us is not None:
        after_touched = (touched_us // DAY_US + 1) * DAY_US
        first_end = max(first_end, min(through_us + DAY_US, after_touched))
    return DueDays(first_end, last_end)


class ZoneAssessor:
    """Brings the assessments of the zones of given meters up to date."""

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings

    def assess_due(
        self, connection: Connection, meter_ids: Sequence[int], touched_us: int, provenance: "Provenance"
    ) -> list[int]:
        """Assess every due day of the meters' zones; `touched_us` is the earliest new reading. Returns the zones assessed."""
        return [
            zone_id
            for zone_id in zones_of_meters(connection, meter_ids)
            if self._assess_zone(connection, zone_id, touched_us, provenance)
        ]

    def _assess_zone(self, connection: Connection, zone_id: int, touched_us: int, provenance: "Provenance") -> bool:
        zone = load_zone_meters(connection, load_zone(connection, zone_id))
        through = zone_progress(connection, zone_id)
        through_us = None if through is None else to_micros(through)
        spans = reading_spans(connection, sorted(zone.meters))
        spans_us = [(to_micros(span.first_at), to_micros(span.last_at)) for span in spans.values()]
        due = due_days(spans_us, len(zone.meters), through_us, touched_us, self._settings)
        if due.first_end_us > due.last_end_us:
            return False
        # What a late reading touches ends with the longest window that holds it.
        longest_us = self._settings.balance.windows_days[0] * DAY_US
        ends = range(due.first_end_us, due.last_end_us + 1, DAY_US)
        if through_us is not None and touched_us < through_us:
            ends = range(ends.start, min(due.last_end_us, max(through_us, ends.start + longest_us)) + 1, DAY_US)
        first_at = min(first for first, _ in spans_us)
        series = load_series(connection, zone, ends[0] - longest_us, ends[-1], self._settings)
        rows = []
        for end_us in ends:
            present = zone.present(end_us)
            faults = reference_faults(connection, present, end_us)
            members = member_series(zone, present, series, faults, self._settings)
            earliest = max(first_at, zone.changed_before(end_us))
            rows += [
                _row(one) for one in assess_window(_facts(zone), members, earliest, end_us, self._settings.balance)
            ]
        put_assessments(connection, zone_id, rows, **asdict(provenance))
        set_zone_progress(connection, zone_id, to_datetime(max(ends[-1], through_us or 0)))
        return True


def _facts(zone: ZoneMeters) -> ZoneFacts:
    return ZoneFacts(Medium(zone.zone.medium), zone.zone.interval_s, zone.zone.reference_uncertainty_pct)


def _row(one: MeterAssessment) -> AssessmentRow:
    return AssessmentRow(
        meter_id=one.meter_id,
        window_start=to_datetime(one.start_us),
        window_end=to_datetime(one.end_us),
        error_pct=one.error_pct,
        std_pct=one.std_pct,
        mpe_pct=one.mpe_pct,
        p_nonconforming=one.p_nonconforming,
        outcome=one.outcome.value,
        reasons=[asdict(reason) for reason in one.reasons],
    )
