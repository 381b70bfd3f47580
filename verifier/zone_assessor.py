"""Assesses the zones whose days are complete, in the transaction of the batches that completed them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import psycopg

from metrology.quantities import Medium
from store.assessments import (
    AssessmentRow,
    first_reading,
    nonconforming_days,
    put_assessments,
    refused_days,
    set_zone_progress,
    zone_progress,
)
from store.findings import FindingDraft, Provenance, Replaced, findings_in_force, replace_findings
from store.registry import load_zone
from store.times import to_datetime, to_micros
from verifier.arrays import Structured
from verifier.kinds import FindingKind
from verifier.settings import VerifierSettings
from verifier.zone_days import DayInput, day_input
from verifier.zone_due import MARGIN_US, News, ZoneIndex, complete_end, due_ends, news_of_meters
from verifier.zone_findings import (
    IMBALANCE_REASONS,
    error_findings,
    imbalance_findings,
    is_spoiling,
    spoiling_findings,
)
from verifier.zone_members import (
    ZoneMeters,
    load_series,
    load_zone_meters,
    reference_faults,
)
from verifier.zone_window import DAY_US, MeterAssessment, ZoneFacts, assess_window

Connection = psycopg.Connection[Any]
_DAYS_AT_ONCE = 28  # whose readings are held in memory together


class ZoneAssessor:
    """Brings the assessments of the zones of given meters, and the findings that rest on them, up to date.

    An outcome depends on the readings up to `late_member_s` past its window's end and on the findings in force alone,
    not on the order in which they came. Not to be shared between threads.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._longest_us = settings.balance.windows_days[0] * DAY_US
        self._index = ZoneIndex()

    def assess_due(
        self, connection: Connection, rows: Structured, findings: Sequence[FindingDraft], provenance: Provenance
    ) -> list[Replaced]:
        """Assess every due day of the zones of new readings, and return what became of the zones' findings.

        `rows`: the readings, READING; `findings`: those on their meters that came into force or went out of it. Runs
        in the caller's transaction, under the follower's lock.
        """
        changes = []
        spoiling = [finding for finding in findings if is_spoiling(finding)]
        news = news_of_meters(rows, spoiling, self._longest_us)
        of_zones = self._index.news_of_zones(connection, news)
        progress = zone_progress(connection, list(of_zones))
        for zone_id, news_of_zone in of_zones.items():
            through_us = to_micros(progress[zone_id]) if zone_id in progress else None
            if through_us is not None and not due_ends(0, news_of_zone, through_us, self._settings.balance):
                continue
            zone = load_zone_meters(connection, load_zone(connection, zone_id))
            if self._assess_zone(connection, zone, news_of_zone, through_us, provenance):
                changes += self._renew_findings(connection, zone, provenance)
        return changes

    def _assess_zone(
        self, connection: Connection, zone: ZoneMeters, news: News, through_us: int | None, provenance: Provenance
    ) -> bool:
        zone_id = zone.zone.zone_id
        first_at = first_reading(connection, sorted(zone.meters))
        if first_at is None:
            return False
        ends = due_ends(to_micros(first_at), news, through_us, self._settings.balance)
        spoiling = spoiling_findings(connection, zone) if ends else []
        for i in range(0, len(ends), _DAYS_AT_ONCE):
            rows = self.outcomes(connection, zone, ends[i : i + _DAYS_AT_ONCE], spoiling, provenance.commit_seq)
            put_assessments(connection, zone_id, rows, provenance)
        # Also noted if no window is full yet, so that further readings of the day need not look into the zone.
        complete_us = complete_end(news, self._settings.balance)
        if through_us is None or complete_us > through_us:
            set_zone_progress(connection, zone_id, to_datetime(complete_us))
        return bool(ends)

    def outcomes(
        self,
        connection: Connection,
        zone: ZoneMeters,
        ends: Sequence[int],
        spoiling: Sequence[FindingDraft],
        commit_seq: int,
    ) -> list[AssessmentRow]:
        """The outcomes at these ends [us since 1970, ascending], by the batches up to `commit_seq`; nothing is written.

        `spoiling`: the findings in force that spoil a balance.
        """
        rows: list[AssessmentRow] = []
        for day in self.days(connection, zone, ends, spoiling, commit_seq):
            found = assess_window(facts_of(zone), day.members, day.earliest_us, day.end_us, self._settings.balance)
            rows += [_row(one) for one in found]
        return rows

    def days(
        self,
        connection: Connection,
        zone: ZoneMeters,
        ends: Sequence[int],
        spoiling: Sequence[FindingDraft],
        commit_seq: int,
    ) -> Iterator[DayInput]:
        """What the outcomes at these ends rest on."""
        late_us = int(self._settings.balance.late_member_s * 1e6)
        span_us = ends[0] - self._longest_us - MARGIN_US, ends[-1] + late_us
        series = load_series(connection, zone, *span_us, commit_seq, self._settings)
        for end_us in ends:
            expired = reference_faults(connection, zone.zone.zone_id, zone.present(end_us), end_us)
            yield day_input(zone, series, spoiling, expired, end_us, self._settings)

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


def facts_of(zone: ZoneMeters) -> ZoneFacts:
    """What the balance needs to know of the zone."""
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
