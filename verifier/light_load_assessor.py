"""Digests meters' weeks that are complete and renews the findings on light load, in the transaction of the readings."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import psycopg

from metrology.quantities import MICRO, Medium
from store.findings import FindingDraft, Provenance, Replaced, findings_in_force, replace_findings
from store.light_load import (
    WeeksState,
    digests_of,
    first_readings,
    replace_weeks,
    set_weeks_states,
    weeks_states,
)
from store.meter_facts import InstallationFacts, MeterRecord, load_meter_records
from store.readings import read_conflicts, read_meter_readings
from store.times import to_datetime, to_micros
from verifier.accepted import accepted_totals
from verifier.arrays import FOREVER_US, NEVER_US, Structured
from verifier.comparison_budget import CumulativeSeries
from verifier.facts import one_meter
from verifier.kinds import LIGHT_LOAD_KINDS
from verifier.light_load import DAY_US, WEEK_US, SmallLoads, WeekDigest, digest_week, small_loads
from verifier.light_load_due import Weeks, due_weeks, late_us
from verifier.light_load_findings import LightLoadMeter, evidence_times, light_load_findings
from verifier.resume import followed_and_placeable
from verifier.sequences import one_valued
from verifier.settings import VerifierSettings
from verifier.step_findings import reading_evidence

Connection = psycopg.Connection[Any]
_ALGORITHM: Final = 1  # raised when digests of the same readings become others: they are made anew then
_METERS_AT_ONCE, _WEEKS_AT_ONCE = 100, 8  # whose readings are held in memory together


class LightLoadAssessor:
    """Brings the weekly digests of customers' meters, and the findings that rest on them, up to date.

    Digests and findings are a function of the readings up to a day past a week's end, not of the order in which they
    came. Not to be shared between threads.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings

    def assess_due(
        self,
        connection: Connection,
        rows: Structured,
        findings: Sequence[FindingDraft],  # noqa: ARG002  # those on steps matter to the zones alone
        provenance: Provenance,
    ) -> list[Replaced]:
        """Digests every due week of the meters of new readings (READING), and returns what became of their findings.

        Runs in the caller's transaction, under the follower's lock.
        """
        due = self._due(connection, rows)
        changes = []
        for weeks, meter_ids in _grouped(due).items():
            for i in range(0, len(meter_ids), _METERS_AT_ONCE):
                part = meter_ids[i : i + _METERS_AT_ONCE]
                records = load_meter_records(connection, part)
                if weeks.start_us < weeks.end_us:
                    for start_us in range(weeks.start_us, weeks.end_us, _WEEKS_AT_ONCE * WEEK_US):
                        end_us = min(start_us + _WEEKS_AT_ONCE * WEEK_US, weeks.end_us)
                        self._digest(connection, records, (start_us, end_us), provenance)
                    changes.append(self._renew(connection, records, provenance))
                through = to_datetime(weeks.through_us)
                states = {record.meter_id: WeeksState(through, self._basis(record)) for record in records}
                set_weeks_states(connection, states)
        return changes

    def _due(self, connection: Connection, rows: Structured) -> dict[int, Weeks]:
        ids = np.unique(rows["meter_id"])
        at = np.searchsorted(ids, rows["meter_id"])
        earliest, latest = np.full(len(ids), FOREVER_US), np.full(len(ids), NEVER_US)
        np.minimum.at(earliest, at, rows["observed_us"])
        np.maximum.at(latest, at, rows["observed_us"])
        states = weeks_states(connection, ids.tolist())
        due = {}
        for meter_id, first, last in zip(ids.tolist(), earliest.tolist(), latest.tolist(), strict=True):
            state = states.get(meter_id)
            through = None if state is None else to_micros(state.assessed_through)
            weeks = due_weeks(first, last, None, through, self._settings)
            if state is None or weeks.start_us < weeks.end_us:
                due[meter_id] = weeks
        return self._anew(connection, due, states, earliest=dict(zip(ids.tolist(), earliest.tolist(), strict=True)),
                          latest=dict(zip(ids.tolist(), latest.tolist(), strict=True)))  # fmt: skip

    def _anew(
        self,
        connection: Connection,
        due: Mapping[int, Weeks],
        states: Mapping[int, WeeksState],
        earliest: Mapping[int, int],
        latest: Mapping[int, int],
    ) -> dict[int, Weeks]:
        """Meters without digests, or with those of another basis, are digested from their first reading."""
        bases = {record.meter_id: self._basis(record) for record in load_meter_records(connection, list(due))}
        stale = [m for m in due if m not in states or states[m].basis != bases[m]]
        firsts = first_readings(connection, stale)
        out = dict(due)
        for meter_id in stale:
            first = to_micros(firsts[meter_id]) if meter_id in firsts else earliest[meter_id]
            through = to_micros(states[meter_id].assessed_through) if meter_id in states else None
            out[meter_id] = due_weeks(earliest[meter_id], latest[meter_id], first, through, self._settings)
        return out

    def _digest(
        self, connection: Connection, records: Sequence[MeterRecord], between: tuple[int, int], provenance: Provenance
    ) -> None:
        """Digests the weeks that start in [between[0], between[1]), both week starts."""
        ids = [record.meter_id for record in records]
        late = late_us(self._settings)
        span = between[0] - DAY_US, between[1] + late
        held = np.concatenate([read_meter_readings(connection, ids, *span), read_conflicts(connection, ids, *span)])
        held = followed_and_placeable(connection, held, provenance.commit_seq, self._settings.steps)
        series = accepted_totals(held, records, self._settings)
        rows = []
        for record in records:
            if record.meter_id not in series:
                continue
            observed_us, total = series[record.meter_id]
            for start_us in range(between[0], between[1], WEEK_US):
                place = _place_of_week(record, start_us)
                if place is None:
                    continue
                resolution = record.resolution_micro * place.multiplier / MICRO
                reach_us = start_us + WEEK_US + 2 * self._settings.light_load.night_window_s * 1_000_000
                near = (observed_us >= start_us - DAY_US) & (observed_us < reach_us)
                # Counted from the week's own first reading, so that figures are the same to the last bit whatever else
                # was read along.
                micro = np.rint(total[near] * MICRO)
                part = CumulativeSeries(observed_us[near], (micro - micro[:1]) / MICRO, resolution)
                digest = digest_week(part, self._loads(record, place), start_us, self._settings.light_load)
                if digest is not None:
                    rows.append((record.meter_id, to_datetime(start_us), asdict(digest)))
        replace_weeks(connection, ids, (to_datetime(between[0]), to_datetime(between[1])), rows)

    def _renew(self, connection: Connection, records: Sequence[MeterRecord], provenance: Provenance) -> Replaced:
        ids = [record.meter_id for record in records]
        digests = digests_of(connection, ids)
        drafts = []
        for record in records:
            weeks = [_digest_from(fields) for fields in digests[record.meter_id]]
            for draft, at_place in self._drafts(record, weeks):
                drafts.append(_with_evidence(connection, draft, at_place))
        in_force = findings_in_force(connection, LIGHT_LOAD_KINDS, dict.fromkeys(ids, 0))
        return replace_findings(connection, in_force, drafts, provenance)

    def _drafts(
        self, record: MeterRecord, weeks: Sequence[WeekDigest]
    ) -> list[tuple[FindingDraft, Sequence[WeekDigest]]]:
        """The findings of each place where the meter was, with its weeks there: another customer has other habits."""
        out: list[tuple[FindingDraft, Sequence[WeekDigest]]] = []
        for place in record.installations:
            there = [week for week in weeks if _place_of_week(record, week.start_us) is place]
            if not there:
                continue
            meter = LightLoadMeter(record.meter_id, Medium(record.medium), self._loads(record, place))
            found = light_load_findings(meter, there, self._settings.light_load)
            if place.end_us is not None:
                found = [replace(draft, detail={**draft.detail, "ongoing": False}) for draft in found]
            out += [(draft, there) for draft in found]
        return out

    def _loads(self, record: MeterRecord, place: InstallationFacts) -> SmallLoads:
        regulation = self._settings.balance.regulation_water
        medium = Medium(record.medium)
        return small_loads(medium, record.model, place.multiplier, regulation, self._settings.light_load)

    def _basis(self, record: MeterRecord) -> int:
        content = (
            _ALGORITHM,
            self._settings.light_load,
            self._settings.balance.regulation_water,
            one_meter(record, self._settings).meter[-1],
            record.model,
            [place.role for place in record.installations],
        )
        digest = hashlib.blake2b(repr(content).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)


def _grouped(due: Mapping[int, Weeks]) -> dict[Weeks, list[int]]:
    groups: dict[Weeks, list[int]] = {}
    for meter_id, weeks in due.items():
        groups.setdefault(weeks, []).append(meter_id)
    return groups


def _place_of_week(record: MeterRecord, start_us: int) -> InstallationFacts | None:
    """Where the meter was a customer's throughout the week."""
    for place in record.installations:
        begun = place.start_us is None or place.start_us <= start_us
        if begun and (place.end_us is None or start_us + WEEK_US <= place.end_us):
            return place if place.role == "customer" else None
    return None


def _digest_from(fields: Mapping[str, Any]) -> WeekDigest:
    listed = {name: tuple(fields[name]) for name in ("small", "least_rate")}
    return WeekDigest(**{**fields, **listed})


def _with_evidence(connection: Connection, draft: FindingDraft, weeks: Sequence[WeekDigest]) -> FindingDraft:
    assert draft.meter_id is not None
    evidence = []
    for part, time_us in evidence_times(draft, weeks):
        at = [draft.meter_id], time_us, time_us + 1
        held = np.concatenate([read_meter_readings(connection, *at), read_conflicts(connection, *at)])
        if len(held):
            evidence.append(reading_evidence(part, one_valued(held).readings[0]))
    detail = {name: value for name, value in draft.detail.items() if name != "told_us"}
    return replace(draft, evidence=evidence, detail=detail)
