"""Many decoded messages to columns of integers, as far as it goes without knowing the meters. Pure: no IO, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.codec.rows import Rows
from gateway.convert import Mask, observed_us_of, register_micro_of, status_of
from gateway.decode import Decoded
from gateway.identity import MEDIUM_CODE
from gateway.reasons import Reason
from metrology.quantities import Medium, micro_per_unit

T = TypeVar("T")
REASONS = tuple(Reason)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
NO_REASON = -1


@dataclass(slots=True)
class Columns:
    """The rows of the messages that could be decoded, n, in order of arrival.

    `message_no` (n,) is a message's place among all of them, `counts` the rows of each that has any.
    """

    message_no: NDArray[np.int64]
    row_no: NDArray[np.int64]
    counts: list[int]
    meter: list[str]
    medium: NDArray[np.int8]
    received_us: NDArray[np.int64]
    observed_us: NDArray[np.int64]
    register_micro: NDArray[np.int64]
    status: NDArray[np.int16]
    reason: NDArray[np.int8]  # index into REASONS, NO_REASON while the row is good

    def reject(self, rows: Mask, reason: Reason) -> None:
        """Give the rows a reason where they have none yet."""
        if rows.any():
            self.reason[rows & (self.reason == NO_REASON)] = _CODE[reason]


def columns_of(messages: Sequence[Decoded]) -> Columns:
    """The rows of all messages, values converted; what can't be converted has a reason."""
    usable = [(no, decoded.rows) for no, decoded in enumerate(messages) if decoded.rows and decoded.rows.meter]
    message_nos, rows_of = [no for no, _ in usable], [rows for _, rows in usable]
    counts = [len(rows.meter) for rows in rows_of]
    n = sum(counts)
    starts = np.cumsum(counts, dtype=np.int64) - counts
    received_us = np.array([messages[no].message.received_us for no in message_nos], dtype=np.int64)
    columns = Columns(
        message_no=np.repeat(np.array(message_nos, dtype=np.int64), counts),
        row_no=np.arange(n) - np.repeat(starts, counts),
        counts=counts,
        meter=_chained([rows.meter for rows in rows_of]),
        medium=_media_of(rows_of, counts),
        received_us=np.repeat(received_us, counts),
        observed_us=np.empty(0, dtype=np.int64),
        register_micro=np.empty(0, dtype=np.int64),
        status=np.empty(0, dtype=np.int16),
        reason=np.full(n, NO_REASON, dtype=np.int8),
    )
    for place, rows in enumerate(rows_of):
        for reject in rows.rejects:
            if columns.reason[starts[place] + reject.row] == NO_REASON:
                columns.reason[starts[place] + reject.row] = _CODE[reject.reason]
    _convert(columns, rows_of)
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
        return list(factor_nos), np.repeat(np.array(factor_of, dtype=np.intp), counts)
    pairs = chain.from_iterable(
        zip(_spread(rows.unit, n), _spread(rows.medium, n), strict=True)
        for rows, n in zip(messages, counts, strict=True)
    )
    factor_of = [factor_nos.setdefault(pair, len(factor_nos)) for pair in pairs]
    return list(factor_nos), np.array(factor_of, dtype=np.intp)


def _convert(columns: Columns, messages: Sequence[Rows]) -> None:
    """Fill in times, registers and statuses; reject what is none."""
    columns.observed_us, bad = observed_us_of(_chained([rows.observed_at for rows in messages]))
    columns.reject(bad, Reason.OBSERVED_AT_INVALID)
    factors, factor_of = _factors_of(messages, columns.counts)
    columns.register_micro, invalid, inexact = register_micro_of(
        _chained([rows.register for rows in messages]),
        [micro_per_unit(unit, medium) for unit, medium in factors],
        factor_of,
    )
    columns.reject(invalid, Reason.REGISTER_INVALID)
    columns.reject(inexact, Reason.REGISTER_INEXACT)
    columns.status, bad = status_of(_chained([rows.status for rows in messages]))
    columns.reject(bad, Reason.STATUS_INVALID)


def _chained(columns: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))
