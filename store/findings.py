"""Findings: what is in force is replaced by what the checks now conclude; nothing is deleted.

A finding that is concluded again with the same content stays as it is, with its number. One that is not any more gets
its `superseded_at`. Findings are told apart by kind, meter or zone, and start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]

EARLIEST_US = -200_000_000_000_000_000  # before it PostgreSQL's calendar ends


@dataclass(frozen=True, slots=True)
class FindingDraft:
    """A finding as concluded, times in us since 1970; exactly the meter or, without one, the zone is its subject.

    `evidence` lists readings: {part, observed_at, register_micro, batch_id, message_no}.
    """

    kind: str
    severity: str
    meter_id: int | None
    zone_id: int | None
    starts_us: int
    ends_us: int
    detail: dict[str, Any]
    evidence: list[dict[str, Any]]

    @property
    def key(self) -> tuple[str, int | None, int | None, int]:
        """What tells it apart among the findings in force; a meter's does not depend on the zone."""
        return (self.kind, self.meter_id, None if self.meter_id is not None else self.zone_id, self.starts_us)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding in force."""

    finding_id: int
    draft: FindingDraft


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a finding: when, after which batch, which software with which settings."""

    assessed_at: datetime
    commit_seq: int
    software_version: str
    settings_digest: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """What `replace_findings` did; `touched` holds drafts old and new whose alerts have to be looked at."""

    inserted: list[FindingDraft] = field(default_factory=list)
    superseded: list[FindingDraft] = field(default_factory=list)
    untouched: int = 0

    @property
    def touched(self) -> list[FindingDraft]:
        """The drafts that came into force or went out of it."""
        return self.superseded + self.inserted


def findings_in_force(
    connection: Connection, kinds: Sequence[str], from_us: dict[int, int], *, of_zones: bool = False
) -> list[StoredFinding]:
    """The findings of these kinds in force, by meter (or, `of_zones`, by zone) from a start on [us since 1970].

    With `of_zones`, those without a meter. Ordered by finding_id.
    """
    subject = "f.zone_id = s.id and f.meter_id is null" if of_zones else "f.meter_id = s.id"
    query = psycopg.sql.SQL(_IN_FORCE).format(subject=psycopg.sql.SQL(subject))
    rows = connection.execute(
        query, (list(from_us), [max(start, EARLIEST_US) for start in from_us.values()], list(kinds))
    )
    return [StoredFinding(row[0], FindingDraft(*row[1:])) for row in rows]


def replace_findings(
    connection: Connection, in_force: Sequence[StoredFinding], drafts: Sequence[FindingDraft], provenance: Provenance
) -> Replaced:
    """Puts `drafts` into force in place of `in_force`, all the findings that these conclusions are about.

    A draft for which the same is in force already changes nothing.
    """
    wanted = {draft.key: draft for draft in drafts}
    gone: list[StoredFinding] = []
    kept = 0
    for stored in in_force:
        if wanted.get(stored.draft.key) == stored.draft:
            del wanted[stored.draft.key]
            kept += 1
        else:
            gone.append(stored)
    supersede_findings(connection, [stored.finding_id for stored in gone], provenance.assessed_at)
    fresh = list(wanted.values())
    insert_findings(connection, fresh, provenance)
    return Replaced(fresh, [stored.draft for stored in gone], kept)


def supersede_findings(connection: Connection, finding_ids: Sequence[int], at: datetime) -> None:
    """Takes findings out of force."""
    if finding_ids:
        connection.execute(
            "update finding set superseded_at = %s where finding_id = any(%s) and superseded_at is null",
            (at, list(finding_ids)),
        )


def insert_findings(connection: Connection, drafts: Sequence[FindingDraft], provenance: Provenance) -> None:
    """Puts new findings into force. Raises UniqueViolation where one with the same key is in force."""
    for start in range(0, len(drafts), _AT_ONCE):
        # One JSON value: an array parameter would be quoted element by element, which takes ten times as long.
        part = [
            {
                "kind": draft.kind,
                "severity": draft.severity,
                "meter_id": draft.meter_id,
                "zone_id": draft.zone_id,
                "starts_us": draft.starts_us,
                "ends_us": draft.ends_us,
                "detail": draft.detail,
                "evidence": draft.evidence,
            }
            for draft in drafts[start : start + _AT_ONCE]
        ]
        connection.execute(
            _INSERT,
            (
                provenance.assessed_at,
                provenance.commit_seq,
                provenance.software_version,
                provenance.settings_digest,
                msgspec.json.encode(part).decode(),
            ),
        )


def note_settings(connection: Connection, digest: str, body: dict[str, Any]) -> None:
    """Keeps the settings that findings are made with, once per content."""
    connection.execute(
        "insert into settings_snapshot (digest, body) values (%s, %s) on conflict do nothing", (digest, Jsonb(body))
    )


_AT_ONCE = 2_000

_IN_FORCE = """
    select f.finding_id, f.kind, f.severity, f.meter_id, f.zone_id,
           (extract(epoch from f.starts_at) * 1000000)::bigint, (extract(epoch from f.ends_at) * 1000000)::bigint,
           f.detail, f.evidence
    from unnest(%s::integer[], %s::bigint[]) s (id, from_us)
    join finding f on {subject}
        and f.starts_at >= 'epoch'::timestamptz + s.from_us * interval '1 microsecond'
    where f.superseded_at is null and f.kind = any(%s)
    order by f.finding_id"""

_INSERT = """
    insert into finding (assessed_at, commit_seq, software_version, settings_digest, kind, severity, utility_id,
                         meter_id, zone_id, starts_at, ends_at, detail, evidence)
    select %s, %s, %s, %s, d.kind, d.severity, coalesce(m.utility_id, z.utility_id), d.meter_id, d.zone_id,
           'epoch'::timestamptz + d.starts_us * interval '1 microsecond',
           'epoch'::timestamptz + d.ends_us * interval '1 microsecond', d.detail, d.evidence
    from rows from (json_to_recordset(%s::json)
         as (kind text, severity text, meter_id integer, zone_id integer, starts_us bigint, ends_us bigint,
             detail jsonb, evidence jsonb)) with ordinality
         as d (kind, severity, meter_id, zone_id, starts_us, ends_us, detail, evidence, n)
    left join meter m on m.meter_id = d.meter_id
    left join zone z on z.zone_id = d.zone_id
    order by d.n"""
