"""Columns as sent, of many messages at once, to the integers that are stored."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gateway.codec.timetext import parse_rfc3339
from metrology.quantities import decimals_to_micro, floats_to_micro

US_PER_MS = 1000
STATUS_MAX = 0x7FFF
_INT64_MAX = 2**63 - 1
Mask = NDArray[np.bool_]
Int64 = NDArray[np.int64]


def observed_us_of(values: Sequence[str | int]) -> tuple[Int64, Mask]:
    """RFC 3339 texts and integers [ms since 1970 UTC], n, to [us since 1970 UTC] and a mask of the unreadable."""
    is_text = _is_text(values)
    if is_text.all():
        return parse_rfc3339(values)  # type: ignore[arg-type]  # just seen: all are texts
    observed_us = np.zeros(len(values), dtype=np.int64)
    bad = np.zeros(len(values), dtype=np.bool_)
    text_rows, number_rows = np.flatnonzero(is_text), np.flatnonzero(~is_text)
    if len(text_rows):
        observed_us[text_rows], bad[text_rows] = parse_rfc3339([str(values[i]) for i in text_rows.tolist()])
    ms = _int64([int(values[i]) for i in number_rows.tolist()] if len(text_rows) else values)
    out_of_range = np.abs(ms) > _INT64_MAX // US_PER_MS
    observed_us[number_rows] = np.where(out_of_range, 0, ms) * US_PER_MS
    bad[number_rows] = out_of_range
    return observed_us, bad


def register_micro_of(
    values: Sequence[float | str], micro_per_value: Sequence[Fraction], factor_of: NDArray[np.intp]
) -> tuple[Int64, Mask, Mask]:
    """Floats and decimal texts, n, to millionths; `factor_of` (n,) tells each value's place in `micro_per_value`.

    Returns the registers (0 where masked), a mask of those that are no numbers, and one of those not had exactly.
    """
    micro = np.zeros(len(values), dtype=np.int64)
    invalid = np.zeros(len(values), dtype=np.bool_)
    inexact = np.zeros(len(values), dtype=np.bool_)
    is_text = _is_text(values)
    some_text = bool(is_text.any())
    floats = np.array([0.0 if text else v for text, v in zip(is_text, values, strict=True)] if some_text else values)
    for factor_no, factor in enumerate(micro_per_value):
        chosen = factor_of == factor_no if len(micro_per_value) > 1 else np.ones(len(values), dtype=np.bool_)
        rows = np.flatnonzero(chosen & ~is_text)
        with np.errstate(over="ignore", invalid="ignore"):
            micro[rows], inexact[rows] = floats_to_micro(floats[rows].astype(np.float64), factor)
        if some_text:
            rows = np.flatnonzero(chosen & is_text)
            micro[rows], invalid[rows] = decimals_to_micro([str(values[i]) for i in rows.tolist()], factor)
    not_finite = ~np.isfinite(floats.astype(np.float64))
    return micro, invalid | not_finite, inexact & ~not_finite


def status_of(values: Sequence[int]) -> tuple[NDArray[np.int16], Mask]:
    """Bit sets, n, as int16, and a mask of those that don't fit (result 0)."""
    status = _int64(values)
    bad = (status < 0) | (status > STATUS_MAX)
    return np.where(bad, 0, status).astype(np.int16), bad


def _is_text(values: Sequence[object]) -> Mask:
    kinds = set(map(type, values))
    if str not in kinds:
        return np.zeros(len(values), dtype=np.bool_)
    if len(kinds) == 1:
        return np.ones(len(values), dtype=np.bool_)
    return np.fromiter((type(value) is str for value in values), dtype=np.bool_, count=len(values))


def _int64(values: Sequence[str | int] | Sequence[int]) -> Int64:
    """Integers of any size, those beyond an int64 as its largest."""
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return np.array([min(max(int(value), -_INT64_MAX), _INT64_MAX) for value in values], dtype=np.int64)
