"""Many decoded messages to what is stored of them: readings, pending and quarantine rows. Pure: no IO, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.codec.rows import MessageRejected, Rows
from gateway.convert import Mask, observed_us_of, register_micro_of, status_of
from gateway.decode import Decoded
from gateway.identity import MEDIA, MEDIUM_CODE, UNKNOWN, IdentityMap
from gateway.reasons import Reason
from gateway.rejects import message_row, rejected_rows
from gateway.settings import GatewaySettings
from metrology.quantities import Medium, micro_per_unit
from store.cells import is_reserved_name
from store.pending import PendingRow
from store.quarantine import QuarantineRow
from store.readings import READING

T = TypeVar("T")
SERIAL_LENGTH_MAX = 128
REASONS = tuple(Reason)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
NO_REASON = -1


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a batch's messages come to: `readings_in` is the sum of `readings`, `pending` and `rejected`."""

    readings: NDArray[np.void]
    pending: list[PendingRow]
    quarantine: list[QuarantineRow]
    readings_in: int
    rejected: int


@dataclass(slots=True)
class _Columns:
    """The rows of the usable messages, n, in order of arrival."""

    message_no: NDArray[np.int64]
    row_no: NDArray[np.int64]
    meter: list[str]
    meter_id: NDArray[np.int64]
    medium: NDArray[np.int8]
    observed_us: NDArray[np.int64]
    register_micro: NDArray[np.int64]
    status: NDArray[np.int16]
    reason: NDArray[np.int8]  # index into REASONS, NO_REASON while the row is good

    def reject(self, rows: Mask, reason: Reason) -> None:
        """Give the rows a reason where they have none yet."""
        if rows.any():
            self.reason[rows & (self.reason == NO_REASON)] = _CODE[reason]


def assemble(
    messages: Sequence[Decoded], identities: IdentityMap, settings: GatewaySettings, batch_id: int
) -> Assembly:
    """Resolve, convert and check the rows of all messages; a message's place in `messages` is its `message_no`."""
    usable: list[tuple[int, Decoded, Rows]] = []
    quarantine: list[QuarantineRow] = []
    for message_no, decoded in enumerate(messages):
        rejection = decoded.rejection
        if rejection is None and decoded.utility not in identities.utilities:
            rejection = MessageRejected(Reason.UTILITY_UNKNOWN, f"utility {decoded.utility!r}", decoded.readings)
        if rejection is not None:
            quarantine.append(message_row(decoded, rejection.reason, rejection.found, batch_id))
        elif decoded.rows is not None and decoded.rows.meter:
            usable.append((message_no, decoded, decoded.rows))
    readings_in = sum(decoded.readings for decoded in messages)
    if not usable:
        return Assembly(np.empty(0, dtype=READING), [], quarantine, readings_in, readings_in)
    columns = _columns_of(usable, identities)
    _check(columns, usable, identities, settings)
    good = columns.reason == NO_REASON
    readings = _readings(columns, good & (columns.meter_id != UNKNOWN), batch_id)
    pending = _pending(columns, good & (columns.meter_id == UNKNOWN), messages, identities, batch_id)
    bad = np.flatnonzero(~good)
    bad_rows = zip(columns.message_no[bad], columns.row_no[bad], columns.reason[bad], strict=True)
    quarantine += rejected_rows(messages, ((int(no), int(row), REASONS[code]) for no, row, code in bad_rows), batch_id)
    return Assembly(readings, pending, quarantine, readings_in, readings_in - len(readings) - len(pending))


def _columns_of(usable: Sequence[tuple[int, Decoded, Rows]], identities: IdentityMap) -> _Columns:
    counts = [len(rows.meter) for _, _, rows in usable]
    n = sum(counts)
    starts = np.cumsum(counts) - counts
    meter_id = np.fromiter(
        chain.from_iterable(
            map(identities.meters[decoded.utility].get, rows.meter, repeat(UNKNOWN)) for _, decoded, rows in usable
        ),
        dtype=np.int64,
        count=n,
    )
    columns = _Columns(
        message_no=np.repeat([message_no for message_no, _, _ in usable], counts),
        row_no=np.arange(n) - np.repeat(starts, counts),
        meter=_chained([rows.meter for _, _, rows in usable]),
        meter_id=meter_id,
        medium=_media_of([rows for _, _, rows in usable], counts),
        observed_us=np.empty(0, dtype=np.int64),
        register_micro=np.empty(0, dtype=np.int64),
        status=np.empty(0, dtype=np.int16),
        reason=np.full(n, NO_REASON, dtype=np.int8),
    )
    for start, (_, _, rows) in zip(starts, usable, strict=True):
        for reject in rows.rejects:
            if columns.reason[start + reject.row] == NO_REASON:
                columns.reason[start + reject.row] = _CODE[reject.reason]
    _convert(columns, [rows for _, _, rows in usable], counts)
    return columns


def _media_of(messages: Sequence[Rows], counts: Sequence[int]) -> NDArray[np.int8]:
    """Each row's medium as its code: one a message, or one a row where a message says so."""
    media = [rows.medium for rows in messages if not isinstance(rows.medium, list)]
    if len(media) == len(messages):
        return np.repeat(np.array([MEDIUM_CODE[medium] for medium in media], dtype=np.int8), counts)
    each = [_spread(rows.medium, n) for rows, n in zip(messages, counts, strict=True)]
    return np.array([MEDIUM_CODE[medium] for medium in _chained(each)], dtype=np.int8)


def _spread(values: T | list[T], n: int) -> list[T]:
    """A column of n values, where one may stand for all."""
    return values if isinstance(values, list) else [values] * n


def _factors_of(messages: Sequence[Rows], counts: Sequence[int]) -> tuple[list[tuple[str, Medium]], NDArray[np.intp]]:
    """The units that occur, with their medium, and each row's place among them."""
    factor_nos: dict[tuple[Any, Any], int] = {}
    if not any(type(rows.medium) is list or type(rows.unit) is list for rows in messages):
        factor_of = [factor_nos.setdefault((rows.unit, rows.medium), len(factor_nos)) for rows in messages]
        return list(factor_nos), np.repeat(factor_of, counts)
    pairs = chain.from_iterable(
        zip(_spread(rows.unit, n), _spread(rows.medium, n), strict=True)
        for rows, n in zip(messages, counts, strict=True)
    )
    factor_of = [factor_nos.setdefault(pair, len(factor_nos)) for pair in pairs]
    return list(factor_nos), np.array(factor_of, dtype=np.intp)


def _convert(columns: _Columns, messages: Sequence[Rows], counts: Sequence[int]) -> None:
    """Fill in times, registers and statuses; reject what is none."""
    columns.observed_us, bad = observed_us_of(_chained([rows.observed_at for rows in messages]))
    columns.reject(bad, Reason.OBSERVED_AT_INVALID)
    factors, factor_of = _factors_of(messages, counts)
    columns.register_micro, invalid, inexact = register_micro_of(
        _chained([rows.register for rows in messages]),
        [micro_per_unit(unit, medium) for unit, medium in factors],
        factor_of,
    )
    columns.reject(invalid, Reason.REGISTER_INVALID)
    columns.reject(inexact, Reason.REGISTER_INEXACT)
    columns.status, bad = status_of(_chained([rows.status for rows in messages]))
    columns.reject(bad, Reason.STATUS_INVALID)


def _check(
    columns: _Columns, usable: Sequence[tuple[int, Decoded, Rows]], identities: IdentityMap, settings: GatewaySettings
) -> None:
    """Reject rows whose values can't be true; each limit is a setting."""
    counts = [len(rows.meter) for _, _, rows in usable]
    received_us = np.repeat(np.array([decoded.message.received_us for _, decoded, _ in usable], dtype=np.int64), counts)
    columns.reject(columns.observed_us < settings.earliest_us, Reason.OBSERVED_AT_TOO_EARLY)
    latest_us = received_us + settings.observed_at_future_s * 1_000_000
    columns.reject(columns.observed_us > latest_us, Reason.OBSERVED_AT_IN_FUTURE)
    register_min, register_max = settings.register_limits_micro
    columns.reject(
        (columns.register_micro < register_min) | (columns.register_micro > register_max), Reason.REGISTER_OUT_OF_RANGE
    )
    unknown = columns.meter_id == UNKNOWN
    columns.reject(~unknown & (identities.medium_of[columns.meter_id] != columns.medium), Reason.MEDIUM_MISMATCH)
    bad_serial = np.zeros(len(unknown), dtype=np.bool_)
    for i in np.flatnonzero(unknown):  # serials of registered meters are good as they are
        bad_serial[i] = not is_serial(columns.meter[i])
    columns.reject(bad_serial, Reason.METER_INVALID)


def is_serial(text: str) -> bool:
    """True for what the registry could hold as a serial: 1 to 128 printable characters."""
    # Blanks around it are not taken off: the registry's serials have none, so such a reading would wait for ever.
    plain = 0 < len(text) <= SERIAL_LENGTH_MAX and text.isprintable() and text == text.strip()
    return plain and not is_reserved_name(text)


def _readings(columns: _Columns, chosen: Mask, batch_id: int) -> NDArray[np.void]:
    readings = np.empty(int(chosen.sum()), dtype=READING)
    readings["observed_us"] = columns.observed_us[chosen]
    readings["register_micro"] = columns.register_micro[chosen]
    readings["batch_id"] = batch_id
    readings["meter_id"] = columns.meter_id[chosen]
    readings["status"] = columns.status[chosen]
    readings["message_no"] = columns.message_no[chosen]
    return readings


def _pending(
    columns: _Columns, chosen: Mask, messages: Sequence[Decoded], identities: IdentityMap, batch_id: int
) -> list[PendingRow]:
    rows = np.flatnonzero(chosen)
    values = (columns.observed_us, columns.register_micro, columns.status, columns.message_no, columns.medium)
    return [
        PendingRow(
            identities.utilities[messages[message_no].utility],
            columns.meter[row],
            MEDIA[medium],
            observed_us,
            register_micro,
            status,
            batch_id,
            message_no,
        )
        for row, observed_us, register_micro, status, message_no, medium in zip(
            rows.tolist(), *(column[rows].tolist() for column in values), strict=True
        )
    ]


def _chained(columns: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))
