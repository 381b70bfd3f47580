"""Follows the batches in commit order: one group of them, all conclusions and the cursor in one transaction."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import psycopg

from store.alerts import AlertChanges, sync_alerts
from store.batches import BatchHead, batches_after, conflicts_of_batches, readings_of_batches, repeats_of_batches
from store.cursor import lock_cursor, move_cursor
from store.findings import FindingDraft, Provenance, Replaced, findings_in_force, note_settings, replace_findings
from store.meter_states import save_checkpoints, save_states
from store.progress import VERIFIER
from store.times import to_micros
from verifier.arrays import NEVER_US, Mask, Structured
from verifier.deliveries import duplicate_findings, future_findings, placeable
from verifier.facts_cache import FactsCache
from verifier.kinds import STEP_KINDS, FindingKind
from verifier.resume import portions, read_again, resume
from verifier.sequences import one_valued
from verifier.settings import VerifierSettings
from verifier.step_findings import is_owned, owned_from_us, write_findings
from verifier.steps import check_steps

Connection = psycopg.Connection[Any]
_SECOND_US: Final = 1_000_000


class ZoneAssessor(Protocol):
    """Brings the assessments of zones up to date, within the transaction that followed the readings."""

    def assess_due(
        self, connection: Connection, rows: Structured, findings: Sequence[FindingDraft], provenance: Provenance
    ) -> list[Replaced]:
        """Assesses what is due in the zones of new readings (READING); returns what became of the zones' findings.

        `findings`: those on the readings' meters that came into force or went out of it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Followed:
    """What one group of batches brought."""

    batches: int
    readings: int
    commit_seq: int
    replaced: list[Replaced] = field(default_factory=list)
    alerts: AlertChanges = field(default_factory=lambda: AlertChanges(0, 0, 0))


def settings_digest(settings: VerifierSettings) -> tuple[str, dict[str, Any]]:
    """Digest and content of everything in the settings that conclusions depend on."""
    body = settings.model_dump(mode="json", exclude={"follower"})
    return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=16).hexdigest(), body


class Follower:
    """Takes one group of batches after the other. Not to be shared between threads."""

    def __init__(
        self, settings: VerifierSettings, software_version: str, zone_assessor: ZoneAssessor | None = None
    ) -> None:
        self._settings = settings
        self._software_version = software_version
        self._zone_assessor = zone_assessor
        self._digest, self._body = settings_digest(settings)
        self._facts = FactsCache(settings)

    def follow(self, connection: Connection, now: datetime) -> Followed | None:
        """Takes the next group of batches, None if there is none. The caller commits, or rolls back on an error."""
        cursor = lock_cursor(connection, VERIFIER)
        heads = batches_after(connection, cursor, self._settings.follower.max_readings)
        if not heads:
            return None
        last_seq = heads[-1].commit_seq
        note_settings(connection, self._digest, self._body)
        provenance = Provenance(now, last_seq, self._software_version, self._digest)
        batch_ids = [head.batch_id for head in heads]
        readings = readings_of_batches(connection, batch_ids)
        rows = np.concatenate([readings, conflicts_of_batches(connection, batch_ids)])
        replaced = [self._deliveries(connection, heads, readings, provenance)]
        believed = rows[placeable(rows, _received_us(heads), self._settings.steps)]
        if len(believed):
            replaced += self._steps(connection, believed, last_seq, provenance)
            if self._zone_assessor is not None:
                touched = [draft for one in replaced for draft in one.touched]
                replaced += self._zone_assessor.assess_due(connection, believed, touched, provenance)
        alerts = sync_alerts(connection, [draft for one in replaced for draft in one.touched], now)
        move_cursor(connection, VERIFIER, last_seq)
        return Followed(len(heads), len(rows), last_seq, replaced, alerts)

    def forget(self) -> None:
        """Drops what is held in memory, after a rolled-back transaction."""
        self._facts = FactsCache(self._settings)

    def _deliveries(
        self, connection: Connection, heads: Sequence[BatchHead], readings: Structured, provenance: Provenance
    ) -> Replaced:
        drafts = future_findings(readings, _received_us(heads), self._settings.steps)
        repeats = repeats_of_batches(connection, [head.batch_id for head in heads])
        known = []
        if len(repeats):
            earliest: dict[int, int] = {}
            for meter_id, first_us in zip(repeats["meter_id"].tolist(), repeats["first_us"].tolist(), strict=True):
                earliest[meter_id] = min(first_us, earliest.get(meter_id, first_us))
            in_force = findings_in_force(connection, [FindingKind.DUPLICATE], earliest)
            fresh = duplicate_findings(repeats, [stored.draft for stored in in_force])
            changed = {draft.key for draft in fresh}
            known = [stored for stored in in_force if stored.draft.key in changed]
            drafts += fresh
        return replace_findings(connection, known, drafts, provenance)

    def _steps(
        self, connection: Connection, rows: Structured, last_seq: int, provenance: Provenance
    ) -> Iterator[Replaced]:
        meter_ids = np.unique(rows["meter_id"])
        resumed = resume(connection, rows, self._facts.of(connection, meter_ids).meters)
        going_on = resumed.states[~resumed.reread]
        if len(going_on):
            own = ~resumed.reread[np.searchsorted(meter_ids, rows["meter_id"])]
            # With nothing open there are no findings to renew, unless it was told to have stopped or to run backwards.
            told = going_on["stopped"]["observed_us"], going_on["reversed"]["observed_us"]
            may_renew = (told[0] != NEVER_US) | (told[1] != NEVER_US)
            yield self._check(connection, going_on, rows[own], may_renew, provenance)
        if resumed.reread.any():
            states, most = resumed.states[resumed.reread], self._settings.follower.max_readings
            for part in portions(connection, states, resumed.until_us, most):
                held = read_again(connection, part, resumed.until_us, last_seq, self._settings.steps)
                yield self._check(connection, part, held, np.ones(len(part), dtype=np.bool_), provenance)

    def _check(
        self, connection: Connection, states: Structured, rows: Structured, may_renew: Mask, provenance: Provenance
    ) -> Replaced:
        facts = self._facts.of(connection, states["meter_id"])
        ordered = one_valued(rows)
        pos = np.searchsorted(states["meter_id"], ordered.readings["meter_id"])
        span_us = round(self._settings.follower.checkpoint_s * _SECOND_US)
        checked = check_steps(states, ordered.readings, pos, facts, self._settings.steps, span_us)
        drafts = write_findings(checked, states, ordered.conflicts, self._settings.steps)
        renewing = {int(state["meter_id"]): state for state in states[may_renew]}
        from_us = {meter_id: owned_from_us(state) for meter_id, state in renewing.items()}
        known = [
            stored
            for stored in findings_in_force(connection, STEP_KINDS, from_us)
            if is_owned(stored.draft, renewing[stored.draft.meter_id or 0])
        ]
        replaced = replace_findings(connection, known, drafts, provenance)
        save_states(connection, checked.states)
        save_checkpoints(connection, checked.checkpoints, span_us)
        return replaced


def _received_us(heads: Sequence[BatchHead]) -> dict[int, int]:
    return {head.batch_id: to_micros(head.received_at) for head in heads}
