"""Assesses the zones whose days are complete, in the transaction of the batches that completed them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import psycopg

from metrology.quantities import Medium
from store.assessments import (
    AssessmentRow,
    ZoneReportRow,
    first_reading,
    nonconforming_days,
    put_assessments,
    put_zone_report,
    refused_days,
    set_zone_progress,
    take_rechecks,
    zone_progress,
)
from store.findings import FindingDraft, Provenance, Replaced, findings_in_force, replace_findings
from store.registry import load_zone
from store.times import to_datetime, to_micros
from verifier.arrays import FOREVER_US, Structured
from verifier.balance.assess import assess_days, history_start
from verifier.balance.types import DAY_US, MeterAssessment, ZoneDay, ZoneFacts
from verifier.compared import decided_by_comparison
from verifier.comparison_sources import comparisons_until
from verifier.kinds import FindingKind
from verifier.pair_comparison import FoundComparison
from verifier.settings import VerifierSettings
from verifier.zone_days import DaysInput, ends_of_like_members, history_members, of_those_there
from verifier.zone_due import REACH_US, News, ZoneIndex, complete_end, due_ends, news_of_meters
from verifier.zone_findings import (
    AT_ONCE,
    IMBALANCE_REASONS,
    error_findings,
    faults_at,
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
from verifier.zone_side import load_zone_side, side_of_day

Connection = psycopg.Connection[Any]
_DAYS_AT_ONCE = 28  # whose readings are held in memory together


class ZoneAssessor:
    """Brings the assessments of the zones of given meters, and the findings that rest on them, up to date.

    An outcome depends on the readings up to `late_member_s` past its day's end, on the findings in force, on the tests
    on site and on what is known of the zone beside its readings alone, not on the order in which they came: each day's
    end is judged from the whole of its history.
    Not to be shared between threads.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._history_us = settings.balance.history_days * DAY_US
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
        news = news_of_meters(rows, spoiling, self._history_us)
        of_zones = self._index.news_of_zones(connection, news)
        for zone_id, from_at in take_rechecks(connection).items():
            before = of_zones.get(zone_id, News(FOREVER_US, 0, 0))
            of_zones[zone_id] = News(min(before.first_us, to_micros(from_at)), before.last_us, FOREVER_US)
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
        first_us = self._first_reading(connection, zone)
        if first_us is None or (through_us is None and news.last_us == 0):
            return False
        if news.first_us <= first_us:
            news = news._replace(reach_us=FOREVER_US)  # histories begin by the first reading: all of them have moved
        ends = due_ends(first_us, news, through_us, self._settings.balance)
        spoiling = spoiling_findings(connection, zone) if ends else []
        for day in self.days(connection, zone, ends, spoiling, provenance.commit_seq):
            put_assessments(connection, zone_id, outcome_rows(day), provenance)
            put_zone_report(connection, _report(zone_id, day), provenance)
        # Also noted if no window is full yet, so that further readings of the day need not look into the zone.
        complete_us = complete_end(news, self._settings.balance)
        if through_us is None or complete_us > through_us:
            set_zone_progress(connection, zone_id, to_datetime(complete_us))
        return bool(ends)

    def days(
        self,
        connection: Connection,
        zone: ZoneMeters,
        ends: Sequence[int],
        spoiling: Sequence[FindingDraft],
        commit_seq: int,
    ) -> Iterator[ZoneDay]:
        """The outcomes at these ends [us since 1970, ascending], by the batches up to `commit_seq`; nothing is written.

        `spoiling`: the findings in force that spoil a balance.
        """
        for given in self.inputs(connection, zone, ends, spoiling, commit_seq):
            yield from judged_days(zone, given, self._settings)

    def inputs(
        self,
        connection: Connection,
        zone: ZoneMeters,
        ends: Sequence[int],
        spoiling: Sequence[FindingDraft],
        commit_seq: int,
    ) -> Iterator[DaysInput]:
        """What the outcomes at these ends rest on."""
        first_us = self._first_reading(connection, zone)
        if first_us is None:
            return
        settings = self._settings
        late_us = int(settings.balance.late_member_s * 1e6)
        for i in range(0, len(ends), _DAYS_AT_ONCE):
            part = ends[i : i + _DAYS_AT_ONCE]
            starts = [history_start(first_us, end_us, settings.balance) for end_us in part]
            series = load_series(connection, zone, starts[0] - REACH_US, part[-1] + late_us, commit_seq, settings)
            known = load_zone_side(connection, zone.zone.zone_id, starts[0], part[-1])
            for group in ends_of_like_members(zone, part, starts):
                start_us = history_start(first_us, group[0], settings.balance)
                members = history_members(zone, series, spoiling, start_us, group[-1], settings)
                ids = sorted({one.meter_id for one in members if not one.is_reference})
                tried = cache(partial(_tried, connection, ids, commit_seq, settings))
                faults = {
                    end_us: faults_at(spoiling, end_us)
                    | reference_faults(connection, zone.zone.zone_id, zone.present(end_us), end_us)
                    for end_us in group
                }
                side = side_of_day(zone.zone, known, members, start_us, group[-1])
                yield DaysInput(group, members, tried, faults, side)

    def _first_reading(self, connection: Connection, zone: ZoneMeters) -> int | None:
        first_at = first_reading(connection, sorted(zone.meters))
        return None if first_at is None else to_micros(first_at)

    def _renew_findings(self, connection: Connection, zone: ZoneMeters, provenance: Provenance) -> list[Replaced]:
        persistence = self._settings.balance.persistence_days
        zone_id, meter_ids = zone.zone.zone_id, sorted(zone.meters)
        of_meters = findings_in_force(connection, [FindingKind.ERROR_BEYOND_MPE], dict.fromkeys(meter_ids, 0))
        of_zone = findings_in_force(connection, [FindingKind.ZONE_IMBALANCE], {zone_id: 0}, of_zones=True)
        errors = error_findings(nonconforming_days(connection, meter_ids), persistence)
        refused = refused_days(connection, zone_id, IMBALANCE_REASONS, AT_ONCE)
        imbalances = imbalance_findings(zone_id, refused, spoiling_findings(connection, zone), persistence)
        return [
            replace_findings(connection, of_meters, errors, provenance),
            replace_findings(connection, of_zone, imbalances, provenance),
        ]


def facts_of(zone: ZoneMeters) -> ZoneFacts:
    """What the balance needs to know of the zone."""
    return ZoneFacts(Medium(zone.zone.medium), zone.zone.interval_s, zone.zone.reference_uncertainty_pct)


def _tried(
    connection: Connection, ids: Sequence[int], commit_seq: int, settings: VerifierSettings, end_us: int
) -> list[FoundComparison]:
    return comparisons_until(connection, ids, end_us, commit_seq, settings)


def judged_days(zone: ZoneMeters, given: DaysInput, settings: VerifierSettings) -> Iterator[ZoneDay]:
    """The outcomes of the meters that are there at each day's end."""
    days = assess_days(
        facts_of(zone), given.members, given.side, given.comparisons_at, given.ends_us, settings.balance,
        given.faults.__getitem__,
    )  # fmt: skip
    for day in days:
        yield decided_by_comparison(
            of_those_there(zone, day), given.members, given.comparisons_at(day.end_us), settings
        )


def outcome_rows(day: ZoneDay) -> list[AssessmentRow]:
    """A day's outcomes as they are stored."""
    return [_row(one) for one in day.assessments]


def _report(zone_id: int, day: ZoneDay) -> ZoneReportRow:
    report = day.report
    since_us = report.unmetered_since_us
    return ZoneReportRow(
        zone_id=zone_id,
        window_end=to_datetime(day.end_us),
        groups=report.groups,
        collected_pct=report.collected_pct,
        loss_pct=_number(report.loss_pct),
        noise_share_pct=_number(report.noise_share_pct),
        unmetered=_number(report.unmetered),
        unmetered_since=None if since_us is None else to_datetime(since_us),
        decidable=len(report.decidable),
        remedies=[asdict(remedy) for remedy in report.remedies],
        reasons=[asdict(reason) for reason in report.reasons],
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _row(one: MeterAssessment) -> AssessmentRow:
    return AssessmentRow(
        meter_id=one.meter_id,
        window_start=to_datetime(one.start_us),
        window_end=to_datetime(one.end_us),
        error_pct=_number(one.error_pct),
        std_pct=_number(one.std_pct),
        mpe_pct=one.mpe_pct,
        p_nonconforming=_number(one.p_nonconforming),
        outcome=one.outcome.value,
        reasons=[asdict(reason) for reason in one.reasons],
        change_at=None if one.change_us is None else to_datetime(one.change_us),
        decidable=bool(one.decidable),
        contributions_pct={name: float(part) for name, part in one.contributions_pct.items()},
    )
