"""What a finding rests on, for making it again: the finding itself, its settings, and what was in force beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from metrology.errors import NotFoundError
from store.findings import FindingDraft, Provenance

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """A finding with what made it; `superseded_at` is None while it is in force. `meter` is the serial, if any."""

    finding_id: int
    draft: FindingDraft
    provenance: Provenance
    superseded_at: datetime | None
    utility: str
    meter: str | None
    zone: str | None


def load_finding(connection: Connection, finding_id: int) -> FindingRecord:
    """The finding of that number. Raises NotFoundError."""
    row = connection.execute(
        "select f.kind, f.severity, f.meter_id, f.zone_id, (extract(epoch from f.starts_at) * 1000000)::bigint,"
        " (extract(epoch from f.ends_at) * 1000000)::bigint, f.detail, f.evidence, f.assessed_at, f.commit_seq,"
        " f.software_version, f.settings_digest, f.superseded_at, u.code, m.serial, z.code"
        " from finding f join utility u using (utility_id) left join meter m on m.meter_id = f.meter_id"
        " left join zone z on z.zone_id = f.zone_id where f.finding_id = %s",
        (finding_id,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"finding {finding_id} does not exist; the console and /v1/findings list their numbers")
    return FindingRecord(finding_id, FindingDraft(*row[:8]), Provenance(*row[8:12]), *row[12:])


def load_settings_body(connection: Connection, digest: str) -> dict[str, Any]:
    """The settings with that digest. Raises NotFoundError."""
    row = connection.execute("select body from settings_snapshot where digest = %s", (digest,)).fetchone()
    if row is None:
        raise NotFoundError(f"settings {digest} are not kept")
    body: dict[str, Any] = row[0]
    return body


def findings_then(
    connection: Connection, kinds: Sequence[str], meter_ids: Sequence[int], then: Provenance
) -> list[FindingDraft]:
    """The findings of these kinds on these meters that were in force when `then` was concluded."""
    rows = connection.execute(
        "select kind, severity, meter_id, zone_id, (extract(epoch from starts_at) * 1000000)::bigint,"
        " (extract(epoch from ends_at) * 1000000)::bigint, detail, evidence from finding"
        " where kind = any(%s) and meter_id = any(%s) and commit_seq <= %s"
        " and (superseded_at is null or superseded_at > %s) order by finding_id",
        (list(kinds), [int(meter_id) for meter_id in meter_ids], then.commit_seq, then.assessed_at),
    ).fetchall()
    return [FindingDraft(*row) for row in rows]


def zones_assessed(connection: Connection, meter_id: int, ends: Sequence[datetime]) -> list[int]:
    """The zones in which the meter has outcomes at these windows' ends."""
    rows = connection.execute(
        "select distinct zone_id from assessment where meter_id = %s and window_end = any(%s) order by zone_id",
        (meter_id, list(ends)),
    ).fetchall()
    return [row[0] for row in rows]


def registry_changes_since(connection: Connection, at: datetime) -> int:
    """How many entries of the audit log have changed the registry after a time."""
    row = connection.execute(
        "select count(*) from audit_log where at > %s and (action like 'import_%%' or action like 'change_%%')", (at,)
    ).fetchone()
    return 0 if row is None else int(row[0])
