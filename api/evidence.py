"""The readings that a finding rests on, as the verifier wrote them down."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class EvidenceReading:
    """One reading of a finding's evidence; what was not written down is None. `part`: what it shows."""

    observed_at: datetime
    register_micro: int | None
    batch_id: int | None
    message_no: int | None
    part: str = ""


def read_evidence(evidence: object) -> list[EvidenceReading]:
    """The readings in a finding's `evidence`, by time; entries of another shape are left out."""
    if not isinstance(evidence, list):
        return []
    readings = [_reading(entry) for entry in evidence if isinstance(entry, dict)]
    return sorted((r for r in readings if r is not None), key=lambda r: (r.observed_at, r.register_micro or 0))


def _reading(entry: dict[str, Any]) -> EvidenceReading | None:
    at = parse_time(entry.get("observed_at"))
    if at is None:
        return None
    return EvidenceReading(
        observed_at=at,
        register_micro=_integer(entry.get("register_micro")),
        batch_id=_integer(entry.get("batch_id")),
        message_no=_integer(entry.get("message_no")),
        part=str(entry.get("part", "")),
    )


def parse_time(value: object) -> datetime | None:
    """An aware UTC time from a text in RFC 3339; None if it is none."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
