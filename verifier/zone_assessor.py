"""Assesses the zones whose days are complete, in the transaction of the batches that completed them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import psycopg

from metrology.quantities import Medium
from store.assessments import (
    AssessmentRow,
    nonconforming_days,
    put_assessments,
    reading_spans,
    refused_days,
    set_zone_progress,
    zone_progress,
    zones_in_step,
)
from store.findings import Provenance, Replaced, findings_in_force, replace_findings
from store.registry import load_zone, zones_of_meters
from store.times import to_datetime, to_micros
from verifier.kinds import FindingKind
from verifier.settings import VerifierSettings
from verifier.zone_findings import IMBALANCE_REASONS, error_findings, faults_at, imbalance_findings, spoiling_findings
from verifier.zone_members import ZoneMeters, load_series, load_zone_meters, member_series, reference_faults
from verifier.zone_window import DAY_US, MeterAssessment, ZoneFacts, assess_window

Connection = psycopg.Connection[Any]


def due_ends(
    spans_us: Sequence[tuple[int, int]],
    members: int,
    through_us: int | None,
    touched_us: int,
    settings: VerifierSettings,
) -> range:
    """The ends of the days of a zone that are to be assessed now [us since 1970]. Pure.

    `spans_us`: first and last reading of each meter that has any, of `members` in all; `through_us`: the end of the
    last day assessed; `touched_us`: the earliest reading that is new. A day is complete when every member has read
    past it, or when any has read `late_member_s` past it. A new reading before `through_us` sets the zone back to its
    day; it can change nothing beyond the longest window that holds it.
    """
    if not spans_us:
        return range(0)
    complete = max(last for _, last in spans_us) - int(settings.balance.late_member_s * 1e6)
    if len(spans_us) == members:
        complete = max(complete, min(last for _, last in spans_us))
    last_end = complete // DAY_US * DAY_US
    shortest, longest = settings.balance.windows_days[-1] * DAY_US, settings.balance.windows_days[0] * DAY_US
    first_end = -(-min(first for first, _ in spans_us) // DAY_US) * DAY_US + shortest
    if through_us is None:
        return range(first_end, last_end + 1, DAY_US)
    touched_end = (touched_us // DAY_US + 1) * DAY_US
    ends = range(max(first_end, min(through_us + DAY_US, touched_end)), last_end + 1, DAY_US)
    if touched_end <= through_us:
        # What lies between the late reading's reach and the last assessed day stays as it is.
        reach = touched_end + longest
        ends = range(ends.start, (last_end if reach > through_us else min(reach, last_end)) + 1, DAY_US)
    return ends


class ZoneAssessor:
    """Brings the assessments of the zones of given meters, and the findings that rest on them, up to date."""

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._longest_us = settings.balance.windows_days[0] * DAY_US

    def assess_due(
        self, connection: Connection, meter_ids: Sequence[int], span_us: tuple[int, int], provenance: Provenance
    ) -> list[Replaced]:
        """Assess every due day of the meters' zones, and return what became of their findings.

        `span_us`: the earliest and the latest of the new readings [us since 1970]. Runs in the caller's transaction.
        """
        changes = []
        touched_us, latest_us = span_us
        zone_ids = zones_of_meters(connection, meter_ids)
        in_step = zones_in_step(connection, zone_ids, to_datetime(touched_us), to_datetime(latest_us))
        for zone_id in zone_ids:
            if zone_id in in_step:
                continue
            zone = load_zone_meters(connection, load_zone(connection, zone_id))
            if self._assess_zone(connection, zone, touched_us, provenance):
                changes += self._renew_findings(connection, zone, provenance)
        return changes

    def _assess_zone(self, connection: Connection, zone: ZoneMeters, touched_us: int, provenance: Provenance) -> bool:
        zone_id = zone.zone.zone_id
        through = zone_progress(connection, zone_id)
        through_us = None if through is None else to_micros(through)
        spans = reading_spans(connection, sorted(zone.meters))
        spans_us = [(to_micros(span.first_at), to_micros(span.last_at)) for span in spans.values()]
        ends = due_ends(spans_us, len(zone.meters), through_us, touched_us, self._settings)
        if not ends:
            return False
        first_us = min(first for first, _ in spans_us)
        series = load_series(connection, zone, ends[0] - self._longest_us, ends[-1], self._settings)
        spoiled = spoiling_findings(connection, zone)
        rows = []
        for end_us in ends:
            present = zone.present(end_us)
            faults, faults_over_us = faults_at(spoiled, end_us, self._settings)
            faults |= reference_faults(connection, present, end_us)
            members = member_series(zone, present, series, faults, self._settings)
            earliest_us = max(first_us, faults_over_us, zone.changed_before(end_us))
            outcomes = assess_window(_facts(zone), members, earliest_us, end_us, self._settings.balance)
            rows += [_row(one) for one in outcomes]
        put_assessments(connection, zone_id, rows, provenance)
        set_zone_progress(connection, zone_id, to_datetime(max(ends[-1], through_us or 0)))
        return True

    def _renew_findings(self, connection: Connection, zone: ZoneMeters, provenance: Provenance) -> list[Replaced]:
        persistence = self._settings.balance.persistence_days
        zone_id, meter_ids = zone.zone.zone_id, sorted(zone.meters)
        of_meters = findings_in_force(connection, [FindingKind.ERROR_BEYOND_MPE], dict.fromkeys(meter_ids, 0))
        of_zone = findings_in_force(connection, [FindingKind.ZONE_IMBALANCE], {zone_id: 0}, of_zones=True)
        errors = error_findings(nonconforming_days(connection, meter_ids), persistence)
        imbalances = imbalance_findings(zone_id, refused_days(connection, zone_id, IMBALANCE_REASONS), persistence)
        return [
            replace_findings(connection, of_meters, errors, provenance),
            replace_findings(connection, of_zone, imbalances, provenance),
        ]


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
