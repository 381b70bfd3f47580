"""Quarantine rows: the raw message, the reason's code, and one line that names place, value and remedy."""

from collections.abc import Iterable, Sequence

from gateway.codec.rows import Rows
from gateway.decode import Decoded
from gateway.reasons import Reason, explain, show
from store.quarantine import QuarantineRow

_SHOWN_MAX = 3
_COLUMN: dict[Reason, str] = {
    Reason.METER_INVALID: "meter",
    Reason.MEDIUM_MISMATCH: "meter",
    Reason.IDENTITY_MISMATCH: "meter",
    Reason.SCALE_UNKNOWN: "register",
    Reason.NOT_READ_YET: "register",
    Reason.OBSERVED_AT_NONEXISTENT: "observed_at",
    Reason.OBSERVED_AT_INVALID: "observed_at",
    Reason.OBSERVED_AT_TOO_EARLY: "observed_at",
    Reason.OBSERVED_AT_IN_FUTURE: "observed_at",
    Reason.REGISTER_INVALID: "register",
    Reason.REGISTER_INEXACT: "register",
    Reason.REGISTER_OUT_OF_RANGE: "register",
    Reason.STATUS_INVALID: "status",
}


def message_row(decoded: Decoded, reason: Reason, found: str, batch_id: int) -> QuarantineRow:
    """The quarantine row of a whole message."""
    return _row(decoded, reason, explain(reason, found), None, batch_id)


def rejected_rows(
    messages: Sequence[Decoded], bad_rows: Iterable[tuple[int, int, Reason]], batch_id: int
) -> list[QuarantineRow]:
    """One quarantine row a message and reason, for (message_no, row, reason) in any order."""
    groups: dict[tuple[int, Reason], list[int]] = {}
    for message_no, row, reason in bad_rows:
        groups.setdefault((message_no, reason), []).append(row)
    return [
        _row(messages[message_no], reason, _detail(messages[message_no].rows, reason, rows), tuple(rows), batch_id)
        for (message_no, reason), rows in groups.items()
    ]


def _detail(message: Rows | None, reason: Reason, rows: Sequence[int]) -> str:
    """E.g. `row 3: register 'abc', row 7: register 'x' and 12 more: the register is no number; send …`."""
    name = _COLUMN.get(reason, "")
    column: Sequence[object] = getattr(message, name or "meter")
    rejects = message.rejects if message else ()
    as_sent = {reject.row: reject.found for reject in rejects if reject.reason == reason}
    prefix = f"{name} " if name else ""
    shown = [f"row {row}: {prefix}{as_sent.get(row) or show(column[row])}" for row in rows[:_SHOWN_MAX]]
    more = f" and {len(rows) - _SHOWN_MAX} more" if len(rows) > _SHOWN_MAX else ""
    if reason == Reason.MEDIUM_MISMATCH and message:
        medium = message.medium
        sent = sorted({medium[row] for row in rows}) if isinstance(medium, list) else [medium]
        more += f", sent as {' and '.join(sent)}"
    return explain(reason, ", ".join(shown) + more)


def _row(decoded: Decoded, reason: Reason, detail: str, rows: tuple[int, ...] | None, batch_id: int) -> QuarantineRow:
    message = decoded.message
    return QuarantineRow(
        message_digest=decoded.digest,
        reason=reason.value,
        detail=detail,
        utility=decoded.utility,
        topic=message.topic,
        payload=message.payload,
        rows=rows,
        batch_id=batch_id,
        received_at=message.received_at,
        retained=message.retained,
    )
