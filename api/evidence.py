"""The readings that a finding rests on, as the verifier wrote them down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class EvidenceReading:
    """One reading of a finding's evidence; what was not written down is None."""

    observed_at: datetime
    register_micro: int | None
    batch_id: int | None
    message_no: int | None
    role: str = ""


def read_evidence(evidence: object) -> list[EvidenceReading]:
    """The readings in a finding's `evidence`, by time; entries of another shape are left out.

    The times are RFC 3339 texts, or integers in microseconds since 1970.
    """
    entries = evidence.get("readings", []) if isinstance(evidence, dict) else evidence
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return []
    readings = [_reading(entry) for entry in entries if isinstance(entry, dict)]
    return sorted((r for r in readings if r is not None), key=lambda r: (r.observed_at, r.register_micro or 0))


def _reading(entry: dict[str, Any]) -> EvidenceReading | None:
    at = parse_time(entry.get("observed_at", entry.get("observed_us")))
    if at is None:
        return None
    return EvidenceReading(
        observed_at=at,
        register_micro=_integer(entry.get("register_micro")),
        batch_id=_integer(entry.get("batch_id")),
        message_no=_integer(entry.get("message_no")),
        role=str(entry.get("role", "")),
    )


def parse_time(value: object) -> datetime | None:
    """An aware UTC time from a text or from microseconds; None if it is neither."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
