"""Columns of times to UTC: with offset or Z, or local ones of a stated zone; the repeated hour by rule (ADR 0007)."""

from datetime import tzinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.local_time import localise_mixed, parse_zone
from simulators.parsing import ParsedTimes, parse_times
from simulators.repeated_hour import MeterRows, place_rows
from store.cells import Problems
from store.tables import Table

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
TIME_EXPECTED = "a time as YYYY-MM-DDThh:mm:ss with Z or +hh:mm, from 1970 to 2199"
ZONE_EXPECTED = "a time with its offset (Z, +08:00), or --time-zone NAME for local times"
_OFFSET = r"\d[+-]\d{2}:?\d{2}$"
_WRONG = -(2**62)  # no offset of this world


def parse_observed_at(values: pa.Array) -> ParsedTimes:
    """Times of a column: ISO 8601 texts or timestamps. Where `utc` is False the text names no offset."""
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return parse_times(values, "iso8601")
    texts = pc.utf8_trim_whitespace(pc.fill_null(values.cast(pa.string()), ""))
    with_offset = np.asarray(pc.match_substring_regex(texts, _OFFSET))
    if not with_offset.any():
        return parse_times(texts, "iso8601")
    # A whole column of one or two offsets is the rule: they are taken off, and the rest is read as UTC.
    rows = np.flatnonzero(with_offset)
    offset_us, body = _offsets(texts.filter(pa.array(with_offset)))
    parsed = parse_times(body, "iso8601")
    others = parse_times(texts.filter(pa.array(~with_offset)), "iso8601")
    time_us, utc, bad = np.zeros(len(texts), np.int64), np.ones(len(texts), np.bool_), np.zeros(len(texts), np.bool_)
    time_us[rows], bad[rows] = np.where(parsed.bad, 0, parsed.time_us - offset_us), parsed.bad | (offset_us == _WRONG)
    rest = np.flatnonzero(~with_offset)
    time_us[rest], utc[rest], bad[rest] = others.time_us, others.utc, others.bad
    return ParsedTimes(time_us, utc, bad)


def _offsets(texts: pa.Array) -> tuple[Int64s, pa.Array]:
    """The offsets from UTC [us] at the texts' ends, _WRONG for none of this world, and the texts with Z instead."""
    suffix = pc.utf8_slice_codeunits(pc.replace_substring(texts, ":", ""), start=-5)
    encoded = pc.dictionary_encode(suffix)
    minutes = [_minutes(text) for text in encoded.dictionary.to_pylist()]
    by_code = np.array([_WRONG if m is None else m * 60_000_000 for m in minutes], dtype=np.int64)
    body = pc.replace_substring_regex(texts, r"[+-]\d{2}:?\d{2}$", "Z")
    return by_code[np.asarray(encoded.indices)], body


def _minutes(offset: str) -> int | None:
    hours, minutes = int(offset[1:3]), int(offset[3:5])
    if hours > 14 or minutes > 59:
        return None
    return (-1 if offset[0] == "-" else 1) * (60 * hours + minutes)


def to_utc(
    time_us: Int64s, utc: Bools, meter: NDArray[np.int32], register_micro: Int64s, zone: tzinfo
) -> tuple[Int64s, Bools, Bools]:
    """UTC of rows in file order [us], and which of them were placed by rule (hour that occurs twice), or never were.

    Rows with `utc` are taken as they are; the others are local times of `zone`. All of a meter's rows are needed at
    once: the hour that occurs twice is divided by its registers.
    """
    if utc.all():
        nothing = np.zeros(len(time_us), dtype=np.bool_)
        return time_us, nothing, nothing
    times = localise_mixed(time_us, utc, zone)
    return place_rows(MeterRows(meter, times, register_micro)), times.ambiguous, times.nonexistent


def times_of_rows(table: Table, column: str, time_zone: str, problems: Problems) -> Int64s:
    """The times of a table's column in UTC [us], shape (rows,); wrong ones, and ones of two meanings, are noted.

    `time_zone`: of times without an offset; empty: they are wrong.
    """
    at = table.columns.index(column)
    texts = [row.cells[at] for row in table.rows]
    parsed = parse_observed_at(pa.array(texts, pa.string()))
    time_us, twice = parsed.time_us, np.zeros(len(texts), dtype=np.bool_)
    if texts and not parsed.utc.all():
        local = localise_mixed(parsed.time_us, parsed.utc, parse_zone(time_zone or "UTC"))
        time_us, twice = local.earlier_us, local.ambiguous | local.nonexistent
    for row, text, bad, utc, unclear in zip(table.rows, texts, parsed.bad, parsed.utc, twice, strict=True):
        if bad:
            problems.add(row.line, column, text, TIME_EXPECTED)
        elif not utc and not time_zone:
            problems.add(row.line, column, text, ZONE_EXPECTED)
        elif unclear:
            problems.add(row.line, column, text, f"a time with its offset: {time_zone}'s clocks were changed then")
    return time_us
